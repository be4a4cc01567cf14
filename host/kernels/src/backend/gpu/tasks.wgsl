// base + λ Σ wᵢ (xᵢ − base), with elements left out, and maybe a vote on the sign

@group(0) @binding(3) var<storage, read_write> result: array<vec4<u32>>;

// 2⁻³⁰: with factors between 2⁻⁸ and 2⁸, differences of such numbers, what is made of them and their sums are zeros or
// far above 2⁻¹²⁶.
const LEAST: u32 = 0x30800000u;

const MODELS: u32 = 16u;
// Models, where a pipeline is for one number of them; 0 takes the number from the parameters.
override COUNT: u32 = 0u;

// Elements 4 q to 4 q + 3.
fn load_four(place: u32, format: u32, q: u32) -> vec4<f32> {
    let first = place / 4u;
    var x: vec4<f32>;
    if format == 0u {
        x = bitcast<vec4<f32>>(arena[first + q]);
    } else {
        let words = arena[first + q / 2u];
        x = widen(select(words.xy, words.zw, (q & 1u) == 1u), format);
    }
    note(x);
    return x;
}

fn at_least(cut: u32, index: vec4<u32>) -> vec4<u32> {
    let bits = params[cut];
    let before = (index < vec4<u32>(params[cut + 1u])) | vec4<bool>(bits == 0xffffffffu);
    return vec4<u32>(bits) + select(vec4<u32>(1u), vec4<u32>(0u), before);
}

// A number, or a zero of its sign.
fn masked(x: vec4<f32>, keep: vec4<bool>) -> vec4<f32> {
    return bitcast<vec4<f32>>(bitcast<vec4<u32>>(x) & select(vec4<u32>(0x80000000u), vec4<u32>(0xffffffffu), keep));
}

fn kept(at: u32, q: u32, x: vec4<f32>) -> vec4<f32> {
    let index = vec4<u32>(4u * q) + vec4<u32>(0u, 1u, 2u, 3u);
    if params[at + 4u] == 1u {
        let size = bitcast<vec4<u32>>(x) & vec4<u32>(0x7fffffffu);
        return masked(x, (size >= at_least(at + 5u, index)) & (size < at_least(at + 7u, index)));
    }
    if params[at + 4u] == 2u {
        let word = params[at + 9u] + q / 8u;
        let bits = vec4<u32>(arena[word / 4u][word & 3u]) >> (index & vec4<u32>(31u));
        return masked(x, (bits & vec4<u32>(1u)) == vec4<u32>(1u));
    }
    return x;
}

fn delta(m: u32, q: u32, base: vec4<f32>) -> vec4<f32> {
    let at = 16u + m * MODEL;
    var d = kept(at, q, load_four(params[at], params[at + 1u], q) - base);
    let rescale = number(at + 3u);
    if rescale != 1.0 {
        d = seal4(d * rescale);
    }
    return seal4(d * number(at + 2u));
}

fn merge(q: u32) -> vec4<f32> {
    let count = select(COUNT, params[1], COUNT == 0u);
    let base = load_four(params[8], params[9], q);
    var deltas: array<vec4<f32>, MODELS>;
    deltas[0] = delta(0u, q, base);
    var mix = deltas[0];
    for (var m = 1u; m < count; m++) {
        deltas[m] = delta(m, q, base);
        mix += deltas[m];
    }
    var weight = vec4<f32>(number(6u));
    if (params[4] & VOTE) != 0u {
        let up = mix >= vec4<f32>(0.0);
        for (var m = 0u; m < count; m++) {
            let d = deltas[m];
            let agrees = select((d < vec4<f32>(0.0)), (d > vec4<f32>(0.0)), up);
            let part = masked(d, agrees);
            let counted = select(vec4<f32>(0.0), vec4<f32>(number(16u + m * MODEL + 2u)), agrees);
            mix = select(mix + part, part, vec4<bool>(m == 0u));
            weight = select(weight + counted, counted, vec4<bool>(m == 0u));
        }
        weight = select(weight, vec4<f32>(1.0), weight == vec4<f32>(0.0));
    }
    if (params[4] & NORMALIZE) != 0u {
        mix = divide4(mix, weight);
    }
    let lambda = number(5u);
    if lambda != 1.0 {
        mix = seal4(mix * lambda);
    }
    return base + mix;
}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x;
    if i * 8u >= params[0] {
        return;
    }
    emit(i, Eight(merge(2u * i), merge(2u * i + 1u)));
    if is_below(smallest, LEAST) {
        mark(i / 256u);
    }
}
