//! A version of the tally that takes its time to count.

use guests::{Agent, Answer, Failure, Message, kernels, tally};

struct Slow;

impl Agent for Slow {
    const NAME: &'static str = "tally";
    const SKILLS: &'static [&'static str] = tally::SKILLS;

    fn handle(_skill: &str, _body: Vec<u8>) -> Answer {
        unreachable!("messages are handled whole")
    }

    fn message(message: Message) -> Answer {
        if message.skill == "count" {
            kernels::tight(3_000_000);
        }
        tally::handle("slow", message)
    }

    fn snapshot() -> Option<Vec<u8>> {
        tally::snapshot()
    }

    fn restore(state: Vec<u8>) -> Result<(), Failure> {
        tally::restore(state)
    }
}

guests::export!(Slow with_types_in guests::bindings);
