//! Names of models, and patterns that cover them: `local/llama3.2`, `cloud/claude-*`.

use crate::error::Error;
use std::fmt;
use std::str::FromStr;

/// What stands before the name of a model that runs on this machine, and of any other.
pub(crate) const LOCAL: &str = "local/";
pub(crate) const CLOUD: &str = "cloud/";

/// The name by which agents know a model.
pub(crate) fn full(model: &str, local: bool) -> String {
    format!("{}{model}", if local { LOCAL } else { CLOUD })
}

/// A name in which `*` stands for any letters, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Pattern, String> {
        let begins = text == "*" || text.starts_with(LOCAL) || text.starts_with(CLOUD);
        let whole = text.len() <= 200 && text.bytes().all(|byte| byte.is_ascii_graphic());
        match begins && whole && text != LOCAL && text != CLOUD {
            true => Ok(Pattern(text.into())),
            false => Err("a model is named such as local/llama3.2 or cloud/claude-*, or * for all".into()),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Pattern {
    /// Whether it covers a name.
    pub fn covers(&self, name: &str) -> bool {
        covers(&self.0, name)
    }

    /// Whether it can be only one model.
    pub fn exact(&self) -> bool {
        !self.0.contains('*')
    }
}

/// Whether a text with stars covers a name.
pub(crate) fn covers(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        // The first place will do: whatever comes later fits after a later one only if it fits after this one.
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// The models that an agent may use. None of them if it is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grant(Vec<Pattern>);

impl Grant {
    /// What any of these covers.
    pub fn new(patterns: Vec<Pattern>) -> Grant {
        Grant(patterns)
    }

    /// What any of these covers, as written.
    pub fn parse<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Grant, String> {
        patterns.into_iter().map(str::parse).collect::<Result<_, _>>().map(Grant)
    }

    /// Opens one more.
    pub fn open(&mut self, pattern: Pattern) {
        if !self.0.contains(&pattern) {
            self.0.push(pattern);
        }
    }

    /// Whether it opens nothing at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What it opens, as written.
    pub fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.0.iter()
    }

    /// Whether a model may be used, or all that a pattern covers: a star in it is found only by a star.
    pub fn covers(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| pattern.covers(name))
    }
}

/// What a prompt asks for; none for whatever there is.
pub(crate) fn wanted(model: &str) -> Result<Option<Pattern>, Error> {
    match model {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|what| Error::Invalid { what: format!("`model`: {what}") }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_letters_and_nothing_else_is() {
        for (pattern, name) in [
            ("local/*", "local/llama3.2"),
            ("local/*", "local/a/b:c"),
            ("cloud/claude-*", "cloud/claude-"),
            ("cloud/*-small-*", "cloud/a-small-small-b"),
            ("cloud/*a", "cloud/aa"),
            ("*", "local/x"),
            ("local/a", "local/a"),
        ] {
            assert!(pattern.parse::<Pattern>().expect("a pattern").covers(name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("local/*", "cloud/llama3.2"),
            ("local/*", "local"),
            ("cloud/claude-*", "cloud/claudius"),
            ("local/a", "local/ab"),
            ("local/ab*ba", "local/aba"),
            ("local/*x*y", "local/y-x"),
            ("local/?", "local/a"),
        ] {
            assert!(!pattern.parse::<Pattern>().expect("a pattern").covers(name), "{pattern} {name}");
        }
        for bad in ["", "llama", "local/", "cloud/", "local/a b", "remote/*", "loc*"] {
            assert!(bad.parse::<Pattern>().is_err(), "{bad}");
        }
        assert!(!Grant::default().covers("local/a"));
    }
}
