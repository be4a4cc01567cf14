// Two sixteen-bit floats a word: bfloat16 if flag 4 is set, else halves.

fn short(i: u32) -> u32 {
    let bits = values[i];
    if (params[4] & 4u) == 0u {
        return half_bits(bitcast<f32>(bits));
    }
    if (bits & 0x7fffffffu) > 0x7f800000u {
        return (bits >> 16u) | 0x40u;
    }
    return (bits + 0x7fffu + ((bits >> 16u) & 1u)) >> 16u;
}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x * 2u;
    if i >= params[0] {
        return;
    }
    var word = short(i);
    if i + 1u < params[0] {
        word |= short(i + 1u) << 16u;
    }
    result[id.x] = word;
}
