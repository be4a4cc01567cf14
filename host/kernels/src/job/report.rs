//! What became of a model: bytes and noise, tensor by tensor.

use serde::Serialize;

use crate::{Format, Scheme};

/// What became of a model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Tensor by tensor, in the file's order.
    pub tensors: Vec<Line>,
    /// Bytes of the tensors that it was made of; of a merge, of one model.
    pub before: u64,
    /// Bytes of the tensors that were written.
    pub after: u64,
    /// Bytes of the file.
    pub file: u64,
}

/// What became of one tensor.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<u64>,
    /// How it was kept.
    pub from: Format,
    /// How it is kept.
    pub to: Scheme,
    /// Bytes before.
    pub before: u64,
    /// Bytes after.
    pub after: u64,
    /// Decibels between the numbers and what quantizing did to them; none where nothing was quantized, or without error.
    pub snr: Option<f64>,
}

impl Report {
    /// How many times smaller the tensors became.
    pub fn ratio(&self) -> f64 {
        self.before as f64 / (self.after as f64).max(1.0)
    }
}

/// Squared sums of numbers and of what quantizing did to them.
#[derive(Clone, Copy, Default)]
pub(super) struct Noise {
    signal: f64,
    error: f64,
}

impl Noise {
    pub(super) fn between(values: &[f32], back: &[f32]) -> Self {
        let mut lanes = [[0.0f64; 8]; 2];
        for (i, (a, b)) in values.iter().zip(back).enumerate() {
            let (a, b) = (f64::from(*a), f64::from(*b));
            lanes[0][i % 8] += a * a;
            lanes[1][i % 8] += (a - b) * (a - b);
        }
        Self { signal: lanes[0].iter().sum(), error: lanes[1].iter().sum() }
    }

    pub(super) fn snr(parts: &[Self]) -> Option<f64> {
        let signal: f64 = parts.iter().map(|p| p.signal).sum();
        let error: f64 = parts.iter().map(|p| p.error).sum();
        (signal > 0.0 && error > 0.0).then(|| 10.0 * (signal / error).log10())
    }
}
