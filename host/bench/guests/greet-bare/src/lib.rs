//! What greet-sdk does, on bare bindings.

use serde::{Deserialize, Serialize};

mod bindings {
    wit_bindgen::generate!({ path: "../../../../wit", world: "village", generate_all });
}

use bindings::exports::village::agent::agent::{Card, Guest, Message, Reply, Skill};
use bindings::village::agent::types::{Failure, FailureKind, Payload};

#[derive(Deserialize)]
struct Name {
    name: String,
}

#[derive(Serialize)]
struct Greeting {
    text: String,
}

struct Greeter;

impl Guest for Greeter {
    fn describe() -> Card {
        Card {
            name: "greet-bare".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            role: "example".into(),
            description: "Greets people.".into(),
            skills: vec![Skill {
                name: "greet".into(),
                description: "Greets one by name.".into(),
                input: r#"{"type":"object","required":["name"],"properties":{"name":{"type":"string"}}}"#.into(),
                output: r#"{"type":"object","required":["text"],"properties":{"text":{"type":"string"}}}"#.into(),
                tags: Vec::new(),
                examples: vec![r#"{"name": "Ada"}"#.into()],
            }],
            tags: vec!["hello".into()],
        }
    }

    fn handle(message: Message) -> Result<Reply, Failure> {
        let failure = |kind, message: String| Failure { kind, message, details: String::new() };
        if message.skill != "greet" {
            return Err(failure(FailureKind::Unsupported, format!("no skill `{}`; there is greet", message.skill)));
        }
        let ask: Name = serde_json::from_slice(&message.payload.body)
            .map_err(|error| failure(FailureKind::Invalid, error.to_string()))?;
        let greeting = Greeting { text: format!("Hello, {}!", ask.name) };
        let body = serde_json::to_vec(&greeting).map_err(|error| failure(FailureKind::Internal, error.to_string()))?;
        Ok(Reply { payload: Payload { content_type: "application/json".into(), body } })
    }

    fn snapshot() -> Option<Vec<u8>> {
        None
    }

    fn restore(_state: Vec<u8>, _version: String) -> Result<(), Failure> {
        Ok(())
    }
}

bindings::export!(Greeter with_types_in bindings);
