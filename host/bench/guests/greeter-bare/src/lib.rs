//! The same agent on bare bindings.

use serde::{Deserialize, Serialize};

mod bindings {
    wit_bindgen::generate!({
        path: "../../../../wit",
        world: "village",
        generate_all,
    });
}

use bindings::exports::village::agent::agent::{Card, Guest, Message, Reply, Skill};
use bindings::village::agent::types::{Failure, FailureKind, Payload};

const INPUT: &str = r#"{"type":"object","properties":{"name":{"description":"Who is to be greeted.","type":"string"}},"required":["name"]}"#;
const OUTPUT: &str = r#"{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}"#;

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
        let greet = Skill {
            name: "greet".to_owned(),
            description: "Greets one by name.".to_owned(),
            input: INPUT.to_owned(),
            output: OUTPUT.to_owned(),
            tags: Vec::new(),
            examples: vec![r#"{"name": "Ada"}"#.to_owned()],
        };
        Card {
            name: "greeter-bare".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            role: "example".to_owned(),
            description: "Greets people.".to_owned(),
            skills: vec![greet],
            tags: vec!["hello".to_owned()],
        }
    }

    fn handle(message: Message) -> Result<Reply, Failure> {
        if message.skill != "greet" {
            return Err(failure(FailureKind::Unsupported, ["no skill `", &message.skill, "`"].concat()));
        }
        let ask: Name = serde_json::from_slice(&message.payload.body)
            .map_err(|error| failure(FailureKind::Invalid, error.to_string()))?;
        let greeting = Greeting { text: ["Hello, ", &ask.name, "!"].concat() };
        let body = serde_json::to_vec(&greeting).map_err(|error| failure(FailureKind::Internal, error.to_string()))?;
        Ok(Reply { payload: Payload { content_type: "application/json".to_owned(), body } })
    }

    fn snapshot() -> Option<Vec<u8>> {
        None
    }

    fn restore(_state: Vec<u8>, _version: String) -> Result<(), Failure> {
        Ok(())
    }
}

fn failure(kind: FailureKind, message: String) -> Failure {
    Failure { kind, message, details: String::new() }
}

#[cfg(target_family = "wasm")]
bindings::export!(Greeter with_types_in bindings);
