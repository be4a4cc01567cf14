//! Sums over whole tensors: lengths, angles, magnitudes.
//!
//! Always in double, over stretches of one fixed size whose sums are added in order: the same on any number of threads.

use super::job::stretch;
use crate::backend::{Keep, Stretch, TILE, masked, read};
use crate::level::{Kernel, Level};
use crate::{Pool, Result, View, pool};

/// Elements of a stretch.
pub(super) const STRETCH: usize = 1 << 16;
const LANES: usize = 8;

/// The sum of numbers in eight lanes: the same however a compiler arranges it.
pub(crate) fn lanes(values: impl Iterator<Item = f64>) -> f64 {
    let mut lanes = [0.0; LANES];
    for (i, value) in values.enumerate() {
        lanes[i % LANES] += value;
    }
    lanes.iter().sum()
}

/// Dot products of some tensors, each with each.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Gram {
    n: usize,
    dots: Vec<f64>,
}

impl Gram {
    fn zero(n: usize) -> Self {
        Self { n, dots: vec![0.0; n * n] }
    }

    pub(super) fn len(&self) -> usize {
        self.n
    }

    pub(super) fn dot(&self, i: usize, j: usize) -> f64 {
        self.dots[i * self.n + j]
    }

    pub(super) fn length(&self, i: usize) -> f64 {
        self.dot(i, i).sqrt()
    }

    fn add(&mut self, other: &Self) {
        self.dots.iter_mut().zip(&other.dots).for_each(|(a, b)| *a += b);
    }
}

struct GramOf<'a> {
    base: Option<Stretch<'a>>,
    inputs: &'a [Stretch<'a>],
    count: usize,
}

impl Kernel for GramOf<'_> {
    type Output = Gram;

    #[inline(always)]
    fn run(self) -> Gram {
        let n = self.inputs.len();
        let mut sums = vec![[0.0f64; LANES]; n * n];
        let mut base = [0.0f32; TILE];
        let mut tiles = vec![[0.0f64; TILE]; n];
        let mut from = 0;
        while from < self.count {
            let count = TILE.min(self.count - from);
            if let Some(stretch) = self.base {
                read(stretch, from, &mut base[..count]);
            }
            for (input, tile) in self.inputs.iter().zip(&mut tiles) {
                let mut single = [0.0f32; TILE];
                read(*input, from, &mut single[..count]);
                for i in 0..TILE {
                    let x = f64::from(single[i]) - f64::from(base[i]);
                    tile[i] = if i < count { x } else { 0.0 };
                }
            }
            for i in 0..n {
                for j in i..n {
                    let sum = &mut sums[i * n + j];
                    for (a, b) in tiles[i].as_chunks::<LANES>().0.iter().zip(tiles[j].as_chunks::<LANES>().0) {
                        for k in 0..LANES {
                            sum[k] += a[k] * b[k];
                        }
                    }
                }
            }
            from += TILE;
        }
        let mut gram = Gram::zero(n);
        for i in 0..n {
            for j in i..n {
                let dot = sums[i * n + j].iter().sum();
                gram.dots[i * n + j] = dot;
                gram.dots[j * n + i] = dot;
            }
        }
        gram
    }
}

fn gram_of(level: Level, base: Option<&View<'_>>, views: &[View<'_>], from: usize, count: usize) -> Gram {
    let inputs: Vec<Stretch<'_>> = views.iter().map(|view| stretch(*view, from, count)).collect();
    level.run(GramOf { base: base.map(|view| stretch(*view, from, count)), inputs: &inputs, count })
}

/// Dot products of whole tensors, or of their differences from a base.
pub(super) fn gram(level: Level, pool: &dyn Pool, base: Option<&View<'_>>, views: &[View<'_>]) -> Result<Gram> {
    let total = views[0].count();
    let parts = pool::map(pool, total.div_ceil(STRETCH), |i| {
        let from = i * STRETCH;
        Ok(gram_of(level, base, views, from, STRETCH.min(total - from)))
    })?;
    let mut out = Gram::zero(views.len());
    parts.iter().for_each(|part| out.add(part));
    Ok(out)
}

fn rows(level: Level, pool: &dyn Pool, base: Option<&View<'_>>, views: &[View<'_>]) -> Result<Vec<Gram>> {
    let row = views[0].row().max(1);
    pool::map(pool, views[0].count() / row, |i| Ok(gram_of(level, base, views, i * row, row)))
}

/// Dot products of each row's differences from the base's.
pub(super) fn row_grams(level: Level, pool: &dyn Pool, base: &View<'_>, views: &[View<'_>]) -> Result<Vec<Gram>> {
    rows(level, pool, Some(base), views)
}

/// Dot products of each row.
pub(super) fn row_grams_plain(level: Level, pool: &dyn Pool, views: &[View<'_>]) -> Result<Vec<Gram>> {
    rows(level, pool, None, views)
}

/// Dot products along the first dimension, for each place in the last.
pub(super) fn column_grams(level: Level, base: Option<&View<'_>>, views: &[View<'_>]) -> Result<Vec<Gram>> {
    let (row, n) = (views[0].row().max(1), views.len());
    let mut grams = vec![Gram::zero(n); row];
    let mut origin = vec![0.0f32; row];
    let mut lines = vec![vec![0.0f32; row]; n];
    let read = |view: &View<'_>, at: usize, out: &mut [f32]| {
        crate::quantize::decode_at(level, view.format, view.shape, view.bytes, at * row, out)
            .map_err(|fault| crate::Error::tensor(view.name, fault))
    };
    for at in 0..views[0].count() / row {
        if let Some(base) = base {
            read(base, at, &mut origin)?;
        }
        for (view, line) in views.iter().zip(&mut lines) {
            read(view, at, line)?;
        }
        for (k, gram) in grams.iter_mut().enumerate() {
            let value = |i: usize| f64::from(lines[i][k]) - f64::from(origin[k]);
            for i in 0..n {
                for j in 0..n {
                    gram.dots[i * n + j] += value(i) * value(j);
                }
            }
        }
    }
    Ok(grams)
}

struct Magnitudes<'a> {
    base: Stretch<'a>,
    input: Stretch<'a>,
    keep: Keep<'a>,
    index: u64,
    count: usize,
}

impl Kernel for Magnitudes<'_> {
    type Output = [f64; 2];

    #[inline(always)]
    fn run(self) -> [f64; 2] {
        let (mut base, mut delta) = ([0.0f32; TILE], [0.0f32; TILE]);
        let mut sums = [[0.0f64; LANES]; 2];
        let mut from = 0;
        while from < self.count {
            let count = TILE.min(self.count - from);
            let (base, delta) = (&mut base[..count], &mut delta[..count]);
            read(self.base, from, base);
            for (sum, keep) in sums.iter_mut().zip([Keep::All, self.keep]) {
                masked(self.input, keep, from, self.index + from as u64, base, delta);
                for (i, x) in delta.iter().enumerate() {
                    sum[i % LANES] += f64::from(x.abs());
                }
            }
            from += TILE;
        }
        sums.map(|lanes| lanes.iter().sum())
    }
}

/// The summed magnitudes of all differences, and of those that are kept.
pub(super) fn magnitudes(
    level: Level,
    pool: &dyn Pool,
    base: &View<'_>,
    view: &View<'_>,
    keep: Keep<'_>,
) -> Result<(f64, f64)> {
    let total = view.count();
    let parts = pool::map(pool, total.div_ceil(STRETCH), |i| {
        let from = i * STRETCH;
        let count = STRETCH.min(total - from);
        let (base, input) = (stretch(*base, from, count), stretch(*view, from, count));
        Ok(level.run(Magnitudes { base, input, keep, index: from as u64, count }))
    })?;
    Ok(parts.iter().fold((0.0, 0.0), |(a, b), [x, y]| (a + x, b + y)))
}
