//! The keywords of a schema: what each must look like, and those that bound one value.

use super::{Value, brief, element, equal, member, target};
use serde_json::Map;
use std::collections::BTreeSet;

const TYPES: [&str; 7] = ["null", "boolean", "object", "array", "number", "integer", "string"];

/// What a keyword's value must be.
enum Form {
    Schema,
    Schemas,
    Table,
    Number,
    Count,
    Flag,
    Names,
    NamesOf,
    List,
    Types,
    Reference,
    Unchecked,
}

/// Every keyword that is looked at, and those that should be.
const KEYWORDS: [(&str, Form); 44] = [
    ("type", Form::Types),
    ("enum", Form::List),
    ("$ref", Form::Reference),
    ("$defs", Form::Table),
    ("definitions", Form::Table),
    ("properties", Form::Table),
    ("dependentSchemas", Form::Table),
    ("additionalProperties", Form::Schema),
    ("propertyNames", Form::Schema),
    ("items", Form::Schema),
    ("contains", Form::Schema),
    ("not", Form::Schema),
    ("if", Form::Schema),
    ("then", Form::Schema),
    ("else", Form::Schema),
    ("prefixItems", Form::Schemas),
    ("allOf", Form::Schemas),
    ("anyOf", Form::Schemas),
    ("oneOf", Form::Schemas),
    ("required", Form::Names),
    ("dependentRequired", Form::NamesOf),
    ("multipleOf", Form::Number),
    ("minimum", Form::Number),
    ("maximum", Form::Number),
    ("exclusiveMinimum", Form::Number),
    ("exclusiveMaximum", Form::Number),
    ("minLength", Form::Count),
    ("maxLength", Form::Count),
    ("minItems", Form::Count),
    ("maxItems", Form::Count),
    ("minContains", Form::Count),
    ("maxContains", Form::Count),
    ("minProperties", Form::Count),
    ("maxProperties", Form::Count),
    ("uniqueItems", Form::Flag),
    ("pattern", Form::Unchecked),
    ("patternProperties", Form::Unchecked),
    ("unevaluatedItems", Form::Unchecked),
    ("unevaluatedProperties", Form::Unchecked),
    ("dependencies", Form::Unchecked),
    ("additionalItems", Form::Unchecked),
    ("$dynamicRef", Form::Unchecked),
    ("$recursiveRef", Form::Unchecked),
    ("$anchor", Form::Unchecked),
];

/// Whether a schema, and each within it, is one.
pub(super) fn sound(
    root: &Value,
    schema: &Value,
    path: &str,
    unchecked: &mut BTreeSet<&'static str>,
) -> Result<(), String> {
    let rules = match schema {
        Value::Bool(_) => return Ok(()),
        Value::Object(rules) => rules,
        other => {
            let place = if path.is_empty() { "it".into() } else { format!("`{path}`") };
            return Err(format!("{place} is neither an object nor true or false, but {}", brief(other)));
        }
    };
    for (name, form) in &KEYWORDS {
        let Some(value) = rules.get(*name) else { continue };
        let path = member(path, name);
        let must = |what: &str| Err(format!("`{path}` is {}, and must be {what}", brief(value)));
        match (form, value) {
            (Form::Schema, value) => sound(root, value, &path, unchecked)?,
            (Form::Schemas, Value::Array(all)) if !all.is_empty() => {
                for (at, one) in all.iter().enumerate() {
                    sound(root, one, &element(&path, at), unchecked)?;
                }
            }
            (Form::Table, Value::Object(all)) => {
                for (name, one) in all {
                    sound(root, one, &member(&path, name), unchecked)?;
                }
            }
            (Form::Reference, Value::String(to)) => {
                refer(root, to).map_err(|problem| format!("`{path}`: {problem}"))?
            }
            (Form::Types, value) => types(value).map_err(|problem| format!("`{path}`: {problem}"))?,
            (Form::NamesOf, Value::Object(all)) if all.values().all(is_names) => {}
            (Form::Number, Value::Number(_)) | (Form::Flag, Value::Bool(_)) | (Form::List, Value::Array(_)) => {}
            (Form::Count, value) if value.as_u64().is_some() => {}
            (Form::Names, value) if is_names(value) => {}
            (Form::Unchecked, _) => _ = unchecked.insert(name),
            (Form::Schemas, _) => return must("a list of schemas, with one at least"),
            (Form::Table | Form::NamesOf, _) => return must("an object"),
            (Form::Reference, _) => return must("text"),
            (Form::Number, _) => return must("a number"),
            (Form::Count, _) => return must("a whole number"),
            (Form::Flag, _) => return must("true or false"),
            (Form::Names, _) => return must("a list of names"),
            (Form::List, _) => return must("a list"),
        }
    }
    Ok(())
}

fn is_names(value: &Value) -> bool {
    value.as_array().is_some_and(|all| all.iter().all(Value::is_string))
}

fn refer(root: &Value, to: &str) -> Result<(), String> {
    match (to.starts_with('#'), target(root, to)) {
        (true, Some(_)) => Ok(()),
        (true, None) => Err(format!("there is no `{to}` in the schema")),
        (false, _) => Err(format!("`{to}` is elsewhere; a schema may refer only within itself, as with #/$defs/NAME")),
    }
}

fn types(value: &Value) -> Result<(), String> {
    let words = match value {
        Value::Array(words) => words.as_slice(),
        one => std::slice::from_ref(one),
    };
    for word in words {
        let Some(word) = word.as_str() else { return Err(format!("{} is no type's name", brief(word))) };
        if !TYPES.contains(&word) {
            let hint = crate::nearest(word, TYPES).map(|near| format!(", did you mean `{near}`?")).unwrap_or_default();
            return Err(format!("there is no type `{word}`{hint}; there are {}", TYPES.join(", ")));
        }
    }
    Ok(())
}

/// Whether a value is of a type.
pub(super) fn is(value: &Value, word: &str) -> bool {
    match word {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "string" => value.is_string(),
        _ => false,
    }
}

/// What one value has against the rules that bound it: the rule's name, and the reason.
pub(super) fn bounds(rules: &Map<String, Value>, value: &Value) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let number = |name: &str| rules.get(name).and_then(Value::as_f64);
    if let Some(it) = value.as_f64() {
        let mut say = |name, holds: fn(f64, f64) -> bool, what: &str| {
            if let Some(bound) = number(name).filter(|bound| !holds(it, *bound)) {
                found.push((name, format!("is {}, and must be {what} {bound}", brief(value))));
            }
        };
        say("minimum", |it, bound| it >= bound, "at least");
        say("maximum", |it, bound| it <= bound, "at most");
        say("exclusiveMinimum", |it, bound| it > bound, "above");
        say("exclusiveMaximum", |it, bound| it < bound, "below");
        say("multipleOf", is_multiple, "a multiple of");
    }
    let count = match value {
        Value::String(text) => Some((text.chars().count(), "letters", "minLength", "maxLength")),
        Value::Array(all) => Some((all.len(), "elements", "minItems", "maxItems")),
        Value::Object(all) => Some((all.len(), "members", "minProperties", "maxProperties")),
        _ => None,
    };
    if let Some((count, what, least, most)) = count {
        let bound = |name: &str| rules.get(name).and_then(Value::as_u64);
        if let Some(bound) = bound(least).filter(|bound| (count as u64) < *bound) {
            found.push((least, format!("has {count} {what}, and must have at least {bound}")));
        }
        if let Some(bound) = bound(most).filter(|bound| count as u64 > *bound) {
            found.push((most, format!("has {count} {what}, and must have at most {bound}")));
        }
    }
    if let (Some(Value::Bool(true)), Value::Array(all)) = (rules.get("uniqueItems"), value) {
        let twice = all.iter().enumerate().find(|(at, one)| all[..*at].iter().any(|other| equal(other, one)));
        if let Some((_, twice)) = twice {
            found.push(("uniqueItems", format!("has {} twice", brief(twice))));
        }
    }
    found
}

/// Whether a number is a whole multiple, as closely as floating-point numbers can say.
fn is_multiple(it: f64, of: f64) -> bool {
    let times = it / of;
    (times - times.round()).abs() <= 1e-9 * times.abs().max(1.0)
}
