//! The searches behind the K-quants, sixteen sub-blocks at a time.
//!
//! Element `i` of sub-block `k` is `x[i][k]`: every line of a search is one operation on all sub-blocks, and each
//! sub-block sees exactly the operations ggml would do on it alone, in that order, none of them fused.

use super::super::lanes::{WIDTH as W, nearest};

type Row = [f32; W];

/// Below this a sub-block counts as all zero.
pub(super) mod absolute {
    pub(in super::super) const NOTHING: f32 = 1e-15;
}

/// What a search found: a scale and a minimum for each sub-block, and a code for each element, in element order.
pub(super) struct Found<const TOTAL: usize> {
    pub(super) scales: [f32; W],
    pub(super) mins: [f32; W],
    pub(super) codes: [u8; TOTAL],
}

/// The search for scale and minimum: codes 0 to `top`, inverse scales from `start`, `steps` of them `step` apart.
#[derive(Clone, Copy)]
pub(super) struct Affine {
    pub(super) top: i32,
    pub(super) start: f32,
    pub(super) step: f32,
    pub(super) steps: u32,
    /// Whether errors count by magnitude or by square.
    pub(super) absolute: bool,
}

#[inline(always)]
fn across<const N: usize, const TOTAL: usize>(x: &[f32; TOTAL]) -> [Row; N] {
    let mut out = [[0.0; W]; N];
    for (i, row) in out.iter_mut().enumerate() {
        for (k, slot) in row.iter_mut().enumerate() {
            *slot = x[k * N + i];
        }
    }
    out
}

#[inline(always)]
fn back<const N: usize, const TOTAL: usize>(codes: &[[i32; W]; N]) -> [u8; TOTAL] {
    let mut out = [0; TOTAL];
    for (i, row) in codes.iter().enumerate() {
        for (k, code) in row.iter().enumerate() {
            out[k * N + i] = *code as u8;
        }
    }
    out
}

#[inline(always)]
fn zip(a: &Row, b: &Row, f: impl Fn(f32, f32) -> f32) -> Row {
    let mut out = [0.0; W];
    for k in 0..W {
        out[k] = f(a[k], b[k]);
    }
    out
}

/// The weighted error of codes under a scale and a minimum.
#[inline(always)]
fn error<const N: usize>(
    x: &[Row; N],
    w: &[Row; N],
    codes: &[[i32; W]; N],
    scale: &Row,
    min: &Row,
    magnitude: bool,
) -> Row {
    let mut sum = [0.0; W];
    for i in 0..N {
        for k in 0..W {
            let diff = scale[k] * codes[i][k] as f32 + min[k] - x[i][k];
            let diff = if magnitude { diff.abs() } else { diff * diff };
            sum[k] += w[i][k] * diff;
        }
    }
    sum
}

#[inline(always)]
pub(super) fn affine<const N: usize, const TOTAL: usize>(
    values: &[f32; TOTAL],
    how: Affine,
    weights: impl Fn(&[Row; N]) -> [Row; N],
) -> Found<TOTAL> {
    let x: [Row; N] = across(values);
    let w = weights(&x);
    let (mut low, mut high) = (x[0], x[0]);
    let mut sum_w = w[0];
    let mut sum_x = zip(&w[0], &x[0], |w, x| w * x);
    for i in 1..N {
        for k in 0..W {
            low[k] = if x[i][k] < low[k] { x[i][k] } else { low[k] };
            high[k] = if x[i][k] > high[k] { x[i][k] } else { high[k] };
            sum_w[k] += w[i][k];
            sum_x[k] += w[i][k] * x[i][k];
        }
    }
    let mut min = low.map(|v| if v > 0.0 { 0.0 } else { v });
    let flat: [bool; W] = std::array::from_fn(|k| high[k] == min[k]);

    let top = how.top as f32;
    let first = zip(&high, &min, |high, min| top / (high - min));
    let mut scale = first.map(|v| 1.0 / v);
    let mut codes = [[0i32; W]; N];
    for i in 0..N {
        for k in 0..W {
            codes[i][k] = nearest(first[k] * (x[i][k] - min[k])).clamp(0, how.top);
        }
    }
    let mut best = error(&x, &w, &codes, &scale, &min, how.absolute);
    // Which trial was best, by what its codes were made with: they are made again at the end, instead of being
    // copied each time one of sixteen sub-blocks finds a better one.
    let (mut best_inverse, mut best_min) = (first, min);

    for step in 0..=how.steps {
        let wanted = how.start + how.step * step as f32 + top;
        let inverse = zip(&high, &min, |high, min| wanted / (high - min));
        let (mut sum_l, mut sum_l2, mut sum_xl) = ([0.0; W], [0.0; W], [0.0; W]);
        let mut trial = [[0i32; W]; N];
        for i in 0..N {
            for k in 0..W {
                let l = nearest(inverse[k] * (x[i][k] - min[k])).clamp(0, how.top);
                trial[i][k] = l;
                let (l, weight) = (l as f32, w[i][k]);
                sum_l[k] += weight * l;
                sum_l2[k] += weight * l * l;
                sum_xl[k] += weight * l * x[i][k];
            }
        }
        let (mut trial_scale, mut trial_min, mut solvable) = ([0.0; W], [0.0; W], [0u32; W]);
        for k in 0..W {
            let d = sum_w[k] * sum_l2[k] - sum_l[k] * sum_l[k];
            let s = (sum_w[k] * sum_xl[k] - sum_x[k] * sum_l[k]) / d;
            let m = (sum_l2[k] * sum_x[k] - sum_l[k] * sum_xl[k]) / d;
            trial_scale[k] = if m > 0.0 { sum_xl[k] / sum_l2[k] } else { s };
            trial_min[k] = if m > 0.0 { 0.0 } else { m };
            solvable[k] = if d > 0.0 { u32::MAX } else { 0 };
        }
        let now = error(&x, &w, &trial, &trial_scale, &trial_min, how.absolute);
        let mut better = [0u32; W];
        for k in 0..W {
            better[k] = if now[k] < best[k] { solvable[k] } else { 0 };
        }
        if better == [0; W] {
            continue;
        }
        for k in 0..W {
            let is_better = better[k] != 0;
            best[k] = if is_better { now[k] } else { best[k] };
            best_inverse[k] = if is_better { inverse[k] } else { best_inverse[k] };
            best_min[k] = if is_better { min[k] } else { best_min[k] };
            scale[k] = if is_better { trial_scale[k] } else { scale[k] };
            min[k] = if is_better { trial_min[k] } else { min[k] };
        }
    }
    for i in 0..N {
        for k in 0..W {
            codes[i][k] = nearest(best_inverse[k] * (x[i][k] - best_min[k])).clamp(0, how.top);
        }
    }
    // A sub-block without extent has no scale; its minimum says it all.
    let flat_min = low.map(|v| if v > 0.0 { 0.0 } else { v });
    for k in 0..W {
        if flat[k] {
            scale[k] = 0.0;
            min[k] = flat_min[k];
            codes.iter_mut().for_each(|row| row[k] = 0);
        }
    }
    Found { scales: scale, mins: min.map(|v| -v), codes: back(&codes) }
}

/// Largest magnitude of each sub-block, and the element that has it, the first of several.
#[inline(always)]
fn peaks<const N: usize>(x: &[Row; N]) -> (Row, Row) {
    let (mut magnitude, mut value) = ([0.0f32; W], [0.0f32; W]);
    for row in x {
        for k in 0..W {
            let more = row[k].abs() > magnitude[k];
            value[k] = if more { row[k] } else { value[k] };
            magnitude[k] = if more { row[k].abs() } else { magnitude[k] };
        }
    }
    (magnitude, value)
}

/// Sums over a sub-block of 16 with weights `x²`, for the codes of an inverse scale: `w x l` and `w l²`.
#[inline(always)]
fn moments(x: &[Row; 16], inverse: &Row, reach: i32) -> (Row, Row) {
    let (mut lx, mut l2) = ([0.0; W], [0.0; W]);
    for i in 0..16 {
        for k in 0..W {
            let v = x[i][k];
            let l = nearest(inverse[k] * v).clamp(-reach, reach - 1) as f32;
            let w = v * v;
            lx[k] += w * v * l;
            l2[k] += w * l * l;
        }
    }
    (lx, l2)
}

#[inline(always)]
fn round_all(x: &[Row; 16], inverse: &Row, reach: i32) -> [[i32; W]; 16] {
    let mut out = [[0; W]; 16];
    for i in 0..16 {
        for k in 0..W {
            out[i][k] = nearest(inverse[k] * x[i][k]).clamp(-reach, reach - 1);
        }
    }
    out
}

/// Q6_K's search: one scale, codes -32 to 31, nineteen trials around the obvious one.
#[inline(always)]
pub(super) fn signed(values: &[f32; 256]) -> ([f32; W], [u8; 256]) {
    const REACH: i32 = 32;
    let x: [Row; 16] = across(values);
    let (magnitude, value) = peaks(&x);
    let mut best_inverse = value.map(|v| -(REACH as f32) / v);
    let (lx, l2) = moments(&x, &best_inverse, REACH);
    let mut scale = zip(&lx, &l2, |lx, l2| if l2 != 0.0 { lx / l2 } else { 0.0 });
    let mut best = zip(&scale, &lx, |scale, lx| scale * lx);
    for step in (-9..=9).filter(|step| *step != 0) {
        let wanted = -(REACH as f32 + 0.1 * step as f32);
        let inverse = value.map(|v| wanted / v);
        let (lx, l2) = moments(&x, &inverse, REACH);
        let mut better = [false; W];
        for k in 0..W {
            better[k] = l2[k] > 0.0 && lx[k] * lx[k] > best[k] * l2[k];
        }
        if better == [false; W] {
            continue;
        }
        for k in 0..W {
            let s = lx[k] / l2[k];
            scale[k] = if better[k] { s } else { scale[k] };
            best[k] = if better[k] { s * lx[k] } else { best[k] };
            best_inverse[k] = if better[k] { inverse[k] } else { best_inverse[k] };
        }
    }
    let codes = round_all(&x, &best_inverse, REACH);
    finish(scale, codes, &magnitude, REACH)
}

/// Q3_K's search: one scale, codes -4 to 3; then five rounds that move one element at a time.
#[inline(always)]
pub(super) fn stepwise(values: &[f32; 256]) -> ([f32; W], [u8; 256]) {
    const REACH: i32 = 4;
    let x: [Row; 16] = across(values);
    let (magnitude, value) = peaks(&x);
    let inverse = value.map(|v| -(REACH as f32) / v);
    let mut codes = round_all(&x, &inverse, REACH);
    let (mut lx, mut l2) = moments(&x, &inverse, REACH);
    for _ in 0..5 {
        let mut changed = 0u32;
        for i in 0..16 {
            for k in 0..W {
                let (v, old) = (x[i][k], codes[i][k]);
                let (w, l) = (v * v, old as f32);
                let mut slx = lx[k] - w * v * l;
                let mut sl2 = l2[k] - w * l * l;
                let new = nearest(v * sl2 / slx).clamp(-REACH, REACH - 1);
                let able = slx > 0.0 && new != old;
                let n = new as f32;
                slx += w * v * n;
                sl2 += w * n * n;
                let better = able && sl2 > 0.0 && slx * slx * l2[k] > lx[k] * lx[k] * sl2;
                codes[i][k] = if better { new } else { old };
                lx[k] = if better { slx } else { lx[k] };
                l2[k] = if better { sl2 } else { l2[k] };
                changed |= u32::from(better);
            }
        }
        // A sub-block that has settled changes nothing in a further round, so all stop together.
        if changed == 0 {
            break;
        }
    }
    let scale = zip(&lx, &l2, |lx, l2| if l2 > 0.0 { lx / l2 } else { 0.0 });
    finish(scale, codes, &magnitude, REACH)
}

/// Codes from 0 on; nothing at all where a sub-block is all zero.
#[inline(always)]
fn finish(mut scale: Row, mut codes: [[i32; W]; 16], magnitude: &Row, reach: i32) -> ([f32; W], [u8; 256]) {
    for k in 0..W {
        let zero = magnitude[k] < absolute::NOTHING;
        scale[k] = if zero { 0.0 } else { scale[k] };
        for row in &mut codes {
            row[k] = if zero { 0 } else { row[k] + reach };
        }
    }
    (scale, back(&codes))
}
