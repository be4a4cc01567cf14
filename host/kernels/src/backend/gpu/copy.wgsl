// What a kernel reaches that only reads and writes: the measure of those that do more.

@group(0) @binding(3) var<storage, read_write> result: array<vec4<u32>>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let first = group.x * 512u + local;
    if first * 4u + 1024u >= params[0] {
        return;
    }
    let a = arena[first];
    let b = arena[first + 256u];
    result[first] = a;
    result[first + 256u] = b;
}
