//! Serves well, and never ends when it is asked what to keep.

use std::hint::black_box;

use guests::{Agent, Answer, Message, tally};

struct Spinning;

impl Agent for Spinning {
    const NAME: &'static str = "tally";
    const SKILLS: &'static [&'static str] = tally::SKILLS;

    fn handle(_skill: &str, _body: Vec<u8>) -> Answer {
        unreachable!("messages are handled whole")
    }

    fn message(message: Message) -> Answer {
        tally::handle("spinning", message)
    }

    fn snapshot() -> Option<Vec<u8>> {
        loop {
            black_box(());
        }
    }
}

guests::export!(Spinning with_types_in guests::bindings);
