//! One schema's rules, made into parts of a grammar.

use super::Refusal;
use super::apart::{follow, speaks};
use super::compile::Maker;
use super::grammar::{Id, Member, Node};
use super::merge::merge;
use super::number::Range;
use super::order;
use base::schema::Schema;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// Schemas of schemas that are made into one.
pub(super) const DEEP: usize = 64;

/// One schema on its way into a grammar.
pub(super) struct Rules<'a> {
    maker: &'a mut Maker,
    pub(super) schema: &'a Schema,
    order: HashMap<String, usize>,
    known: HashMap<String, Id>,
    /// An optional space, a comma with one, and anything at all.
    space: Id,
    comma: Id,
    any: Option<Id>,
}

/// Keywords by what they are about.
const OF_ANY: [&str; 4] = ["not", "if", "$dynamicRef", "$recursiveRef"];
const OF_NUMBERS: [&str; 5] = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"];
const OF_STRINGS: [&str; 3] = ["minLength", "maxLength", "pattern"];
const OF_ARRAYS: [&str; 10] = [
    "items",
    "prefixItems",
    "minItems",
    "maxItems",
    "uniqueItems",
    "contains",
    "minContains",
    "maxContains",
    "unevaluatedItems",
    "additionalItems",
];
const OF_OBJECTS: [&str; 11] = [
    "properties",
    "required",
    "additionalProperties",
    "minProperties",
    "maxProperties",
    "patternProperties",
    "propertyNames",
    "dependentRequired",
    "dependentSchemas",
    "dependencies",
    "unevaluatedProperties",
];
/// Those that can't be kept to.
const NOT: [&str; 12] = [
    "pattern",
    "contains",
    "minContains",
    "maxContains",
    "unevaluatedItems",
    "additionalItems",
    "patternProperties",
    "propertyNames",
    "dependentRequired",
    "dependentSchemas",
    "dependencies",
    "unevaluatedProperties",
];

impl<'a> Rules<'a> {
    pub(super) fn new(maker: &'a mut Maker, schema: &'a Schema, text: &str) -> Result<Rules<'a>, Refusal> {
        let (none, one) = (maker.text(String::new())?, maker.text(" ".into())?);
        let space = maker.add(Node::Choice(vec![none, one]))?;
        let comma = maker.text(",".into())?;
        let comma = maker.add(Node::Row(vec![comma, space]))?;
        Ok(Rules { maker, schema, order: order::names(text), known: HashMap::new(), space, comma, any: None })
    }

    pub(super) fn value(&mut self, schema: &Value, deep: usize) -> Result<Id, Refusal> {
        match schema {
            Value::Object(rules) => {
                let rules = self.flat(rules.clone())?;
                self.rules(rules, deep + 1)
            }
            Value::Bool(true) => self.any(),
            _ => self.maker.add(Node::Choice(Vec::new())),
        }
    }

    /// Rules with those in them that must fit as well.
    pub(super) fn flat(&self, mut rules: Map<String, Value>) -> Result<Map<String, Value>, Refusal> {
        for _ in 0..DEEP {
            let reference = rules.get("$ref").and_then(Value::as_str).map(str::to_owned);
            if let Some(to) = reference.filter(|_| speaks(&rules, "$ref")) {
                rules.remove("$ref");
                match self.schema.target(&to) {
                    Some(Value::Object(more)) => rules = merge(rules, more)?,
                    Some(Value::Bool(true)) => {}
                    _ => return Err(Refusal::Nothing),
                }
                continue;
            }
            let Some(Value::Array(all)) = rules.remove("allOf") else { return Ok(rules) };
            let alone = all.len() == 1 && !speaks(&rules, "allOf");
            for one in &all {
                match one {
                    // What it refers to is known by its name, if it is all there is.
                    Value::Object(more) if alone => rules = merge(rules, more)?,
                    Value::Object(more) => rules = merge(rules, &follow(self.schema, more))?,
                    Value::Bool(true) => {}
                    _ => return Err(Refusal::Nothing),
                }
            }
        }
        // What is deeper than this is a circle.
        Err(Refusal::Endless)
    }

    fn rules(&mut self, mut rules: Map<String, Value>, deep: usize) -> Result<Id, Refusal> {
        if deep > DEEP {
            return Err(Refusal::Large);
        }
        if let Some(key) = OF_ANY.iter().find(|key| rules.contains_key(**key)) {
            return Err(Refusal::Keyword((*key).into()));
        }
        if let Some(Value::String(to)) = rules.get("$ref") {
            return self.reference(&to.clone(), deep);
        }
        if rules.contains_key("enum") || rules.contains_key("const") {
            return self.listed(&rules);
        }
        for key in ["anyOf", "oneOf"] {
            let Some(Value::Array(all)) = rules.remove(key) else { continue };
            if key == "oneOf" && !self.apart(&all) {
                return Err(Refusal::Keyword(key.into()));
            }
            let mut ways = Vec::new();
            for one in &all {
                let both = match one {
                    Value::Object(one) => merge(rules.clone(), one)?,
                    Value::Bool(true) => rules.clone(),
                    _ => continue,
                };
                ways.push(self.value(&Value::Object(both), deep + 1)?);
            }
            return self.maker.add(Node::Choice(ways));
        }
        let words: Vec<String> = match rules.get("type") {
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            Some(Value::String(one)) => vec![one.clone()],
            _ => implied(&rules),
        };
        if words.is_empty() && !rules.contains_key("type") {
            return self.any();
        }
        let ways = words.iter().map(|word| self.of_type(word, &rules, deep)).collect::<Result<Vec<_>, _>>()?;
        if let [one] = ways[..] { Ok(one) } else { self.maker.add(Node::Choice(ways)) }
    }

    fn reference(&mut self, to: &str, deep: usize) -> Result<Id, Refusal> {
        if let Some(known) = self.known.get(to) {
            return Ok(*known);
        }
        let id = self.maker.add(Node::Choice(Vec::new()))?;
        self.known.insert(to.into(), id);
        let target = self.schema.target(to).cloned().unwrap_or(Value::Bool(false));
        let target = self.value(&target, deep)?;
        self.maker.nodes[id as usize] = Node::Choice(vec![target]);
        Ok(id)
    }

    /// The values that are listed, as far as they fit what else is said.
    fn listed(&mut self, rules: &Map<String, Value>) -> Result<Id, Refusal> {
        if let Some(key) = NOT.iter().find(|key| rules.contains_key(**key) && self.schema.unchecked.contains(**key)) {
            return Err(Refusal::Keyword((*key).into()));
        }
        let all = match (rules.get("enum"), rules.get("const")) {
            (Some(Value::Array(all)), _) => all.clone(),
            (_, one) => one.into_iter().cloned().collect(),
        };
        let whole = Value::Object(rules.clone());
        let fit = all.iter().filter(|value| self.schema.admits(&whole, value)).map(Value::to_string);
        let ways = fit.map(|text| self.maker.text(text)).collect::<Result<Vec<_>, _>>()?;
        self.maker.add(Node::Choice(ways))
    }

    fn of_type(&mut self, word: &str, rules: &Map<String, Value>, deep: usize) -> Result<Id, Refusal> {
        let about: &[&str] = match word {
            "string" => &OF_STRINGS,
            "number" | "integer" => &OF_NUMBERS,
            "array" => &OF_ARRAYS,
            "object" => &OF_OBJECTS,
            _ => &[],
        };
        if let Some(key) = about.iter().find(|key| NOT.contains(key) && rules.contains_key(**key)) {
            return Err(Refusal::Keyword((*key).into()));
        }
        match word {
            "string" => self.string(count(rules, "minLength", 0), count(rules, "maxLength", u64::MAX)),
            "number" | "integer" => self.number(rules, word == "integer"),
            "array" => self.array(rules, deep),
            "object" => self.object(rules, deep),
            "boolean" => {
                let ways = vec![self.maker.text("true".into())?, self.maker.text("false".into())?];
                self.maker.add(Node::Choice(ways))
            }
            _ => self.maker.text("null".into()),
        }
    }

    fn string(&mut self, least: u64, most: u64) -> Result<Id, Refusal> {
        if least > most {
            return self.maker.add(Node::Choice(Vec::new()));
        }
        let (quote, letters) = (self.maker.text("\"".into())?, self.maker.add(Node::Letters { least, most })?);
        self.maker.add(Node::Row(vec![quote, letters]))
    }

    fn number(&mut self, rules: &Map<String, Value>, whole: bool) -> Result<Id, Refusal> {
        let step = rules.get("multipleOf").and_then(Value::as_f64);
        if step.is_some_and(|step| step != 1.0) {
            return Err(Refusal::Keyword("multipleOf".into()));
        }
        let bound = |within: &str, outside: &str| {
            let number = |key: &str| rules.get(key).and_then(Value::as_f64);
            [number(within).map(|bound| (bound, false)), number(outside).map(|bound| (bound, true))]
        };
        let tighter = |a: (f64, bool), b: (f64, bool), higher: bool| {
            let first = if a.0 == b.0 { a.1 } else { (a.0 > b.0) == higher };
            if first { a } else { b }
        };
        let both =
            |all: [Option<(f64, bool)>; 2], higher| all.into_iter().flatten().reduce(|a, b| tighter(a, b, higher));
        let low = both(bound("minimum", "exclusiveMinimum"), true);
        let high = both(bound("maximum", "exclusiveMaximum"), false);
        self.maker.add(Node::Number(Range::new(low, high, whole || step.is_some())))
    }

    fn array(&mut self, rules: &Map<String, Value>, deep: usize) -> Result<Id, Refusal> {
        let first = rules.get("prefixItems").and_then(Value::as_array).cloned().unwrap_or_default();
        let first = first.iter().map(|one| self.value(one, deep + 1)).collect::<Result<Vec<_>, _>>()?;
        let rest = rules.get("items").cloned().unwrap_or(Value::Bool(true));
        let rest = if rest == Value::Bool(false) { None } else { Some(self.value(&rest, deep + 1)?) };
        let (least, mut most) = (count(rules, "minItems", 0), count(rules, "maxItems", u64::MAX));
        if rest.is_none() {
            most = most.min(first.len() as u64);
        }
        if rules.get("uniqueItems") == Some(&Value::Bool(true)) && most > 1 {
            return Err(Refusal::Keyword("uniqueItems".into()));
        }
        self.bracketed("[", Node::Items { first, rest, least, most, between: self.comma }, "]", least <= most)
    }

    fn bracketed(&mut self, begin: &str, node: Node, end: &str, possible: bool) -> Result<Id, Refusal> {
        if !possible {
            return self.maker.add(Node::Choice(Vec::new()));
        }
        let (begin, node, end) = (self.maker.text(begin.into())?, self.maker.add(node)?, self.maker.text(end.into())?);
        self.maker.add(Node::Row(vec![begin, node, end]))
    }

    fn object(&mut self, rules: &Map<String, Value>, deep: usize) -> Result<Id, Refusal> {
        let empty = Map::new();
        let members = rules.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        let required: Vec<&str> = rules
            .get("required")
            .and_then(Value::as_array)
            .map_or(Vec::new(), |all| all.iter().filter_map(Value::as_str).collect());
        let others = rules.get("additionalProperties").cloned().unwrap_or(Value::Bool(true));
        let (least, most) = (count(rules, "minProperties", 0), count(rules, "maxProperties", u64::MAX));
        if members.is_empty() && required.is_empty() {
            return self.table(&others, least, most, deep);
        }
        let mut names: Vec<&str> = members.keys().map(String::as_str).collect();
        names.extend(required.iter().filter(|name| !members.contains_key(**name)));
        names.sort_by_key(|name| self.order.get(*name).copied().unwrap_or(usize::MAX));
        names.dedup();
        // Which of those that may be missing are there is not counted.
        for (key, bad) in
            [("minProperties", least > required.len() as u64), ("maxProperties", most < names.len() as u64)]
        {
            if bad {
                return Err(Refusal::Keyword(key.into()));
            }
        }
        let mut all = Vec::new();
        for name in names {
            let value = self.value(members.get(name).unwrap_or(&others), deep + 1)?;
            let text = self.maker.text(format!("{}:", Value::from(name)))?;
            let text = self.maker.add(Node::Row(vec![text, self.space]))?;
            all.push(Member { name: text, value, required: required.contains(&name) });
        }
        self.bracketed("{", Node::Members { members: all, between: self.comma }, "}", true)
    }

    /// An object whose members have any names.
    fn table(&mut self, others: &Value, least: u64, most: u64, deep: usize) -> Result<Id, Refusal> {
        // A name may come twice, and counts once.
        if least > 1 {
            return Err(Refusal::Keyword("minProperties".into()));
        }
        let most = if *others == Value::Bool(false) { 0 } else { most };
        let (name, value) = (self.string(0, u64::MAX)?, self.value(others, deep + 1)?);
        let colon = self.maker.text(":".into())?;
        let member = self.maker.add(Node::Row(vec![name, colon, self.space, value]))?;
        let members = Node::Items { first: Vec::new(), rest: Some(member), least, most, between: self.comma };
        self.bracketed("{", members, "}", least <= most)
    }

    fn any(&mut self) -> Result<Id, Refusal> {
        if let Some(any) = self.any {
            return Ok(any);
        }
        let any = self.maker.add(Node::Choice(Vec::new()))?;
        self.any = Some(any);
        let none = Map::new();
        let words = ["string", "number", "object", "array", "boolean", "null"];
        let ways = words.iter().map(|word| self.of_type(word, &none, 0)).collect::<Result<Vec<_>, _>>()?;
        self.maker.nodes[any as usize] = Node::Choice(ways);
        Ok(any)
    }
}

fn count(rules: &Map<String, Value>, key: &str, otherwise: u64) -> u64 {
    rules.get(key).and_then(Value::as_u64).unwrap_or(otherwise)
}

/// The types that rules are about which name none.
fn implied(rules: &Map<String, Value>) -> Vec<String> {
    let about = |keys: &[&str]| keys.iter().any(|key| rules.contains_key(*key));
    let all = [("object", about(&OF_OBJECTS)), ("array", about(&OF_ARRAYS)), ("string", about(&OF_STRINGS))];
    let all = all.into_iter().chain([("number", about(&OF_NUMBERS))]);
    all.filter(|(_, is)| *is).map(|(word, _)| word.to_owned()).collect()
}
