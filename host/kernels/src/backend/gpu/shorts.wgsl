// Singles to sixteen bits.

@group(0) @binding(3) var<storage, read_write> result: array<vec4<u32>>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x;
    if i * 8u >= params[0] {
        return;
    }
    emit(i, Eight(bitcast<vec4<f32>>(values[2u * i]), bitcast<vec4<f32>>(values[2u * i + 1u])));
}
