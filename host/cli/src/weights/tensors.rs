//! `village tensors`: what a file of weights holds.

use super::{Kind, open};
use crate::arguments::Tensors;
use crate::print;
use crate::problem::Problem;
use base::Size;
use kernels::weights::gguf;
use kernels::{Metadata, Weights};
use serde_json::{Map, Value, json};
use std::process::ExitCode;

pub(crate) fn tensors(options: &Tensors, json: bool) -> Result<ExitCode, Problem> {
    let weights = open(&options.file)?;
    if json {
        print::json(&object(options, &weights));
    } else {
        print::out(table(options, &weights).as_bytes());
    }
    Ok(ExitCode::SUCCESS)
}

fn object(options: &Tensors, weights: &Weights) -> Value {
    let tensors = weights.infos().iter().map(
        |info| json!({ "name": info.name, "shape": info.shape, "format": info.format.name(), "bytes": info.bytes() }),
    );
    json!({
        "file": options.file.display().to_string(),
        "kind": Kind::of(weights).word(),
        "bytes": weights.file_bytes(),
        "metadata": metadata(weights.metadata()),
        "tensors": tensors.collect::<Vec<_>>(),
    })
}

fn table(options: &Tensors, weights: &Weights) -> String {
    let infos = weights.infos();
    let mut rows = Vec::with_capacity(infos.len());
    for info in infos {
        let shape: Vec<_> = info.shape.iter().map(u64::to_string).collect();
        let bytes = Size::bytes(info.bytes()).to_string();
        rows.push(vec![format!("  {}", print::tame(&info.name)), info.format.to_string(), shape.join("×"), bytes]);
    }
    let said = metadata(weights.metadata());
    let said = said.iter().map(|(key, value)| vec![format!("  {}", print::tame(key)), short(value)]);
    format!(
        "{}: {}, {} tensors, {}\n{}{}",
        options.file.display(),
        Kind::of(weights).word(),
        infos.len(),
        Size::bytes(weights.file_bytes()),
        print::columns(&said.collect::<Vec<_>>()),
        print::columns(&rows)
    )
}

/// What fits a line; all of it is in the JSON.
fn short(value: &Value) -> String {
    const MOST: usize = 80;
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_string);
    let mut line: String = print::tame(&text).chars().take(MOST).collect();
    if text.chars().count() > MOST {
        line.push('…');
    }
    line
}

fn metadata(metadata: &Metadata) -> Map<String, Value> {
    match metadata {
        Metadata::Safetensors(pairs) => pairs.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect(),
        Metadata::Gguf(pairs) => pairs.iter().map(|(key, value)| (key.clone(), plain(value))).collect(),
    }
}

/// A value of GGUF as JSON. Of an array, how long it is: vocabularies have hundreds of thousands of words.
fn plain(value: &gguf::Value) -> Value {
    match value {
        gguf::Value::U8(number) => json!(number),
        gguf::Value::I8(number) => json!(number),
        gguf::Value::U16(number) => json!(number),
        gguf::Value::I16(number) => json!(number),
        gguf::Value::U32(number) => json!(number),
        gguf::Value::I32(number) => json!(number),
        gguf::Value::U64(number) => json!(number),
        gguf::Value::I64(number) => json!(number),
        gguf::Value::F32(number) => json!(number),
        gguf::Value::F64(number) => json!(number),
        gguf::Value::Bool(truth) => json!(truth),
        gguf::Value::Text(text) => json!(text),
        gguf::Value::Array(array) => json!({ "array": array.count() }),
    }
}
