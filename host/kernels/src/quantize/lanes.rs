//! Small pieces that kernels share, written so that a compiler turns them into vectors.

/// Numbers side by side: one 512-bit register, two of 256 or four of 128.
pub(super) const WIDTH: usize = 16;

/// The bits of the largest magnitude. Magnitudes compare like integers, in any order.
#[inline(always)]
pub(super) fn bits_max<const N: usize>(x: &[f32; N]) -> u32 {
    let mut lanes = [0i32; WIDTH];
    for x in x.as_chunks::<WIDTH>().0 {
        for (lane, x) in lanes.iter_mut().zip(x) {
            *lane = (*lane).max((x.to_bits() & 0x7fff_ffff) as i32);
        }
    }
    lanes.iter().copied().fold(0, i32::max) as u32
}

/// Smallest and largest element.
#[inline(always)]
pub(super) fn extremes<const N: usize>(x: &[f32; N]) -> (f32, f32) {
    let mut low = [f32::INFINITY; WIDTH];
    let mut high = [f32::NEG_INFINITY; WIDTH];
    for x in x.as_chunks::<WIDTH>().0 {
        for k in 0..WIDTH {
            low[k] = if x[k] < low[k] { x[k] } else { low[k] };
            high[k] = if x[k] > high[k] { x[k] } else { high[k] };
        }
    }
    let mut width = WIDTH / 2;
    while width > 0 {
        for k in 0..width {
            low[k] = if low[k + width] < low[k] { low[k + width] } else { low[k] };
            high[k] = if high[k + width] > high[k] { high[k + width] } else { high[k] };
        }
        width /= 2;
    }
    (low[0], high[0])
}

/// To an integer, for values a comparison has brought between -200 and 200.
#[inline(always)]
fn to_int(value: f32) -> i32 {
    // The cast that saturates costs more than the rest of a kernel.
    #[allow(unsafe_code, reason = "both callers clamp, and their comparisons turn NaN into a number")]
    unsafe {
        value.to_int_unchecked()
    }
}

/// Rounds half away from zero, within ±127.
#[inline(always)]
pub(super) fn away(value: f32) -> i32 {
    // The largest number below a half: adding it and truncating never rounds twice.
    let value = value + f32::from_bits(0x3eff_ffff | (value.to_bits() & 0x8000_0000));
    let value = if value > -127.5 { value } else { -127.5 };
    to_int(if value < 127.5 { value } else { 127.5 })
}

/// Truncates, within 0 to `MAX`.
#[inline(always)]
pub(super) fn trunc_below<const MAX: i32>(value: f32) -> i32 {
    let value = if value > 0.0 { value } else { 0.0 };
    let top = MAX as f32;
    to_int(if value < top { value } else { top })
}

/// ggml's nearest integer: half to even, and what its bit trick makes of numbers beyond 2²².
#[inline(always)]
pub(super) fn nearest(value: f32) -> i32 {
    ((value + 12_582_912.0).to_bits() & 0x007f_ffff) as i32 - 0x0040_0000
}
