// What every kernel shares: where things are, and arithmetic whose last bit is the same on every device.
// A device may fuse a product with a sum, divide inexactly and round halves as it likes; nothing below lets it.

// 0 elements, 1 models, 2 zero, 3 divisor, 4 flags, 5 lambda, 6 weights' sum; 8 and 9 the base's place and format;
// from 16 on twelve words a model; from 256 on Q4_K's steps.
@group(0) @binding(0) var<storage, read> params: array<u32>;
// All inputs, one after the other.
@group(0) @binding(1) var<storage, read> arena: array<u32>;
// Numbers between two kernels.
@group(0) @binding(2) var<storage, read_write> values: array<u32>;
// What the host reads back.
@group(0) @binding(3) var<storage, read_write> result: array<u32>;

const MODELS: u32 = 16u;
const MODEL: u32 = 12u;

fn number(at: u32) -> f32 {
    return bitcast<f32>(params[at]);
}

// A zero that no compiler can know keeps a product from being fused with what follows.
fn seal(x: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(x) ^ params[2]);
}

// Element `i` of what begins at word `place`: singles (0), bfloat16 (1), halves (2).
fn load(place: u32, format: u32, i: u32) -> f32 {
    if format == 0u {
        return bitcast<f32>(arena[place + i]);
    }
    let word = arena[place + i / 2u];
    let odd = (i & 1u) == 1u;
    if format == 1u {
        return bitcast<f32>(select(word << 16u, word & 0xffff0000u, odd));
    }
    let pair = unpack2x16float(word);
    return select(pair.x, pair.y, odd);
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
    var rest = u32(p.x);
    let by = u32(q.x);
    var exponent = p.y - q.y + 127;
    if rest < by {
        rest = rest << 1u;
        exponent -= 1;
    }
    var quotient = 0u;
    for (var i = 0u; i < 25u; i++) {
        quotient = quotient << 1u;
        if rest >= by {
            rest -= by;
            quotient |= 1u;
        }
        rest = rest << 1u;
    }
    return compose(sign, exponent, quotient, rest != 0u);
}

// The root of a number that is not negative, rounded once.
fn root(a: f32) -> f32 {
    let body = bitcast<u32>(a);
    if body == 0u || body >= 0x7f800000u {
        return a;
    }
    let p = parts(body);
    // The radicand is the mantissa, followed by as many zeros as digits are wanted; its exponent must be even.
    let even = (p.y & 1) == 0;
    let mantissa = u32(p.x) << select(1u, 2u, even);
    let exponent = (p.y - select(127, 128, even)) / 2 + 127;
    var rest = 0u;
    var quotient = 0u;
    for (var i = 0u; i < 25u; i++) {
        // Two digits at a time, from the top of 26, then zeros.
        var two = 0u;
        if i < 13u {
            two = (mantissa >> (24u - 2u * i)) & 3u;
        }
        rest = (rest << 2u) | two;
        let trial = (quotient << 2u) | 1u;
        quotient = quotient << 1u;
        if rest >= trial {
            rest -= trial;
            quotient |= 1u;
        }
    }
    return compose(0u, exponent, quotient, rest != 0u);
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

// The value of a half's bits.
fn from_half(bits: u32) -> f32 {
    return unpack2x16float(bits).x;
}

// 1 / scale; 0 where that is not a number to multiply with.
fn inverse(scale: f32) -> f32 {
    let inverse = divide(1.0, scale);
    return select(inverse, 0.0, (bitcast<u32>(inverse) & 0x7f800000u) == 0x7f800000u);
}

fn value(i: u32) -> f32 {
    return bitcast<f32>(values[i]);
}
