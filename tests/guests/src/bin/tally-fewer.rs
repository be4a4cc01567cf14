//! A version of the tally that cannot do all that the others can.

use guests::{Agent, Answer, Failure, Message, tally};

struct Fewer;

impl Agent for Fewer {
    const NAME: &'static str = "tally";
    const SKILLS: &'static [&'static str] = &["count", "order", "which"];

    fn handle(_skill: &str, _body: Vec<u8>) -> Answer {
        unreachable!("messages are handled whole")
    }

    fn message(message: Message) -> Answer {
        tally::handle("fewer", message)
    }

    fn snapshot() -> Option<Vec<u8>> {
        tally::snapshot()
    }

    fn restore(state: Vec<u8>) -> Result<(), Failure> {
        tally::restore(state)
    }
}

guests::export!(Fewer with_types_in guests::bindings);
