// The largest of each eight vectors; eight of them are a block.
var<workgroup> eighths: array<u32, 64>;

fn pack(x: vec4<u32>, id: f32) -> u32 {
    let scaled = bitcast<vec4<f32>>(x) * id;
    let up = select(vec4<u32>(1u), vec4<u32>(2u), scaled >= vec4<f32>(0.5));
    return bytes(select(up, vec4<u32>(0u), scaled <= vec4<f32>(-0.5)));
}

// Word `k` of a block's sixteen.
fn trits(block: u32, k: u32) -> u32 {
    let first = block * 64u + (k / 8u) * 32u + (k & 7u);
    return codes[first] | (codes[first + 8u] << 2u) | (codes[first + 16u] << 4u) | (codes[first + 24u] << 6u);
}

// Word `w` of the tile: two blocks are thirty-three.
fn word(w: u32) -> u32 {
    let even = (w / 33u) * 2u;
    let r = w % 33u;
    if r < 16u {
        return trits(even, r);
    }
    if r == 16u {
        return scales[even] | (trits(even + 1u, 0u) << 16u);
    }
    if r < 32u {
        return (trits(even + 1u, r - 17u) >> 16u) | (trits(even + 1u, r - 16u) << 16u);
    }
    return (trits(even + 1u, 15u) >> 16u) | (scales[even + 1u] << 16u);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let x = quad(group.x * QUADS + local);
    let y = quad(group.x * QUADS + local + 256u);
    peaks[place(local)] = peak(x);
    peaks[place(local + 256u)] = peak(y);
    workgroupBarrier();
    if local < 64u {
        var largest = 0u;
        for (var j = 0u; j < 8u; j++) {
            largest = max(largest, peaks[local * 9u + j]);
        }
        eighths[local] = largest;
    }
    workgroupBarrier();
    if local < 8u {
        var largest = 0u;
        for (var j = 0u; j < 8u; j++) {
            largest = max(largest, eighths[local * 8u + j]);
        }
        judge(largest, group.x);
        let d = bitcast<f32>(largest);
        scales[local] = half_bits(d);
        var id = 0.0;
        if largest != 0u {
            id = reciprocal(d);
        }
        inverses[local] = id;
    }
    workgroupBarrier();
    codes[local] = pack(x, inverses[local / 64u]);
    codes[local + 256u] = pack(y, inverses[4u + local / 64u]);
    workgroupBarrier();
    let total = (params[0] / 256u * 66u + 3u) / 4u;
    let begin = group.x * 132u;
    if local < 132u && begin + local < total {
        result[begin + local] = word(local);
    }
}
