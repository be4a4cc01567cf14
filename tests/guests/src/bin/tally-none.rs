//! A version of the tally that keeps nothing across a swap.

use guests::{Agent, Answer, Message, tally};

struct Forgetful;

impl Agent for Forgetful {
    const NAME: &'static str = "tally";
    const SKILLS: &'static [&'static str] = tally::SKILLS;

    fn handle(_skill: &str, _body: Vec<u8>) -> Answer {
        unreachable!("messages are handled whole")
    }

    fn message(message: Message) -> Answer {
        tally::handle("none", message)
    }
}

guests::export!(Forgetful with_types_in guests::bindings);
