//! Where arithmetic happens. Both back ends give the same bytes.
//!
//! The arithmetic is defined once, here: f32, one operation after the other in the order of the models, nothing
//! fused, and one rounding at the end.

mod cpu;
#[cfg(feature = "gpu")]
mod gpu;
#[cfg(feature = "gpu")]
mod mixed;

pub use cpu::Cpu;
pub(crate) use cpu::magnitudes::{difference_bits, scan};
pub(crate) use cpu::tasks::masked;
pub(crate) use cpu::{TILE, part, read};
#[cfg(feature = "gpu")]
pub use gpu::{Gpu, Ring};
#[cfg(feature = "gpu")]
pub use mixed::Mixed;

use crate::random::Counter;
use crate::{Format, Result, Scheme};

/// Consecutive elements of a tensor, in whole blocks.
#[derive(Clone, Copy, Debug)]
pub struct Stretch<'a> {
    /// How they are kept.
    pub format: Format,
    /// Their bytes.
    pub bytes: &'a [u8],
}

/// `(Σ wᵢ xᵢ) / divisor`.
#[derive(Clone, Debug)]
pub struct Linear<'a> {
    /// The models' stretches; all of one length.
    pub inputs: Vec<Stretch<'a>>,
    /// One for each input.
    pub weights: Vec<f32>,
    /// 1 leaves the sum as it is.
    pub divisor: f32,
    /// Adds with one rounding instead of two, as mergekit does. On the CPU only.
    pub fused: bool,
}

/// Which elements of a difference are kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Keep<'a> {
    /// All.
    All,
    /// Those between two places in the order of magnitudes: above `low` and not above `high`.
    Band {
        /// Elements that come before this are too small.
        low: Cut,
        /// Elements that come before this are kept.
        high: Cut,
    },
    /// Each with this probability.
    Chance {
        /// The stream of this model and tensor.
        counter: Counter,
        /// Kept if the number is below.
        share: f32,
    },
    /// Those whose bit is set; bit 0 of byte 0 is the tensor's first element.
    Mask(&'a [u8]),
}

/// A place in the order of magnitudes, largest first; among equals the lower index is first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The bits of a magnitude.
    pub bits: u32,
    /// Elements of that magnitude count as above it if their index is below this.
    pub index: u64,
}

impl Cut {
    /// Above everything.
    pub const TOP: Self = Self { bits: u32::MAX, index: 0 };
    /// Below everything.
    pub const BOTTOM: Self = Self { bits: 0, index: u64::MAX };

    /// The smallest bits that are above the cut, for elements on this side of its index.
    pub(crate) const fn least(self, before: bool) -> u32 {
        if before { self.bits } else { self.bits.saturating_add(1) }
    }
}

/// One model of a merge of differences.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// The model's stretch.
    pub input: Stretch<'a>,
    /// Its weight.
    pub weight: f32,
    /// Which of its differences count.
    pub keep: Keep<'a>,
    /// What makes up for those that do not.
    pub rescale: f32,
}

/// `base + λ Σ wᵢ (xᵢ − base)`, with elements left out, and maybe a vote on the sign.
#[derive(Clone, Debug)]
pub struct Tasks<'a> {
    /// What differences are from.
    pub base: Stretch<'a>,
    /// The models.
    pub tasks: Vec<Task<'a>>,
    /// Whether only differences of the winning sign count.
    pub vote: bool,
    /// Whether the sum is divided by the weights that counted.
    pub normalize: bool,
    /// Factor of the sum.
    pub lambda: f32,
    /// The index of the stretch's first element in its tensor.
    pub from: u64,
}

/// What work is bound by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Memory, and the way to a device: merges, and formats that are found in a pass.
    Stream,
    /// Arithmetic: formats whose scales are searched for.
    Search,
}

impl Kind {
    /// What making a format out of numbers is.
    pub fn of(scheme: Scheme) -> Self {
        match scheme.format {
            Format::Q2K | Format::Q3K | Format::Q4K | Format::Q5K | Format::Q6K => Self::Search,
            _ => Self::Stream,
        }
    }
}

/// Arithmetic on stretches. Every output is in whole blocks of its format.
pub trait Backend: Sync {
    /// What it is, in words.
    fn name(&self) -> String;

    /// Elements that one call should get, if there are as many. A multiple of 256.
    fn chunk(&self, kind: Kind) -> usize;

    /// Whether a device does such work, and not the caller's own thread.
    fn has(&self, kind: Kind) -> bool;

    /// A weighted sum.
    fn linear(&self, job: &Linear<'_>, scheme: Scheme, out: &mut [u8]) -> Result<()>;

    /// A merge of differences.
    fn tasks(&self, job: &Tasks<'_>, scheme: Scheme, out: &mut [u8]) -> Result<()>;

    /// From numbers to a format.
    fn quantize(&self, values: &[f32], scheme: Scheme, out: &mut [u8]) -> Result<()>;

    /// From a format to numbers.
    fn dequantize(&self, input: Stretch<'_>, out: &mut [f32]) -> Result<()>;
}
