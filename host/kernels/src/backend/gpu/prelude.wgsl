// What every kernel shares: where things are, and arithmetic whose last bit is the same on every device.
// A device may fuse a product with a sum, divide inexactly and round halves as it likes; nothing below lets it.

// 0 elements, 1 models, 2 zero, 3 divisor, 4 flags, 5 lambda, 6 weights' sum; 8 and 9 the base's place and format;
// from 16 on twelve words a model; from 256 on Q4_K's steps.
@group(0) @binding(0) var<storage, read> params: array<u32>;
// All inputs, one after the other, each from a whole vector on.
@group(0) @binding(1) var<storage, read> arena: array<vec4<u32>>;
// Numbers between two kernels.
@group(0) @binding(2) var<storage, read_write> values: array<vec4<u32>>;
// Binding 3, `result`, is what the host reads back; each kernel says how wide it writes it.
// Tiles of 2 048 elements, one to a group, that the CPU must compute: a device may take numbers below 2⁻¹²⁶ for zeros,
// so what could come near them is not trusted.
@group(0) @binding(4) var<storage, read_write> marks: array<atomic<u32>>;

const MODEL: u32 = 12u;
// Flags of word 4.
const VOTE: u32 = 1u;
const NORMALIZE: u32 = 2u;
const TO_BF16: u32 = 4u;
const TO_F16: u32 = 8u;

fn mark(tile: u32) {
    atomicStore(&marks[tile], 1u);
}

// Whether a magnitude, given as its bits less one, is not zero and below a limit. A zero's is the largest there is.
fn is_below(bits_less_one: u32, limit: u32) -> bool {
    return bits_less_one < limit - 1u;
}

// 2⁻¹⁰⁰ and 2¹²⁰: between them a block's scale and its inverse are far from what a device may flush or exceed.
const LEAST_PEAK: u32 = 0x0d800000u;
const MOST_PEAK: u32 = 0x7b800000u;

fn number(at: u32) -> f32 {
    return bitcast<f32>(params[at]);
}

// A zero that no compiler can know keeps a product from being fused with what follows.
fn seal(x: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(x) ^ params[2]);
}

// A mantissa of 24 bits and its exponent, so that the value is mantissa · 2^(exponent − 150).
fn parts(body: u32) -> vec2<i32> {
    let exponent = i32(body >> 23u);
    if exponent > 0 {
        return vec2<i32>(i32((body & 0x7fffffu) | 0x800000u), exponent);
    }
    let shift = i32(countLeadingZeros(body)) - 8;
    return vec2<i32>(i32(body << u32(shift)), 1 - shift);
}

// Mantissa of 25 bits (the last one a guard), rounded half to even into a single of this exponent.
fn compose(sign: u32, exponent: i32, q: u32, rest: bool) -> f32 {
    if exponent >= 255 {
        return bitcast<f32>(sign | 0x7f800000u);
    }
    var shift = 1u;
    if exponent < 1 {
        shift = u32(2 - exponent);
    }
    if shift > 25u {
        return bitcast<f32>(sign);
    }
    let kept = q >> shift;
    let lost = q & ((1u << shift) - 1u);
    let half = 1u << (shift - 1u);
    let up = lost > half || (lost == half && (rest || (kept & 1u) == 1u));
    var bits = kept + select(0u, 1u, up);
    if exponent >= 1 {
        // The leading one of the mantissa adds one to the exponent below it.
        bits = (u32(exponent - 1) << 23u) + bits;
    }
    return bitcast<f32>(sign | bits);
}

// a / b, rounded once.
fn divide(a: f32, b: f32) -> f32 {
    let x = bitcast<u32>(a);
    let y = bitcast<u32>(b);
    let sign = (x ^ y) & 0x80000000u;
    let above = x & 0x7fffffffu;
    let below = y & 0x7fffffffu;
    if above > 0x7f800000u || below > 0x7f800000u || (above == 0u && below == 0u) || (above == 0x7f800000u && below == 0x7f800000u) {
        return bitcast<f32>(0x7fc00000u);
    }
    if above == 0x7f800000u || below == 0u {
        return bitcast<f32>(sign | 0x7f800000u);
    }
    if above == 0u || below == 0x7f800000u {
        return bitcast<f32>(sign);
    }
    let p = parts(above);
    let q = parts(below);
    let by = u32(q.x);
    let less = p.x < q.x;
    let top = u32(p.x) << select(0u, 1u, less);
    let exponent = p.y - q.y + select(127, 126, less);
    // A guess, near enough for 32 bits of the remainder to tell by how much it is wrong: |rest| is far below 2³¹.
    var quotient = u32(f32(top) / f32(by) * 16777216.0);
    var rest = bitcast<i32>((top << 24u) - quotient * by);
    while rest < 0 {
        quotient -= 1u;
        rest += q.x;
    }
    while rest >= q.x {
        quotient += 1u;
        rest -= q.x;
    }
    return compose(sign, exponent, quotient, rest != 0);
}

// The root of a number that is not negative, rounded once.
fn root(a: f32) -> f32 {
    let body = bitcast<u32>(a);
    if body == 0u || body >= 0x7f800000u {
        return a;
    }
    let p = parts(body);
    // The radicand is the mantissa, followed by zeros enough for a root of 25 bits; its exponent must be even.
    let even = (p.y & 1) == 0;
    let mantissa = u32(p.x) << select(1u, 2u, even);
    let exponent = (p.y - select(127, 128, even)) / 2 + 127;
    var guess = u32(sqrt(f32(mantissa)) * 4096.0);
    var rest = bitcast<i32>((mantissa << 24u) - guess * guess);
    while rest < 0 {
        guess -= 1u;
        rest += i32(2u * guess + 1u);
    }
    while rest > i32(2u * guess) {
        rest -= i32(2u * guess + 1u);
        guess += 1u;
    }
    return compose(0u, exponent, guess, rest != 0);
}

// The bits of the nearest half, ties to even.
fn half_bits(x: f32) -> u32 {
    let bits = bitcast<u32>(x);
    let sign = (bits >> 16u) & 0x8000u;
    let body = bits & 0x7fffffffu;
    if body > 0x7f800000u {
        return sign | 0x7e00u;
    }
    if body >= 0x477ff000u {
        return sign | 0x7c00u;
    }
    if body >= 0x38800000u {
        return sign | ((body - 0x38000000u + 0xfffu + ((body >> 13u) & 1u)) >> 13u);
    }
    let exponent = body >> 23u;
    if exponent < 102u {
        return sign;
    }
    let mantissa = (body & 0x7fffffu) | 0x800000u;
    let shift = 126u - exponent;
    let kept = mantissa >> shift;
    let lost = mantissa & ((1u << shift) - 1u);
    let middle = 1u << (shift - 1u);
    let up = lost > middle || (lost == middle && (kept & 1u) == 1u);
    return sign | (kept + select(0u, 1u, up));
}

// The bits of the nearest bfloat16, ties to even.
fn bfloat_bits(bits: u32) -> u32 {
    if (bits & 0x7fffffffu) > 0x7f800000u {
        return (bits >> 16u) | 0x40u;
    }
    return (bits + 0x7fffu + ((bits >> 16u) & 1u)) >> 16u;
}

// The value of a half's bits.
fn from_half(bits: u32) -> f32 {
    let sign = (bits & 0x8000u) << 16u;
    let body = bits & 0x7fffu;
    if body < 0x400u {
        return bitcast<f32>(sign | bitcast<u32>(f32(body) * 5.9604644775390625e-8));
    }
    return bitcast<f32>(sign | select((body << 13u) + 0x38000000u, (body << 13u) | 0x7f800000u, body >= 0x7c00u));
}

// 1 / d, rounded once, where both are far from the ends of what a single can be.
fn reciprocal(d: f32) -> f32 {
    let bits = bitcast<u32>(d);
    let sign = bits & 0x80000000u;
    let exponent = (bits >> 23u) & 255u;
    let by = (bits & 0x7fffffu) | 0x800000u;
    if by == 0x800000u {
        return bitcast<f32>(sign | ((254u - exponent) << 23u));
    }
    // As in `divide`: 2⁴⁸ is nothing in 32 bits.
    var quotient = u32(1.0 / f32(by) * 281474976710656.0);
    var rest = bitcast<i32>(0u - quotient * by);
    while rest < 0 {
        quotient -= 1u;
        rest += i32(by);
    }
    while rest >= i32(by) {
        quotient += 1u;
        rest -= i32(by);
    }
    let kept = quotient >> 1u;
    let up = (quotient & 1u) == 1u && (rest != 0 || (kept & 1u) == 1u);
    return bitcast<f32>(sign | (((252u - exponent) << 23u) + kept + select(0u, 1u, up)));
}
