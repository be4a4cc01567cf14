//! What the test guests share: the bindings, a trait that leaves each guest only its misbehaviour, and plain replies.
//!
//! A request is a skill and a payload of text. A refusal that a guest is meant to see comes back as a reply, in words
//! that a test can look for; a [`Failure`] is for requests that make no sense.

pub mod kernels;
pub mod tally;

/// The contract, as generated from `wit/`.
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "village",
        generate_all,
        pub_export_macro: true,
        default_bindings_module: "guests::bindings",
    });
}

pub use bindings::export;
pub use bindings::exports::village::agent::agent::{Card, Message, Reply, Skill};
pub use bindings::village::agent::types::{Error, Failure, FailureKind, Payload};

use bindings::exports::village::agent::agent::Guest;

/// What a turn comes to: the reply's bytes.
pub type Answer = Result<Vec<u8>, Failure>;

/// A guest. Only `handle` has to be written; the rest is honest unless a guest says otherwise.
pub trait Agent {
    const NAME: &'static str;
    const SKILLS: &'static [&'static str];

    /// One message: the skill that is asked for, and its payload.
    fn handle(skill: &str, body: Vec<u8>) -> Answer;

    /// The same, for a guest that wants to know who asks.
    fn message(message: Message) -> Answer {
        Self::handle(&message.skill, message.payload.body)
    }

    fn describe() -> Card {
        card(Self::NAME, Self::SKILLS)
    }

    fn snapshot() -> Option<Vec<u8>> {
        None
    }

    fn restore(_state: Vec<u8>) -> Result<(), Failure> {
        Ok(())
    }
}

impl<A: Agent> Guest for A {
    fn describe() -> Card {
        A::describe()
    }

    fn handle(message: Message) -> Result<Reply, Failure> {
        let content_type = message.payload.content_type.clone();
        let body = A::message(message)?;
        Ok(Reply { payload: Payload { content_type, body } })
    }

    fn snapshot() -> Option<Vec<u8>> {
        A::snapshot()
    }

    fn restore(state: Vec<u8>, _version: String) -> Result<(), Failure> {
        A::restore(state)
    }
}

/// A card with skills that take and give any bytes.
pub fn card(name: &str, skills: &[&str]) -> Card {
    let skill = |name: &&str| Skill {
        name: name.to_string(),
        description: String::new(),
        input: String::new(),
        output: String::new(),
        tags: Vec::new(),
        examples: Vec::new(),
    };
    Card {
        name: name.to_owned(),
        version: "0.1.0".to_owned(),
        role: "test".to_owned(),
        description: String::new(),
        skills: skills.iter().map(skill).collect(),
        tags: Vec::new(),
    }
}

/// A failure with its text and no details.
pub fn failure(kind: FailureKind, message: impl Into<String>) -> Failure {
    Failure { kind, message: message.into(), details: String::new() }
}

/// The failure of a guest that was asked for something it does not do.
pub fn unsupported(skill: &str) -> Failure {
    failure(FailureKind::Unsupported, format!("no skill `{skill}`"))
}

/// The payload as text.
pub fn text(body: Vec<u8>) -> Result<String, Failure> {
    String::from_utf8(body).map_err(|_| failure(FailureKind::Invalid, "the payload is not UTF-8"))
}

/// The payload as a number; `empty` if there is none.
pub fn number(body: &[u8], empty: u64) -> Result<u64, Failure> {
    let text = str::from_utf8(body).unwrap_or("?").trim();
    if text.is_empty() {
        return Ok(empty);
    }
    text.parse().map_err(|_| failure(FailureKind::Invalid, format!("not a number: `{text}`")))
}

/// A result of an import as a reply: the value, or `error: ` and the error on one line.
pub fn shown<T: ToString, E: std::borrow::Borrow<Error>>(result: Result<T, E>) -> String {
    match result {
        Ok(value) => value.to_string(),
        Err(error) => format!("error: {}", word(error.borrow())),
    }
}

/// An error of the contract on one line: its case, then what it carries.
pub fn word(error: &Error) -> String {
    match error {
        Error::Denied(text) => format!("denied {text}"),
        Error::Limit(limit) => match limit.retry_after {
            Some(after) => format!("limit {} retry-after {after}", limit.what),
            None => format!("limit {} for good", limit.what),
        },
        Error::NotFound(text) => format!("not-found {text}"),
        Error::Conflict(text) => format!("conflict {text}"),
        Error::Invalid(text) => format!("invalid {text}"),
        Error::Timeout(text) => format!("timeout {text}"),
        Error::Unavailable(text) => format!("unavailable {text}"),
        Error::Failed(failure) => format!("failed {}", failure.message),
    }
}
