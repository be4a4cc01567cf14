// (Σ wᵢ xᵢ) / divisor

@group(0) @binding(3) var<storage, read_write> result: array<vec4<u32>>;

// 2⁻⁶⁰: with weights above 2⁻³⁰, products of such numbers and sums of those are zeros or far above 2⁻¹²⁶.
const LEAST: u32 = 0x21800000u;

// Models, where a pipeline is for one number of them; 0 takes the number from the parameters.
override COUNT: u32 = 0u;

fn weighted(m: u32, i: u32) -> Eight {
    let at = 16u + m * MODEL;
    let x = load(params[at], params[at + 1u], i);
    note(x.a);
    note(x.b);
    let weight = number(at + 2u);
    return Eight(seal4(x.a * weight), seal4(x.b * weight));
}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x;
    if i * 8u >= params[0] {
        return;
    }
    let count = select(COUNT, params[1], COUNT == 0u);
    var sum = weighted(0u, i);
    for (var m = 1u; m < count; m++) {
        let next = weighted(m, i);
        sum = Eight(sum.a + next.a, sum.b + next.b);
    }
    if is_below(smallest, LEAST) {
        mark(i / 256u);
    }
    let divisor = number(3u);
    if divisor != 1.0 {
        sum = Eight(divide4(sum.a, vec4<f32>(divisor)), divide4(sum.b, vec4<f32>(divisor)));
    }
    emit(i, sum);
}
