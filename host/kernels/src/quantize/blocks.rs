//! The formats of 32 elements with one scale: Q8_0, Q4_0, Q4_1, Q5_0, Q5_1.

use super::lanes::{away, bits_max, extremes, trunc_below};
use crate::float::{f16_to_f32, f32_to_f16};

pub(super) const BLOCK: usize = 32;

/// `1 / scale`, and 0 where that is not a number to multiply with: ggml's conversion of the products gives 0 then.
#[inline(always)]
pub(super) fn inverse(scale: f32) -> f32 {
    let inverse = 1.0 / scale;
    if inverse.is_finite() { inverse } else { 0.0 }
}

#[inline(always)]
pub(super) fn q8_0(values: &[f32], out: &mut [u8]) {
    for (x, out) in values.as_chunks::<BLOCK>().0.iter().zip(out.as_chunks_mut::<34>().0) {
        let d = f32::from_bits(bits_max(x)) / 127.0;
        let id = inverse(d);
        let mut q = [0u8; BLOCK];
        for (q, x) in q.iter_mut().zip(x) {
            *q = away(x * id) as u8;
        }
        out[..2].copy_from_slice(&f32_to_f16(d).to_le_bytes());
        out[2..].copy_from_slice(&q);
    }
}

/// The element of largest magnitude, with its sign; the first of several.
#[inline(always)]
fn peak(x: &[f32; BLOCK]) -> f32 {
    let (low, high) = extremes(x);
    if high != -low {
        // By bits: which of the two it is is as good as chance, and a branch would be mispredicted half the time.
        let choose = u32::from(high > -low).wrapping_neg();
        return f32::from_bits(high.to_bits() & choose | low.to_bits() & !choose);
    }
    // ggml's search starts at +0 and nothing exceeds it.
    if high == 0.0 { 0.0 } else { x.iter().copied().find(|v| v.abs() == high).unwrap_or(high) }
}

#[inline(always)]
pub(super) fn q4_0(values: &[f32], out: &mut [u8]) {
    for (x, out) in values.as_chunks::<BLOCK>().0.iter().zip(out.as_chunks_mut::<18>().0) {
        let d = peak(x) / -8.0;
        let inverse = 1.0 / d;
        // Without a usable scale ggml writes 0, not the middle code; but for an all-zero block, the middle code.
        let (id, middle) = if inverse.is_finite() { (inverse, 8.5) } else { (0.0, if d == 0.0 { 8.5 } else { 0.0 }) };
        let mut q = [0i32; BLOCK];
        for (q, x) in q.iter_mut().zip(x) {
            *q = trunc_below::<15>(x * id + middle);
        }
        let mut packed = [0u8; 16];
        for j in 0..16 {
            packed[j] = (q[j] | q[j + 16] << 4) as u8;
        }
        out[..2].copy_from_slice(&f32_to_f16(d).to_le_bytes());
        out[2..].copy_from_slice(&packed);
    }
}

/// Smallest and largest; of zeros that differ in sign, the first.
#[inline(always)]
fn range(x: &[f32; BLOCK]) -> (f32, f32) {
    let (low, high) = extremes(x);
    let first = |zero: f32| x.iter().copied().find(|v| *v == zero).unwrap_or(zero);
    (if low == 0.0 { first(low) } else { low }, if high == 0.0 { first(high) } else { high })
}

#[inline(always)]
pub(super) fn q4_1(values: &[f32], out: &mut [u8]) {
    for (x, out) in values.as_chunks::<BLOCK>().0.iter().zip(out.as_chunks_mut::<20>().0) {
        let (low, high) = range(x);
        let d = (high - low) / 15.0;
        let (id, half) = usable(d);
        let mut q = [0i32; BLOCK];
        for (q, x) in q.iter_mut().zip(x) {
            *q = trunc_below::<15>((x - low) * id + half);
        }
        for j in 0..16 {
            out[4 + j] = (q[j] | q[j + 16] << 4) as u8;
        }
        out[..2].copy_from_slice(&f32_to_f16(d).to_le_bytes());
        out[2..4].copy_from_slice(&f32_to_f16(low).to_le_bytes());
    }
}

/// The inverse of a scale and what is added before truncation; both 0 where the inverse is infinite.
#[inline(always)]
fn usable(d: f32) -> (f32, f32) {
    let id = inverse(d);
    (id, if id == 0.0 { 0.0 } else { 0.5 })
}

#[inline(always)]
fn put_fives(q: &[i32; BLOCK], high: &mut [u8], low: &mut [u8]) {
    let mut bits = 0u32;
    for j in 0..16 {
        low[j] = (q[j] & 15 | (q[j + 16] & 15) << 4) as u8;
    }
    for (j, q) in q.iter().enumerate() {
        bits |= ((*q as u32 >> 4) & 1) << j;
    }
    high.copy_from_slice(&bits.to_le_bytes());
}

#[inline(always)]
pub(super) fn q5_0(values: &[f32], out: &mut [u8]) {
    for (x, out) in values.as_chunks::<BLOCK>().0.iter().zip(out.as_chunks_mut::<22>().0) {
        let d = peak(x) / -16.0;
        let inverse = 1.0 / d;
        let (id, middle) = if inverse.is_finite() { (inverse, 16.5) } else { (0.0, if d == 0.0 { 16.5 } else { 0.0 }) };
        let mut q = [0i32; BLOCK];
        for (q, x) in q.iter_mut().zip(x) {
            *q = trunc_below::<31>(x * id + middle);
        }
        let (d_out, rest) = out.split_at_mut(2);
        let (high, low) = rest.split_at_mut(4);
        d_out.copy_from_slice(&f32_to_f16(d).to_le_bytes());
        put_fives(&q, high, low);
    }
}

#[inline(always)]
pub(super) fn q5_1(values: &[f32], out: &mut [u8]) {
    for (x, out) in values.as_chunks::<BLOCK>().0.iter().zip(out.as_chunks_mut::<24>().0) {
        let (low, high) = range(x);
        let d = (high - low) / 31.0;
        let (id, half) = usable(d);
        let mut q = [0i32; BLOCK];
        for (q, x) in q.iter_mut().zip(x) {
            *q = trunc_below::<31>((x - low) * id + half);
        }
        let (head, rest) = out.split_at_mut(4);
        let (bits, nibbles) = rest.split_at_mut(4);
        head[..2].copy_from_slice(&f32_to_f16(d).to_le_bytes());
        head[2..].copy_from_slice(&f32_to_f16(low).to_le_bytes());
        put_fives(&q, bits, nibbles);
    }
}

#[inline(always)]
pub(super) fn half(bytes: &[u8], at: usize) -> f32 {
    f16_to_f32(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

#[inline(always)]
pub(super) fn from_q8_0(bytes: &[u8], out: &mut [f32]) {
    for (b, out) in bytes.as_chunks::<34>().0.iter().zip(out.as_chunks_mut::<BLOCK>().0) {
        let d = half(b, 0);
        for (out, q) in out.iter_mut().zip(&b[2..]) {
            *out = f32::from(*q as i8) * d;
        }
    }
}

#[inline(always)]
pub(super) fn from_q4_0(bytes: &[u8], out: &mut [f32]) {
    for (b, out) in bytes.as_chunks::<18>().0.iter().zip(out.as_chunks_mut::<BLOCK>().0) {
        let d = half(b, 0);
        for j in 0..16 {
            let q = b[2 + j];
            out[j] = f32::from((q & 15) as i8 - 8) * d;
            out[j + 16] = f32::from((q >> 4) as i8 - 8) * d;
        }
    }
}

#[inline(always)]
pub(super) fn from_q4_1(bytes: &[u8], out: &mut [f32]) {
    for (b, out) in bytes.as_chunks::<20>().0.iter().zip(out.as_chunks_mut::<BLOCK>().0) {
        let (d, m) = (half(b, 0), half(b, 2));
        for j in 0..16 {
            let q = b[4 + j];
            out[j] = f32::from(q & 15) * d + m;
            out[j + 16] = f32::from(q >> 4) * d + m;
        }
    }
}

/// The five-bit codes of one block.
#[inline(always)]
fn fives(high: &[u8], low: &[u8]) -> [i32; BLOCK] {
    let bits = u32::from_le_bytes([high[0], high[1], high[2], high[3]]);
    let mut q = [0; BLOCK];
    for j in 0..16 {
        q[j] = i32::from(low[j] & 15) | ((bits >> j & 1) << 4) as i32;
        q[j + 16] = i32::from(low[j] >> 4) | ((bits >> (j + 16) & 1) << 4) as i32;
    }
    q
}

#[inline(always)]
pub(super) fn from_q5_0(bytes: &[u8], out: &mut [f32]) {
    for (b, out) in bytes.as_chunks::<22>().0.iter().zip(out.as_chunks_mut::<BLOCK>().0) {
        let d = half(b, 0);
        for (out, q) in out.iter_mut().zip(fives(&b[2..6], &b[6..])) {
            *out = (q - 16) as f32 * d;
        }
    }
}

#[inline(always)]
pub(super) fn from_q5_1(bytes: &[u8], out: &mut [f32]) {
    for (b, out) in bytes.as_chunks::<24>().0.iter().zip(out.as_chunks_mut::<BLOCK>().0) {
        let (d, m) = (half(b, 0), half(b, 2));
        for (out, q) in out.iter_mut().zip(fives(&b[4..8], &b[8..])) {
            *out = q as f32 * d + m;
        }
    }
}
