//! Merging differences from a base, one tile at a time.

use super::{TILE, each};
use crate::backend::{Cut, Keep, Stretch, Task, Tasks};
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

/// A model's differences, rescaled and weighted.
#[inline(always)]
fn difference(task: &Task<'_>, from: usize, index: u64, base: &[f32], delta: &mut [f32]) {
    masked(task.input, task.keep, from, index, base, delta);
    let (rescale, weight) = (task.rescale, task.weight);
    if rescale == 1.0 {
        delta.iter_mut().for_each(|x| *x *= weight);
    } else {
        delta.iter_mut().for_each(|x| *x = *x * rescale * weight);
    }
}

/// Differences from the base; what is left out becomes a zero of its sign.
#[inline(always)]
pub(crate) fn masked(input: Stretch<'_>, keep: Keep<'_>, from: usize, index: u64, base: &[f32], delta: &mut [f32]) {
    delta.copy_from_slice(base);
    each(input, from, delta, |slot, x| *slot = x - *slot);
    match keep {
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

/// The magnitudes' bits of the differences of two stretches.
struct Bits<'a> {
    base: Stretch<'a>,
    input: Stretch<'a>,
    out: &'a mut [u32],
}

impl Kernel for Bits<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let mut tile = [0.0f32; TILE];
        for (number, out) in self.out.chunks_mut(TILE).enumerate() {
            let tile = &mut tile[..out.len()];
            each(self.base, number * TILE, tile, |slot, x| *slot = x);
            each(self.input, number * TILE, tile, |slot, x| *slot = x - *slot);
            for (out, x) in out.iter_mut().zip(tile) {
                *out = x.to_bits() & 0x7fff_ffff;
            }
        }
    }
}

/// The magnitudes' bits of the differences of two stretches.
pub(crate) fn difference_bits(
    level: crate::Level,
    base: Stretch<'_>,
    input: Stretch<'_>,
    count: usize,
) -> Vec<u32> {
    let mut out = vec![0; count];
    level.run(Bits { base, input, out: &mut out });
    out
}

struct Scan<'a> {
    base: Stretch<'a>,
    input: Stretch<'a>,
    count: usize,
    low: u32,
    high: u32,
}

impl Kernel for Scan<'_> {
    type Output = (u64, Vec<u32>);

    #[inline(always)]
    fn run(self) -> (u64, Vec<u32>) {
        let Self { base, input, count, low, high } = self;
        let mut tile = [0.0f32; TILE];
        let mut found = [0u32; TILE + 1];
        let (mut above, mut inside) = (0u64, Vec::new());
        let mut from = 0;
        while from < count {
            let tile = &mut tile[..TILE.min(count - from)];
            each(base, from, tile, |slot, x| *slot = x);
            each(input, from, tile, |slot, x| *slot = x - *slot);
            let (mut larger, mut length) = (0u32, 0);
            for x in tile.iter() {
                let bits = x.to_bits() & 0x7fff_ffff;
                larger += u32::from(bits > high);
            }
            for x in tile.iter() {
                let bits = x.to_bits() & 0x7fff_ffff;
                // Written always, kept if inside: no branch to mispredict.
                found[length] = bits;
                length += usize::from(bits >= low) & usize::from(bits <= high);
            }
            above += u64::from(larger);
            inside.extend_from_slice(&found[..length]);
            from += TILE;
        }
        (above, inside)
    }
}

/// How many differences are larger than `high`, and the magnitudes' bits from `low` to `high`, in order.
pub(crate) fn scan(
    level: crate::Level,
    base: Stretch<'_>,
    input: Stretch<'_>,
    count: usize,
    low: u32,
    high: u32,
) -> (u64, Vec<u32>) {
    level.run(Scan { base, input, count, low, high })
}
