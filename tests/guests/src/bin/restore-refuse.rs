//! Serves well, and refuses to take over: with an error, or as the state tells it, by a trap or by never ending.

use std::hint::black_box;

use guests::{Agent, Answer, Failure, FailureKind, failure};

struct RestoreRefuse;

impl Agent for RestoreRefuse {
    const NAME: &'static str = "restore-refuse";
    const SKILLS: &'static [&'static str] = &["echo"];

    fn handle(_skill: &str, body: Vec<u8>) -> Answer {
        Ok(body)
    }

    fn snapshot() -> Option<Vec<u8>> {
        Some(b"anything".to_vec())
    }

    fn restore(state: Vec<u8>) -> Result<(), Failure> {
        match state.as_slice() {
            b"trap" => panic!("restore traps"),
            b"spin" => loop {
                black_box(());
            },
            _ => Err(failure(FailureKind::Refused, "it is not for me")),
        }
    }
}

guests::export!(RestoreRefuse with_types_in guests::bindings);
