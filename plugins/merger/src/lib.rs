//! Merges two models' files into one, tensor by tensor, within a budget.
//!
//! The arithmetic is the host's (`village::kernels`); what is left here is which tensors belong together, and the
//! file that they go to. A merge of the next tensor is under way while the last one is written.

mod file;

use std::path::Path;

use serde::{Deserialize, Serialize};
use village::kernels::{self, Tensor, Weights, Work};
use village::{Failure, Schema, agent, log};

/// Where the weights are, in this agent's eyes.
const FOLDER: &str = "/weights";

#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
struct Merge {
    /// The first model's file, in the folder of weights.
    one: String,
    /// The second model's file. It has the same tensors.
    two: String,
    /// What both were made from. Methods on differences need it.
    #[serde(default)]
    base: Option<String>,
    /// One of mergekit's methods: `linear`, `slerp`, `ties`…
    method: String,
    /// The method's parameters, as a JSON object; a list has one value for each of the two.
    #[serde(default)]
    parameters: serde_json::Map<String, serde_json::Value>,
    /// The file that is made, in the same folder.
    out: String,
}

#[derive(Serialize, Schema)]
struct Merged {
    out: String,
    tensors: u64,
    /// Of all tensors together.
    bytes: u64,
}

#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
struct Compare {
    /// The first model's file, in the folder of weights.
    one: String,
    /// The second model's file. It has the same tensors.
    two: String,
}

#[derive(Serialize, Schema)]
struct Compared {
    tensors: Vec<Likeness>,
}

#[derive(Serialize, Schema)]
struct Likeness {
    name: String,
    /// 1 if they point in the same direction.
    cosine: f64,
    /// The Euclidean distance, as a part of the first one's length.
    distance: f64,
}

#[derive(Default)]
struct Merger;

/// Merges two models' weights into one, and tells how alike they are.
#[agent(role = "engineer", tags = ["weights", "merge"])]
impl Merger {
    /// Merges two files of weights into a safetensors file, by one of mergekit's methods.
    #[skill(example = r#"{"one": "one.safetensors", "two": "two.safetensors", "method": "linear",
        "parameters": {"weight": [0.7, 0.3]}, "out": "merged.safetensors"}"#)]
    fn merge(&mut self, ask: Merge) -> Result<Merged, Failure> {
        let out = place("out", &ask.out)?;
        let (one, two) = (open("one", &ask.one)?, open("two", &ask.two)?);
        let base = ask.base.as_deref().map(|name| open("base", name)).transpose()?;
        let names = one.names();
        let mut plans = Vec::with_capacity(names.len());
        for name in &names {
            let tensor = one.tensor(name)?;
            plans.push(file::Plan::new(name, tensor.shape(), &tensor.format())?);
        }
        let mut output = file::Output::create(Path::new(&out), &plans)?;
        let mut under_way = None;
        for name in &names {
            let next = begin(&ask, name, &one, &two, base.as_ref())?;
            // The host computes this one while the one before is written.
            if let Some(work) = under_way.replace(next) {
                write(&mut output, work)?;
            }
        }
        if let Some(work) = under_way {
            write(&mut output, work)?;
        }
        let bytes = output.finish()?;
        log::info!("{} of {} and {}: {} tensors", ask.method, ask.one, ask.two, names.len());
        Ok(Merged { out: ask.out, tensors: names.len() as u64, bytes })
    }

    /// Tells how alike two files' tensors are.
    #[skill(example = r#"{"one": "one.safetensors", "two": "two.safetensors"}"#)]
    fn compare(&mut self, ask: Compare) -> Result<Compared, Failure> {
        let (one, two) = (open("one", &ask.one)?, open("two", &ask.two)?);
        let mut tensors = Vec::new();
        for name in one.names() {
            let (a, b) = (one.tensor(&name)?, same(&two, &name, "two")?);
            let length = kernels::norm(&a)?;
            let distance = kernels::distance(&a, &b)?;
            let distance = if length > 0.0 { distance / length } else { distance };
            tensors.push(Likeness { cosine: kernels::cosine(&a, &b)?, distance, name });
        }
        Ok(Compared { tensors })
    }
}

/// The path of a file in the folder of weights.
fn place(field: &str, name: &str) -> Result<String, Failure> {
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\']) {
        return Err(Failure::field(field, "is no plain file name"));
    }
    Ok(format!("{FOLDER}/{name}"))
}

fn open(field: &str, name: &str) -> Result<Weights, Failure> {
    Weights::open(&place(field, name)?).map_err(|error| match error {
        village::Error::NotFound(_) => Failure::field(field, format!("names no file: {name}")),
        other => other.into(),
    })
}

/// The tensor of that name in another file.
fn same(weights: &Weights, name: &str, field: &str) -> Result<Tensor, Failure> {
    weights.tensor(name).map_err(|error| match error {
        village::Error::NotFound(_) => Failure::field(field, format!("has no tensor `{name}`")),
        other => other.into(),
    })
}

fn begin(ask: &Merge, name: &str, one: &Weights, two: &Weights, base: Option<&Weights>) -> Result<Work, Failure> {
    let (a, b) = (one.tensor(name)?, same(two, name, "two")?);
    let base = base.map(|base| same(base, name, "base")).transpose()?;
    // Between two tensors and no base: the first one stands for it, as in a recipe of mergekit's.
    let (base, tensors) = match (&base, ask.method.as_str()) {
        (None, "slerp" | "nearswap") => (Some(&a), vec![&b]),
        (base, _) => (base.as_ref(), vec![&a, &b]),
    };
    kernels::merge(&ask.method, &tensors, base, &ask.parameters).map_err(|error| match error {
        // Method and parameters come from whoever asks.
        village::Error::Invalid(text) => Failure::invalid(text),
        other => other.into(),
    })
}

fn write(output: &mut file::Output, work: Work) -> Result<(), Failure> {
    let tensor = work.wait()?;
    let mut at = 0;
    loop {
        let piece = tensor.read(at, 1 << 20)?;
        if piece.is_empty() {
            return output.next(at);
        }
        at += piece.len() as u64;
        output.write(&piece)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_files() {
        assert_eq!(place("out", "a.safetensors").as_deref(), Ok("/weights/a.safetensors"));
        for name in ["", ".", "..", "../x", "/x", "a/b", ".hidden", "a\\b"] {
            assert!(place("out", name).is_err(), "{name}");
        }
    }
}
