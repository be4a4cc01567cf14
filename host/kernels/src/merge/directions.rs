//! Methods that turn tensors towards each other. Each is a weighted sum; the weights follow from lengths and angles.

use super::sums::Gram;

/// The weights of the sum, one for each tensor of the Gram matrix (and for the base, where a method says so).
pub(super) type Mix = Vec<f32>;

/// Directions more alike than this are interpolated in a straight line, as mergekit does.
const ALIKE: f64 = 0.9995;

fn cosine(gram: &Gram, i: usize, j: usize, least: f64) -> f64 {
    // A vector of no length has no direction; mergekit divides by one then.
    let length = |k: usize| if gram.length(k) > least { gram.length(k) } else { 1.0 };
    (gram.dot(i, j) / (length(i) * length(j))).clamp(-1.0, 1.0)
}

pub(super) fn slerp(gram: &Gram, t: f64) -> [f32; 2] {
    let cosine = cosine(gram, 0, 1, 1e-8);
    if cosine.abs() > ALIKE {
        return [(1.0 - t) as f32, t as f32];
    }
    arc(cosine, t)
}

fn arc(cosine: f64, t: f64) -> [f32; 2] {
    let angle = cosine.acos();
    let sine = angle.sin();
    [(((1.0 - t) * angle).sin() / sine) as f32, ((t * angle).sin() / sine) as f32]
}

pub(super) fn nuslerp(gram: &Gram, t: f64) -> [f32; 2] {
    let length = |k| gram.length(k).max(1e-7);
    let cosine = (gram.dot(0, 1) / (length(0) * length(1))).clamp(-1.0, 1.0);
    if 1.0 - cosine * cosine <= 1e-16 {
        return [(1.0 - t) as f32, t as f32];
    }
    arc(cosine, t)
}

/// A vector as a sum of the unit vectors that the Gram matrix is of.
struct Combination<'a> {
    /// Dot products of unit vectors.
    units: &'a [Vec<f64>],
    factors: Vec<f64>,
}

impl Combination<'_> {
    fn dot(&self, i: usize) -> f64 {
        self.factors.iter().zip(&self.units[i]).map(|(f, u)| f * u).sum()
    }

    fn length(&self) -> f64 {
        (0..self.factors.len()).map(|i| self.factors[i] * self.dot(i)).sum::<f64>().max(0.0).sqrt()
    }

    fn scale(&mut self, by: f64) {
        self.factors.iter_mut().for_each(|f| *f *= by);
    }
}

/// Dot products of unit vectors; a vector of no length stays one.
fn units(gram: &Gram) -> Vec<Vec<f64>> {
    let n = gram.len();
    let length = |k| if gram.length(k) > 0.0 { gram.length(k) } else { 1.0 };
    (0..n).map(|i| (0..n).map(|j| gram.dot(i, j) / (length(i) * length(j))).collect()).collect()
}

/// None if the weighted directions cancel.
pub(super) fn multislerp(gram: &Gram, weights: &[f64]) -> Option<Mix> {
    if gram.len() == 1 {
        return Some(vec![1.0]);
    }
    let total: f64 = weights.iter().sum();
    if total == 0.0 {
        return None;
    }
    let weights: Vec<f64> = weights.iter().map(|w| w / total).collect();
    let units = units(gram);
    let mut mean = Combination { units: &units, factors: weights.clone() };
    // Without any length in any tensor there is nothing to turn: the sum of zeros is zero.
    if (0..gram.len()).all(|k| gram.length(k) == 0.0) {
        return Some(weights.iter().map(|w| *w as f32).collect());
    }
    let length = mean.length();
    if length < 1e-8 {
        return None;
    }
    mean.scale(1.0 / length);
    // Σ wᵢ (uᵢ − (uᵢ·m) m)
    let along: f64 = weights.iter().enumerate().map(|(i, w)| w * mean.dot(i)).sum();
    let tangent = weights.iter().zip(&mean.factors).map(|(w, m)| w - along * m).collect();
    let tangent = Combination { units: &units, factors: tangent };
    let angle = tangent.length();
    let ratio = if angle > 1e-12 { angle.sin() / angle } else { 1.0 };
    let size: f64 = weights.iter().enumerate().map(|(i, w)| w * gram.length(i)).sum();
    let mix = |i: usize| {
        let length = gram.length(i);
        if length > 0.0 { size * (mean.factors[i] * angle.cos() + tangent.factors[i] * ratio) / length } else { 0.0 }
    };
    Some((0..gram.len()).map(|i| mix(i) as f32).collect())
}

pub(super) fn karcher(gram: &Gram, weights: &[f64], rounds: u32, tolerance: f64) -> Mix {
    let n = gram.len();
    if n == 1 {
        return vec![1.0];
    }
    let counts = |i: usize| gram.length(i) > tolerance;
    let total: f64 = (0..n).filter(|i| counts(*i)).map(|i| weights[i]).sum();
    if total == 0.0 {
        return vec![0.0; n];
    }
    let weight = |i: usize| if counts(i) { weights[i] / total } else { 0.0 };
    let units = units(gram);
    let mut mean = Combination { units: &units, factors: (0..n).map(weight).collect() };
    match mean.length() {
        length if length < tolerance => {
            let first = (0..n).find(|i| counts(*i)).unwrap_or(0);
            mean.factors = (0..n).map(|i| if i == first { 1.0 } else { 0.0 }).collect();
        }
        length => mean.scale(1.0 / length),
    }
    for _ in 0..rounds {
        let mut step = Combination { units: &units, factors: vec![0.0; n] };
        for i in (0..n).filter(|i| counts(*i)) {
            let cosine = mean.dot(i).clamp(-1.0, 1.0);
            let angle = cosine.acos();
            if angle < tolerance {
                continue;
            }
            let factor = weight(i) * angle / angle.sin();
            step.factors[i] += factor;
            for (s, m) in step.factors.iter_mut().zip(&mean.factors) {
                *s -= factor * cosine * m;
            }
        }
        let length = step.length();
        if length < tolerance {
            break;
        }
        for (m, s) in mean.factors.iter_mut().zip(&step.factors) {
            *m = length.cos() * *m + length.sin() * s / length;
        }
        let length = mean.length();
        if length > tolerance {
            mean.scale(1.0 / length);
        }
    }
    let size: f64 = (0..n).map(|i| weight(i) * gram.length(i)).sum();
    (0..n).map(|i| if counts(i) { (size * mean.factors[i] / gram.length(i)) as f32 } else { 0.0 }).collect()
}

/// Weights of the base, then of the models; the Gram matrix is of differences.
pub(super) fn model_stock(gram: &Gram) -> Mix {
    let n = gram.len();
    let mut cosines = Vec::new();
    for i in 0..n {
        for j in i + 1..n {
            let lengths = (gram.length(i) * gram.length(j)).max(1e-6);
            cosines.push((gram.dot(i, j) / lengths).clamp(-1.0, 1.0));
        }
    }
    let cosine = cosines.iter().sum::<f64>() / cosines.len().max(1) as f64;
    let (count, divisor) = (n as f64, 1.0 + (n as f64 - 1.0) * cosine);
    let t = if divisor.abs() < 1e-6 { 0.0 } else { count * cosine / divisor };
    let mut mix = vec![(1.0 - t) as f32];
    mix.extend(std::iter::repeat_n((t / count) as f32, n));
    mix
}
