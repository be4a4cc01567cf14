//! JSON Schema 2020-12, as far as skills use it: whether a schema is sound, and what in a value does not fit it.
//!
//! Left out, and said to be: regular expressions, `unevaluated…`, dynamic references, schemas elsewhere. `format` is an
//! annotation, as the standard has it.

use serde_json::{Map, Value};
use std::cell::Cell;
use std::collections::BTreeSet;

mod keyword;

/// A schema that is sound.
#[derive(Debug, Clone)]
pub struct Schema {
    root: Value,
    /// Keywords that it uses and that are not looked at.
    pub unchecked: BTreeSet<&'static str>,
}

/// What in a value does not fit: where, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// A path such as `stops[3].demand`; empty for the whole.
    pub path: String,
    /// What is wrong there.
    pub reason: String,
}

impl std::fmt::Display for Misfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.reason),
            path => write!(f, "`{path}` {}", self.reason),
        }
    }
}

/// A schema that refers to itself without end, or a value nested deeper than anybody means.
const DEEPEST: usize = 128;

/// Schemas with many ways to fit, one in the other, would take for ever: so many looks, and no more.
const STEPS: u32 = 1 << 20;

impl Schema {
    /// Reads a schema; an error says what is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Schema, String> {
        Schema::new(serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?)
    }

    /// A schema that has been read already.
    pub fn new(root: Value) -> Result<Schema, String> {
        let mut unchecked = BTreeSet::new();
        keyword::sound(&root, &root, "", &mut unchecked)?;
        Ok(Schema { root, unchecked })
    }

    /// All in a value that does not fit; empty if it fits.
    pub fn misfits(&self, value: &Value) -> Vec<Misfit> {
        let mut misfits = Vec::new();
        Look { root: &self.root, depth: 0, left: &Cell::new(STEPS) }.look(&self.root, value, "", &mut misfits);
        misfits
    }

    /// Whether a value fits a schema that is a part of this one.
    pub fn admits(&self, part: &Value, value: &Value) -> bool {
        Look { root: &self.root, depth: 0, left: &Cell::new(STEPS) }.fits(part, value)
    }

    /// What a reference within this schema points to.
    pub fn target(&self, reference: &str) -> Option<&Value> {
        target(&self.root, reference)
    }

    /// The whole of it.
    pub fn root(&self) -> &Value {
        &self.root
    }
}

/// The path to a member.
pub fn member(path: &str, name: &str) -> String {
    let plain =
        !name.is_empty() && name.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '$'));
    match (path, plain) {
        ("", true) => name.into(),
        (path, true) => format!("{path}.{name}"),
        (path, false) => format!("{path}[{}]", Value::from(name)),
    }
}

/// The path to an element.
pub fn element(path: &str, at: usize) -> String {
    format!("{path}[{at}]")
}

/// What a reference within a schema points to.
fn target<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    root.pointer(reference.strip_prefix('#')?)
}

/// A value on one line, cut where it gets long.
pub fn brief(value: &Value) -> String {
    const MOST: usize = 80;
    let text = value.to_string();
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[derive(Clone, Copy)]
struct Look<'a> {
    root: &'a Value,
    depth: usize,
    left: &'a Cell<u32>,
}

impl Look<'_> {
    fn look(self, schema: &Value, value: &Value, path: &str, misfits: &mut Vec<Misfit>) {
        let mut say = |reason: String| misfits.push(Misfit { path: path.into(), reason });
        if self.depth > DEEPEST {
            return say("is nested too deeply".into());
        }
        if self.left.get() == 0 {
            return say("is more than can be looked at".into());
        }
        self.left.set(self.left.get() - 1);
        let rules = match schema {
            Value::Bool(false) => return say("must not be there".into()),
            Value::Object(rules) => rules,
            _ => return,
        };
        let deeper = Look { depth: self.depth + 1, ..self };
        if let Some(to) = rules.get("$ref").and_then(Value::as_str).and_then(|to| target(self.root, to)) {
            deeper.look(to, value, path, misfits);
        }
        let before = misfits.len();
        own(rules, value, path, misfits);
        if misfits.len() > before {
            // What is of the wrong type has no members that are worth a word.
            return;
        }
        deeper.combined(rules, value, path, misfits);
        match value {
            Value::Object(members) => deeper.members(rules, members, path, misfits),
            Value::Array(elements) => deeper.elements(rules, elements, path, misfits),
            _ => {}
        }
    }

    fn fits(self, schema: &Value, value: &Value) -> bool {
        let mut misfits = Vec::new();
        self.look(schema, value, "", &mut misfits);
        misfits.is_empty()
    }

    /// Schemas that are made of others.
    fn combined(self, rules: &Map<String, Value>, value: &Value, path: &str, misfits: &mut Vec<Misfit>) {
        let list = |name: &str| rules.get(name).and_then(Value::as_array);
        for schema in list("allOf").into_iter().flatten() {
            self.look(schema, value, path, misfits);
        }
        let mut say = |reason: String| misfits.push(Misfit { path: path.into(), reason });
        if let Some(any) = list("anyOf").filter(|any| !any.iter().any(|schema| self.fits(schema, value))) {
            say(format!("is {}, which fits none of: {}", brief(value), self.why_none(any, value)));
        }
        if let Some(all) = list("oneOf") {
            match all.iter().filter(|schema| self.fits(schema, value)).count() {
                1 => {}
                0 => say(format!("is {}, which fits none of: {}", brief(value), self.why_none(all, value))),
                many => say(format!("is {}, which fits {many} of what it may be, and must fit one", brief(value))),
            }
        }
        if rules.get("not").is_some_and(|schema| self.fits(schema, value)) {
            say(format!("is {}, which it must not be", brief(value)));
        }
        if let Some(condition) = rules.get("if") {
            let branch = if self.fits(condition, value) { "then" } else { "else" };
            if let Some(schema) = rules.get(branch) {
                self.look(schema, value, path, misfits);
            }
        }
    }

    /// What each of several schemas has against a value.
    fn why_none(self, schemas: &[Value], value: &Value) -> String {
        let why = schemas.iter().map(|schema| {
            let mut misfits = Vec::new();
            self.look(schema, value, "", &mut misfits);
            misfits.first().map(ToString::to_string).unwrap_or_default()
        });
        why.collect::<Vec<_>>().join("; or ")
    }

    fn members(self, rules: &Map<String, Value>, members: &Map<String, Value>, path: &str, misfits: &mut Vec<Misfit>) {
        let table = |name: &str| rules.get(name).and_then(Value::as_object);
        let known = table("properties");
        let names = || known.into_iter().flatten().map(|(name, _)| name.as_str());
        for (name, value) in members {
            let path = member(path, name);
            if let Some(schema) = rules.get("propertyNames") {
                self.look(schema, &Value::from(name.as_str()), &path, misfits);
            }
            match (known.and_then(|known| known.get(name)), rules.get("additionalProperties")) {
                (Some(schema), _) => self.look(schema, value, &path, misfits),
                // Which names those rules are for is not known here.
                (None, _) if rules.contains_key("patternProperties") => {}
                (None, Some(Value::Bool(false))) => {
                    let hint = crate::nearest(name, names()).map(|near| format!(", did you mean `{near}`?"));
                    misfits.push(Misfit { path, reason: format!("is not a known member{}", hint.unwrap_or_default()) });
                }
                (None, Some(schema)) => self.look(schema, value, &path, misfits),
                (None, None) => {}
            }
        }
        for (name, schema) in table("dependentSchemas").into_iter().flatten() {
            if members.contains_key(name) {
                self.look(schema, &Value::Object(members.clone()), path, misfits);
            }
        }
    }

    fn elements(self, rules: &Map<String, Value>, elements: &[Value], path: &str, misfits: &mut Vec<Misfit>) {
        let first = rules.get("prefixItems").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        for (at, value) in elements.iter().enumerate() {
            if let Some(schema) = first.get(at).or_else(|| rules.get("items")) {
                self.look(schema, value, &element(path, at), misfits);
            }
        }
        if let Some(schema) = rules.get("contains") {
            let count = elements.iter().filter(|value| self.fits(schema, value)).count() as u64;
            let least = rules.get("minContains").and_then(Value::as_u64).unwrap_or(1);
            let most = rules.get("maxContains").and_then(Value::as_u64).unwrap_or(u64::MAX);
            if count < least || count > most {
                let reason = format!("has {count} elements of the kind that it must contain");
                misfits.push(Misfit { path: path.into(), reason });
            }
        }
    }
}

/// The rules that look at one value by itself.
fn own(rules: &Map<String, Value>, value: &Value, path: &str, misfits: &mut Vec<Misfit>) {
    let mut say = |path: String, reason: String| misfits.push(Misfit { path, reason });
    let here = || path.to_string();
    if let Some(types) = rules.get("type") {
        let words: Vec<_> = match types {
            Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
            one => one.as_str().into_iter().collect(),
        };
        if !words.iter().any(|word| keyword::is(value, word)) {
            return say(here(), format!("is {}, and must be {}", brief(value), words.join(" or ")));
        }
    }
    if let Some(all) =
        rules.get("enum").and_then(Value::as_array).filter(|all| !all.iter().any(|one| equal(one, value)))
    {
        let all: Vec<_> = all.iter().map(brief).collect();
        say(here(), format!("is {}, and must be one of {}", brief(value), all.join(", ")));
    }
    if let Some(one) = rules.get("const").filter(|one| !equal(one, value)) {
        say(here(), format!("is {}, and must be {}", brief(value), brief(one)));
    }
    if let Some(object) = value.as_object() {
        let lacks = |name: &str| !object.contains_key(name);
        for name in rules.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            if lacks(name) {
                say(member(path, name), "is missing".into());
            }
        }
        for (name, needed) in rules.get("dependentRequired").and_then(Value::as_object).into_iter().flatten() {
            let needed = needed.as_array().into_iter().flatten().filter_map(Value::as_str);
            for other in needed.filter(|other| !lacks(name) && lacks(other)) {
                say(member(path, other), format!("is missing beside `{name}`"));
            }
        }
    }
    for (name, problem) in keyword::bounds(rules, value) {
        say(here(), format!("{problem} ({name})"));
    }
}

/// Equality as JSON Schema has it: 1 and 1.0 are one number.
pub fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| equal(a, b)))
        }
        (a, b) => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn misfits(schema: &Value, value: &Value) -> Vec<String> {
        let schema = Schema::parse(&schema.to_string()).expect("a sound schema");
        schema.misfits(value).iter().map(ToString::to_string).collect()
    }

    /// Each schema with values that fit and values that don't.
    #[test]
    fn every_rule_lets_in_what_fits_and_keeps_out_what_does_not() {
        for (schema, good, bad) in [
            (json!(true), json!([1, null, {}]), json!([])),
            (json!({"type": "integer"}), json!([1, 1.0, -3]), json!([1.5, "1", null])),
            (json!({"type": ["string", "null"]}), json!(["a", null]), json!([1, {}, []])),
            (json!({"enum": [1, "a"]}), json!([1, 1.0, "a"]), json!([2, "b"])),
            (json!({"const": {"a": [1]}}), json!([{"a": [1.0]}]), json!([{"a": [2]}, {}])),
            (json!({"multipleOf": 0.01}), json!([4.02, 3]), json!([4.025])),
            (json!({"minimum": 1, "exclusiveMaximum": 3}), json!([1, 2.9, "x"]), json!([0.9, 3])),
            (json!({"exclusiveMinimum": 1, "maximum": 3}), json!([1.1, 3]), json!([1, 3.1])),
            (json!({"minLength": 2, "maxLength": 3}), json!(["äö", "abc", 1]), json!(["ä", "abcd"])),
            (json!({"minItems": 1, "maxItems": 2}), json!([[1], [1, 2]]), json!([[], [1, 2, 3]])),
            (json!({"uniqueItems": true}), json!([[1, 2]]), json!([[1, 1.0], [{}, {}]])),
            (json!({"minProperties": 1, "maxProperties": 1}), json!([{"a": 1}]), json!([{}, {"a": 1, "b": 1}])),
            (json!({"contains": {"type": "null"}, "maxContains": 1}), json!([[null, 1]]), json!([[1], [null, null]])),
            (json!({"contains": {"type": "null"}, "minContains": 0}), json!([[1], []]), json!([])),
            (json!({"items": {"type": "string"}}), json!([["a"], [], 1]), json!([["a", 1]])),
            (json!({"prefixItems": [{"type": "string"}], "items": false}), json!([["a"], []]), json!([[1], ["a", 1]])),
            (json!({"required": ["a"]}), json!([{"a": null}, 1]), json!([{}])),
            (json!({"dependentRequired": {"a": ["b"]}}), json!([{"b": 1}, {"a": 1, "b": 1}]), json!([{"a": 1}])),
            (json!({"dependentSchemas": {"a": {"required": ["b"]}}}), json!([{}, {"a": 1, "b": 1}]), json!([{"a": 1}])),
            (json!({"properties": {"a": {"type": "null"}}}), json!([{"a": null, "b": 1}]), json!([{"a": 1}])),
            (json!({"properties": {"a": {}}, "additionalProperties": false}), json!([{"a": 1}]), json!([{"b": 1}])),
            (json!({"additionalProperties": {"type": "null"}}), json!([{"a": null}]), json!([{"a": 1}])),
            (json!({"propertyNames": {"maxLength": 1}}), json!([{"a": 1}]), json!([{"ab": 1}])),
            (json!({"allOf": [{"minimum": 1}, {"maximum": 2}]}), json!([1, 2]), json!([0, 3])),
            (json!({"anyOf": [{"type": "null"}, {"minimum": 1}]}), json!([null, 1]), json!([0])),
            (json!({"oneOf": [{"minimum": 1}, {"maximum": 2}]}), json!([0, 3]), json!([1])),
            (json!({"not": {"type": "null"}}), json!([1]), json!([null])),
            (
                json!({"if": {"type": "string"}, "then": {"minLength": 1}, "else": {"const": 1}}),
                json!(["a", 1]),
                json!(["", 2]),
            ),
            (json!({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "null"}}}), json!([null]), json!([1])),
            (
                json!({"properties": {"next": {"$ref": "#"}}, "additionalProperties": false}),
                json!([{"next": {}}]),
                json!([{"next": {"b": 1}}]),
            ),
        ] {
            for value in good.as_array().into_iter().flatten() {
                assert_eq!(misfits(&schema, value), Vec::<String>::new(), "{schema} {value}");
            }
            for value in bad.as_array().into_iter().flatten() {
                assert_ne!(misfits(&schema, value), Vec::<String>::new(), "{schema} {value}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_named_with_its_path() {
        let schema = json!({
            "type": "object", "required": ["stops"], "additionalProperties": false,
            "properties": {"stops": {"type": "array", "items": {"properties": {"demand": {"minimum": 0}}}}},
        });
        assert_eq!(
            misfits(&schema, &json!({"stops": [{}, {"demand": -1}]})),
            ["`stops[1].demand` is -1, and must be at least 0 (minimum)"]
        );
        assert_eq!(misfits(&schema, &json!({})), ["`stops` is missing"]);
        assert_eq!(
            misfits(&schema, &json!({"stops": [], "stosp": 1})),
            ["`stosp` is not a known member, did you mean `stops`?"]
        );
        assert_eq!(misfits(&schema, &json!([])), ["is [], and must be object"]);
    }

    #[test]
    fn a_schema_that_is_none_is_refused_with_its_place() {
        for (text, said) in [
            ("{", "it is not JSON"),
            ("[]", "is neither an object nor true or false"),
            (r#"{"type": "strin"}"#, "`type`: there is no type `strin`, did you mean `string`?"),
            (r#"{"properties": {"a": {"minimum": "1"}}}"#, "`properties.a.minimum`"),
            (r#"{"required": "a"}"#, "`required`"),
            (r#"{"anyOf": []}"#, "`anyOf`"),
            (r##"{"$ref": "#/$defs/gone"}"##, "`$ref`: there is no `#/$defs/gone`"),
            (r#"{"$ref": "https://example.com/a"}"#, "only within"),
        ] {
            let refusal = Schema::parse(text).expect_err("it is refused");
            assert!(refusal.contains(said), "{text}: {refusal}");
        }
    }

    #[test]
    fn what_is_not_looked_at_is_said() {
        let schema = Schema::parse(r#"{"properties": {"a": {"pattern": "^a"}}}"#).expect("a sound schema");
        assert_eq!(schema.unchecked.into_iter().collect::<Vec<_>>(), ["pattern"]);
    }

    #[test]
    fn a_schema_that_refers_to_itself_without_end_ends() {
        assert_eq!(misfits(&json!({"$ref": "#"}), &json!(1)).len(), 1);
    }

    #[test]
    fn a_schema_with_ever_more_ways_to_fit_ends() {
        let again = json!({"$ref": "#/$defs/a"});
        let schema = json!({"$defs": {"a": {"anyOf": [again, again]}}, "$ref": "#/$defs/a"});
        assert_eq!(misfits(&schema, &json!(1)).len(), 1);
    }
}
