//! Eight bits with a scale, and maybe a zero point, for a row or a whole tensor.
//!
//! A stretch without extent gets the scale 1, so that a constant tensor divides by nothing that is zero.

/// Rounds half away from zero. Exact for every number, which adding a half is not.
fn round(value: f32) -> f32 {
    value.round()
}

fn scale_or_one(scale: f32) -> f32 {
    if scale > 0.0 { scale } else { 1.0 }
}

pub(super) fn symmetric(values: &[f32], row: usize, out: &mut [u8]) {
    // By what there is room for: a tensor without elements may have no row, or one.
    let rows = out.len().saturating_sub(values.len()) / 4;
    let (scales, codes) = out.split_at_mut(rows * 4);
    scales.fill(0);
    for ((x, out), scale_out) in
        values.chunks(row.max(1)).zip(codes.chunks_mut(row.max(1))).zip(scales.as_chunks_mut::<4>().0)
    {
        let largest = x.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        let scale = scale_or_one(largest / 127.0);
        *scale_out = scale.to_le_bytes();
        for (out, x) in out.iter_mut().zip(x) {
            *out = round(x / scale).clamp(-127.0, 127.0) as i8 as u8;
        }
    }
}

pub(super) fn asymmetric(values: &[f32], row: usize, out: &mut [u8]) {
    let rows = out.len().saturating_sub(values.len()) / 5;
    let (scales, rest) = out.split_at_mut(rows * 4);
    let (zeros, codes) = rest.split_at_mut(rows);
    scales.fill(0);
    for (((x, out), scale_out), zero_out) in
        values.chunks(row.max(1)).zip(codes.chunks_mut(row.max(1))).zip(scales.as_chunks_mut::<4>().0).zip(zeros)
    {
        // Zero is always inside the range, so that it is kept exactly.
        let low = x.iter().copied().fold(0.0f32, f32::min);
        let high = x.iter().copied().fold(0.0f32, f32::max);
        let scale = scale_or_one((high - low) / 255.0);
        let zero = round(-128.0 - low / scale).clamp(-128.0, 127.0);
        *scale_out = scale.to_le_bytes();
        *zero_out = zero as i8 as u8;
        for (out, x) in out.iter_mut().zip(x) {
            *out = round(x / scale + zero).clamp(-128.0, 127.0) as i8 as u8;
        }
    }
}

pub(super) fn from_symmetric(bytes: &[u8], count: usize, row: usize, from: usize, out: &mut [f32]) {
    let rows = bytes.len().saturating_sub(count) / 4;
    let (scales, codes) = bytes.split_at(rows * 4);
    let scales = scales.as_chunks::<4>().0;
    for (i, out) in (from..).zip(out) {
        *out = f32::from(codes[i] as i8) * f32::from_le_bytes(scales[i / row.max(1)]);
    }
}

pub(super) fn from_asymmetric(bytes: &[u8], count: usize, row: usize, from: usize, out: &mut [f32]) {
    let rows = bytes.len().saturating_sub(count) / 5;
    let (scales, rest) = bytes.split_at(rows * 4);
    let (zeros, codes) = rest.split_at(rows);
    let scales = scales.as_chunks::<4>().0;
    for (i, out) in (from..).zip(out) {
        let row = i / row.max(1);
        *out = (f32::from(codes[i] as i8) - f32::from(zeros[row] as i8)) * f32::from_le_bytes(scales[row]);
    }
}
