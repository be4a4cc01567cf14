// base + λ Σ wᵢ (xᵢ − base), with elements left out, and maybe a vote on the sign

fn at_least(cut: u32, i: u32) -> u32 {
    let bits = params[cut];
    if i < params[cut + 1u] || bits == 0xffffffffu {
        return bits;
    }
    return bits + 1u;
}

fn kept(at: u32, i: u32, x: f32) -> f32 {
    let bits = bitcast<u32>(x);
    let size = bits & 0x7fffffffu;
    var keep = true;
    if params[at + 4u] == 1u {
        keep = size >= at_least(at + 5u, i) && size < at_least(at + 7u, i);
    } else if params[at + 4u] == 2u {
        keep = ((arena[params[at + 9u] + i / 32u] >> (i & 31u)) & 1u) == 1u;
    }
    // What is left out becomes a zero of its sign.
    return bitcast<f32>(bits & select(0x80000000u, 0xffffffffu, keep));
}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x;
    if i >= params[0] {
        return;
    }
    let base = load(params[8], params[9], i);
    var deltas: array<f32, MODELS>;
    var total = 0.0;
    for (var m = 0u; m < params[1]; m++) {
        let at = 16u + m * MODEL;
        var d = kept(at, i, load(params[at], params[at + 1u], i) - base);
        let rescale = number(at + 3u);
        if rescale != 1.0 {
            d = seal(d * rescale);
        }
        d = seal(d * number(at + 2u));
        deltas[m] = d;
        total = select(total + d, d, m == 0u);
    }
    var mix = total;
    var weight = number(6u);
    if (params[4] & 1u) == 1u {
        weight = 0.0;
        for (var m = 0u; m < params[1]; m++) {
            let d = deltas[m];
            let agrees = select((d < 0.0), (d > 0.0), (total >= 0.0));
            let part = bitcast<f32>(bitcast<u32>(d) & select(0x80000000u, 0xffffffffu, agrees));
            let counted = select(0.0, number(16u + m * MODEL + 2u), agrees);
            mix = select(mix + part, part, m == 0u);
            weight = select(weight + counted, counted, m == 0u);
        }
        weight = select(weight, 1.0, weight == 0.0);
    }
    if (params[4] & 2u) == 2u {
        mix = divide(mix, weight);
    }
    let lambda = number(5u);
    if lambda != 1.0 {
        mix = seal(mix * lambda);
    }
    values[i] = bitcast<u32>(base + mix);
}
