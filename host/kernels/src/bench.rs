//! How fast the kernels are, next to copying the same bytes. Whoever calls brings the clock.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

use crate::backend::{Backend, Cut, Keep, Kind, Linear, Stretch, Task, Tasks};
use crate::level::Level;
use crate::merge::{Ask, Method, prepare};
use crate::random::Counter;
use crate::{Cpu, Format, Inline, Pool, Result, Scheme, View, quantize};

/// Time since some point: of this thread's work for one core, of the wall for many.
pub type Clock<'a> = &'a dyn Fn() -> Duration;

/// One measurement.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// What was measured.
    pub name: String,
    /// The best of several runs.
    pub seconds: f64,
    /// Bytes read and written.
    pub traffic: u64,
    /// Bytes read.
    pub input: u64,
    /// Traffic a second, as a share of what `memcpy` did just before.
    pub ratio: f64,
}

impl Figure {
    /// Gigabytes of input a second.
    pub fn input_rate(&self) -> f64 {
        self.input as f64 / self.seconds / 1e9
    }

    /// Gigabytes of traffic a second.
    pub fn rate(&self) -> f64 {
        self.traffic as f64 / self.seconds / 1e9
    }
}

/// Runs of each kernel; the best counts, as everything else on the machine only slows.
const RUNS: usize = 5;

struct Bench<'a> {
    clock: Clock<'a>,
    wanted: &'a dyn Fn(&str) -> bool,
    from: Vec<u8>,
    to: Vec<u8>,
    figures: Vec<Figure>,
}

impl Bench<'_> {
    fn best(&self, mut run: impl FnMut() -> Result<()>) -> Result<f64> {
        let mut best = f64::INFINITY;
        for _ in 0..RUNS {
            let start = (self.clock)();
            run()?;
            best = best.min((self.clock)().saturating_sub(start).as_secs_f64());
        }
        // A clock too coarse to see a run is no reason to divide by zero.
        Ok(best.max(1e-9))
    }

    /// Seconds a byte of traffic takes when it is only copied.
    fn copy(&mut self) -> Result<f64> {
        let (from, mut to) = (std::mem::take(&mut self.from), std::mem::take(&mut self.to));
        let seconds = self.best(|| {
            to.copy_from_slice(std::hint::black_box(&from));
            Ok(())
        });
        let traffic = 2 * from.len() as u64;
        (self.from, self.to) = (from, to);
        Ok(seconds? / traffic as f64)
    }

    fn add(&mut self, name: &str, input: usize, output: usize, run: impl FnMut() -> Result<()>) -> Result<()> {
        if !(self.wanted)(name) {
            return Ok(());
        }
        let copied = self.copy()?;
        let seconds = self.best(run)?;
        let traffic = (input + output) as u64;
        let ratio = copied * traffic as f64 / seconds;
        self.figures.push(Figure { name: name.to_owned(), seconds, traffic, input: input as u64, ratio });
        Ok(())
    }
}

/// Numbers like weights: near normal, without a logarithm each.
pub(crate) fn weights(count: usize, seed: u64) -> Vec<f32> {
    let counter = Counter::new(seed, "weights", 0);
    let number = |i: u64| {
        let bits = counter.bits(i);
        let sum: u64 = (0..4).map(|k| bits >> (16 * k) & 0xffff).sum();
        (sum as f32 - 131_070.0) / 131_070.0 * 0.06
    };
    (0..count as u64).map(number).collect()
}

fn kept_as(values: &[f32], format: Format) -> Result<Vec<u8>> {
    let mut out = vec![0; values.len() * format.block().1 as usize];
    Cpu::default().quantize(values, format.into(), &mut out)?;
    Ok(out)
}

/// One core: merging and quantizing `count` elements (a multiple of 65 536) on the CPU, next to `memcpy`. Only those whose
/// names are `wanted`.
pub fn core(clock: Clock<'_>, wanted: &dyn Fn(&str) -> bool, count: usize) -> Result<Vec<Figure>> {
    let cpu = Cpu::default();
    let singles: Vec<Vec<f32>> = (0..4).map(|seed| weights(count, seed)).collect();
    let bytes: Vec<&[u8]> = singles.iter().map(|s| bytemuck::cast_slice(s)).collect();
    let mut bench = Bench { clock, wanted, from: bytes[0].to_vec(), to: vec![1; count * 4], figures: Vec::new() };
    let mut out = vec![1u8; count * 4];
    bench.add("memcpy", count * 4, count * 4, || {
        out.copy_from_slice(std::hint::black_box(bytes[0]));
        Ok(())
    })?;
    for (name, format, models) in [
        ("linear 2 f32", Format::F32, 2),
        ("linear 3 f32", Format::F32, 3),
        ("linear 3 bf16", Format::Bf16, 3),
        ("linear 3 f16", Format::F16, 3),
    ] {
        if !wanted(name) {
            continue;
        }
        let kept: Vec<Vec<u8>> = singles[..models].iter().map(|s| kept_as(s, format)).collect::<Result<_>>()?;
        let inputs: Vec<Stretch<'_>> = kept.iter().map(|bytes| Stretch { format, bytes }).collect();
        let size = kept[0].len();
        let job = Linear { inputs, weights: vec![0.5, 0.3, 0.2][..models].to_vec(), divisor: 1.0, fused: false };
        bench.add(name, size * models, size, || cpu.linear(&job, format.into(), &mut out[..size]))?;
    }
    ties(&mut bench, &cpu, &bytes, &mut out)?;
    for name in [
        "q8_0", "q4_0", "tq2_0", "q4_k", "ternary", "q6_k", "q5_k", "q3_k", "q2_k", "q4_1", "q5_0", "q5_1", "tq1_0",
        "mxfp4", "f16", "bf16",
    ] {
        let scheme: Scheme = name.parse()?;
        let (elements, size) = scheme.format.block();
        // The searches take long: a part tells as much.
        let part = if elements == 256 && scheme.format != Format::Tq2_0 { count / 16 } else { count };
        let size = part / elements as usize * size as usize;
        bench.add(name, part * 4, size, || cpu.quantize(&singles[0][..part], scheme, &mut out[..size]))?;
    }
    Ok(bench.figures)
}

fn ties(bench: &mut Bench<'_>, cpu: &Cpu, bytes: &[&[u8]], out: &mut [u8]) -> Result<()> {
    let count = out.len() / 4;
    let shape = [count as u64];
    let view = |m: usize| View::new("bench", &shape, Format::F32, bytes[m]);
    let one = Ask::from_json(Method::Ties, Some(view(0)?), vec![view(1)?], r#"{"weight":1,"density":0.5}"#)?;
    bench.add("ties: find the cut", count * 8, 0, || prepare(&one, cpu.level(), &Inline).map(drop))?;
    let low = Cut { bits: 0.02f32.to_bits(), index: 0 };
    let stretch = |m: usize| Stretch { format: Format::F32, bytes: bytes[m] };
    let task =
        |m: usize| Task { input: stretch(m), weight: 0.3, keep: Keep::Band { low, high: Cut::TOP }, rescale: 1.0 };
    let job = Tasks {
        base: stretch(0),
        tasks: (1..4).map(task).collect(),
        vote: true,
        normalize: true,
        lambda: 1.0,
        from: 0,
    };
    bench.add("ties: fused pass 3 f32", count * 16, count * 4, || cpu.tasks(&job, Format::F32.into(), out))
}

/// Host to host on any back end, by the wall, next to one thread's `memcpy`: with the way to a device and back. `count`
/// elements a tensor, in the back end's own chunks.
pub fn host_to_host(backend: &dyn Backend, pool: &dyn Pool, count: usize, wall: Clock<'_>) -> Result<Vec<Figure>> {
    let chunk = backend.chunk(Kind::Search);
    let count = count.next_multiple_of(chunk);
    let singles: Vec<Vec<f32>> = (0..3).map(|seed| weights(count, seed)).collect();
    let (from, to) = (vec![1; count * 4], vec![1; count * 4]);
    let mut bench = Bench { clock: wall, wanted: &|_| true, from, to, figures: Vec::new() };
    let mut out = vec![1u8; count * 4];
    let linear = |i: usize, out: &mut [u8]| merge_chunk(backend, &singles, i * chunk, out);
    bench.add("linear 3 f32", count * 12, count * 4, || in_chunks(pool, &mut out, chunk * 4, &linear))?;
    for format in [Format::Q8_0, Format::Q4_0, Format::Tq2_0, Format::Q4K] {
        let (elements, size) = format.block();
        let bytes = |count: usize| count / elements as usize * size as usize;
        let quantize =
            |i: usize, out: &mut [u8]| backend.quantize(&singles[0][i * chunk..][..chunk], format.into(), out);
        let out = &mut out[..bytes(count)];
        bench.add(format.name(), count * 4, out.len(), || in_chunks(pool, out, bytes(chunk), &quantize))?;
    }
    Ok(bench.figures)
}

fn in_chunks(
    pool: &dyn Pool,
    out: &mut [u8],
    size: usize,
    job: &(dyn Fn(usize, &mut [u8]) -> Result<()> + Sync),
) -> Result<()> {
    let parts: Vec<_> = out.chunks_mut(size).map(Mutex::new).collect();
    crate::pool::try_each(pool, parts.len(), |i| job(i, &mut parts[i].lock().unwrap_or_else(PoisonError::into_inner)))
}

/// Many threads against one, by the wall: a kernel bound by arithmetic, and one bound by memory.
pub fn threads(wall: Clock<'_>, pool: &dyn Pool, count: usize) -> Result<Vec<(String, f64)>> {
    let values = weights(count, 9);
    let mut ratios = Vec::new();
    for name in ["q4_k", "q8_0"] {
        let scheme: Scheme = name.parse()?;
        let (elements, size) = scheme.format.block();
        let chunk = 1 << 16;
        let sizes = chunk / elements as usize * size as usize;
        let run = |pool: &dyn Pool| {
            crate::pool::try_each(pool, count / chunk, |i| {
                let mut out = vec![0u8; sizes];
                quantize::encode(Level::detect(), scheme, &values[i * chunk..][..chunk], &mut out)
                    .map_err(|fault| crate::Error::tensor("bench", fault))
            })
        };
        let bench = Bench { clock: wall, wanted: &|_| true, from: Vec::new(), to: Vec::new(), figures: Vec::new() };
        let one = bench.best(|| run(&Inline))?;
        let many = bench.best(|| run(pool))?;
        ratios.push((name.to_owned(), one / many));
    }
    Ok(ratios)
}

/// What a back end takes for each kind of work, and what came of it.
#[cfg(feature = "gpu")]
pub(crate) struct Trial {
    /// Seconds an element.
    pub(crate) stream: f64,
    pub(crate) search: f64,
    /// Of all bytes that were made.
    pub(crate) digest: u64,
}

/// A short look at a back end: merges, a format that is found in a pass, and one that is searched for, host to host.
#[cfg(feature = "gpu")]
pub(crate) fn trial(backend: &dyn Backend, pool: &dyn Pool, wall: Clock<'_>) -> Result<Trial> {
    use std::hash::{Hash, Hasher};
    // As many elements for all: the bytes are compared.
    const COUNT: usize = 1 << 23;
    let singles: Vec<Vec<f32>> = (0..3).map(|seed| weights(COUNT, seed)).collect();
    let bench = Bench { clock: wall, wanted: &|_| true, from: Vec::new(), to: Vec::new(), figures: Vec::new() };
    let mut digest = std::hash::DefaultHasher::new();
    let mut merged = vec![0u8; COUNT * 4];
    let chunk = backend.chunk(Kind::Stream);
    let linear = |i: usize, out: &mut [u8]| merge_chunk(backend, &singles, i * chunk, out);
    let mut stream = bench.best(|| in_chunks(pool, &mut merged, chunk * 4, &linear))?;
    merged.hash(&mut digest);
    let mut search = 0.0;
    for (format, seconds) in [(Format::Q8_0, &mut stream), (Format::Q4K, &mut search)] {
        let (elements, size) = format.block();
        let bytes = |count: usize| count / elements as usize * size as usize;
        let chunk = backend.chunk(Kind::of(format.into()));
        let quantize = |i: usize, out: &mut [u8]| {
            let count = out.len() / size as usize * elements as usize;
            backend.quantize(&singles[0][i * chunk..][..count], format.into(), out)
        };
        let mut out = vec![0u8; bytes(COUNT)];
        *seconds += bench.best(|| in_chunks(pool, &mut out, bytes(chunk), &quantize))?;
        out.hash(&mut digest);
    }
    let each = |seconds: f64| seconds / COUNT as f64;
    Ok(Trial { stream: each(stream), search: each(search), digest: digest.finish() })
}

/// Three models' elements from a place on, summed.
fn merge_chunk(backend: &dyn Backend, singles: &[Vec<f32>], from: usize, out: &mut [u8]) -> Result<()> {
    let inputs = singles
        .iter()
        .map(|values| Stretch { format: Format::F32, bytes: bytemuck::cast_slice(&values[from..from + out.len() / 4]) })
        .collect();
    let job = Linear { inputs, weights: vec![0.5, 0.3, 0.2], divisor: 1.0, fused: false };
    backend.linear(&job, Format::F32.into(), out)
}
