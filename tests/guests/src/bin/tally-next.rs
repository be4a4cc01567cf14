//! The tally's next version, which says so, and can do one thing more.

use guests::{Agent, Answer, Failure, Message, tally};

struct Next;

impl Agent for Next {
    const NAME: &'static str = "tally";
    const SKILLS: &'static [&'static str] =
        &["count", "order", "keep", "state", "spin", "fail", "say", "ask", "tell", "later", "log", "which", "more"];

    fn handle(_skill: &str, _body: Vec<u8>) -> Answer {
        unreachable!("messages are handled whole")
    }

    fn message(message: Message) -> Answer {
        tally::handle("next", message)
    }

    fn snapshot() -> Option<Vec<u8>> {
        tally::snapshot()
    }

    fn restore(state: Vec<u8>) -> Result<(), Failure> {
        tally::restore(state)
    }
}

guests::export!(Next with_types_in guests::bindings);
