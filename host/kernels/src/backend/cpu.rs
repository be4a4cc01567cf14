//! The reference: tiles that fit the first cache, compiled for each level of instructions.

pub(crate) mod magnitudes;
pub(crate) mod tasks;

use super::{Backend, Kind, Linear, Stretch, Tasks};
use crate::level::{Kernel, Level, prefetch};
use crate::{Error, Fault, Format, Result, Scheme, float, quantize};

/// Elements of a tile: half a page, so that nine of them (a base, three models, their differences, the sum) do not all
/// fall on the same lines of a first cache of 32 KiB and eight ways.
pub(crate) const TILE: usize = 512;

/// The processor. Runs in the caller's thread; who wants more threads gives each its own stretches.
#[derive(Clone, Copy, Debug)]
pub struct Cpu {
    level: Level,
}

impl Default for Cpu {
    fn default() -> Self {
        Self { level: Level::detect() }
    }
}

impl Cpu {
    /// With the instructions of one level; none if this processor lacks them.
    pub fn with_level(level: Level) -> Option<Self> {
        Level::available().contains(&level).then_some(Self { level })
    }

    /// The level in use.
    pub fn level(&self) -> Level {
        self.level
    }
}

impl Backend for Cpu {
    fn name(&self) -> String {
        format!("cpu ({:?})", self.level)
    }

    fn chunk(&self, _: Kind) -> usize {
        1 << 16
    }

    fn has(&self, _: Kind) -> bool {
        false
    }

    fn linear(&self, job: &Linear<'_>, scheme: Scheme, out: &mut [u8]) -> Result<()> {
        let count = output(scheme, out.len())?;
        for input in &job.inputs {
            fits(*input, count)?;
        }
        if job.fused {
            produce(self.level, count, scheme, out, |level, from, tile| {
                level.run(FusedTile { job, from, tile });
            })
        } else {
            produce(self.level, count, scheme, out, |level, from, tile| {
                level.run(LinearTile { job, from, tile });
            })
        }
    }

    fn tasks(&self, job: &Tasks<'_>, scheme: Scheme, out: &mut [u8]) -> Result<()> {
        let count = output(scheme, out.len())?;
        fits(job.base, count)?;
        for task in &job.tasks {
            fits(task.input, count)?;
        }
        let mut scratch = tasks::Scratch::new(job.tasks.len());
        produce(self.level, count, scheme, out, |level, from, tile| {
            level.run(tasks::TasksTile { job, from, tile, scratch: &mut scratch });
        })
    }

    fn quantize(&self, values: &[f32], scheme: Scheme, out: &mut [u8]) -> Result<()> {
        quantize::encode(self.level, scheme, values, out).map_err(|fault| Error::tensor("stretch", fault))
    }

    fn dequantize(&self, input: Stretch<'_>, out: &mut [f32]) -> Result<()> {
        quantize::decode(self.level, input.format, input.bytes, out).map_err(|fault| Error::tensor("stretch", fault))
    }
}

/// Elements that fit the output.
fn output(scheme: Scheme, bytes: usize) -> Result<usize> {
    let (elements, size) = scheme.format.block();
    let refuse = |fault| Err(Error::tensor("output", fault));
    if !quantize::is_streamed(scheme.format) {
        return refuse(Fault::Opaque(scheme.format));
    }
    let (elements, size) = (elements as usize, size as usize);
    if !bytes.is_multiple_of(size) {
        return refuse(Fault::Truncated { need: bytes.next_multiple_of(size) as u64, have: bytes as u64 });
    }
    Ok(bytes / size * elements)
}

fn fits(input: Stretch<'_>, count: usize) -> Result<()> {
    let need = input.format.bytes(&[count as u64]).map_err(|fault| Error::tensor("input", fault))?;
    if input.format.is_whole() || !input.format.is_readable() {
        return Err(Error::tensor("input", Fault::Opaque(input.format)));
    }
    if need != input.bytes.len() as u64 {
        return Err(Error::tensor("input", Fault::Truncated { need, have: input.bytes.len() as u64 }));
    }
    Ok(())
}

/// Fills the output tile by tile: `make` computes one, its format is applied while it is in the cache.
fn produce(
    level: Level,
    count: usize,
    scheme: Scheme,
    out: &mut [u8],
    mut make: impl FnMut(Level, usize, &mut [f32]),
) -> Result<()> {
    let (elements, size) = scheme.format.block();
    let mut tile = [0.0f32; TILE];
    let bytes = TILE / elements as usize * size as usize;
    for (number, out) in out.chunks_mut(bytes.max(1)).enumerate() {
        let from = number * TILE;
        let tile = &mut tile[..TILE.min(count - from)];
        // A single's bytes are the tile itself: no second copy.
        match bytemuck::try_cast_slice_mut::<u8, f32>(out) {
            Ok(direct) if scheme.format == Format::F32 => make(level, from, direct),
            _ => {
                make(level, from, tile);
                quantize::encode(level, scheme, tile, out).map_err(|fault| Error::tensor("output", fault))?;
            }
        }
    }
    Ok(())
}

/// The bytes of elements `from..from + count` of a stretch.
#[inline(always)]
pub(crate) fn part(input: Stretch<'_>, from: usize, count: usize) -> &[u8] {
    let (elements, size) = input.format.block();
    let (elements, size) = (elements as usize, size as usize);
    &input.bytes[from / elements * size..(from + count) / elements * size]
}

/// Asks for the stretch's next tile.
#[inline(always)]
fn soon(input: Stretch<'_>, from: usize, count: usize) {
    let (elements, size) = input.format.block();
    let place = |at: usize| (at / elements as usize * size as usize).min(input.bytes.len());
    prefetch(&input.bytes[place(from + count)..place(from + 2 * count)]);
}

/// Reads elements from `from` on, as many as `out` holds.
#[inline(always)]
pub(crate) fn read(input: Stretch<'_>, from: usize, out: &mut [f32]) {
    each(input, from, out, |slot, x| *slot = x);
}

/// Calls `step` with each slot and its element, read from whatever format.
#[inline(always)]
fn each(input: Stretch<'_>, from: usize, slots: &mut [f32], step: impl Fn(&mut f32, f32)) {
    let bytes = part(input, from, slots.len());
    match input.format {
        Format::F32 => pairs(bytes, slots, |slot, b| step(slot, f32::from_le_bytes(b))),
        Format::Bf16 => pairs(bytes, slots, |slot, b| step(slot, float::bf16_to_f32(u16::from_le_bytes(b)))),
        Format::F16 => pairs(bytes, slots, |slot, b| step(slot, float::f16_to_f32(u16::from_le_bytes(b)))),
        format => {
            let mut tile = [0.0; TILE];
            let tile = &mut tile[..slots.len()];
            // The lengths were checked before the first tile.
            let read = quantize::decode(Level::Portable, format, bytes, tile);
            debug_assert_eq!(read, Ok(()));
            slots.iter_mut().zip(tile).for_each(|(slot, x)| step(slot, *x));
        }
    }
}

#[inline(always)]
fn pairs<const N: usize>(bytes: &[u8], slots: &mut [f32], step: impl Fn(&mut f32, [u8; N])) {
    for (slot, b) in slots.iter_mut().zip(bytes.as_chunks::<N>().0) {
        step(slot, *b);
    }
}

struct LinearTile<'a> {
    job: &'a Linear<'a>,
    from: usize,
    tile: &'a mut [f32],
}

impl Kernel for LinearTile<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { job, from, tile } = self;
        if !linear_at_once(job, from, tile) {
            let mut models = job.inputs.iter().zip(&job.weights);
            let Some((first, weight)) = models.next() else { return tile.fill(0.0) };
            each(*first, from, tile, |slot, x| *slot = x * weight);
            for (input, weight) in models {
                each(*input, from, tile, |slot, x| *slot += x * weight);
            }
        }
        if job.divisor != 1.0 {
            tile.iter_mut().for_each(|slot| *slot /= job.divisor);
        }
    }
}

/// Whole tiles of two to four models of one format: the sum of an element before the next one. Says if it did it.
#[inline(always)]
fn linear_at_once(job: &Linear<'_>, from: usize, tile: &mut [f32]) -> bool {
    let Ok(tile) = <&mut [f32; TILE]>::try_from(tile) else { return false };
    let single = f32::from_le_bytes;
    let short = |b| float::bf16_to_f32(u16::from_le_bytes(b));
    let format = |format| job.inputs.iter().all(|input| input.format == format);
    match job.inputs.len() {
        2 if format(Format::F32) => sum_of::<2, 4>(job, from, tile, single),
        3 if format(Format::F32) => sum_of::<3, 4>(job, from, tile, single),
        4 if format(Format::F32) => sum_of::<4, 4>(job, from, tile, single),
        2 if format(Format::Bf16) => sum_of::<2, 2>(job, from, tile, short),
        3 if format(Format::Bf16) => sum_of::<3, 2>(job, from, tile, short),
        4 if format(Format::Bf16) => sum_of::<4, 2>(job, from, tile, short),
        _ => false,
    }
}

#[inline(always)]
fn sum_of<const N: usize, const B: usize>(
    job: &Linear<'_>,
    from: usize,
    tile: &mut [f32; TILE],
    value: impl Fn([u8; B]) -> f32,
) -> bool {
    let (mut inputs, mut weights) = ([&[[0u8; B]; TILE]; N], [0.0f32; N]);
    for n in 0..N {
        let Ok(input) = part(job.inputs[n], from, TILE).as_chunks::<B>().0.try_into() else { return false };
        (inputs[n], weights[n]) = (input, job.weights[n]);
    }
    for i in 0..TILE {
        let mut sum = value(inputs[0][i]) * weights[0];
        for n in 1..N {
            sum += value(inputs[n][i]) * weights[n];
        }
        tile[i] = sum;
    }
    true
}

struct FusedTile<'a> {
    job: &'a Linear<'a>,
    from: usize,
    tile: &'a mut [f32],
}

impl Kernel for FusedTile<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { job, from, tile } = self;
        tile.fill(0.0);
        for (input, weight) in job.inputs.iter().zip(&job.weights) {
            each(*input, from, tile, |slot, x| *slot = x.mul_add(*weight, *slot));
        }
        if job.divisor != 1.0 {
            tile.iter_mut().for_each(|slot| *slot /= job.divisor);
        }
    }
}
