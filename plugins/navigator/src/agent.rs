//! The skills as an agent of a village.

use crate::Error;
use crate::skill::{self, SKILLS};

mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "village",
        generate_all,
    });
}

use bindings::exports::village::agent::agent::{Card, Guest, Message, Reply, Skill};
use bindings::village::agent::types::{Failure, FailureKind, Payload};
use bindings::village::agent::{budget, log};

struct Navigator;

impl Guest for Navigator {
    fn describe() -> Card {
        let skill = |skill: &skill::Skill| Skill {
            name: skill.name.to_owned(),
            description: skill.description.to_owned(),
            input: skill.input.to_owned(),
            output: skill.output.to_owned(),
            tags: skill.tags.iter().map(|tag| tag.to_string()).collect(),
            examples: vec![skill.example.to_owned()],
        };
        Card {
            name: "navigator".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            role: "logistics".to_owned(),
            description: env!("CARGO_PKG_DESCRIPTION").to_owned(),
            skills: SKILLS.iter().map(skill).collect(),
            tags: vec!["logistics".to_owned()],
        }
    }

    fn handle(message: Message) -> Result<Reply, Failure> {
        let body = skill::answer(&message.skill, &message.payload.body, &mut effort()).map_err(failure)?;
        let line = format!("{}: {} bytes in, {} out", message.skill, message.payload.body.len(), body.len());
        // Without the grant, or past the allowance, the work is as good.
        let _ = log::write(log::Level::Debug, &line);
        Ok(Reply { payload: Payload { content_type: "application/json".to_owned(), body } })
    }

    fn snapshot() -> Option<Vec<u8>> {
        None
    }

    fn restore(_state: Vec<u8>, _version: String) -> Result<(), Failure> {
        Ok(())
    }
}

/// Whether to go on looking: until half of the turn's time is used, or for so many rounds where we may not know it.
fn effort() -> impl FnMut() -> bool {
    // A round is some ten thousand moves looked at, so these take some two seconds of computing.
    let mut rounds = 5_000u32;
    let half = budget::remaining().map(|time| time / 2).unwrap_or(0);
    move || {
        rounds = rounds.saturating_sub(1);
        match budget::remaining() {
            Ok(left) => left > half,
            Err(_) => rounds > 0,
        }
    }
}

fn failure(error: Error) -> Failure {
    let message = error.to_string();
    match error {
        Error::Invalid { field, .. } => {
            let details = serde_json::json!({ "field": field }).to_string();
            Failure { kind: FailureKind::Invalid, message, details }
        }
        Error::Unsupported(_) => Failure { kind: FailureKind::Unsupported, message, details: String::new() },
    }
}

// The names of exports mean nothing to a linker for any other target.
#[cfg(target_family = "wasm")]
bindings::export!(Navigator with_types_in bindings);
