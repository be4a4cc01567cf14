//! What the macros' code calls. Not for use by hand: it changes as the macros do.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::agent::{Card, Skill};
use crate::json;
use crate::near::nearest;
use crate::schema::Schema;
use crate::types::{Failure, Payload};

pub use crate::agent::Slot;
pub use crate::bindings;
pub use crate::bindings::__export as export;
pub use crate::bindings::exports::village::agent::agent::{Guest, Reply};

pub fn card([name, version, role, description]: [&str; 4], tags: &[&str], skills: Vec<Skill>) -> Card {
    Card {
        name: name.to_owned(),
        version: version.to_owned(),
        role: role.to_owned(),
        description: description.to_owned(),
        skills,
        tags: owned(tags),
    }
}

pub fn skill([name, description]: [&str; 2], [input, output]: [String; 2], tags: &[&str], examples: &[&str]) -> Skill {
    Skill {
        name: name.to_owned(),
        description: description.to_owned(),
        input,
        output,
        tags: owned(tags),
        examples: owned(examples),
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// The input of a skill. An error names the field.
pub fn read<T: DeserializeOwned + Schema>(payload: &Payload) -> Result<T, Failure> {
    if payload.body.is_empty() {
        return Err(Failure::invalid("the input is empty, and the skill takes JSON"));
    }
    Ok(json::read(&payload.body)?)
}

pub fn text(payload: &Payload) -> Result<String, Failure> {
    String::from_utf8(payload.body.clone())
        .map_err(|_| Failure::invalid("the input is not UTF-8, and the skill takes text"))
}

/// The output of a skill.
pub fn write<T: Serialize + Schema>(output: &T) -> Result<Payload, Failure> {
    // Not by way of this crate's error: an agent without imports needs none of it.
    match serde_json::to_vec(output) {
        Ok(body) => Ok(Payload { content_type: "application/json".to_owned(), body }),
        Err(error) => Err(Failure::internal(error)),
    }
}

pub fn unsupported(skill: &str, known: &[&str]) -> Failure {
    let mut text = if skill.is_empty() { "no skill was named".to_owned() } else { ["no skill `", skill, "`"].concat() };
    if let Some(near) = nearest(skill, known) {
        text.push_str(&["; did you mean `", near, "`?"].concat());
    }
    text.push_str("; there are ");
    text.push_str(&known.join(", "));
    Failure::unsupported(text)
}

/// What a snapshot is written as. What can't be written is not kept: the next instance starts cold.
pub fn keep<T: Serialize>(kept: &T) -> Option<Vec<u8>> {
    json::write(kept).ok().filter(|json| json != b"null")
}

pub fn kept<T: DeserializeOwned>(kept: &[u8]) -> Result<T, Failure> {
    json::read(kept).map_err(|fault| Failure::internal(["the snapshot is of another shape: ", &fault.text()].concat()))
}
