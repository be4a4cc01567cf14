//! The crate's functions by hand: `weights tensors FILE`, `weights quantize TYPE IN OUT`, `weights merge YAML ROOT OUT
//! [TYPE]`, `weights bench [NAME]`, `weights gpu [CHUNK SLOTS]`.

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use kernels::job::{self, Means};
use kernels::merge::{Masks, Plan, Recipe};
use kernels::weights::llama::Llama;
use kernels::{Cpu, Limits, Metadata, Threads, Types, Weights};

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let threads = std::env::var("THREADS").ok().and_then(|n| n.parse().ok()).unwrap_or(NonZeroUsize::MIN);
    let (cpu, pool) = (Cpu::default(), Threads(threads));
    let means = Means { backend: &cpu, pool: &pool, watch: &() };
    match words[..] {
        ["tensors", file] => {
            for info in Weights::open(Path::new(file), &Limits::default())?.infos() {
                println!("{:<48} {:<8} {:?}", info.name, info.format, info.shape);
            }
        }
        ["quantize", types, from, to] => {
            let weights = Weights::open(Path::new(from), &Limits::default())?;
            let types: Types = types.parse()?;
            let types = types.for_model(weights.infos().iter().map(|info| info.name.as_str()));
            let from = Path::new(from);
            let other = to.ends_with(".gguf") && matches!(weights.metadata(), Metadata::Safetensors(_));
            let report = if other {
                let llama = Llama::read(if from.is_dir() { from } else { from.parent().context("a folder")? })?;
                job::convert_llama(&weights, &llama, &types, Path::new(to), means)?
            } else {
                job::convert(&weights, &types, Path::new(to), weights.metadata(), means)?
            };
            println!("{}", serde_json::to_string(&report)?);
        }
        ["merge", yaml, root, to] => merge(yaml, root, to, None, means)?,
        ["merge", yaml, root, to, types] => merge(yaml, root, to, Some(types.parse()?), means)?,
        ["gpu"] => gpu(&pool, None)?,
        ["gpu", chunk, slots] => gpu(&pool, Some((chunk.parse()?, slots.parse()?)))?,
        ["bench"] => bench(&pool, "")?,
        ["bench", only] => bench(&pool, only)?,
        _ => bail!("see the first lines of this file"),
    }
    Ok(())
}

/// Time this thread spent computing: what others do on the machine does not count.
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn show(title: &str, figures: &[kernels::bench::Figure]) {
    println!("{title:<24} {:>9} {:>9} {:>7}", "GB/s", "in GB/s", "ratio");
    for figure in figures {
        println!("{:<24} {:>9.2} {:>9.2} {:>7.3}", figure.name, figure.rate(), figure.input_rate(), figure.ratio);
    }
}

#[cfg(feature = "gpu")]
fn gpu(pool: &Threads, ring: Option<(usize, usize)>) -> Result<()> {
    let ring = ring.map(|(chunk, slots)| kernels::Ring { chunk, slots });
    let start = Instant::now();
    let wall = || start.elapsed();
    let gpu = kernels::Gpu::open_with(ring)?;
    println!("{}, opened in {:?}", kernels::Backend::name(&gpu), start.elapsed());
    let count = std::env::var("COUNT").ok().and_then(|n| n.parse().ok()).unwrap_or(1 << 24);
    show("host to host", &kernels::bench::host_to_host(&gpu, pool, count, &wall)?);
    if ring.is_none() {
        show("to and fro", &gpu.link(&wall)?);
        show("the CPU, as many threads", &kernels::bench::host_to_host(&Cpu::default(), pool, count, &wall)?);
        show("resident", &gpu.resident(&wall)?);
        let mixed = kernels::Mixed::measure(pool, &wall);
        println!("auto: {}", mixed.map_or_else(|| "cpu".to_owned(), |mixed| mixed.memo()));
    }
    Ok(())
}

#[cfg(not(feature = "gpu"))]
fn gpu(_: &Threads, _: Option<(usize, usize)>) -> Result<()> {
    bail!("built without the feature `gpu`")
}

fn bench(pool: &Threads, only: &str) -> Result<()> {
    let count = std::env::var("COUNT").ok().and_then(|n| n.parse().ok()).unwrap_or(1 << 24);
    show("one core", &kernels::bench::core(&thread_time, &|name| name.contains(only), count)?);
    if !only.is_empty() {
        return Ok(());
    }
    let start = Instant::now();
    for (name, ratio) in kernels::bench::threads(&|| start.elapsed(), pool, count / 4)? {
        println!("{name:<24} {ratio:.2} times one thread, with {}", pool.0);
    }
    Ok(())
}

/// Masks that another tool drew, by `model/tensor`, where a model is the part of its folder's name before `_`.
struct Drawn(Weights);

impl Masks for Drawn {
    fn mask(&self, model: &str, tensor: &str) -> Option<&[u8]> {
        let short = model.rsplit('/').next()?.split('_').next()?;
        self.0.tensor(&format!("{short}/{tensor}")).ok().map(|view| view.bytes)
    }
}

fn merge(yaml: &str, root: &str, to: &str, types: Option<Types>, means: Means<'_>) -> Result<()> {
    let mut recipe = Recipe::parse(&std::fs::read_to_string(yaml).context("the recipe")?)?;
    recipe.fused = std::env::var_os("EXACT").is_some();
    let models = recipe.models();
    let models: Vec<Weights> = models
        .iter()
        .map(|name| Weights::open(&Path::new(root).join(name), &Limits::default()))
        .collect::<Result<_, _>>()?;
    let masks = std::env::var("MASKS").ok();
    let masks = masks.map(|path| Weights::open(Path::new(&path), &Limits::default()).map(Drawn)).transpose()?;
    let mut plan = Plan::new(&recipe, models.iter().collect())?;
    plan.masks = masks.as_ref().map(|masks| masks as &dyn Masks);
    let report = job::merge(&plan, types.as_ref(), Path::new(to), means)?;
    println!("{} tensors, {} bytes", report.tensors.len(), report.after);
    Ok(())
}
