//! What is done with activations between products. The same bits on every processor.

use kernels::{Kernel, Level};

const LANES: usize = 16;

/// e to the `x`, for `x` that is not above 88.
#[inline(always)]
fn exp(x: f32) -> f32 {
    let x = if x < -87.0 { -87.0 } else { x };
    // Cephes' polynomial on the rest after the nearest power of two.
    let n = (x * std::f32::consts::LOG2_E + if x < 0.0 { -0.5 } else { 0.5 }) as i32;
    let r = x - n as f32 * 0.693_359_4 + n as f32 * 2.121_944_4e-4;
    let mut p = 1.987_569_1e-4f32;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 5e-1;
    let p = p * r * r + r + 1.0;
    p * f32::from_bits(((n + 127) << 23) as u32)
}

#[inline(always)]
fn sum(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for l in 0..LANES {
            lanes[l] += f(chunk[l]);
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().map(|v| f(*v)).sum::<f32>()
}

#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for l in 0..LANES {
            lanes[l] += a[l] * b[l];
        }
    }
    lanes.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}

/// `x` over its root mean square, times the weights.
struct Rms<'a> {
    x: &'a mut [f32],
    weights: &'a [f32],
    epsilon: f32,
}

impl Kernel for Rms<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for x in self.x.chunks_mut(self.weights.len()) {
            let scale = 1.0 / (sum(x, |v| v * v) / x.len() as f32 + self.epsilon).sqrt();
            for (x, w) in x.iter_mut().zip(self.weights) {
                *x = *x * scale * w;
            }
        }
    }
}

/// Scales each row to a root mean square of one, then by the weights.
pub(crate) fn rms_norm(x: &mut [f32], weights: &[f32], epsilon: f32) {
    Level::detect().run(Rms { x, weights, epsilon });
}

struct Layer<'a> {
    x: &'a mut [f32],
    weights: &'a [f32],
    bias: &'a [f32],
    epsilon: f32,
}

impl Kernel for Layer<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for x in self.x.chunks_mut(self.weights.len()) {
            let mean = sum(x, |v| v) / x.len() as f32;
            let variance = sum(x, |v| (v - mean) * (v - mean)) / x.len() as f32;
            let scale = 1.0 / (variance + self.epsilon).sqrt();
            for i in 0..x.len() {
                x[i] = (x[i] - mean) * scale * self.weights[i] + self.bias[i];
            }
        }
    }
}

/// Brings each row to mean zero and deviation one, then scales and moves it.
pub(crate) fn layer_norm(x: &mut [f32], weights: &[f32], bias: &[f32], epsilon: f32) {
    Level::detect().run(Layer { x, weights, bias, epsilon });
}

struct Gate<'a>(&'a mut [f32], &'a [f32]);

impl Kernel for Gate<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (gate, up) in self.0.iter_mut().zip(self.1) {
            // Beyond 87 the exponential is so small or large that the quotient no longer changes.
            let x = *gate;
            let e = exp(if x > 87.0 { -87.0 } else { -x }.min(87.0));
            *gate = x / (1.0 + e) * up;
        }
    }
}

/// `gate` times its sigmoid, times `up`.
pub(crate) fn swiglu(gate: &mut [f32], up: &[f32]) {
    Level::detect().run(Gate(gate, up));
}

struct Gelu<'a>(&'a mut [f32]);

impl Kernel for Gelu<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for x in self.0.iter_mut() {
            let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
            // Abramowitz and Stegun 7.1.26: within 1.5e-7 of the error function.
            let t = 1.0 / (1.0 + 0.327_591_1 * z);
            let p = ((((1.061_405_4 * t - 1.453_152) * t + 1.421_413_7) * t - 0.284_496_74) * t + 0.254_829_6) * t;
            let square = z * z;
            let erf = 1.0 - p * exp(-square);
            *x = 0.5 * *x * (1.0 + if *x < 0.0 { -erf } else { erf });
        }
    }
}

/// x times the chance that a normal number is below it.
pub(crate) fn gelu(x: &mut [f32]) {
    Level::detect().run(Gelu(x));
}

/// What one token of one head attends to.
pub(crate) struct Attend<'a> {
    /// One key a row; all as long as the question.
    pub(crate) keys: &'a [f32],
    /// One value a row.
    pub(crate) values: &'a [f32],
    /// One question or several, one behind the other.
    pub(crate) questions: &'a [f32],
    /// Length of a question.
    pub(crate) size: usize,
    /// What the products are multiplied with.
    pub(crate) scale: f32,
    /// One answer a question.
    pub(crate) out: &'a mut [f32],
}

impl Kernel for Attend<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let mut shares = vec![0.0f32; self.keys.len() / self.size];
        for (q, out) in self.questions.chunks(self.size).zip(self.out.chunks_mut(self.size)) {
            for (share, key) in shares.iter_mut().zip(self.keys.chunks(self.size)) {
                *share = dot(q, key) * self.scale;
            }
            let total = softmax(&mut shares);
            out.fill(0.0);
            for (share, value) in shares.iter().zip(self.values.chunks(self.size)) {
                for (out, v) in out.iter_mut().zip(value) {
                    *out += share * v;
                }
            }
            out.iter_mut().for_each(|v| *v /= total);
        }
    }
}

/// Makes exponentials of all, of which the largest is one, and returns their sum.
#[inline(always)]
fn softmax(x: &mut [f32]) -> f32 {
    let most = x.iter().fold(f32::NEG_INFINITY, |most, v| if *v > most { *v } else { most });
    for v in x.iter_mut() {
        *v = exp(*v - most);
    }
    sum(x, |v| v)
}

struct Soften<'a>(&'a mut [f32], f32);

impl Kernel for Soften<'_> {
    type Output = f32;

    #[inline(always)]
    fn run(self) -> f32 {
        self.0.iter_mut().for_each(|v| *v *= self.1);
        softmax(self.0)
    }
}

/// Makes exponentials of all times `scale`, of which the largest is one, and returns their sum.
pub(crate) fn soften(x: &mut [f32], scale: f32) -> f32 {
    Level::detect().run(Soften(x, scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_right_to_the_last_bits() {
        for i in -870..880 {
            let x = i as f32 / 10.0;
            let wanted = f64::from(x).exp();
            assert!((f64::from(exp(x)) / wanted - 1.0).abs() < 3e-7, "{x}");
        }
        assert!(exp(f32::NEG_INFINITY) < 1e-37 && exp(f32::NAN).is_nan());
    }

    #[test]
    fn gates_and_bells_are_as_defined() {
        let x: Vec<f32> = (-200..200).map(|i| i as f32 / 2.0).collect();
        let (mut gate, mut bell) = (x.clone(), x.clone());
        swiglu(&mut gate, &vec![2.0; x.len()]);
        gelu(&mut bell);
        for (i, x) in x.iter().enumerate() {
            let wanted = 2.0 * f64::from(*x) / (1.0 + (-f64::from(*x)).exp());
            assert!((f64::from(gate[i]) - wanted).abs() < 1e-5 * (1.0 + wanted.abs()), "{x}: {}", gate[i]);
        }
        // From a table of the normal distribution.
        for (x, wanted) in [(-1.0, -0.158_655_25), (1.0, 0.841_344_8), (2.0, 1.954_499_7), (-3.0, -0.004_049_69)] {
            let at = ((x + 100.0) * 2.0) as usize;
            assert!((bell[at] - wanted).abs() < 1e-6, "{x}: {}", bell[at]);
        }
    }

    #[test]
    fn attention_weighs_values_by_their_keys() {
        let keys = [10.0, 0.0, 0.0, 10.0];
        let values = [1.0, 2.0, 3.0, 4.0];
        let mut out = [0.0; 4];
        let questions = [10.0, 0.0, 0.0, 0.0];
        Level::detect().run(Attend {
            keys: &keys,
            values: &values,
            questions: &questions,
            size: 2,
            scale: 1.0,
            out: &mut out,
        });
        assert_eq!(out, [1.0, 2.0, 2.0, 3.0]);
    }
}
