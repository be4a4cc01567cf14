// (Σ wᵢ xᵢ) / divisor

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x;
    if i >= params[0] {
        return;
    }
    var sum = 0.0;
    for (var m = 0u; m < params[1]; m++) {
        let at = 16u + m * MODEL;
        let product = seal(load(params[at], params[at + 1u], i) * number(at + 2u));
        sum = select(sum + product, product, m == 0u);
    }
    let divisor = number(3u);
    if divisor != 1.0 {
        sum = divide(sum, divisor);
    }
    values[i] = bitcast<u32>(sum);
}
