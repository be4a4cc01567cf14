//! A version of the tally that fails when it is to count.

use guests::{Agent, Answer, Failure, FailureKind, Message, failure, tally};

struct Failing;

impl Agent for Failing {
    const NAME: &'static str = "tally";
    const SKILLS: &'static [&'static str] = tally::SKILLS;

    fn handle(_skill: &str, _body: Vec<u8>) -> Answer {
        unreachable!("messages are handled whole")
    }

    fn message(message: Message) -> Answer {
        match message.skill.as_str() {
            "count" => Err(failure(FailureKind::Internal, "it lost count")),
            _ => tally::handle("failing", message),
        }
    }

    fn snapshot() -> Option<Vec<u8>> {
        tally::snapshot()
    }

    fn restore(state: Vec<u8>) -> Result<(), Failure> {
        tally::restore(state)
    }
}

guests::export!(Failing with_types_in guests::bindings);
