//! A merge of one tensor, computed stretch by stretch.

use crate::backend::{Backend, Keep, Linear, Stretch, Task, Tasks};
use crate::{Error, Fault, Result, Scheme, View};

/// A merge of one tensor, ready to be computed stretch by stretch.
pub struct Job<'a> {
    pub(super) kind: Kind<'a>,
    pub(super) row: usize,
    pub(super) count: usize,
}

pub(super) enum Kind<'a> {
    Linear {
        inputs: Vec<View<'a>>,
        weights: Vec<f32>,
        divisor: f32,
        fused: bool,
    },
    Tasks {
        base: View<'a>,
        tasks: Vec<Part<'a>>,
        vote: bool,
        normalize: bool,
        lambda: f32,
    },
    /// A weighted sum whose weights differ from row to row.
    Rows {
        inputs: Vec<View<'a>>,
        weights: Vec<Vec<f32>>,
    },
    /// A weighted sum whose weights differ from column to column.
    Columns {
        inputs: Vec<View<'a>>,
        weights: Vec<Vec<f32>>,
    },
    Near {
        base: View<'a>,
        other: View<'a>,
        t: f32,
    },
}

pub(super) struct Part<'a> {
    pub(super) view: View<'a>,
    pub(super) weight: f32,
    pub(super) keep: Kept<'a>,
    pub(super) rescale: f32,
}

/// [`Keep`], with masks of its own.
pub(super) enum Kept<'a> {
    Borrowed(Keep<'a>),
    Owned(Vec<u8>),
}

impl Kept<'_> {
    pub(super) fn get(&self) -> Keep<'_> {
        match self {
            Self::Borrowed(keep) => *keep,
            Self::Owned(mask) => Keep::Mask(mask),
        }
    }
}

impl Job<'_> {
    /// Elements of the result.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether the result is the first input, untouched.
    pub fn is_copy(&self) -> bool {
        matches!(&self.kind, Kind::Linear { inputs, weights, divisor, .. } if inputs.len() == 1 && weights[0] == 1.0 && *divisor == 1.0)
    }

    /// Computes elements from `from` on, as many as fit `out`. `from` is a multiple of 256. Elements that are not
    /// there are refused.
    pub fn run(&self, backend: &dyn Backend, from: usize, scheme: Scheme, out: &mut [u8]) -> Result<()> {
        let (elements, size) = scheme.format.block();
        let count = out.len() / (size as usize).max(1) * elements as usize;
        if from.checked_add(count).is_none_or(|end| end > self.count) {
            let (begin, available) = (from as u64, self.count as u64);
            let fault = Fault::Outside { begin, end: begin.saturating_add(count as u64), available };
            return Err(Error::tensor("stretch", fault));
        }
        match &self.kind {
            Kind::Linear { inputs, weights, divisor, fused } => {
                let inputs = inputs.iter().map(|view| stretch(*view, from, count)).collect();
                backend.linear(
                    &Linear { inputs, weights: weights.clone(), divisor: *divisor, fused: *fused },
                    scheme,
                    out,
                )
            }
            Kind::Tasks { base, tasks, vote, normalize, lambda } => {
                let tasks: Vec<Task<'_>> = tasks
                    .iter()
                    .map(|part| Task {
                        input: stretch(part.view, from, count),
                        weight: part.weight,
                        keep: part.keep.get(),
                        rescale: part.rescale,
                    })
                    .collect();
                let base = stretch(*base, from, count);
                let job = Tasks { base, tasks, vote: *vote, normalize: *normalize, lambda: *lambda, from: from as u64 };
                backend.tasks(&job, scheme, out)
            }
            Kind::Rows { inputs, weights } => {
                self.spread(backend, inputs, from, count, |at| &weights[at / self.row], scheme, out)
            }
            Kind::Columns { inputs, weights } => {
                self.spread(backend, inputs, from, count, |at| &weights[at % self.row], scheme, out)
            }
            Kind::Near { base, other, t } => {
                let (mut a, mut b) = (vec![0.0; count], vec![0.0; count]);
                backend.dequantize(stretch(*base, from, count), &mut a)?;
                backend.dequantize(stretch(*other, from, count), &mut b)?;
                for (a, b) in a.iter_mut().zip(&b) {
                    let distance = (*a - b).abs();
                    // The smallest distance that counts keeps equal elements from dividing by zero.
                    let share = (t / distance.max(1e-6)).clamp(0.0, 1.0);
                    *a = share * b + (1.0 - share) * *a;
                }
                backend.quantize(&a, scheme, out)
            }
        }
    }

    /// A weighted sum whose weights depend on the element's place.
    #[allow(clippy::too_many_arguments, reason = "a stretch is three of them")]
    fn spread<'w>(
        &self,
        backend: &dyn Backend,
        inputs: &[View<'_>],
        from: usize,
        count: usize,
        weights: impl Fn(usize) -> &'w Vec<f32>,
        scheme: Scheme,
        out: &mut [u8],
    ) -> Result<()> {
        let (mut sum, mut values) = (vec![0.0f32; count], vec![0.0; count]);
        for (number, view) in inputs.iter().enumerate() {
            backend.dequantize(stretch(*view, from, count), &mut values)?;
            for (i, (sum, x)) in sum.iter_mut().zip(&values).enumerate() {
                let product = x * weights(from + i)[number];
                *sum = if number == 0 { product } else { *sum + product };
            }
        }
        backend.quantize(&sum, scheme, out)
    }
}

pub(super) fn stretch(view: View<'_>, from: usize, count: usize) -> Stretch<'_> {
    let whole = Stretch { format: view.format, bytes: view.bytes };
    Stretch { bytes: crate::backend::part(whole, from, count), ..whole }
}
