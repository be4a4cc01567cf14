//! A version of the tally that breaks over what the others keep.

use guests::{Agent, Answer, Failure, Message, tally};

struct Breaking;

impl Agent for Breaking {
    const NAME: &'static str = "tally";
    const SKILLS: &'static [&'static str] = tally::SKILLS;

    fn handle(_skill: &str, _body: Vec<u8>) -> Answer {
        unreachable!("messages are handled whole")
    }

    fn message(message: Message) -> Answer {
        tally::handle("breaking", message)
    }

    fn restore(_state: Vec<u8>) -> Result<(), Failure> {
        panic!("restore traps");
    }
}

guests::export!(Breaking with_types_in guests::bindings);
