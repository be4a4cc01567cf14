//! From a JSON schema to a grammar of what fits it: not all that fits, but nothing that doesn't.
//!
//! Members come in the order in which the schema names them, and only those that it names, if it names any.

use super::Vocabulary;
use super::grammar::{Grammar, Id, Node};
use super::rules::Rules;
use base::schema::Schema;
use serde_json::Value;
use std::sync::Arc;

/// What a form may take at most.
const NODES: usize = 20_000;
const BYTES: usize = 256 << 10;

/// Why nothing can be kept to this form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("{0}")]
    Bad(String),
    #[error("the keyword `{0}` in a schema, as it is used there")]
    Keyword(String),
    #[error("a schema that refers to itself without end")]
    Endless,
    #[error("a schema that nothing fits")]
    Nothing,
    #[error("a schema that large")]
    Large,
    #[error("a schema with the tokens of this model")]
    Tokens,
}

/// What an answer looks like.
#[derive(Debug, Clone)]
pub(crate) struct Form {
    nodes: Vec<Node>,
    root: Id,
}

impl Form {
    /// JSON that fits a schema.
    pub(crate) fn of_schema(text: &str) -> Result<Form, Refusal> {
        let mut maker = Maker::default();
        let root = maker.schema(text)?;
        maker.form(root)
    }

    /// Calls of tools, or what else may be answered: what fits a schema, or any text. A call is what stands before its
    /// name, the name, what stands between, the arguments, and what stands behind.
    pub(crate) fn of_calls(
        tools: &[(String, String)],
        [before, between, behind, next]: [&str; 4],
        schema: Option<&str>,
    ) -> Result<Form, Refusal> {
        const AT_ONCE: u64 = 8;
        let mut maker = Maker::default();
        let mut calls = Vec::new();
        for (name, parameters) in tools {
            let begin = maker.text(format!("{before}{}{between}", Value::from(name.as_str())))?;
            let arguments = maker.arguments(parameters)?;
            let end = maker.text(behind.to_owned())?;
            calls.push(maker.add(Node::Row(vec![begin, arguments, end]))?);
        }
        let call = maker.add(Node::Choice(calls))?;
        let next = maker.text(next.to_owned())?;
        let calls = Node::Items { first: Vec::new(), rest: Some(call), least: 1, most: AT_ONCE, between: next };
        let calls = maker.add(calls)?;
        let root = match schema {
            Some(schema) => {
                let value = maker.schema(schema)?;
                maker.add(Node::Choice(vec![calls, value]))?
            }
            None => {
                // A name begins with a quote that belongs to the mark: nothing else is mistaken for a call.
                let mark = format!("{before}\"").into_bytes().into_boxed_slice();
                let (free, none) = (maker.add(Node::Free(mark))?, maker.text(String::new())?);
                let then = maker.add(Node::Choice(vec![none, calls]))?;
                maker.add(Node::Row(vec![free, then]))?
            }
        };
        maker.form(root)
    }

    /// As tokens write it.
    pub(super) fn grammar(&self, vocabulary: &Arc<Vocabulary>) -> Result<Grammar, Refusal> {
        if !vocabulary.writes() {
            return Err(Refusal::Tokens);
        }
        let grammar = Grammar::new(self.nodes.clone(), self.root, |text| vocabulary.count(text));
        if grammar.least().is_some() {
            return Ok(grammar);
        }
        // It may be the tokens that are missing: with all bytes there would be a way.
        let bytes = Grammar::new(self.nodes.clone(), self.root, |text| (0..=text.len() as u64).rev().collect());
        Err(if bytes.least().is_some() { Refusal::Tokens } else { Refusal::Nothing })
    }
}

#[derive(Default)]
pub(super) struct Maker {
    pub(super) nodes: Vec<Node>,
    bytes: usize,
}

impl Maker {
    pub(super) fn add(&mut self, node: Node) -> Result<Id, Refusal> {
        self.bytes += if let Node::Text(text) = &node { text.len() } else { 0 };
        if self.nodes.len() >= NODES || self.bytes > BYTES {
            return Err(Refusal::Large);
        }
        self.nodes.push(node);
        Ok(self.nodes.len() as Id - 1)
    }

    pub(super) fn text(&mut self, text: String) -> Result<Id, Refusal> {
        self.add(Node::Text(text.into_bytes().into()))
    }

    fn schema(&mut self, text: &str) -> Result<Id, Refusal> {
        let schema = Schema::parse(text).map_err(Refusal::Bad)?;
        Rules::new(self, &schema, text)?.value(schema.root(), 0)
    }

    /// What a tool is called with is an object, whether its schema says so or not.
    fn arguments(&mut self, text: &str) -> Result<Id, Refusal> {
        let schema = Schema::parse(text).map_err(Refusal::Bad)?;
        let mut root = schema.root().clone();
        if let Value::Object(rules) = &mut root
            && !["type", "$ref", "enum", "const"].iter().any(|key| rules.contains_key(*key))
        {
            rules.insert("type".into(), "object".into());
        }
        Rules::new(self, &schema, text)?.value(&root, 0)
    }

    fn form(self, root: Id) -> Result<Form, Refusal> {
        // One of several that is one of several, and so on to itself, never comes to a byte.
        let mut state = vec![0u8; self.nodes.len()];
        for node in 0..self.nodes.len() {
            if !self.ends(node, &mut state) {
                return Err(Refusal::Endless);
            }
        }
        Ok(Form { nodes: self.nodes, root })
    }

    fn ends(&self, from: usize, state: &mut [u8]) -> bool {
        const UNDER_WAY: u8 = 1;
        const GOOD: u8 = 2;
        let mut open = vec![(from, 0)];
        while let Some((node, at)) = open.pop() {
            let Node::Choice(parts) = &self.nodes[node] else {
                state[node] = GOOD;
                continue;
            };
            if state[node] == GOOD {
                continue;
            }
            state[node] = UNDER_WAY;
            let Some(next) = parts.get(at) else {
                state[node] = GOOD;
                continue;
            };
            open.push((node, at + 1));
            match state[*next as usize] {
                UNDER_WAY => return false,
                GOOD => {}
                _ => open.push((*next as usize, 0)),
            }
        }
        true
    }
}
