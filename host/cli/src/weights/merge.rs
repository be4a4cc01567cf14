//! `village merge`: a recipe and its models, made into one model.

use super::draft::{self, Draft};
use super::work::{self, Work};
use super::{Kind, for_model, hardest, open, suits, types, with_patterns};
use crate::arguments::{Merge, Wish};
use crate::problem::Problem;
use crate::{print, source};
use kernels::merge::{Plan, Recipe};
use kernels::weights::gguf::Value as Said;
use kernels::{Metadata, Types, Weights};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(crate) fn merge(options: &Merge, json: bool) -> Result<ExitCode, Problem> {
    if options.mergekit_exact && options.means.backend == Wish::Gpu {
        return Err(Problem::usage("--mergekit-exact is for the CPU, so not with --backend gpu"));
    }
    let named = options.quantize.as_deref().map(types).transpose()?;
    let named = named.map(|types| with_patterns(types, &options.types, Kind::of_path(&options.out))).transpose()?;
    if let (Some(name), Some(kind)) = (&options.quantize, Kind::of_path(&options.out)) {
        suits(name, kind)?;
    }
    draft::vacant(&options.out, options.force)?;
    let mut recipe = Recipe::parse(&text(&options.config)?)?;
    recipe.fused = options.mergekit_exact;
    recipe.seed = options.seed;
    let paths = recipe.models().into_iter().map(|name| place(name, &options.config));
    let models = paths.map(|path| open(&path?)).collect::<Result<Vec<_>, Problem>>()?;
    let plan = Plan::new(&recipe, models.iter().collect())?;
    let first = models.first().ok_or_else(|| Problem::new("recipe", "it names no model"))?;
    let folder = fits(&options.out, first, &plan)?;
    if options.shard_size.is_some() && !folder {
        return Err(Problem::usage(format!(
            "--shard-size makes several files: {} must be a folder",
            options.out.display()
        )));
    }
    let shard = options.shard_size.map_or(u64::MAX, base::Size::get);
    let named = named.map(|types| for_model(types, first));

    let mut means = options.means;
    if options.mergekit_exact {
        means.backend = Wish::Cpu;
    }
    let bytes = models.iter().flat_map(Weights::infos).map(kernels::Info::bytes).sum();
    let work = Work::new(&means, bytes, hardest(named.as_ref(), first))?;
    let draft = Draft::begin(&options.out, json)?;
    let report = make(&draft, &work, &plan, named.as_ref(), folder.then_some(shard))?;
    draft.finish(options.force)?;
    if json {
        let mut object = work.object(&report);
        object.insert("out".into(), options.out.display().to_string().into());
        object.insert("method".into(), recipe.method.name().into());
        object.insert("models".into(), json!(recipe.models()));
        print::json(&Value::Object(object));
    } else {
        print::line(&format!("{}: {}", options.out.display(), work.summary(&report)));
    }
    Ok(ExitCode::SUCCESS)
}

/// Merges into the draft: a file, or a folder with what lies beside a model too, and in it files of such a size.
fn make(
    draft: &Draft,
    work: &Work,
    plan: &Plan<'_>,
    types: Option<&Types>,
    folder: Option<u64>,
) -> Result<kernels::job::Report, Problem> {
    let Some(shard) = folder else {
        return work.run(draft, |means| kernels::job::merge(plan, types, draft.path(), means));
    };
    std::fs::create_dir(draft.path()).map_err(|error| Problem::file(draft.path(), source::reason(&error)))?;
    let file = draft.path().join("model.safetensors");
    let report = work.run(draft, |means| kernels::job::merge_sharded(plan, types, &file, shard, means))?;
    if let Some(beside) = plan.models.first().and_then(|model| model.path().parent()) {
        let copied = kernels::companions::copy(beside, draft.path(), plan.layers, work::main_format(&report));
        copied.map_err(|error| draft.problem(error))?;
    }
    Ok(report)
}

/// Whether the result is a folder; refuses a name that promises another kind of file than the models are.
fn fits(out: &Path, first: &Weights, plan: &Plan<'_>) -> Result<bool, Problem> {
    if let Metadata::Gguf(said) = first.metadata() {
        let told = said.iter().find(|(key, _)| key.ends_with(".block_count")).map(|(_, value)| value);
        if plan.layers.is_some_and(|layers| told != Some(&Said::U32(layers))) {
            let message = "slices that change the number of layers are for safetensors; these models are GGUF";
            return Err(Problem::new("recipe", message));
        }
    }
    match (Kind::of(first), Kind::of_path(out)) {
        (Kind::Gguf, Some(Kind::Gguf)) | (Kind::Safetensors, Some(Kind::Safetensors)) => Ok(false),
        (Kind::Safetensors, None) => Ok(true),
        (Kind::Gguf, _) => Err(Problem::usage(format!(
            "the models are GGUF, and so is what is made of them: {} must end in .gguf",
            out.display()
        ))),
        (Kind::Safetensors, Some(Kind::Gguf)) => Err(Problem::usage(format!(
            "the models are safetensors, and so is what is made of them: merge into a folder or a .safetensors, \
             and `village quantize` makes {} of that",
            out.display()
        ))),
    }
}

/// A model's place: from the current folder, as mergekit has it, or from the recipe's.
fn place(name: &str, config: &Path) -> Result<PathBuf, Problem> {
    let beside = config.with_file_name("").join(name);
    let found = [PathBuf::from(name), beside].into_iter().find(|path| path.exists());
    found.ok_or_else(|| {
        let reason = "there is no such file or folder, neither here nor beside the recipe; models are not downloaded";
        Problem::new("file", format!("model {name}: {reason}"))
    })
}

fn text(config: &Path) -> Result<String, Problem> {
    String::from_utf8(source::read_file(config)?).map_err(|_| Problem::file(config, "it is not text"))
}
