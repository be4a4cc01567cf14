//! Merging differences from a base, one tile at a time.

use super::{TILE, each};
use crate::backend::{Cut, Keep, Task, Tasks};
use crate::level::Kernel;

/// Room for the base and every model's weighted differences.
pub(super) struct Scratch {
    base: Box<[f32; TILE]>,
    deltas: Vec<[f32; TILE]>,
}

impl Scratch {
    pub(super) fn new(models: usize) -> Self {
        Self { base: Box::new([0.0; TILE]), deltas: vec![[0.0; TILE]; models] }
    }
}

pub(super) struct TasksTile<'a> {
    pub(super) job: &'a Tasks<'a>,
    pub(super) from: usize,
    pub(super) tile: &'a mut [f32],
    pub(super) scratch: &'a mut Scratch,
}

impl Kernel for TasksTile<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { job, from, tile, scratch } = self;
        let base = &mut scratch.base[..tile.len()];
        each(job.base, from, base, |slot, x| *slot = x);
        for (task, delta) in job.tasks.iter().zip(&mut scratch.deltas) {
            difference(task, from, job.from + from as u64, base, &mut delta[..tile.len()]);
        }
        let weights: Vec<f32> = job.tasks.iter().map(|task| task.weight).collect();
        match (job.vote, scratch.deltas.as_slice()) {
            (_, []) => tile.fill(0.0),
            (true, [a]) => vote([a], &weights, job.normalize, tile),
            (true, [a, b]) => vote([a, b], &weights, job.normalize, tile),
            (true, [a, b, c]) => vote([a, b, c], &weights, job.normalize, tile),
            (true, [a, b, c, d]) => vote([a, b, c, d], &weights, job.normalize, tile),
            (true, many) => vote_many(many, &weights, job.normalize, tile),
            (false, many) => sum(many, &weights, job.normalize, tile),
        }
        let lambda = job.lambda;
        for (out, base) in tile.iter_mut().zip(base) {
            *out = if lambda == 1.0 { *base + *out } else { *base + *out * lambda };
        }
    }
}

/// A model's differences, what is left out set to a zero of its sign, rescaled and weighted.
#[inline(always)]
fn difference(task: &Task<'_>, from: usize, index: u64, base: &[f32], delta: &mut [f32]) {
    delta.copy_from_slice(base);
    each(task.input, from, delta, |slot, x| *slot = x - *slot);
    match task.keep {
        Keep::All => {}
        Keep::Band { low, high } => {
            for (index, delta) in pieces(delta, index, low, high) {
                // `high` is not reached and `low` is.
                let (least, limit) = (low.least(index < low.index), high.least(index < high.index));
                for x in delta {
                    let bits = x.to_bits();
                    let size = bits & 0x7fff_ffff;
                    let keep = if size >= least && size < limit { u32::MAX } else { 0x8000_0000 };
                    *x = f32::from_bits(bits & keep);
                }
            }
        }
        Keep::Chance { counter, share } => {
            for (i, x) in delta.iter_mut().enumerate() {
                let keep = if counter.unit(index + i as u64) < share { u32::MAX } else { 0x8000_0000 };
                *x = f32::from_bits(x.to_bits() & keep);
            }
        }
        Keep::Mask(mask) => {
            for (i, x) in (index..).zip(delta.iter_mut()) {
                let bit = mask.get((i / 8) as usize).is_some_and(|byte| byte >> (i % 8) & 1 == 1);
                let keep = if bit { u32::MAX } else { 0x8000_0000 };
                *x = f32::from_bits(x.to_bits() & keep);
            }
        }
    }
    let (rescale, weight) = (task.rescale, task.weight);
    if rescale == 1.0 {
        delta.iter_mut().for_each(|x| *x *= weight);
    } else {
        delta.iter_mut().for_each(|x| *x = *x * rescale * weight);
    }
}

/// Splits a stretch where a cut's index lies, so that within a piece a cut is one number.
#[inline(always)]
fn pieces(delta: &mut [f32], index: u64, low: Cut, high: Cut) -> impl Iterator<Item = (u64, &mut [f32])> {
    let at = |cut: Cut| cut.index.clamp(index, index + delta.len() as u64) - index;
    let (a, b) = (at(low) as usize, at(high) as usize);
    let (a, b) = (a.min(b), a.max(b));
    let (first, rest) = delta.split_at_mut(a);
    let (second, third) = rest.split_at_mut(b - a);
    let starts = [index, index + a as u64, index + b as u64];
    starts.into_iter().zip([first, second, third]).filter(|(_, piece)| !piece.is_empty())
}

/// The sum of what has the sign of the sum of all.
#[inline(always)]
fn vote<const N: usize>(deltas: [&[f32; TILE]; N], weights: &[f32], normalize: bool, out: &mut [f32]) {
    let mut w = [0.0; N];
    w.copy_from_slice(weights);
    for (i, out) in out.iter_mut().enumerate() {
        let mut d = [0.0; N];
        for n in 0..N {
            d[n] = deltas[n][i];
        }
        *out = winner(&d, &w, normalize);
    }
}

#[inline(always)]
fn winner<const N: usize>(d: &[f32; N], w: &[f32; N], normalize: bool) -> f32 {
    let mut total = d[0];
    for d in &d[1..] {
        total += d;
    }
    let positive = total >= 0.0;
    let (mut mix, mut weight) = (0.0, 0.0);
    for n in 0..N {
        let agrees = if positive { d[n] > 0.0 } else { d[n] < 0.0 };
        let keep = if agrees { u32::MAX } else { 0x8000_0000 };
        let kept = f32::from_bits(d[n].to_bits() & keep);
        let counted = if agrees { w[n] } else { 0.0 };
        mix = if n == 0 { kept } else { mix + kept };
        weight = if n == 0 { counted } else { weight + counted };
    }
    let weight = if weight == 0.0 { 1.0 } else { weight };
    if normalize { mix / weight } else { mix }
}

#[inline(always)]
fn vote_many(deltas: &[[f32; TILE]], weights: &[f32], normalize: bool, out: &mut [f32]) {
    let mut total = deltas[0];
    for delta in &deltas[1..] {
        total.iter_mut().zip(delta).for_each(|(t, d)| *t += d);
    }
    let mut counted = [0.0f32; TILE];
    for (n, (delta, w)) in deltas.iter().zip(weights).enumerate() {
        for (i, out) in out.iter_mut().enumerate() {
            let d = delta[i];
            let agrees = if total[i] >= 0.0 { d > 0.0 } else { d < 0.0 };
            let kept = f32::from_bits(d.to_bits() & if agrees { u32::MAX } else { 0x8000_0000 });
            let weight = if agrees { *w } else { 0.0 };
            *out = if n == 0 { kept } else { *out + kept };
            counted[i] = if n == 0 { weight } else { counted[i] + weight };
        }
    }
    if normalize {
        for (out, weight) in out.iter_mut().zip(counted) {
            *out /= if weight == 0.0 { 1.0 } else { weight };
        }
    }
}

#[inline(always)]
fn sum(deltas: &[[f32; TILE]], weights: &[f32], normalize: bool, out: &mut [f32]) {
    out.copy_from_slice(&deltas[0][..out.len()]);
    for delta in &deltas[1..] {
        out.iter_mut().zip(delta).for_each(|(out, d)| *out += d);
    }
    let weight: f32 = weights.iter().sum();
    // Weights that cancel say nothing about size.
    let weight = if weight.abs() < 1e-8 { 1.0 } else { weight };
    if normalize {
        out.iter_mut().for_each(|out| *out /= weight);
    }
}
