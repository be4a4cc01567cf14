//! A version of the tally that takes much more memory than the others to take over what they keep.

use guests::{Agent, Answer, Failure, Message, tally};
use std::hint::black_box;

struct Greedy;

impl Agent for Greedy {
    const NAME: &'static str = "tally";
    const SKILLS: &'static [&'static str] = tally::SKILLS;

    fn handle(_skill: &str, _body: Vec<u8>) -> Answer {
        unreachable!("messages are handled whole")
    }

    fn message(message: Message) -> Answer {
        tally::handle("greedy", message)
    }

    fn snapshot() -> Option<Vec<u8>> {
        tally::snapshot()
    }

    fn restore(state: Vec<u8>) -> Result<(), Failure> {
        let copies: Vec<_> = (0..4).map(|_| state.clone()).collect();
        tally::restore(black_box(copies).concat())
    }
}

guests::export!(Greedy with_types_in guests::bindings);
