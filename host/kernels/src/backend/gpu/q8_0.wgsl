// The 127th part of a number far from the smallest, rounded once.
fn of_127(bits: u32) -> f32 {
    let exponent = bits >> 23u;
    let top = ((bits & 0x7fffffu) | 0x800000u) << 8u;
    let quotient = top / 127u;
    let rest = top - quotient * 127u;
    // One or two bits more than are kept.
    let long = quotient >= 0x2000000u;
    let kept = quotient >> select(1u, 2u, long);
    let lost = quotient & select(1u, 3u, long);
    let half = select(1u, 2u, long);
    let up = lost > half || (lost == half && (rest != 0u || (kept & 1u) == 1u));
    return bitcast<f32>(((exponent - select(8u, 7u, long)) << 23u) + kept + select(0u, 1u, up));
}

fn pack(x: vec4<u32>, id: f32) -> u32 {
    let scaled = bitcast<vec4<u32>>(seal4(bitcast<vec4<f32>>(x) * id));
    // Half away from zero: adding the largest number below a half and truncating never rounds twice.
    let half = bitcast<vec4<f32>>((scaled & vec4<u32>(0x80000000u)) | vec4<u32>(0x3effffffu));
    let rounded = vec4<i32>(bitcast<vec4<f32>>(scaled) + half);
    return bytes(bitcast<vec4<u32>>(rounded) & vec4<u32>(255u));
}

// Word `w` of the tile: two blocks are seventeen.
fn word(w: u32) -> u32 {
    let even = (w / 17u) * 2u;
    let r = w % 17u;
    let first = even * 8u;
    if r == 0u {
        return scales[even] | (codes[first] << 16u);
    }
    if r < 8u {
        return (codes[first + r - 1u] >> 16u) | (codes[first + r] << 16u);
    }
    if r == 8u {
        return (codes[first + 7u] >> 16u) | (scales[even + 1u] << 16u);
    }
    return codes[first + r - 1u];
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
        judge(largest, group.x);
        var d = 0.0;
        var id = 0.0;
        if largest != 0u {
            d = of_127(largest);
            id = reciprocal(d);
        }
        scales[local] = half_bits(d);
        inverses[local] = id;
    }
    workgroupBarrier();
    codes[local] = pack(x, inverses[local / 8u]);
    codes[local + 256u] = pack(y, inverses[32u + local / 8u]);
    workgroupBarrier();
    let total = (params[0] / 32u * 34u + 3u) / 4u;
    let begin = group.x * 544u;
    for (var w = local; w < 544u; w += 256u) {
        if begin + w < total {
            result[begin + w] = word(w);
        }
    }
}
