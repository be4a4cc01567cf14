//! Super-blocks of 256: Q2_K, Q3_K, Q4_K, Q5_K and Q6_K.
//!
//! The search for a scale runs on sixteen sub-blocks side by side, each operation in ggml's order.

mod search;

use super::blocks::half;
use super::lanes::nearest;
use crate::float::{f16_to_f32, f32_to_f16};
use search::{Affine, Found, absolute, affine, signed, stepwise};

pub(super) const SUPER: usize = 256;

/// Sub-blocks of 16 are sixteen a super-block; of 32, eight, so two super-blocks are searched at once.
/// A loop and not a closure: a closure that is not inlined would lose the level's instructions.
#[inline(always)]
fn pair(values: &[f32]) -> [f32; 2 * SUPER] {
    let mut out = [0.0; 2 * SUPER];
    out[..values.len()].copy_from_slice(values);
    out
}

/// Two bits of each of 256 codes; byte `m` of each half has elements `m`, `m + 32`, `m + 64`, `m + 96`.
#[inline(always)]
fn put_twos(codes: &[u8; SUPER], shift: u32, out: &mut [u8]) {
    for j in 0..2 {
        for m in 0..32 {
            let at = 128 * j + m;
            let two = |n: usize| (codes[at + 32 * n] >> shift & 3) << (2 * n);
            out[32 * j + m] = two(0) | two(1) | two(2) | two(3);
        }
    }
}

/// Re-rounds the elements of a sub-block to the scale that is really kept; keeps the search's codes where it is 0.
#[inline(always)]
fn settle(x: &[f32], d: f32, dm: f32, low: i32, high: i32, codes: &mut [u8]) {
    if d == 0.0 {
        return;
    }
    for (code, x) in codes.iter_mut().zip(x) {
        *code = (nearest((x + dm) / d).clamp(low, high) - low) as u8;
    }
}

#[inline(always)]
pub(super) fn q2_k(values: &[f32], out: &mut [u8]) {
    let how = Affine { top: 3, start: -0.5, step: 0.1, steps: 15, absolute: true };
    for (x, out) in values.as_chunks::<SUPER>().0.iter().zip(out.as_chunks_mut::<84>().0) {
        let Found { scales, mins, mut codes } = affine::<16, SUPER>(x, how, |x| x.map(|row| row.map(f32::abs)));
        let (scale, min) = (largest(&scales), largest(&mins));
        let mut packed = [0u8; 16];
        if scale > 0.0 {
            let inverse = 15.0 / scale;
            (0..16).for_each(|j| packed[j] = nearest(inverse * scales[j]) as u8);
        }
        if min > 0.0 {
            let inverse = 15.0 / min;
            (0..16).for_each(|j| packed[j] |= (nearest(inverse * mins[j]) << 4) as u8);
        }
        let d = f32_to_f16(if scale > 0.0 { scale / 15.0 } else { 0.0 });
        let dmin = f32_to_f16(if min > 0.0 { min / 15.0 } else { 0.0 });
        for j in 0..16 {
            let d = f16_to_f32(d) * f32::from(packed[j] & 15);
            let dm = f16_to_f32(dmin) * f32::from(packed[j] >> 4);
            settle(&x[16 * j..][..16], d, dm, 0, 3, &mut codes[16 * j..][..16]);
        }
        out[..16].copy_from_slice(&packed);
        put_twos(&codes, 0, &mut out[16..80]);
        out[80..82].copy_from_slice(&d.to_le_bytes());
        out[82..].copy_from_slice(&dmin.to_le_bytes());
    }
}

/// The largest, but at least 0.
#[inline(always)]
fn largest(values: &[f32]) -> f32 {
    values.iter().copied().fold(0.0, |m, v| if v > m { v } else { m })
}

/// The first of the largest magnitude, with its sign.
#[inline(always)]
fn peak(values: &[f32]) -> f32 {
    values.iter().copied().fold(0.0f32, |m, v| if v.abs() > m.abs() { v } else { m })
}

#[inline(always)]
pub(super) fn q3_k(values: &[f32], out: &mut [u8]) {
    for (x, out) in values.as_chunks::<SUPER>().0.iter().zip(out.as_chunks_mut::<110>().0) {
        let (scales, mut codes) = stepwise(x);
        let top = peak(&scales);
        let mut six = [0i32; 16];
        let mut packed = [0u8; 12];
        let mut d = 0;
        if top != 0.0 {
            let inverse = -32.0 / top;
            for j in 0..16 {
                // The detour over a byte is ggml's, and seen where a scale is not finite.
                let l = i32::from(nearest(inverse * scales[j]) as i8).clamp(-32, 31) + 32;
                packed[j % 8] |= ((l & 15) << (j / 8 * 4)) as u8;
                packed[j % 4 + 8] |= ((l >> 4) << (2 * (j / 4))) as u8;
                six[j] = l;
            }
            d = f32_to_f16(1.0 / inverse);
        }
        for j in 0..16 {
            let d = f16_to_f32(d) * (six[j] - 32) as f32;
            // Plain division: there is no minimum to add, and adding 0 would lose a sign.
            if d != 0.0 {
                for (code, x) in codes[16 * j..][..16].iter_mut().zip(&x[16 * j..]) {
                    *code = (nearest(x / d).clamp(-4, 3) + 4) as u8;
                }
            }
        }
        let mut mask = [0u8; 32];
        for (i, code) in codes.iter_mut().enumerate() {
            mask[i % 32] |= (*code >> 2) << (i / 32);
            *code &= 3;
        }
        out[..32].copy_from_slice(&mask);
        put_twos(&codes, 0, &mut out[32..96]);
        out[96..108].copy_from_slice(&packed);
        out[108..].copy_from_slice(&d.to_le_bytes());
    }
}

/// Eight six-bit scales and eight six-bit minima in twelve bytes.
#[inline(always)]
fn put_sixes(scales: &[u8; 8], mins: &[u8; 8]) -> [u8; 12] {
    let mut out = [0; 12];
    for j in 0..4 {
        out[j] = scales[j] | (scales[j + 4] >> 4) << 6;
        out[j + 4] = mins[j] | (mins[j + 4] >> 4) << 6;
        out[j + 8] = scales[j + 4] & 15 | (mins[j + 4] & 15) << 4;
    }
    out
}

#[inline(always)]
fn sixes(bytes: &[u8]) -> ([u8; 8], [u8; 8]) {
    let (mut scales, mut mins) = ([0; 8], [0; 8]);
    for j in 0..4 {
        scales[j] = bytes[j] & 63;
        mins[j] = bytes[j + 4] & 63;
        scales[j + 4] = bytes[j + 8] & 15 | (bytes[j] >> 6) << 4;
        mins[j + 4] = bytes[j + 8] >> 4 | (bytes[j + 4] >> 6) << 4;
    }
    (scales, mins)
}

/// What Q4_K and Q5_K share: head (d, dmin, twelve bytes) and codes of one super-block out of two searched ones.
#[inline(always)]
fn head(x: &[f32; SUPER], scales: &[f32], mins: &[f32], codes: &mut [u8], top: i32) -> [u8; 16] {
    let (scale, min) = (largest(scales), largest(mins));
    let inverse = |largest: f32| if largest > 0.0 { 63.0 / largest } else { 0.0 };
    let six = |inverse: f32, values: &[f32]| -> [u8; 8] {
        std::array::from_fn(|j| (nearest(inverse * values[j]) as u8).min(63))
    };
    let (six_scales, six_mins) = (six(inverse(scale), scales), six(inverse(min), mins));
    let (d, dmin) = (f32_to_f16(scale / 63.0), f32_to_f16(min / 63.0));
    for j in 0..8 {
        let d = f16_to_f32(d) * f32::from(six_scales[j]);
        let dm = f16_to_f32(dmin) * f32::from(six_mins[j]);
        settle(&x[32 * j..][..32], d, dm, 0, top, &mut codes[32 * j..][..32]);
    }
    let mut out = [0; 16];
    out[..2].copy_from_slice(&d.to_le_bytes());
    out[2..4].copy_from_slice(&dmin.to_le_bytes());
    out[4..].copy_from_slice(&put_sixes(&six_scales, &six_mins));
    out
}

/// `rms + |x|`, the weight of an element in a sub-block of 32.
#[inline(always)]
fn loudness<const W: usize>(x: &[[f32; W]; 32]) -> [[f32; W]; 32] {
    let mut sums = [0.0; W];
    for row in x {
        for k in 0..W {
            sums[k] += row[k] * row[k];
        }
    }
    let level = sums.map(|sum| (sum / 32.0).sqrt());
    let mut out = *x;
    for row in &mut out {
        for k in 0..W {
            row[k] = level[k] + row[k].abs();
        }
    }
    out
}

#[inline(always)]
pub(super) fn q4_k(values: &[f32], out: &mut [u8]) {
    let how = Affine { top: 15, start: -1.0, step: 0.1, steps: 20, absolute: false };
    let blocks = out.as_chunks_mut::<144>().0;
    for (x, blocks) in values.chunks(2 * SUPER).zip(blocks.chunks_mut(2)) {
        let x = &pair(x);
        let Found { scales, mins, mut codes } = affine::<32, { 2 * SUPER }>(x, how, loudness);
        for (i, (x, codes)) in x.as_chunks::<SUPER>().0.iter().zip(codes.as_chunks_mut::<SUPER>().0).enumerate() {
            let Some(out) = blocks.get_mut(i) else { break };
            let head = head(x, &scales[8 * i..][..8], &mins[8 * i..][..8], codes, 15);
            out[..16].copy_from_slice(&head);
            for (codes, out) in codes.as_chunks::<64>().0.iter().zip(out[16..].as_chunks_mut::<32>().0) {
                (0..32).for_each(|l| out[l] = codes[l] | codes[l + 32] << 4);
            }
        }
    }
}

#[inline(always)]
pub(super) fn q5_k(values: &[f32], out: &mut [u8]) {
    let how = Affine { top: 31, start: -0.5, step: 0.1, steps: 15, absolute: false };
    let blocks = out.as_chunks_mut::<176>().0;
    for (x, blocks) in values.chunks(2 * SUPER).zip(blocks.chunks_mut(2)) {
        let x = &pair(x);
        let Found { scales, mins, mut codes } = affine::<32, { 2 * SUPER }>(x, how, loudness);
        for (i, (x, codes)) in x.as_chunks::<SUPER>().0.iter().zip(codes.as_chunks_mut::<SUPER>().0).enumerate() {
            let Some(out) = blocks.get_mut(i) else { break };
            let head = head(x, &scales[8 * i..][..8], &mins[8 * i..][..8], codes, 31);
            out[..16].copy_from_slice(&head);
            let (high, low) = out[16..].split_at_mut(32);
            high.fill(0);
            for (group, (codes, low)) in codes.as_chunks::<64>().0.iter().zip(low.as_chunks_mut::<32>().0).enumerate() {
                for l in 0..32 {
                    low[l] = codes[l] & 15 | (codes[l + 32] & 15) << 4;
                    high[l] |= (codes[l] >> 4 | codes[l + 32] >> 4 << 1) << (2 * group);
                }
            }
        }
    }
}

#[inline(always)]
pub(super) fn q6_k(values: &[f32], out: &mut [u8]) {
    for (x, out) in values.as_chunks::<SUPER>().0.iter().zip(out.as_chunks_mut::<210>().0) {
        let (scales, mut codes) = signed(x);
        let top = peak(&scales);
        if top.abs() < absolute::NOTHING {
            out.fill(0);
            continue;
        }
        let inverse = -128.0 / top;
        let d = f32_to_f16(1.0 / inverse);
        for j in 0..16 {
            let scale = nearest(inverse * scales[j]).min(127) as i8;
            out[192 + j] = scale as u8;
            let d = f16_to_f32(d) * f32::from(scale);
            if d != 0.0 {
                for (code, x) in codes[16 * j..][..16].iter_mut().zip(&x[16 * j..]) {
                    *code = (nearest(x / d).clamp(-32, 31) + 32) as u8;
                }
            }
        }
        for j in 0..2 {
            for l in 0..32 {
                let at = 128 * j + l;
                out[64 * j + l] = codes[at] & 15 | codes[at + 64] << 4;
                out[64 * j + l + 32] = codes[at + 32] & 15 | codes[at + 96] << 4;
            }
        }
        put_twos(&codes, 4, &mut out[128..192]);
        out[208..].copy_from_slice(&d.to_le_bytes());
    }
}

#[inline(always)]
pub(super) fn from_q2_k(bytes: &[u8], out: &mut [f32]) {
    for (b, out) in bytes.as_chunks::<84>().0.iter().zip(out.as_chunks_mut::<SUPER>().0) {
        let (d, dmin) = (half(b, 80), half(b, 82));
        for (i, out) in out.iter_mut().enumerate() {
            let code = b[16 + i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
            let s = b[i / 16];
            *out = d * f32::from(s & 15) * f32::from(code) - dmin * f32::from(s >> 4);
        }
    }
}

#[inline(always)]
pub(super) fn from_q3_k(bytes: &[u8], out: &mut [f32]) {
    for (b, out) in bytes.as_chunks::<110>().0.iter().zip(out.as_chunks_mut::<SUPER>().0) {
        let d = half(b, 108);
        let scale = |j: usize| {
            let low = b[96 + j % 8] >> (j / 8 * 4) & 15;
            let high = b[104 + j % 4] >> (j / 4 * 2) & 3;
            f32::from((low | high << 4) as i8 - 32)
        };
        let scales: [f32; 16] = std::array::from_fn(|j| d * scale(j));
        for (i, out) in out.iter_mut().enumerate() {
            let low = b[32 + i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
            let high = b[i % 32] >> (i / 32) & 1;
            *out = scales[i / 16] * f32::from((low | high << 2) as i8 - 4);
        }
    }
}

#[inline(always)]
pub(super) fn from_q4_k(bytes: &[u8], out: &mut [f32]) {
    for (b, out) in bytes.as_chunks::<144>().0.iter().zip(out.as_chunks_mut::<SUPER>().0) {
        let (d, dmin) = (half(b, 0), half(b, 2));
        let (scales, mins) = sixes(&b[4..16]);
        for j in 0..8 {
            let (d, m) = (d * f32::from(scales[j]), dmin * f32::from(mins[j]));
            for l in 0..32 {
                let code = b[16 + j / 2 * 32 + l] >> (j % 2 * 4) & 15;
                out[32 * j + l] = d * f32::from(code) - m;
            }
        }
    }
}

#[inline(always)]
pub(super) fn from_q5_k(bytes: &[u8], out: &mut [f32]) {
    for (b, out) in bytes.as_chunks::<176>().0.iter().zip(out.as_chunks_mut::<SUPER>().0) {
        let (d, dmin) = (half(b, 0), half(b, 2));
        let (scales, mins) = sixes(&b[4..16]);
        for j in 0..8 {
            let (d, m) = (d * f32::from(scales[j]), dmin * f32::from(mins[j]));
            for l in 0..32 {
                let code = b[48 + j / 2 * 32 + l] >> (j % 2 * 4) & 15 | (b[16 + l] >> j & 1) << 4;
                out[32 * j + l] = d * f32::from(code) - m;
            }
        }
    }
}

#[inline(always)]
pub(super) fn from_q6_k(bytes: &[u8], out: &mut [f32]) {
    for (b, out) in bytes.as_chunks::<210>().0.iter().zip(out.as_chunks_mut::<SUPER>().0) {
        let d = half(b, 208);
        for (i, out) in out.iter_mut().enumerate() {
            let (side, l) = (i / 128, i % 32);
            let quarter = i % 128 / 32;
            let low = b[64 * side + quarter % 2 * 32 + l] >> (quarter / 2 * 4) & 15;
            let high = b[128 + 32 * side + l] >> (quarter * 2) & 3;
            *out = d * f32::from(b[192 + i / 16] as i8) * f32::from((low | high << 4) as i8 - 32);
        }
    }
}
