//! Counts, and remembers who sent what, across swaps. The other tallies are versions of it.

use guests::{Agent, Answer, Failure, Message, tally};

struct Tally;

impl Agent for Tally {
    const NAME: &'static str = "tally";
    const SKILLS: &'static [&'static str] = tally::SKILLS;

    fn handle(_skill: &str, _body: Vec<u8>) -> Answer {
        unreachable!("messages are handled whole")
    }

    fn message(message: Message) -> Answer {
        tally::handle("first", message)
    }

    fn snapshot() -> Option<Vec<u8>> {
        tally::snapshot()
    }

    fn restore(state: Vec<u8>) -> Result<(), Failure> {
        tally::restore(state)
    }
}

guests::export!(Tally with_types_in guests::bindings);
