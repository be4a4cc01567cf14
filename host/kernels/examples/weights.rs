//! The crate's functions by hand: `weights tensors FILE`, `weights quantize TYPE IN OUT`, `weights merge YAML ROOT OUT
//! [TYPE]`, `weights bench`.

use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::{Context, Result, bail};
use kernels::job::{self, Means};
use kernels::merge::{Plan, Recipe};
use kernels::{Cpu, Limits, Threads, Types, Weights};

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
            let report = job::convert(&weights, &types, Path::new(to), weights.metadata(), means)?;
            println!("{}", serde_json::to_string(&report)?);
        }
        ["merge", yaml, root, to] => merge(yaml, root, to, None, means)?,
        ["merge", yaml, root, to, types] => merge(yaml, root, to, Some(types.parse()?), means)?,
        _ => bail!("see the first lines of this file"),
    }
    Ok(())
}

fn merge(yaml: &str, root: &str, to: &str, types: Option<Types>, means: Means<'_>) -> Result<()> {
    let mut recipe = Recipe::parse(&std::fs::read_to_string(yaml).context("the recipe")?)?;
    recipe.fused = std::env::var_os("EXACT").is_some();
    let models = recipe.models();
    let models: Vec<Weights> =
        models.iter().map(|name| Weights::open(&Path::new(root).join(name), &Limits::default())).collect::<Result<_, _>>()?;
    let plan = Plan::new(&recipe, models.iter().collect())?;
    let report = job::merge(&plan, types.as_ref(), Path::new(to), means)?;
    println!("{} tensors, {} bytes", report.tensors.len(), report.after);
    Ok(())
}
