//! Merging differences from a base, one tile at a time.

use super::{TILE, each, part, read, soon};
use crate::Format;
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
        let index = job.from + from as u64;
        // A whole tile has a length the compiler knows: it then checks nothing in the loop.
        if let Ok(tile) = <&mut [f32; TILE]>::try_from(&mut *tile)
            && job.tasks.iter().all(|task| is_even(task.keep, index))
        {
            match (job.tasks.len(), is_plain(job)) {
                (1, true) => return at_once::<1, true>(job, from, tile, scratch),
                (2, true) => return at_once::<2, true>(job, from, tile, scratch),
                (3, true) => return at_once::<3, true>(job, from, tile, scratch),
                (4, true) => return at_once::<4, true>(job, from, tile, scratch),
                (1, false) => return at_once::<1, false>(job, from, tile, scratch),
                (2, false) => return at_once::<2, false>(job, from, tile, scratch),
                (3, false) => return at_once::<3, false>(job, from, tile, scratch),
                (4, false) => return at_once::<4, false>(job, from, tile, scratch),
                _ => {}
            }
        }
        let base = &mut scratch.base[..tile.len()];
        read(job.base, from, base);
        for (task, delta) in job.tasks.iter().zip(&mut scratch.deltas) {
            difference(task, from, index, base, &mut delta[..tile.len()]);
        }
        let weights = job.tasks.iter().map(|task| task.weight);
        match (job.vote, scratch.deltas.as_slice()) {
            (_, []) => tile.fill(0.0),
            (true, many) => vote(many, weights, job.normalize, tile),
            (false, many) => sum(many, weights, job.normalize, tile),
        }
        let lambda = job.lambda;
        for (out, base) in tile.iter_mut().zip(base) {
            *out = if lambda == 1.0 { *base + *out } else { *base + *out * lambda };
        }
    }
}

/// Elements between two requests for what comes next; four lines of singles.
const STEP: usize = 64;

/// Whether one pair of limits says for a whole tile what is kept.
#[inline(always)]
fn is_even(keep: Keep<'_>, index: u64) -> bool {
    let outside = |cut: Cut| cut.index <= index || cut.index >= index + TILE as u64;
    match keep {
        Keep::All => true,
        Keep::Band { low, high } => outside(low) && outside(high),
        Keep::Chance { .. } | Keep::Mask(_) => false,
    }
}

/// Whether nothing is rescaled and nothing is too large, as in TIES itself.
fn is_plain(job: &Tasks<'_>) -> bool {
    let low_only = |keep: Keep<'_>| match keep {
        Keep::Band { high, .. } => high == Cut::TOP,
        _ => true,
    };
    job.lambda == 1.0 && job.tasks.iter().all(|task| task.rescale == 1.0 && low_only(task.keep))
}

/// Singles as they lie in a file, or as a tile of our own has them.
type Raw<'a> = &'a [[u8; 4]; TILE];

#[inline(always)]
fn raw<'a>(input: Stretch<'a>, from: usize, room: &'a mut [f32; TILE]) -> Raw<'a> {
    if input.format == Format::F32 {
        let direct = part(input, from, TILE).as_chunks::<4>().0;
        if let Ok(direct) = direct.try_into() {
            return direct;
        }
    }
    read(input, from, room);
    bytemuck::cast_ref(room)
}

/// The whole merge of an element before the next one: nothing is kept between, so memory is the only limit.
#[inline(always)]
fn at_once<const N: usize, const PLAIN: bool>(
    job: &Tasks<'_>,
    from: usize,
    tile: &mut [f32; TILE],
    scratch: &mut Scratch,
) {
    let index = job.from + from as u64;
    let base = raw(job.base, from, &mut scratch.base);
    let mut inputs: [Raw<'_>; N] = [base; N];
    let (mut limits, mut rescale, mut weights) = ([(0u32, u32::MAX); N], [1.0f32; N], [0.0f32; N]);
    for (n, (task, room)) in job.tasks.iter().zip(&mut scratch.deltas).enumerate().take(N) {
        inputs[n] = raw(task.input, from, room);
        (rescale[n], weights[n]) = (task.rescale, task.weight);
        if let Keep::Band { low, high } = task.keep {
            limits[n] = (low.least(index < low.index), high.least(index < high.index));
        }
    }
    let total = divisor(weights.into_iter());
    let (vote, normalize, lambda) = (job.vote, job.normalize, job.lambda);
    for block in 0..TILE / STEP {
        // A few lines at a time: more than the processor can have under way would wait for each other.
        for task in &job.tasks {
            soon(task.input, from + block * STEP + TILE - STEP, STEP);
        }
        soon(job.base, from + block * STEP + TILE - STEP, STEP);
        for i in block * STEP..(block + 1) * STEP {
            let origin = f32::from_le_bytes(base[i]);
            let mut d = [0.0f32; N];
            for n in 0..N {
                let bits = (f32::from_le_bytes(inputs[n][i]) - origin).to_bits();
                let size = bits & 0x7fff_ffff;
                let inside = size >= limits[n].0 && (PLAIN || size < limits[n].1);
                let kept = f32::from_bits(bits & if inside { u32::MAX } else { 0x8000_0000 });
                d[n] = if PLAIN { kept * weights[n] } else { kept * rescale[n] * weights[n] };
            }
            let mut all = d[0];
            for n in 1..N {
                all += d[n];
            }
            let (mut mix, mut weight) = (all, total);
            if vote {
                for n in 0..N {
                    let agrees = if all >= 0.0 { d[n] > 0.0 } else { d[n] < 0.0 };
                    let part = f32::from_bits(d[n].to_bits() & if agrees { u32::MAX } else { 0x8000_0000 });
                    let counted = if agrees { weights[n] } else { 0.0 };
                    mix = if n == 0 { part } else { mix + part };
                    weight = if n == 0 { counted } else { weight + counted };
                }
                weight = if weight == 0.0 { 1.0 } else { weight };
            }
            if normalize {
                mix /= weight;
            }
            tile[i] = if PLAIN { origin + mix } else { origin + mix * lambda };
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
fn vote(deltas: &[[f32; TILE]], weights: impl Iterator<Item = f32>, normalize: bool, out: &mut [f32]) {
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
            let weight = if agrees { w } else { 0.0 };
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
fn sum(deltas: &[[f32; TILE]], weights: impl Iterator<Item = f32>, normalize: bool, out: &mut [f32]) {
    out.copy_from_slice(&deltas[0][..out.len()]);
    for delta in &deltas[1..] {
        out.iter_mut().zip(delta).for_each(|(out, d)| *out += d);
    }
    let weight = divisor(weights);
    if normalize {
        out.iter_mut().for_each(|out| *out /= weight);
    }
}

/// The sum of the weights. Weights that cancel say nothing about size.
#[inline(always)]
fn divisor(weights: impl Iterator<Item = f32>) -> f32 {
    let sum: f32 = weights.sum();
    if sum.abs() < 1e-8 { 1.0 } else { sum }
}
