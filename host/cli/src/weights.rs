//! `village merge`, `village quantize`, `village tensors`: models' weights, from files to a file.

pub(crate) mod choice;
mod draft;
mod merge;
mod quantize;
mod tensors;
mod work;

pub(crate) use merge::merge;
pub(crate) use quantize::quantize;
pub(crate) use tensors::tensors;

use crate::problem::Problem;
use kernels::{Limits, Metadata, Scheme, Types, Weights};
use std::path::Path;

/// A file of weights, by what it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Safetensors,
    Gguf,
}

impl Kind {
    /// What a path's ending says; none if it says nothing.
    fn of_path(path: &Path) -> Option<Kind> {
        match path.extension()?.to_str()? {
            "safetensors" => Some(Kind::Safetensors),
            "gguf" => Some(Kind::Gguf),
            _ => None,
        }
    }

    fn of(weights: &Weights) -> Kind {
        match weights.metadata() {
            Metadata::Safetensors(_) => Kind::Safetensors,
            Metadata::Gguf(_) => Kind::Gguf,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Kind::Safetensors => "safetensors",
            Kind::Gguf => "gguf",
        }
    }
}

fn open(path: &Path) -> Result<Weights, Problem> {
    Ok(Weights::open(path, &Limits::default())?)
}

/// The types that a name on the command line means.
fn types(name: &str) -> Result<Types, Problem> {
    let known = || crate::help::TYPES.iter().map(|(name, _)| *name);
    let lower = name.to_ascii_lowercase();
    match known().find(|known| *known == lower) {
        Some(known) => Ok(known.parse()?),
        None => {
            let near = base::nearest(&lower, known()).map(|near| format!(", did you mean `{near}`?"));
            let near = near.unwrap_or_default();
            let all = known().collect::<Vec<_>>().join(", ");
            Err(Problem::usage(format!("there is no type `{name}`{near}; there are {all}")))
        }
    }
}

/// Adds what `--types` says: PATTERN=TYPE.
fn with_patterns(mut types: Types, patterns: &[String], kind: Option<Kind>) -> Result<Types, Problem> {
    for text in patterns {
        let Some((pattern, name)) = text.rsplit_once('=').filter(|(pattern, _)| !pattern.is_empty()) else {
            return Err(Problem::usage(format!("--types `{text}` is not PATTERN=TYPE, such as '*.mlp.*=q8_0'")));
        };
        let scheme = name.parse::<Scheme>().map_err(|_| {
            let why = if self::types(name).is_ok() { "a mix, and not the type of one tensor" } else { "no type" };
            Problem::usage(format!("--types `{text}`: `{name}` is {why}"))
        })?;
        kind.map_or(Ok(()), |kind| suits(name, kind))?;
        types = types.with(pattern, scheme);
    }
    Ok(types)
}

/// Refuses a type that a kind of file has no word for.
fn suits(name: &str, kind: Kind) -> Result<(), Problem> {
    // A name that is no scheme is a mix, and mixes are of GGUF's types.
    match name.parse::<Scheme>() {
        Ok(scheme) if kind == Kind::Gguf && scheme.format.ggml().is_none() => {
            Err(Problem::usage(format!("GGUF has no type `{name}`: only a .safetensors can have it")))
        }
        _ => Ok(()),
    }
}

/// Types for a model: mixes look at its layers.
fn for_model(types: Types, weights: &Weights) -> Types {
    types.for_model(weights.infos().iter().map(|info| info.name.as_str()))
}

/// The hardest kind of work there is in making a model's tensors of such types.
fn hardest(types: Option<&Types>, weights: &Weights) -> kernels::Kind {
    let searched = |types: &Types| {
        let made = weights.infos().iter().map(|info| types.of(&info.name, &info.shape, info.format));
        made.map(kernels::Kind::of).any(|kind| kind == kernels::Kind::Search)
    };
    if types.is_some_and(searched) { kernels::Kind::Search } else { kernels::Kind::Stream }
}
