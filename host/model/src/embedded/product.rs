//! Products of weights and activations, for one token or many.
//!
//! What comes out for a token never depends on which tokens are computed beside it, nor on the processor: integers are
//! exact, and floats are added in the order of the columns without fusing.

#[cfg(target_arch = "x86_64")]
mod x86;

use super::matrix::{BLOCK, BYTES, EIGHTH, LANES, Matrix, NIBBLES, Packed, SUPER, SUPERS};
use kernels::float::{bf16_to_f32, f16_to_f32};
use kernels::{Kernel, Level};
use rayon::prelude::*;

/// Tokens that go through a tile together.
const TOGETHER: usize = 8;
/// Multiplications that a thread takes at a time: far more than handing them over costs.
const GRAIN: usize = 1 << 17;

/// The right side of a product: one row a token.
pub(crate) struct Input<'a> {
    floats: &'a [f32],
    columns: usize,
    tokens: usize,
    quantized: Option<Quantized>,
}

/// Activations in eight bits, with a scale for each 32.
pub(crate) struct Quantized {
    /// Four codes a word, the first one lowest.
    pub(crate) words: Vec<i32>,
    pub(crate) scales: Vec<f32>,
    /// The sum of each block's codes.
    pub(crate) sums: Vec<i32>,
}

impl<'a> Input<'a> {
    /// For products with any of these; all have as many columns as a token has numbers.
    pub(crate) fn of(floats: &'a [f32], columns: usize, matrices: &[&Matrix]) -> Input<'a> {
        let quantized = matrices.iter().any(|m| m.is_quantized()).then(|| Level::detect().run(Quantize(floats)));
        Input { floats, columns, tokens: floats.len() / columns, quantized }
    }
}

struct Quantize<'a>(&'a [f32]);

impl Kernel for Quantize<'_> {
    type Output = Quantized;

    #[inline(always)]
    fn run(self) -> Quantized {
        let blocks = self.0.len() / BLOCK;
        let (mut words, mut scales, mut sums) =
            (vec![0i32; blocks * 8], Vec::with_capacity(blocks), Vec::with_capacity(blocks));
        for (x, words) in self.0.as_chunks::<BLOCK>().0.iter().zip(words.as_chunks_mut::<8>().0) {
            let most = x.iter().fold(0.0f32, |most, v| if v.abs() > most { v.abs() } else { most });
            let scale = most / 127.0;
            let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
            let inverse = if inverse.is_finite() { inverse } else { 0.0 };
            let mut codes = [0i8; BLOCK];
            let mut sum = 0;
            for (code, v) in codes.iter_mut().zip(x) {
                let v = v * inverse;
                // Half away from zero; the cast saturates, and makes nothing of what is no number.
                let whole = (v + if v < 0.0 { -0.5 } else { 0.5 }) as i32;
                let whole = whole.clamp(-127, 127);
                *code = whole as i8;
                sum += whole;
            }
            for (word, four) in words.iter_mut().zip(codes.as_chunks::<4>().0) {
                *word = i32::from_le_bytes(four.map(|c| c as u8));
            }
            // Infinite activations must not look like small ones.
            scales.push(if most.is_finite() { scale } else { f32::NAN });
            sums.push(sum);
        }
        Quantized { words, scales, sums }
    }
}

/// How integers are multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speed {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Vnni,
}

impl Speed {
    /// All that this processor has, the plainest first.
    pub(crate) fn available() -> Vec<Speed> {
        #[cfg(target_arch = "x86_64")]
        {
            let mut all = vec![Speed::Portable];
            let level = Level::detect();
            if level >= Level::Avx2 {
                all.push(Speed::Avx2);
            }
            if level >= Level::Avx512 && std::arch::is_x86_feature_detected!("avx512vnni") {
                all.push(Speed::Vnni);
            }
            all
        }
        #[cfg(not(target_arch = "x86_64"))]
        vec![Speed::Portable]
    }

    fn detect() -> Speed {
        static FOUND: std::sync::OnceLock<Speed> = std::sync::OnceLock::new();
        *FOUND.get_or_init(|| Speed::available().last().copied().unwrap_or(Speed::Portable))
    }
}

/// `out[token][row]`: each row of the matrix times each token, on the pool that this is called from.
pub(crate) fn multiply(matrix: &Matrix, input: &Input<'_>) -> Vec<f32> {
    multiply_at(Speed::detect(), matrix, input)
}

fn multiply_at(speed: Speed, matrix: &Matrix, input: &Input<'_>) -> Vec<f32> {
    debug_assert_eq!(matrix.columns(), input.columns);
    let (rows, tokens) = (matrix.rows(), input.tokens);
    let tiles = rows.div_ceil(LANES);
    // Tile after tile, so that threads write apart from each other.
    let mut out = vec![0.0f32; tiles * LANES * tokens];
    if tokens == 0 || rows == 0 {
        return out;
    }
    let work = LANES * matrix.columns() * tokens;
    let share = tiles.div_ceil(4 * rayon::current_num_threads()).max(GRAIN.div_ceil(work.max(1))).min(tiles);
    out.par_chunks_mut(share * LANES * tokens).enumerate().for_each(|(number, out)| {
        for (tile, out) in (number * share..).zip(out.chunks_mut(LANES * tokens)) {
            Tile { speed, matrix, input, tile }.run(out);
        }
    });
    if tokens == 1 {
        out.truncate(rows);
        return out;
    }
    let mut turned = vec![0.0f32; rows * tokens];
    for (token, turned) in turned.chunks_mut(rows).enumerate() {
        for (tile, turned) in turned.chunks_mut(LANES).enumerate() {
            turned.copy_from_slice(&out[(tile * tokens + token) * LANES..][..turned.len()]);
        }
    }
    turned
}

struct Tile<'a> {
    speed: Speed,
    matrix: &'a Matrix,
    input: &'a Input<'a>,
    tile: usize,
}

impl Tile<'_> {
    fn run(self, out: &mut [f32]) {
        let columns = self.matrix.columns();
        let mut first = 0;
        for group in out.chunks_mut(TOGETHER * LANES) {
            let mut done = 0;
            while done < group.len() / LANES {
                let left = group.len() / LANES - done;
                let rest = &mut group[done * LANES..];
                let step = match left {
                    8.. => self.group::<8>(columns, first + done, rest),
                    4.. => self.group::<4>(columns, first + done, rest),
                    2.. => self.group::<2>(columns, first + done, rest),
                    _ => self.group::<1>(columns, first + done, rest),
                };
                done += step;
            }
            first += done;
        }
    }

    /// Computes `N` tokens from `first` on.
    fn group<const N: usize>(&self, columns: usize, first: usize, out: &mut [f32]) -> usize {
        let level = Level::detect();
        let x: [&[f32]; N] = std::array::from_fn(|n| &self.input.floats[(first + n) * columns..][..columns]);
        let floats = self.tile * columns * LANES..(self.tile + 1) * columns * LANES;
        let made = match self.matrix.packed() {
            Packed::Singles(w) => level.run(Floats { weights: &w[floats], x, read: |w: f32| w }),
            Packed::Halves(w) => level.run(Floats { weights: &w[floats], x, read: f16_to_f32 }),
            Packed::Shorts(w) => level.run(Floats { weights: &w[floats], x, read: bf16_to_f32 }),
            Packed::Nibbles(w) => self.codes::<N, _>(first, w, columns / BLOCK * NIBBLES, Kind::Nibbles),
            Packed::Bytes(w) => self.codes::<N, _>(first, w, columns / BLOCK * BYTES, Kind::Bytes),
            Packed::Supers(w) => self.codes::<N, _>(first, w, columns / SUPER * SUPERS, Kind::Supers),
        };
        for (out, made) in out.as_chunks_mut::<LANES>().0.iter_mut().zip(made) {
            *out = made;
        }
        N
    }

    fn codes<const N: usize, W: AsRef<[u8]>>(
        &self,
        first: usize,
        weights: &W,
        stride: usize,
        kind: Kind,
    ) -> [[f32; LANES]; N] {
        let Some(quantized) = &self.input.quantized else { return [[f32::NAN; LANES]; N] };
        let weights = &weights.as_ref()[self.tile * stride..][..stride];
        let blocks = self.matrix.columns() / BLOCK;
        let x = std::array::from_fn(|n| Codes {
            words: quantized.words[(first + n) * blocks * 8..][..blocks * 8].as_chunks().0,
            scales: &quantized.scales[(first + n) * blocks..][..blocks],
            sums: &quantized.sums[(first + n) * blocks..][..blocks],
        });
        match self.speed {
            Speed::Portable => portable(kind, weights, x),
            #[cfg(target_arch = "x86_64")]
            Speed::Avx2 => x86::avx2(kind, weights, x),
            #[cfg(target_arch = "x86_64")]
            Speed::Vnni => x86::vnni(kind, weights, x),
        }
    }
}

/// How a tile's codes are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Nibbles,
    Bytes,
    Supers,
}

/// One token's activations.
#[derive(Clone, Copy)]
pub(crate) struct Codes<'a> {
    pub(crate) words: &'a [[i32; 8]],
    pub(crate) scales: &'a [f32],
    pub(crate) sums: &'a [i32],
}

struct Floats<'a, const N: usize, W, R> {
    weights: &'a [W],
    x: [&'a [f32]; N],
    read: R,
}

impl<const N: usize, W: Copy, R: Fn(W) -> f32> Kernel for Floats<'_, N, W, R> {
    type Output = [[f32; LANES]; N];

    #[inline(always)]
    fn run(self) -> Self::Output {
        let mut out = [[0.0f32; LANES]; N];
        for (c, column) in self.weights.as_chunks::<LANES>().0.iter().enumerate() {
            let mut w = [0.0f32; LANES];
            for l in 0..LANES {
                w[l] = (self.read)(column[l]);
            }
            for n in 0..N {
                let x = self.x[n][c];
                for l in 0..LANES {
                    out[n][l] += w[l] * x;
                }
            }
        }
        out
    }
}

/// What the faster ones must give, bit by bit.
fn portable<const N: usize>(kind: Kind, weights: &[u8], x: [Codes<'_>; N]) -> [[f32; LANES]; N] {
    let mut out = [[0.0f32; LANES]; N];
    let half = |bytes: &[u8], at: usize| f16_to_f32(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
    let byte = |word: i32, j: usize| i32::from(word.to_le_bytes()[j] as i8);
    // Sixteen columns times two of one row, of codes in halves of bytes.
    let nibbles = |codes: &[u8], l: usize, words: &[i32; 8]| {
        let mut sum = 0;
        for k in 0..4 {
            for j in 0..4 {
                let code = codes[k * 64 + l * 4 + j];
                sum += i32::from(code & 15) * byte(words[k], j) + i32::from(code >> 4) * byte(words[4 + k], j);
            }
        }
        sum
    };
    for (n, x) in x.iter().enumerate() {
        for l in 0..LANES {
            let sum = &mut out[n][l];
            match kind {
                Kind::Nibbles => {
                    for (b, block) in weights.as_chunks::<NIBBLES>().0.iter().enumerate() {
                        let dot = nibbles(&block[32..], l, &x.words[b]) - 8 * x.sums[b];
                        *sum += dot as f32 * (half(block, l * 2) * x.scales[b]);
                    }
                }
                Kind::Bytes => {
                    for (b, block) in weights.as_chunks::<BYTES>().0.iter().enumerate() {
                        let code = |c: usize| i32::from(block[32 + c / 4 * 64 + l * 4 + c % 4]);
                        let dot: i32 = (0..BLOCK).map(|c| code(c) * byte(x.words[b][c / 4], c % 4)).sum();
                        *sum += (dot - 128 * x.sums[b]) as f32 * (half(block, l * 2) * x.scales[b]);
                    }
                }
                Kind::Supers => {
                    for (s, block) in weights.as_chunks::<SUPERS>().0.iter().enumerate() {
                        let (d, m) = (half(block, l * 2), half(block, 32 + l * 2));
                        for (e, part) in block[64..].as_chunks::<EIGHTH>().0.iter().enumerate() {
                            let b = s * 8 + e;
                            let dot = nibbles(&part[32..], l, &x.words[b]) as f32 * (d * f32::from(part[l]));
                            let low = x.sums[b] as f32 * (m * f32::from(part[16 + l]));
                            *sum += (dot - low) * x.scales[b];
                        }
                    }
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::matrix::tests::{matrix, noise};
    use super::*;
    use kernels::Format;

    const ALL: [Format; 6] = [Format::F32, Format::F16, Format::Bf16, Format::Q4_0, Format::Q8_0, Format::Q4K];

    #[test]
    fn a_product_is_the_sum_of_the_products() {
        for format in ALL {
            let (matrix, numbers) = matrix(format, 37, 512);
            let x = noise(3 * 512, 3);
            let made = multiply(&matrix, &Input::of(&x, 512, &[&matrix]));
            for token in 0..3 {
                for row in 0..37 {
                    let pairs = numbers[row * 512..][..512].iter().zip(&x[token * 512..]);
                    let wanted: f64 = pairs.map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
                    let error = (f64::from(made[token * 37 + row]) - wanted).abs();
                    // The rounding of 512 activations to eight bits, at four deviations.
                    let most = if matrix.is_quantized() { 4.0 * 0.6 * 0.29 / 127.0 * 512f64.sqrt() } else { 1e-3 };
                    assert!(error < most, "{format} token {token} row {row}: {error}");
                }
            }
        }
    }

    #[test]
    fn every_processor_computes_the_same_bits() {
        for format in [Format::Q4_0, Format::Q8_0, Format::Q4K] {
            let (matrix, _) = matrix(format, 48, 512);
            let x = noise(11 * 512, 5);
            let input = Input::of(&x, 512, &[&matrix]);
            let plain = multiply_at(Speed::Portable, &matrix, &input);
            for speed in Speed::available() {
                assert_eq!(multiply_at(speed, &matrix, &input), plain, "{format} {speed:?}");
            }
        }
    }

    #[test]
    fn neighbours_change_nothing() {
        for format in ALL {
            let (matrix, _) = matrix(format, 20, 256);
            let x = noise(15 * 256, 9);
            let all = multiply(&matrix, &Input::of(&x, 256, &[&matrix]));
            for token in 0..15 {
                let alone = multiply(&matrix, &Input::of(&x[token * 256..][..256], 256, &[&matrix]));
                assert_eq!(alone, all[token * 20..][..20], "{format} token {token}");
            }
        }
    }

    #[test]
    fn what_is_no_number_does_not_become_one() {
        let (matrix, _) = matrix(Format::Q4_0, 16, 32);
        let mut x = noise(32, 1);
        x[3] = f32::INFINITY;
        let made = multiply(&matrix, &Input::of(&x, 32, &[&matrix]));
        assert!(made.iter().all(|v| v.is_nan()), "{made:?}");
    }
}
