//! Four-bit codes out of a table: MXFP4 and NF4.

use crate::NF4_BLOCK;

/// The values of MXFP4's codes, doubled; the scale is halved in turn.
const E2M1: [f32; 16] = [0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 0.0, -1.0, -2.0, -3.0, -4.0, -6.0, -8.0, -12.0];

/// Half of two to the power that the byte stands for.
#[inline(always)]
fn half_power(exponent: u8) -> f32 {
    match exponent {
        0 | 1 => f32::from_bits(0x0020_0000 << exponent),
        e => f32::from_bits(u32::from(e - 1) << 23),
    }
}

#[inline(always)]
fn exponent(largest: f32) -> u8 {
    if largest == 0.0 {
        return 0;
    }
    // Far from a power of two the exponent is the logarithm's whole part.
    let mantissa = largest.to_bits() & 0x007f_ffff;
    if largest.is_normal() && mantissa < 0x007f_0000 {
        return ((largest.to_bits() >> 23) as i32 - 2) as u8;
    }
    // A single-precision logarithm, rounded: just below a power of two it is that power's.
    let log = f64::from(largest).log2() as f32;
    (log.floor() as i32 - 2 + 127) as u8
}

/// The nearest code, the first of two equally near.
#[inline(always)]
fn nearest(value: f32, scale: f32) -> u32 {
    let (mut best, mut error) = (0u32, (E2M1[0] * scale - value).abs());
    for code in 1..16 {
        let e = (E2M1[code] * scale - value).abs();
        best = if e < error { code as u32 } else { best };
        error = if e < error { e } else { error };
    }
    best
}

#[inline(always)]
pub(super) fn mxfp4(values: &[f32], out: &mut [u8]) {
    for (x, out) in values.as_chunks::<32>().0.iter().zip(out.as_chunks_mut::<17>().0) {
        let e = exponent(f32::from_bits(super::lanes::bits_max(x)));
        let scale = half_power(e);
        out[0] = e;
        let mut codes = [0u32; 32];
        for j in 0..32 {
            codes[j] = nearest(x[j], scale);
        }
        for j in 0..16 {
            out[1 + j] = (codes[j] | codes[j + 16] << 4) as u8;
        }
    }
}

#[inline(always)]
pub(super) fn from_mxfp4(bytes: &[u8], out: &mut [f32]) {
    for (b, out) in bytes.as_chunks::<17>().0.iter().zip(out.as_chunks_mut::<32>().0) {
        let scale = half_power(b[0]);
        for j in 0..16 {
            out[j] = E2M1[usize::from(b[1 + j] & 15)] * scale;
            out[j + 16] = E2M1[usize::from(b[1 + j] >> 4)] * scale;
        }
    }
}

/// The quantiles of a normal distribution, scaled to 1, with an exact zero.
#[allow(clippy::excessive_precision, reason = "the digits others print")]
const NF4: [f32; 16] = [
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
];

const BLOCK: usize = NF4_BLOCK as usize;

/// The halves between neighbouring codes, each rounded once.
fn borders() -> [f32; 15] {
    std::array::from_fn(|i| ((f64::from(NF4[i]) + f64::from(NF4[i + 1])) / 2.0) as f32)
}

/// A code begins above the border to the one below it.
pub(super) fn nf4(values: &[f32], out: &mut [u8]) {
    let borders = borders();
    let (scales, codes) = out.split_at_mut(values.len().div_ceil(BLOCK) * 4);
    let codes_of = |x: &[f32], inverse: f32| -> [u8; 2] {
        let code = |v: f32| borders.iter().map(|b| u8::from(*b < v * inverse)).sum::<u8>();
        [code(x[0]), x.get(1).map_or(0, |v| code(*v))]
    };
    for ((x, scale), codes) in values.chunks(BLOCK).zip(scales.as_chunks_mut::<4>().0).zip(codes.chunks_mut(BLOCK / 2))
    {
        let largest = x.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        *scale = largest.to_le_bytes();
        let inverse = if largest > 0.0 { 1.0 / largest } else { 0.0 };
        for (pair, byte) in x.chunks(2).zip(codes) {
            let [first, second] = codes_of(pair, inverse);
            *byte = first << 4 | second;
        }
    }
}

pub(super) fn from_nf4(bytes: &[u8], count: usize, from: usize, out: &mut [f32]) {
    let (scales, codes) = bytes.split_at(count.div_ceil(BLOCK) * 4);
    for (i, out) in (from..).zip(out) {
        let scale = f32::from_le_bytes(scales.as_chunks::<4>().0[i / BLOCK]);
        let byte = codes[i / 2];
        let code = if i.is_multiple_of(2) { byte >> 4 } else { byte & 15 };
        *out = NF4[usize::from(code)] * scale;
    }
}
