//! Several schemas that must all fit, made into one.

use super::Refusal;
use serde_json::{Map, Value, json};

/// Keywords that say nothing about what fits.
pub(super) const REMARKS: [&str; 18] = [
    "title",
    "description",
    "default",
    "example",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "format",
    "$schema",
    "$id",
    "$comment",
    "$defs",
    "definitions",
    "$anchor",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
];

/// One set of rules for two, of which both must fit.
pub(super) fn merge(mut one: Map<String, Value>, other: &Map<String, Value>) -> Result<Map<String, Value>, Refusal> {
    closed(&one, other)?;
    closed(other, &one)?;
    for (key, value) in other {
        let both = match one.get(key) {
            None => value.clone(),
            Some(mine) if mine == value || REMARKS.contains(&key.as_str()) => mine.clone(),
            Some(mine) => join(key, mine, value).ok_or_else(|| Refusal::Keyword(key.clone()))?,
        };
        one.insert(key.clone(), both);
    }
    Ok(one)
}

/// A schema that knows all its members does not let in those of the other.
fn closed(one: &Map<String, Value>, other: &Map<String, Value>) -> Result<(), Refusal> {
    let open = one.get("additionalProperties").is_none_or(|others| *others == Value::Bool(true));
    let knows = |name| one.get("properties").is_some_and(|members| members.get(name).is_some());
    let mut names = other.get("properties").and_then(Value::as_object).into_iter().flatten();
    match open || names.all(|(name, _)| knows(name)) {
        true => Ok(()),
        false => Err(Refusal::Keyword("additionalProperties".into())),
    }
}

fn join(key: &str, one: &Value, other: &Value) -> Option<Value> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
    Some(match key {
        "required" | "allOf" => {
            let mut all = list(one);
            all.extend(list(other).into_iter().filter(|new| !one.as_array().is_some_and(|old| old.contains(new))));
            Value::Array(all)
        }
        "type" => {
            let (a, b) = (list(one), list(other));
            let has = |all: &[Value], word: &str| all.iter().any(|one| one == word);
            let whole = |word: &Value| *word == "integer" && (has(&a, "number") || has(&b, "number"));
            let both = |word: &&Value| a.contains(word) && b.contains(word) || whole(word);
            let mut words: Vec<Value> = a.iter().chain(&b).filter(both).cloned().collect();
            words.dedup();
            Value::Array(words)
        }
        "enum" => {
            list(one).into_iter().filter(|value| other.as_array().is_some_and(|all| all.contains(value))).collect()
        }
        "properties" => {
            let (mut members, others) = (one.as_object()?.clone(), other.as_object()?);
            for (name, schema) in others {
                let both = match members.get(name) {
                    Some(mine) if mine != schema => json!({"allOf": [mine, schema]}),
                    _ => schema.clone(),
                };
                members.insert(name.clone(), both);
            }
            Value::Object(members)
        }
        "items" => json!({"allOf": [one, other]}),
        "minimum" | "exclusiveMinimum" | "minLength" | "minItems" | "minProperties" => larger(one, other)?,
        "maximum" | "exclusiveMaximum" | "maxLength" | "maxItems" | "maxProperties" => {
            larger(other, one).map(|large| if large == *one { other.clone() } else { one.clone() })?
        }
        _ => return None,
    })
}

fn larger(one: &Value, other: &Value) -> Option<Value> {
    Some(if one.as_f64()? >= other.as_f64()? { one.clone() } else { other.clone() })
}
