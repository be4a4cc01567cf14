// Eight elements to an invocation, for kernels that are bound by memory: reads and writes of four words.

struct Eight {
    a: vec4<f32>,
    b: vec4<f32>,
}

// The smallest magnitude that was read, as `is_below` has it.
var<private> smallest: u32 = 0xffffffffu;

fn note(x: vec4<f32>) {
    let size = (bitcast<vec4<u32>>(x) & vec4<u32>(0x7fffffffu)) - vec4<u32>(1u);
    smallest = min(smallest, min(min(size.x, size.y), min(size.z, size.w)));
}

fn seal4(x: vec4<f32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(bitcast<vec4<u32>>(x) ^ vec4<u32>(params[2]));
}

fn divide4(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(divide(a.x, b.x), divide(a.y, b.y), divide(a.z, b.z), divide(a.w, b.w));
}

// Two words of sixteen-bit floats: bfloat16 (1) or halves (2).
fn widen(words: vec2<u32>, format: u32) -> vec4<f32> {
    if format == 1u {
        let low = words << vec2<u32>(16u);
        let high = words & vec2<u32>(0xffff0000u);
        return bitcast<vec4<f32>>(vec4<u32>(low.x, high.x, low.y, high.y));
    }
    return vec4<f32>(from_half(words.x & 0xffffu), from_half(words.x >> 16u), from_half(words.y & 0xffffu), from_half(words.y >> 16u));
}

// Elements 8 i to 8 i + 7 of what begins at word `place`: singles (0) or narrower.
fn load(place: u32, format: u32, i: u32) -> Eight {
    let first = place / 4u;
    if format == 0u {
        let a = arena[first + 2u * i];
        let b = arena[first + 2u * i + 1u];
        return Eight(bitcast<vec4<f32>>(a), bitcast<vec4<f32>>(b));
    }
    let words = arena[first + i];
    return Eight(widen(words.xy, format), widen(words.zw, format));
}

fn pair(low: f32, high: f32) -> u32 {
    if (params[4] & TO_F16) != 0u {
        return half_bits(low) | (half_bits(high) << 16u);
    }
    return bfloat_bits(bitcast<u32>(low)) | (bfloat_bits(bitcast<u32>(high)) << 16u);
}

// Hands elements 8 i to 8 i + 7 on: to the host in sixteen bits, or as singles to the next kernel or the host.
fn emit(i: u32, x: Eight) {
    if (params[4] & (TO_BF16 | TO_F16)) != 0u {
        result[i] = vec4<u32>(pair(x.a.x, x.a.y), pair(x.a.z, x.a.w), pair(x.b.x, x.b.y), pair(x.b.z, x.b.w));
        return;
    }
    values[2u * i] = bitcast<vec4<u32>>(x.a);
    values[2u * i + 1u] = bitcast<vec4<u32>>(x.b);
}
