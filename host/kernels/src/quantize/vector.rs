//! Vectors of four elements, each one of 256: two bits an element.
//!
//! Rows are scaled to unit deviation first, so that one codebook fits all of them; the codebook is found by
//! k-means on a sample. Everything is repeatable: the sample and the first codebook come from a counter.

use super::blocks::half;
use crate::float::{f16_to_f32, f32_to_f16};
use crate::level::{Kernel, Level};
use crate::random::Counter;
use crate::{Pool, Result, VQ_CODES, VQ_DIM, pool};

const DIM: usize = VQ_DIM as usize;
const CODES: usize = VQ_CODES as usize;
/// Vectors that the codebook is trained on: 256 for each of its entries.
const SAMPLE: usize = 65_536;
const ROUNDS: usize = 25;
/// Vectors assigned in one job.
const JOB: usize = 4096;

type Vector = [f32; DIM];

/// A codebook laid out so that one instruction compares many entries.
struct Book {
    axes: [[f32; CODES]; DIM],
    /// Half the squared length of each entry.
    half: [f32; CODES],
}

impl Book {
    fn new(entries: &[Vector]) -> Self {
        let mut book = Self { axes: [[0.0; CODES]; DIM], half: [0.0; CODES] };
        for (i, entry) in entries.iter().enumerate() {
            for (axis, value) in book.axes.iter_mut().zip(entry) {
                axis[i] = *value;
            }
            book.half[i] = entry.iter().map(|v| v * v).sum::<f32>() / 2.0;
        }
        book
    }

    /// The nearest entry, the first of several.
    #[inline(always)]
    fn nearest(&self, v: Vector) -> u8 {
        let mut distance = [0.0f32; CODES];
        for i in 0..CODES {
            let dot =
                self.axes[0][i] * v[0] + self.axes[1][i] * v[1] + (self.axes[2][i] * v[2] + self.axes[3][i] * v[3]);
            distance[i] = self.half[i] - dot;
        }
        let mut best = [f32::INFINITY; 16];
        for chunk in distance.as_chunks::<16>().0 {
            for (best, d) in best.iter_mut().zip(chunk) {
                *best = if d < best { *d } else { *best };
            }
        }
        let best = best.iter().copied().fold(f32::INFINITY, f32::min);
        distance.iter().position(|d| *d == best).unwrap_or(0) as u8
    }
}

struct Assign<'a> {
    book: &'a Book,
    vectors: &'a [Vector],
    out: &'a mut [u8],
}

impl Kernel for Assign<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (out, v) in self.out.iter_mut().zip(self.vectors) {
            *out = self.book.nearest(*v);
        }
    }
}

fn assign(level: Level, book: &Book, vectors: &[Vector], pool: &dyn Pool) -> Result<Vec<u8>> {
    let jobs: Vec<&[Vector]> = vectors.chunks(JOB).collect();
    let parts = pool::map(pool, jobs.len(), |i| {
        let mut out = vec![0; jobs[i].len()];
        level.run(Assign { book, vectors: jobs[i], out: &mut out });
        Ok(out)
    })?;
    Ok(parts.concat())
}

/// Moves each entry to the mean of its vectors; an entry without any takes the place of a random one.
fn train(level: Level, sample: &[Vector], pool: &dyn Pool) -> Result<Vec<Vector>> {
    let chance = Counter::new(0, "codebook", 0);
    let pick = |i: u64| sample.get(chance.bits(i) as usize % sample.len().max(1)).copied().unwrap_or_default();
    let mut book: Vec<Vector> = (0..CODES as u64).map(pick).collect();
    for round in 0..ROUNDS as u64 {
        let codes = assign(level, &Book::new(&book), sample, pool)?;
        let mut sums = [[0.0f64; DIM]; CODES];
        let mut counts = [0u32; CODES];
        for (v, code) in sample.iter().zip(&codes) {
            let code = usize::from(*code);
            counts[code] += 1;
            for (sum, v) in sums[code].iter_mut().zip(v) {
                *sum += f64::from(*v);
            }
        }
        for (i, entry) in book.iter_mut().enumerate() {
            *entry = match counts[i] {
                0 => pick((round + 1) << 32 | i as u64),
                n => sums[i].map(|sum| (sum / f64::from(n)) as f32),
            };
        }
    }
    Ok(book)
}

/// A row's deviation, as it is kept; 1 where a row is all zero.
fn deviation(row: &[f32]) -> u16 {
    let n = row.len().max(1) as f64;
    let mean = row.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    let squares = row.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n;
    // A constant row has no deviation; its size is then the scale.
    let scale = if squares > 0.0 { squares.sqrt() } else { mean.abs() };
    let half = f32_to_f16(scale as f32);
    match f16_to_f32(half) {
        0.0 => f32_to_f16(1.0),
        v if v.is_finite() => half,
        _ => f32_to_f16(65504.0),
    }
}

pub(super) fn encode(level: Level, values: &[f32], row: usize, out: &mut [u8], pool: &dyn Pool) -> Result<()> {
    let rows = values.len() / row.max(1);
    let (book_out, rest) = out.split_at_mut(CODES * DIM * 2);
    let (scales, codes) = rest.split_at_mut(rows * 2);
    let mut vectors: Vec<Vector> = Vec::with_capacity(values.len() / DIM);
    for (x, scale) in values.chunks(row.max(1)).zip(scales.as_chunks_mut::<2>().0) {
        let half = deviation(x);
        *scale = half.to_le_bytes();
        let d = f16_to_f32(half);
        vectors.extend(x.as_chunks::<DIM>().0.iter().map(|v| v.map(|x| x / d)));
    }
    let chance = Counter::new(0, "sample", 0);
    let book = if vectors.len() <= SAMPLE {
        train(level, &vectors, pool)?
    } else {
        let sample: Vec<Vector> =
            (0..SAMPLE as u64).map(|i| vectors[(chance.bits(i) % vectors.len() as u64) as usize]).collect();
        train(level, &sample, pool)?
    };
    // What a reader will see, so that the choice of codes knows it.
    let kept: Vec<[u16; DIM]> = book.iter().map(|entry| entry.map(f32_to_f16)).collect();
    for (out, entry) in book_out.as_chunks_mut::<8>().0.iter_mut().zip(&kept) {
        for (out, half) in out.as_chunks_mut::<2>().0.iter_mut().zip(entry) {
            *out = half.to_le_bytes();
        }
    }
    let book: Vec<Vector> = kept.iter().map(|entry| entry.map(f16_to_f32)).collect();
    let chosen = assign(level, &Book::new(&book), &vectors, pool)?;
    codes.copy_from_slice(&chosen);
    Ok(())
}

pub(super) fn decode(bytes: &[u8], count: usize, row: usize, from: usize, out: &mut [f32]) {
    let (book, rest) = bytes.split_at(CODES * DIM * 2);
    let (scales, codes) = rest.split_at(count / row.max(1) * 2);
    for (i, out) in (from..).zip(out) {
        let entry = usize::from(codes[i / DIM]) * DIM + i % DIM;
        *out = half(book, entry * 2) * half(scales, i / row.max(1) * 2);
    }
}
