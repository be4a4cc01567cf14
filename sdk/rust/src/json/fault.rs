//! What is wrong with a piece of JSON, and in which field.

use std::fmt;

use serde::de::{Error, Expected, Unexpected};

use crate::near::nearest;
use crate::types::Failure;

/// Boxed, because results are returned through every level.
#[derive(Debug)]
pub(crate) struct Fault(Box<Flaw>);

#[derive(Debug, Default)]
struct Flaw {
    /// The path to the field, such as `stops[3].demand`; empty if it is the whole.
    path: String,
    /// Goes on from the path.
    reason: String,
}

impl Fault {
    pub(super) fn new(reason: &str) -> Fault {
        Fault(Box::new(Flaw { path: String::new(), reason: reason.to_owned() }))
    }

    fn at(field: &str, reason: String) -> Fault {
        Fault(Box::new(Flaw { path: field.to_owned(), reason }))
    }

    /// The same, of a value that is a field of an object.
    #[cold]
    pub(super) fn in_field(mut self, name: &str) -> Fault {
        let path = &mut self.0.path;
        if !path.is_empty() && !path.starts_with('[') {
            path.insert(0, '.');
        }
        path.insert_str(0, name);
        self
    }

    /// The same, of a value that is an item of a list.
    #[cold]
    pub(super) fn in_item(self, place: usize) -> Fault {
        let place = place.to_string();
        self.in_field(&["[", &place, "]"].concat())
    }

    pub(crate) fn text(&self) -> String {
        let Flaw { path, reason } = &*self.0;
        if path.is_empty() { reason.clone() } else { ["`", path, "` ", reason].concat() }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Failure {
        let Flaw { path, reason } = *fault.0;
        if path.is_empty() {
            return Failure::invalid(["the input is not what the skill takes: ", &reason].concat());
        }
        Failure::field(&path, reason)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl std::error::Error for Fault {}

impl Error for Fault {
    #[cold]
    fn custom<T: fmt::Display>(reason: T) -> Fault {
        Fault::new(&reason.to_string())
    }

    #[cold]
    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Fault {
        Fault::new(&["is ", &shown(unexpected), ", and is to be ", &expected.to_string()].concat())
    }

    #[cold]
    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Fault {
        Fault::invalid_type(unexpected, expected)
    }

    #[cold]
    fn invalid_length(length: usize, expected: &dyn Expected) -> Fault {
        Fault::new(&["has ", &length.to_string(), " items, and is to be ", &expected.to_string()].concat())
    }

    #[cold]
    fn missing_field(field: &'static str) -> Fault {
        Fault::at(field, "is missing".to_owned())
    }

    #[cold]
    fn duplicate_field(field: &'static str) -> Fault {
        Fault::at(field, "stands there twice".to_owned())
    }

    #[cold]
    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Fault {
        Fault::at(field, among("is not known", field, expected))
    }

    #[cold]
    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Fault {
        Fault::new(&among(&["is `", variant, "`"].concat(), variant, expected))
    }
}

fn among(wrong: &str, name: &str, expected: &[&str]) -> String {
    let mut text = wrong.to_owned();
    if let Some(near) = nearest(name, expected) {
        text.push_str(&["; did you mean `", near, "`?"].concat());
    }
    text.push_str("; there are ");
    text.push_str(&expected.join(", "));
    text
}

/// Not by its own `Display`, which brings along all that it takes to print a fraction: an eighth of a small component.
fn shown(unexpected: Unexpected<'_>) -> String {
    match unexpected {
        Unexpected::Bool(truth) => if truth { "true" } else { "false" }.to_owned(),
        Unexpected::Unsigned(number) => number.to_string(),
        Unexpected::Signed(number) => number.to_string(),
        Unexpected::Float(_) => "a number with a fraction".to_owned(),
        Unexpected::Str(text) => ["the text \"", text, "\""].concat(),
        Unexpected::Unit | Unexpected::Option => "null".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "an object".to_owned(),
        Unexpected::Other(other) => other.to_owned(),
        _ => "something else".to_owned(),
    }
}
