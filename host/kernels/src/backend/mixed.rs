//! The processor and a device, each for what it is faster at. The bytes are the same, so nothing else decides.

use super::{Backend, Cpu, Gpu, Kind, Linear, Stretch, Tasks};
use crate::bench::{Clock, trial};
use crate::{Format, Pool, Result, Scheme};

/// A real device, for the kinds of work that it was faster at.
pub struct Mixed {
    gpu: Gpu,
    cpu: Cpu,
    stream: bool,
    search: bool,
}

/// How what was measured is written down.
const STREAM: &str = " for streams";
const SEARCH: &str = " for searches";

impl Mixed {
    /// The device of this machine, if it is faster than the processor with so many threads at anything. Measures, so ask
    /// once and remember [`Mixed::memo`].
    pub fn measure(pool: &dyn Pool, wall: Clock<'_>) -> Option<Self> {
        let gpu = Gpu::open().ok()?;
        // A processor that plays a graphics processor is only ever slower than itself.
        if gpu.is_software() {
            return None;
        }
        let cpu = Cpu::default();
        let (theirs, ours) = (trial(&gpu, pool, wall).ok()?, trial(&cpu, pool, wall).ok()?);
        // Nor is one of use that computes something else.
        if theirs.digest != ours.digest {
            return None;
        }
        let mixed = Self { gpu, cpu, stream: theirs.stream < ours.stream, search: theirs.search < ours.search };
        (mixed.stream || mixed.search).then_some(mixed)
    }

    /// For kinds of work of the caller's choosing, on whatever adapter there is.
    pub fn of(stream: bool, search: bool) -> Result<Self> {
        Ok(Self { gpu: Gpu::open()?, cpu: Cpu::default(), stream, search })
    }

    /// What was measured, in words that [`Mixed::recall`] understands.
    pub fn memo(&self) -> String {
        let kind = |is: bool, name| if is { name } else { "" };
        format!("{}{}{}", self.gpu.name(), kind(self.stream, STREAM), kind(self.search, SEARCH))
    }

    /// The device that was measured, if it is still the one of this machine.
    pub fn recall(memo: &str) -> Option<Self> {
        let (rest, search) = memo.strip_suffix(SEARCH).map_or((memo, false), |rest| (rest, true));
        let (name, stream) = rest.strip_suffix(STREAM).map_or((rest, false), |rest| (rest, true));
        if !stream && !search {
            return None;
        }
        let gpu = Gpu::open().ok().filter(|gpu| gpu.name() == name)?;
        Some(Self { gpu, cpu: Cpu::default(), stream, search })
    }

    /// Who makes a format out of numbers.
    fn maker(&self, scheme: Scheme) -> &dyn Backend {
        if self.has(Kind::of(scheme)) { &self.gpu } else { &self.cpu }
    }

    /// A merge by whoever streams, and its format by whoever makes it.
    fn merge(
        &self,
        scheme: Scheme,
        out: &mut [u8],
        merge: impl Fn(&dyn Backend, Scheme, &mut [u8]) -> Result<()>,
    ) -> Result<()> {
        let streamer: &dyn Backend = if self.stream { &self.gpu } else { &self.cpu };
        if Kind::of(scheme) == Kind::Stream || self.stream == self.search {
            return merge(streamer, scheme, out);
        }
        let (elements, size) = scheme.format.block();
        let mut values = vec![0.0f32; out.len() / (size as usize).max(1) * elements as usize];
        merge(streamer, Format::F32.into(), bytemuck::cast_slice_mut(&mut values))?;
        self.maker(scheme).quantize(&values, scheme, out)
    }
}

impl Backend for Mixed {
    fn name(&self) -> String {
        match (self.stream, self.search) {
            (true, true) => self.gpu.name(),
            _ => format!("{}, {} for the rest", self.memo(), self.cpu.name()),
        }
    }

    fn chunk(&self, kind: Kind) -> usize {
        if self.stream || self.has(kind) { self.gpu.chunk(kind) } else { self.cpu.chunk(kind) }
    }

    fn has(&self, kind: Kind) -> bool {
        match kind {
            Kind::Stream => self.stream,
            Kind::Search => self.search,
        }
    }

    fn linear(&self, job: &Linear<'_>, scheme: Scheme, out: &mut [u8]) -> Result<()> {
        self.merge(scheme, out, |backend, scheme, out| backend.linear(job, scheme, out))
    }

    fn tasks(&self, job: &Tasks<'_>, scheme: Scheme, out: &mut [u8]) -> Result<()> {
        self.merge(scheme, out, |backend, scheme, out| backend.tasks(job, scheme, out))
    }

    fn quantize(&self, values: &[f32], scheme: Scheme, out: &mut [u8]) -> Result<()> {
        self.maker(scheme).quantize(values, scheme, out)
    }

    fn dequantize(&self, input: Stretch<'_>, out: &mut [f32]) -> Result<()> {
        self.cpu.dequantize(input, out)
    }
}
