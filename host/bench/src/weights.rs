//! Arithmetic on weights: how near the kernels come to copying, files to `cp`, and bytes and noise to what they should be.

mod files;
mod quality;

use crate::report::{Bar, Row};
use crate::{Plan, Rows};
use kernels::bench::Figure;
use kernels::{Cpu, Threads};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

/// Kernels with what each should reach of the traffic of `memcpy` on the same buffers. The first two read and write
/// memory and do little else; what is below is bound by arithmetic.
const BARS: [(&str, Bar); 9] = [
    ("linear 3 f32", Bar::AtLeast(0.85)),
    ("linear 3 bf16", Bar::AtLeast(0.85)),
    ("ties: fused pass 3 f32", Bar::AtLeast(0.80)),
    ("ties: find the cut", Bar::AtLeast(0.35)),
    ("q8_0", Bar::AtLeast(0.45)),
    ("q4_0", Bar::AtLeast(0.40)),
    ("tq2_0", Bar::AtLeast(0.35)),
    ("q4_k", Bar::AtLeast(0.02)),
    ("q6_k", Bar::Stated),
];

pub(crate) fn measure(plan: &Plan) -> Rows {
    let mut rows = kernels(plan)?;
    rows.extend(cores(plan)?);
    rows.extend(quality::measure(plan)?);
    rows.extend(device(plan)?);
    rows.extend(files::measure(plan)?);
    Ok(rows)
}

fn thread_time() -> Duration {
    Duration::from_nanos(runtime::clock::thread_cpu())
}

/// One core, by its CPU time; each kernel right after a `memcpy`.
fn kernels(plan: &Plan) -> Rows {
    // 64 MiB a buffer: beyond any cache. A look needs no more than what is beyond the second.
    let (rounds, count) = if plan.quick { (1, 1 << 20) } else { (7, 1 << 24) };
    let mut rounds_of: Vec<Vec<Figure>> = Vec::new();
    for _ in 0..rounds {
        let wanted = |name: &str| BARS.iter().any(|(known, _)| *known == name);
        rounds_of.push(kernels::bench::core(&thread_time, &wanted, count)?);
    }
    let mut rows = Vec::new();
    for (name, bar) in BARS {
        let figures: Vec<&Figure> = rounds_of.iter().flatten().filter(|figure| figure.name == name).collect();
        let last = figures.last().ok_or("a kernel was not measured")?;
        let baseline = format!("memcpy in the same run, by CPU time; {:.1} GB/s of input", last.input_rate());
        let ratios = figures.iter().map(|figure| figure.ratio).collect();
        // A look's buffers fit a cache, where copying is another thing.
        let bar = if plan.quick { Bar::Stated } else { bar };
        rows.push(Row::of(format!("kernels: {name}, of memcpy's traffic"), "×", ratios, baseline, bar));
    }
    Ok(rows)
}

/// All cores against one, by the wall.
fn cores(plan: &Plan) -> Rows {
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let (rounds, count) = if plan.quick { (1, 1 << 19) } else { (7, 1 << 21) };
    let start = Instant::now();
    let mut ratios: Vec<(String, Vec<f64>)> = Vec::new();
    for _ in 0..rounds {
        for (name, ratio) in kernels::bench::threads(&|| start.elapsed(), &Threads(cores), count)? {
            match ratios.iter_mut().find(|(known, _)| *known == name) {
                Some((_, all)) => all.push(ratio),
                None => ratios.push((name, vec![ratio])),
            }
        }
    }
    let row = |(name, ratios): (String, Vec<f64>)| {
        // With one core there is nothing to gain.
        let bar = if cores.get() == 2 && !plan.quick { Bar::AtLeast(1.7) } else { Bar::Stated };
        Row::of(format!("kernels: {name} on {cores} cores"), "×", ratios, "one core, by the wall", bar)
    };
    Ok(ratios.into_iter().map(row).collect())
}

/// The graphics processor that is there: the CPU's bytes, how near it comes to its own copying, and what it is used for.
#[cfg(feature = "gpu")]
fn device(plan: &Plan) -> Rows {
    use kernels::Backend;
    let Ok(gpu) = kernels::Gpu::open() else { return Ok(Vec::new()) };
    let different = quality::different(&gpu, if plan.quick { 1 << 16 } else { 1 << 20 })?;
    let name = "kernels: bytes that differ between CPU and wgpu (linear, ties, q8_0, q4_0, tq2_0, q4_k)";
    let mut rows = vec![Row::judged(name, "bytes", different as f64, gpu.name(), Bar::AtMost(0.0))];
    if gpu.is_software() {
        return Ok(rows);
    }
    let start = Instant::now();
    let wall = || start.elapsed();
    let core = kernels::bench::core(&thread_time, &|name| name == "q4_k", 1 << 22)?;
    let core = core.iter().find(|f| f.name == "q4_k").ok_or("q4_k was not measured")?.input_rate();
    for figure in gpu.resident(&wall)? {
        let name = format!("kernels: {}, resident on the device", figure.name);
        let (bar, rate) = match figure.name.as_str() {
            "linear 3 f32" | "q8_0" => (Bar::AtLeast(0.70), figure.rate()),
            _ => (Bar::Stated, figure.rate()),
        };
        let what = format!("its own copying, the faster of two ways; {rate:.0} GB/s");
        rows.push(Row::judged(name, "×", figure.ratio, what, bar));
        if figure.name == "q4_k" {
            let (name, ratio) = ("kernels: q4_k, resident on the device, of one core", figure.input_rate() / core);
            rows.push(Row::judged(name, "×", ratio, format!("one core's {core:.2} GB/s"), Bar::AtLeast(50.0)));
        }
    }
    rows.extend(ways(&gpu, plan)?);
    Ok(rows)
}

/// The way to the device and back, beside the CPU with all its cores.
#[cfg(feature = "gpu")]
fn ways(gpu: &kernels::Gpu, plan: &Plan) -> Rows {
    let start = Instant::now();
    let wall = || start.elapsed();
    let mut rows = Vec::new();
    for figure in gpu.link(&wall)? {
        let what = format!("memcpy; {:.1} GB/s go that way", figure.input_rate());
        rows.push(Row::judged(format!("kernels: {}", figure.name), "×", figure.ratio, what, Bar::Stated));
    }
    let threads = Threads(std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN));
    let count = if plan.quick { 1 << 22 } else { 1 << 25 };
    let theirs = kernels::bench::host_to_host(gpu, &threads, count, &wall)?;
    let ours = kernels::bench::host_to_host(&cpu(), &threads, count, &wall)?;
    for (theirs, ours) in theirs.iter().zip(&ours) {
        let name = format!("kernels: {}, by the device, from host to host", theirs.name);
        let (rate, beside) = (theirs.input_rate(), ours.input_rate());
        let what = format!("the CPU's {} threads, {beside:.1} GB/s; the device {rate:.1}", threads.0);
        rows.push(Row::judged(name, "×", rate / beside, what, Bar::Stated));
    }
    let mixed = kernels::Mixed::measure(&threads, &wall);
    let word = mixed.map_or_else(|| "the CPU for everything".to_owned(), |mixed| mixed.memo());
    rows.push(Row::judged("kernels: what `auto` takes", "", 1.0, word, Bar::Stated));
    Ok(rows)
}

#[cfg(not(feature = "gpu"))]
fn device(_: &Plan) -> Rows {
    Ok(Vec::new())
}

/// The back end that everything is compared with.
fn cpu() -> Cpu {
    Cpu::default()
}
