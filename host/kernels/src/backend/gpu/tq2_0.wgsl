fn trit(i: u32, id: f32) -> u32 {
    let x = seal(value(i) * id);
    return select(select(1u, 0u, x <= -0.5), 2u, x >= 0.5);
}

fn block(number: u32, at: u32) {
    let first = number * 256u;
    var largest = 0u;
    for (var i = 0u; i < 256u; i++) {
        largest = max(largest, values[first + i] & 0x7fffffffu);
    }
    let d = bitcast<f32>(largest);
    let id = inverse(d);
    for (var m = 0u; m < 64u; m++) {
        let start = first + (m / 32u) * 128u + (m & 31u);
        let byte = trit(start, id) | (trit(start + 32u, id) << 2u) | (trit(start + 64u, id) << 4u) | (trit(start + 96u, id) << 6u);
        put(at + m, byte);
    }
    put_half(at + 64u, d);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let number = id.x * 2u;
    let blocks = params[0] / 256u;
    if number >= blocks {
        return;
    }
    block(number, 0u);
    if number + 1u < blocks {
        block(number + 1u, 66u);
    }
    flush(id.x * 33u, 33u);
}
