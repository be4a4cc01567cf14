// Two blocks to an invocation, so that what it writes is whole words.

var<private> words: array<u32, 33>;

fn put(at: u32, byte: u32) {
    words[at / 4u] |= (byte & 255u) << (8u * (at & 3u));
}

fn put_half(at: u32, x: f32) {
    let bits = half_bits(x);
    put(at, bits);
    put(at + 1u, bits >> 8u);
}

fn flush(first: u32, count: u32) {
    for (var i = 0u; i < count; i++) {
        result[first + i] = words[i];
    }
}
