//! Whether schemas leave no value that fits two of them.

use super::merge::REMARKS;
use super::rules::{DEEP, Rules};
use base::schema::Schema;
use serde_json::{Map, Value};

impl Rules<'_> {
    /// Whether no value fits two of these.
    pub(super) fn apart(&self, all: &[Value]) -> bool {
        all.iter().enumerate().all(|(at, one)| all[..at].iter().all(|other| self.differ(one, other, 0)))
    }

    fn differ(&self, one: &Value, other: &Value, deep: usize) -> bool {
        const LOOKS: usize = 6;
        let seen = |schema: &Value| match schema {
            Value::Object(rules) => self.flat(follow(self.schema, rules)).ok(),
            _ => None,
        };
        let (Some(one), Some(other)) = (seen(one), seen(other)) else { return false };
        if deep > LOOKS {
            return false;
        }
        if let (Some(a), Some(b)) = (kinds(&one), kinds(&other))
            && !a.iter().any(|kind| b.contains(kind))
        {
            return true;
        }
        if let (Some(a), Some(b)) = (values(&one), values(&other)) {
            return !a.iter().any(|value| b.iter().any(|other| base::schema::equal(value, other)));
        }
        // A member that both must have, and that differs.
        let object = |rules: &Map<String, Value>| kinds(rules).is_some_and(|kinds| kinds == ["object"]);
        let member = |rules: &Map<String, Value>, name: &str| rules.get("properties")?.get(name).cloned();
        let needs = |rules: &Map<String, Value>, name: &Value| {
            rules.get("required").and_then(Value::as_array).is_some_and(|all| all.contains(name))
        };
        let names = one.get("required").and_then(Value::as_array).into_iter().flatten();
        let mut shared = names.filter(|name| needs(&other, name)).filter_map(Value::as_str);
        object(&one)
            && object(&other)
            && shared.any(|name| match (member(&one, name), member(&other, name)) {
                (Some(a), Some(b)) => self.differ(&a, &b, deep + 1),
                _ => false,
            })
    }
}

/// What plain references lead to.
pub(super) fn follow(schema: &Schema, rules: &Map<String, Value>) -> Map<String, Value> {
    let mut rules = rules.clone();
    for _ in 0..DEEP {
        let to = rules.get("$ref").and_then(Value::as_str).filter(|_| !speaks(&rules, "$ref"));
        match to.and_then(|to| schema.target(to)).and_then(Value::as_object) {
            Some(next) => rules = next.clone(),
            None => break,
        }
    }
    rules
}

/// Whether a schema says anything beside this.
pub(super) fn speaks(rules: &Map<String, Value>, but: &str) -> bool {
    rules.keys().any(|key| key != but && !REMARKS.contains(&key.as_str()))
}

/// The values that rules list.
fn values(rules: &Map<String, Value>) -> Option<Vec<Value>> {
    match (rules.get("enum"), rules.get("const")) {
        (Some(Value::Array(all)), _) => Some(all.clone()),
        (_, Some(one)) => Some(vec![one.clone()]),
        _ => None,
    }
}

/// The types that a value may have which fits; none if that is not said.
fn kinds(rules: &Map<String, Value>) -> Option<Vec<&str>> {
    let kind = |value: &Value| match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let named = |word: &str| match word {
        "integer" => "number",
        "null" => "null",
        "boolean" => "boolean",
        "number" => "number",
        "string" => "string",
        "array" => "array",
        _ => "object",
    };
    match (values(rules), rules.get("type")) {
        (Some(all), _) => Some(all.iter().map(kind).collect()),
        (None, Some(Value::String(word))) => Some(vec![named(word)]),
        (None, Some(Value::Array(words))) => Some(words.iter().filter_map(Value::as_str).map(named).collect()),
        _ => None,
    }
}
