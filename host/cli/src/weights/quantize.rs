//! `village quantize`: a model with other types.

use super::draft::{self, Draft};
use super::work::{self, Work};
use super::{Kind, for_model, open, suits, types, with_patterns};
use crate::arguments::Quantize;
use crate::problem::Problem;
use crate::{print, source};
use base::Size;
use kernels::weights::llama::Llama;
use kernels::{Metadata, Types, Weights, job};
use serde_json::Value;
use std::path::Path;
use std::process::ExitCode;

pub(crate) fn quantize(options: &Quantize, json: bool) -> Result<ExitCode, Problem> {
    let named = options.r#type.as_deref().map(types).transpose()?;
    let kind = kind(options)?;
    let named = named.map(|types| with_patterns(types, &options.types, Some(kind))).transpose()?;
    options.r#type.as_deref().map_or(Ok(()), |name| suits(name, kind))?;
    if named.is_none() && kind != Kind::Gguf {
        return Err(Problem::usage("a size chooses among GGUF's types: OUT must end in .gguf, or give --type"));
    }
    draft::vacant(&options.out, options.force)?;
    let weights = open(&options.input)?;
    let beside = if options.input.is_dir() { Some(options.input.as_path()) } else { options.input.parent() };
    let llama = match (Kind::of(&weights), kind) {
        (Kind::Safetensors, Kind::Gguf) => Some(Llama::read(beside.unwrap_or(Path::new(".")))?),
        _ => None,
    };
    let types = match named {
        Some(types) => for_model(types, &weights),
        None => choose(options, &weights, llama.as_ref())?,
    };

    let work = Work::new(&options.means, weights.infos().iter().map(kernels::Info::bytes).sum())?;
    let draft = Draft::begin(&options.out, json)?;
    let report = match &llama {
        Some(llama) => work.run(&draft, |means| job::convert_llama(&weights, llama, &types, draft.path(), means))?,
        None => {
            // GGUF says in its own words what safetensors leaves to the files beside it.
            let plain = Metadata::Safetensors(Vec::new());
            let said = if kind == Kind::of(&weights) { weights.metadata() } else { &plain };
            make(options, &draft, &work, (&weights, &types, said))?
        }
    };
    held(options, &report)?;
    draft.finish(options.force)?;
    if json {
        let mut object = work.object(&report);
        object.insert("in".into(), options.input.display().to_string().into());
        object.insert("out".into(), options.out.display().to_string().into());
        print::json(&Value::Object(object));
    } else {
        print::line(&format!("{}: {}", options.out.display(), work.summary(&report)));
    }
    Ok(ExitCode::SUCCESS)
}

/// What the result is: as its name says, or a folder of files of a size.
fn kind(options: &Quantize) -> Result<Kind, Problem> {
    let out = options.out.display();
    match (Kind::of_path(&options.out), options.shard_size) {
        (None, Some(_)) => Ok(Kind::Safetensors),
        (Some(_), Some(_)) => Err(Problem::usage(format!("--shard-size makes several files: {out} must be a folder"))),
        (kind, None) => kind
            .ok_or_else(|| Problem::usage(format!("{out} must end in .gguf or .safetensors, which says what it is"))),
    }
}

/// Converts into the draft: a file, or a folder with what lies beside the model too.
fn make(
    options: &Quantize,
    draft: &Draft,
    work: &Work,
    (weights, types, said): (&Weights, &Types, &Metadata),
) -> Result<job::Report, Problem> {
    let Some(most) = options.shard_size else {
        return work.run(draft, |means| job::convert(weights, types, draft.path(), said, means));
    };
    std::fs::create_dir(draft.path()).map_err(|error| Problem::file(draft.path(), source::reason(&error)))?;
    let file = draft.path().join("model.safetensors");
    let into = (file.as_path(), most.get());
    let report = work.run(draft, |means| job::convert_sharded(weights, types, into, said, means))?;
    if let (Kind::Safetensors, Some(beside)) = (Kind::of(weights), weights.path().parent()) {
        let copied = kernels::companions::copy(beside, draft.path(), None, work::main_format(&report));
        copied.map_err(|error| draft.problem(error))?;
    }
    Ok(report)
}

/// The best types with which a model has the size that is wanted.
fn choose(options: &Quantize, weights: &Weights, llama: Option<&Llama>) -> Result<Types, Problem> {
    let Some(wanted) = options.target_size.or(options.fits) else {
        return Err(Problem::usage("--type, --target-size or --fits says what the weights become"));
    };
    let rest = singles(weights, llama) + options.target_size.map_or(0, |_| around(weights, llama));
    Types::within(weights, wanted.get().saturating_sub(rest)).map_err(|error| match error {
        kernels::Error::Recipe(kernels::Misfit::Size { smallest, .. }) => {
            let least = Size::bytes(smallest + rest);
            Problem::new("size", format!("no types reach {wanted}; with the smallest it is about {least}"))
        }
        other => other.into(),
    })
}

/// What is not a matrix becomes singles in a file made of safetensors.
fn singles(weights: &Weights, llama: Option<&Llama>) -> u64 {
    let small = weights.infos().iter().filter(|info| info.shape.len() < 2);
    llama.map_or(0, |_| small.map(|info| (info.count() * 4).saturating_sub(info.bytes())).sum())
}

/// Bytes of a file beside its tensors, at most: each tensor's line in the table and its alignment; what else the
/// file says is as long as it was, or the tokenizer's file is longer.
fn around(weights: &Weights, llama: Option<&Llama>) -> u64 {
    let tensors: u64 = weights.infos().iter().map(kernels::Info::bytes).sum();
    let tokenizer =
        || std::fs::metadata(weights.path().with_file_name("tokenizer.json")).map_or(0, |about| about.len());
    let said = weights.file_bytes().saturating_sub(tensors);
    2048 + weights.infos().len() as u64 * 160 + said + llama.map_or(0, |_| tokenizer())
}

/// Refuses a result that became larger than was wanted.
fn held(options: &Quantize, report: &job::Report) -> Result<(), Problem> {
    let over =
        |made: u64, wanted: Option<Size>| wanted.filter(|wanted| made > wanted.get()).map(|wanted| (made, wanted));
    match over(report.file, options.target_size).or_else(|| over(report.after, options.fits)) {
        Some((made, wanted)) => {
            let made = Size::bytes(made);
            Err(Problem::new(
                "size",
                format!("with the best types that seemed to fit it is {made}, more than {wanted}"),
            ))
        }
        None => Ok(()),
    }
}
