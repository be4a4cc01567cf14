fn away(x: f32) -> i32 {
    let size = abs(x);
    let whole = trunc(size);
    let rounded = i32(whole) + select(0, 1, size - whole >= 0.5);
    return min(select(rounded, -rounded, x < 0.0), 127);
}

fn block(number: u32, at: u32) {
    let first = number * 32u;
    var largest = 0u;
    for (var i = 0u; i < 32u; i++) {
        largest = max(largest, values[first + i] & 0x7fffffffu);
    }
    let d = divide(bitcast<f32>(largest), 127.0);
    let id = inverse(d);
    put_half(at, d);
    for (var i = 0u; i < 32u; i++) {
        put(at + 2u + i, bitcast<u32>(away(seal(value(first + i) * id))));
    }
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let number = id.x * 2u;
    let blocks = params[0] / 32u;
    if number >= blocks {
        return;
    }
    block(number, 0u);
    if number + 1u < blocks {
        block(number + 1u, 34u);
    }
    flush(id.x * 17u, 17u);
}
