//! Three values an element: TQ1_0, TQ2_0 and BitNet b1.58.

use super::Fit;
use super::blocks::half;
use super::lanes::{WIDTH, bits_max};
use crate::float::f32_to_f16;
use crate::level::prefetch;

const BLOCK: usize = 256;

/// The scale to keep, and the magnitude from which an element counts.
#[inline(always)]
fn fit(x: &[f32; BLOCK], fit: Fit) -> (f32, f32) {
    match fit {
        Fit::Usual => {
            let largest = f32::from_bits(bits_max(x));
            (largest, 0.0)
        }
        Fit::Least => least(x),
    }
}

/// Alternates between the best scale for a choice of elements and the best choice for a scale, until it settles.
#[inline(always)]
fn least(x: &[f32; BLOCK]) -> (f32, f32) {
    let mut scale = mean_above(x, -1.0);
    for _ in 0..12 {
        let next = mean_above(x, scale / 2.0);
        if next == scale {
            break;
        }
        scale = next;
    }
    (scale, scale / 2.0)
}

/// The mean magnitude of elements whose magnitude is above a limit; 0 if there are none.
#[inline(always)]
fn mean_above(x: &[f32; BLOCK], limit: f32) -> f32 {
    let (mut sums, mut counts) = ([0.0f32; WIDTH], [0.0f32; WIDTH]);
    for x in x.as_chunks::<WIDTH>().0 {
        for k in 0..WIDTH {
            let magnitude = x[k].abs();
            let keep = magnitude > limit;
            sums[k] += if keep { magnitude } else { 0.0 };
            counts[k] += if keep { 1.0 } else { 0.0 };
        }
    }
    let (sum, count): (f32, f32) = (sums.iter().sum(), counts.iter().sum());
    if count > 0.0 { sum / count } else { 0.0 }
}

/// What an element is multiplied with and compared to, and the scale that is kept.
#[inline(always)]
fn rule(x: &[f32; BLOCK], how: Fit) -> (f32, f32, u16) {
    let (d, limit) = fit(x, how);
    match how {
        Fit::Usual => {
            let inverse = 1.0 / d;
            (if inverse.is_finite() { inverse } else { 0.0 }, 0.5f32.next_down(), f32_to_f16(d))
        }
        Fit::Least => (1.0, limit, f32_to_f16(d)),
    }
}

/// 0, 1 or 2.
#[inline(always)]
fn trit(x: f32, factor: f32, limit: f32) -> i32 {
    let v = x * factor;
    1 + i32::from(v > limit) - i32::from(v < -limit)
}

#[inline(always)]
fn trits(x: &[f32; WIDTH], factor: f32, limit: f32) -> [u32; WIDTH] {
    let mut out = [0; WIDTH];
    for k in 0..WIDTH {
        out[k] = trit(x[k], factor, limit) as u32;
    }
    out
}

#[inline(always)]
pub(super) fn tq2_0(values: &[f32], out: &mut [u8], how: Fit) {
    let blocks = values.as_chunks::<BLOCK>().0;
    for ((i, x), out) in blocks.iter().enumerate().zip(out.as_chunks_mut::<66>().0) {
        if let Some(soon) = blocks.get(i + 8) {
            prefetch(soon);
        }
        let (factor, limit, d) = rule(x, how);
        for (x, out) in x.as_chunks::<128>().0.iter().zip(out.as_chunks_mut::<32>().0) {
            let (rows, _) = x.as_chunks::<WIDTH>();
            for (half, out) in out.as_chunks_mut::<WIDTH>().0.iter_mut().enumerate() {
                // In 32 bits until the last step: narrowing four times as much would cost more than the rest.
                let a = trits(&rows[half], factor, limit);
                let b = trits(&rows[half + 2], factor, limit);
                let c = trits(&rows[half + 4], factor, limit);
                let d = trits(&rows[half + 6], factor, limit);
                for k in 0..WIDTH {
                    out[k] = (a[k] | b[k] << 2 | c[k] << 4 | d[k] << 6) as u8;
                }
            }
        }
        out[64..].copy_from_slice(&d.to_le_bytes());
    }
}

#[inline(always)]
pub(super) fn from_tq2_0(bytes: &[u8], out: &mut [f32]) {
    for (b, out) in bytes.as_chunks::<66>().0.iter().zip(out.as_chunks_mut::<BLOCK>().0) {
        let d = half(b, 64);
        for j in 0..2 {
            for n in 0..4 {
                for m in 0..32 {
                    out[128 * j + 32 * n + m] = f32::from((b[32 * j + m] >> (2 * n) & 3) as i8 - 1) * d;
                }
            }
        }
    }
}

/// Where the trits of TQ1_0's bytes come from: first byte, bytes, first element, distance of a byte's trits, trits.
const GROUPS: [(usize, usize, usize, usize, usize); 3] = [(0, 32, 0, 32, 5), (32, 16, 160, 16, 5), (48, 4, 240, 4, 4)];

#[inline(always)]
pub(super) fn tq1_0(values: &[f32], out: &mut [u8], how: Fit) {
    for (x, out) in values.as_chunks::<BLOCK>().0.iter().zip(out.as_chunks_mut::<54>().0) {
        let (factor, limit, d) = rule(x, how);
        let mut t = [0u8; BLOCK];
        for (t, x) in t.iter_mut().zip(x) {
            *t = trit(*x, factor, limit) as u8;
        }
        for (byte, bytes, first, step, trits) in GROUPS {
            for m in 0..bytes {
                let mut q = 0u16;
                for n in 0..trits {
                    q = q * 3 + u16::from(t[first + m + step * n]);
                }
                if trits == 4 {
                    q *= 3;
                }
                // As a fraction of 243, in 256ths: a reader multiplies by three and takes what overflows.
                out[byte + m] = (q * 256).div_ceil(243) as u8;
            }
        }
        out[52..].copy_from_slice(&d.to_le_bytes());
    }
}

#[inline(always)]
pub(super) fn from_tq1_0(bytes: &[u8], out: &mut [f32]) {
    const POWERS: [u8; 5] = [1, 3, 9, 27, 81];
    for (b, out) in bytes.as_chunks::<54>().0.iter().zip(out.as_chunks_mut::<BLOCK>().0) {
        let d = half(b, 52);
        for (byte, bytes, first, step, trits) in GROUPS {
            for n in 0..trits {
                for m in 0..bytes {
                    let rest = b[byte + m].wrapping_mul(POWERS[n]);
                    out[first + m + step * n] = f32::from(((u16::from(rest) * 3) >> 8) as i8 - 1) * d;
                }
            }
        }
    }
}

/// BitNet b1.58: the mean magnitude is the scale; ties to even, as its authors' library rounds.
pub(super) fn bitnet(values: &[f32], row: usize, out: &mut [u8]) {
    let (scales, codes) = out.split_at_mut(out.len().saturating_sub(values.len().div_ceil(4)));
    scales.fill(0);
    codes.fill(0);
    for (number, (x, scale_out)) in values.chunks(row.max(1)).zip(scales.as_chunks_mut::<4>().0).enumerate() {
        let sum: f64 = x.iter().map(|v| f64::from(v.abs())).sum();
        let scale = (sum / x.len() as f64).max(1e-5) as f32;
        *scale_out = scale.to_le_bytes();
        for (i, x) in (number * row..).zip(x) {
            let trit = (x / scale).round_ties_even().clamp(-1.0, 1.0) as i8 + 1;
            codes[i / 4] |= (trit as u8) << (i % 4 * 2);
        }
    }
}

pub(super) fn from_bitnet(bytes: &[u8], count: usize, row: usize, from: usize, out: &mut [f32]) {
    let (scales, codes) = bytes.split_at(bytes.len() - count.div_ceil(4));
    let scales = scales.as_chunks::<4>().0;
    for (i, out) in (from..).zip(out) {
        let trit = codes[i / 4] >> (i % 4 * 2) & 3;
        *out = f32::from(trit as i8 - 1) * f32::from_le_bytes(scales[i / row.max(1)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn least_squares_beats_the_largest_magnitude() {
        let x: [f32; BLOCK] = std::array::from_fn(|i| ((i * 37 % 101) as f32 - 50.0) * 0.01);
        let error = |how| {
            let (factor, limit, d) = rule(&x, how);
            let d = crate::float::f16_to_f32(d);
            x.iter().map(|x| (x - (trit(*x, factor, limit) as f32 - 1.0) * d).powi(2)).sum::<f32>()
        };
        assert!(error(Fit::Least) < error(Fit::Usual) * 0.9);
    }
}
