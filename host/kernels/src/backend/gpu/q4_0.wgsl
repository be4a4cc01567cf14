fn code(i: u32, id: f32, middle: f32) -> u32 {
    return u32(clamp(seal(value(i) * id) + middle, 0.0, 15.0));
}

fn block(number: u32, at: u32) {
    let first = number * 32u;
    var largest = 0.0;
    var peak = 0.0;
    for (var i = 0u; i < 32u; i++) {
        let x = value(first + i);
        if abs(x) > largest {
            largest = abs(x);
            peak = x;
        }
    }
    let d = divide(peak, -8.0);
    let id = inverse(d);
    // Without a usable scale 0 is written; but for a block of zeros, the middle code.
    let middle = select(8.5, 0.0, id == 0.0 && d != 0.0);
    put_half(at, d);
    for (var j = 0u; j < 16u; j++) {
        put(at + 2u + j, code(first + j, id, middle) | (code(first + j + 16u, id, middle) << 4u));
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
        block(number + 1u, 18u);
    }
    flush(id.x * 9u, 9u);
}
