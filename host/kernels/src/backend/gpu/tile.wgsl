// Quantizing by tiles of 2 048 elements, two vectors of four to an invocation: what is read and written lies side by
// side, and only what a block has in common goes through the group's memory.

@group(0) @binding(3) var<storage, read_write> result: array<u32>;

const QUADS: u32 = 512u;

// What each vector contributes to its block's scale; nine places for eight, so that columns fall on different banks.
var<workgroup> peaks: array<u32, 576>;
// Four codes a word.
var<workgroup> codes: array<u32, 512>;
var<workgroup> scales: array<u32, 64>;
var<workgroup> inverses: array<f32, 64>;

fn seal4(x: vec4<f32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(bitcast<vec4<u32>>(x) ^ vec4<u32>(params[2]));
}

// Vector `q` of all; zeros beyond the end.
fn quad(q: u32) -> vec4<u32> {
    if q * 4u < params[0] {
        return values[q];
    }
    return vec4<u32>(0u);
}

fn place(q: u32) -> u32 {
    return q + q / 8u;
}

// The bits of the largest magnitude.
fn peak(x: vec4<u32>) -> u32 {
    let size = x & vec4<u32>(0x7fffffffu);
    return max(max(size.x, size.y), max(size.z, size.w));
}

// Marks the tile if a block's largest magnitude is one that a device could fail with.
fn judge(largest: u32, tile: u32) {
    if is_below(largest - 1u, LEAST_PEAK) || largest >= MOST_PEAK {
        mark(tile);
    }
}

fn bytes(x: vec4<u32>) -> u32 {
    return x.x | (x.y << 8u) | (x.z << 16u) | (x.w << 24u);
}
