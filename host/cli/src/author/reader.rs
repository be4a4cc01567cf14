//! Reading TOML so that whatever is wrong with it can be said with its line.

use crate::problem::Problem;
use base::nearest;
use serde_json::{Map, Value, json};
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value with its place.
pub(super) type At<'a> = Spanned<DeValue<'a>>;

/// Where something is wrong, as an offset in the text, and what.
pub(super) type Wrong = (usize, String);

/// Reads a text by `read`; what is wrong becomes a problem with file and line.
pub(super) fn read<T>(
    text: &str,
    path: &Path,
    read: impl FnOnce(&DeTable<'_>) -> Result<T, Wrong>,
) -> Result<T, Problem> {
    let document =
        DeTable::parse(text).map_err(|error| (error.span().map_or(0, |span| span.start), error.message().to_string()));
    document.and_then(|document| read(document.get_ref())).map_err(|(offset, said)| {
        let line = line(text, offset);
        let message = format!("{}:{line}: {said}", path.display());
        Problem::new("cases", message).details(json!({ "path": path.display().to_string(), "line": line }))
    })
}

/// The line of an offset, counted from one.
pub(super) fn line(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// What is wrong with a key that nobody knows.
pub(super) fn unknown(what: &str, name: &str, known: &[&'static str]) -> String {
    let hint = nearest(name, known.iter().copied()).map(|word| format!(", did you mean `{word}`?")).unwrap_or_default();
    format!("unknown {what} `{name}`{hint}; there are {}", known.join(", "))
}

pub(super) fn string(key: &str, value: &At<'_>) -> Result<String, Wrong> {
    match value.get_ref() {
        DeValue::String(text) => Ok(text.to_string()),
        other => Err((value.span().start, format!("`{key}` is {}, and must be text in quotes", kind(other)))),
    }
}

/// A text, or a list of them.
pub(super) fn strings(key: &str, value: &At<'_>) -> Result<Vec<String>, Wrong> {
    match value.get_ref() {
        DeValue::Array(all) => all.iter().map(|one| string(key, one)).collect(),
        _ => Ok(vec![string(key, value)?]),
    }
}

/// The tables in a list: of `[[key]]`, or of `key = [{…}]`.
pub(super) fn tables<'a, 'b>(key: &str, value: &'b At<'a>) -> Result<Vec<(usize, &'b DeTable<'a>)>, Wrong> {
    let must = |at: &At<'_>| {
        let kind = kind(at.get_ref());
        (at.span().start, format!("`{key}` is {kind}, and must be a list of tables: write [[{key}]]"))
    };
    let DeValue::Array(all) = value.get_ref() else { return Err(must(value)) };
    let table = |one: &'b At<'a>| match one.get_ref() {
        DeValue::Table(table) => Ok((one.span().start, table)),
        _ => Err(must(one)),
    };
    all.iter().map(table).collect()
}

/// A value as JSON.
pub(super) fn json(value: &At<'_>) -> Result<Value, Wrong> {
    let wrong = |said: &str| (value.span().start, said.to_string());
    Ok(match value.get_ref() {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Integer(number) => {
            let number = i64::from_str_radix(number.as_str(), number.radix());
            Value::from(number.map_err(|_| wrong("this number is too large"))?)
        }
        DeValue::Float(number) => {
            let number = number.as_str().parse::<f64>().ok().and_then(serde_json::Number::from_f64);
            Value::Number(number.ok_or_else(|| wrong("JSON has no such number"))?)
        }
        DeValue::Datetime(_) => return Err(wrong("JSON has no dates: write it in quotes")),
        DeValue::Array(all) => Value::Array(all.iter().map(json).collect::<Result<_, _>>()?),
        DeValue::Table(table) => {
            let mut members = Map::new();
            for (name, value) in table {
                members.insert(name.get_ref().to_string(), json(value)?);
            }
            Value::Object(members)
        }
    })
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
