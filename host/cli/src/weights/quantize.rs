//! `village quantize`: a model with other types.

use super::draft::{self, Draft};
use super::work::Work;
use super::{Kind, for_model, open, types};
use crate::arguments::Quantize;
use crate::print;
use crate::problem::Problem;
use base::Size;
use kernels::weights::llama::Llama;
use kernels::{Metadata, Types, Weights, job};
use serde_json::Value;
use std::path::Path;
use std::process::ExitCode;

pub(crate) fn quantize(options: &Quantize, json: bool) -> Result<ExitCode, Problem> {
    let named = options.r#type.as_deref().map(types).transpose()?;
    let kind = Kind::of_path(&options.out).ok_or_else(|| {
        Problem::usage(format!("{} must end in .gguf or .safetensors, which says what it is", options.out.display()))
    })?;
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
        None => Types::within(&weights, room(options, &weights, llama.as_ref()))?,
    };

    let work = Work::new(&options.means, weights.infos().iter().map(kernels::Info::bytes).sum())?;
    let draft = Draft::begin(&options.out, json)?;
    let report = work.run(&draft, |means| match (&llama, kind) {
        (Some(llama), _) => job::convert_llama(&weights, llama, &types, draft.path(), means),
        (None, kind) if kind == Kind::of(&weights) => {
            job::convert(&weights, &types, draft.path(), weights.metadata(), means)
        }
        // GGUF says in its own words what safetensors leaves to the files beside it.
        (None, _) => job::convert(&weights, &types, draft.path(), &Metadata::Safetensors(Vec::new()), means),
    })?;
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

/// The bytes that tensors may have, for the size that is wanted.
fn room(options: &Quantize, weights: &Weights, llama: Option<&Llama>) -> u64 {
    let infos = weights.infos();
    let tensors: u64 = infos.iter().map(kernels::Info::bytes).sum();
    // What is not a matrix becomes singles in a file made of safetensors.
    let singles: u64 = match llama {
        Some(_) => infos.iter().filter(|info| info.shape.len() < 2).map(|info| info.count() * 4).sum(),
        None => 0,
    };
    // Each tensor's line in the table and its alignment; what else the file says is as long as it was, or the
    // tokenizer's file is longer.
    let table = 4096 + infos.len() as u64 * 160 + weights.file_bytes().saturating_sub(tensors);
    let folder = weights.path().with_file_name("");
    let tokenizer = std::fs::metadata(folder.join("tokenizer.json")).map_or(0, |about| about.len());
    match (options.target_size, options.fits) {
        (Some(size), _) => size.get().saturating_sub(singles + table + llama.map_or(0, |_| tokenizer)),
        (None, Some(size)) => size.get().saturating_sub(singles),
        (None, None) => u64::MAX,
    }
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
