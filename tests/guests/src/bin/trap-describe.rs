//! Traps when it is asked what it is.

use guests::{Agent, Answer, Card};

struct TrapDescribe;

impl Agent for TrapDescribe {
    const NAME: &'static str = "trap-describe";
    const SKILLS: &'static [&'static str] = &[];

    fn handle(_skill: &str, body: Vec<u8>) -> Answer {
        Ok(body)
    }

    fn describe() -> Card {
        panic!("describe traps");
    }
}

guests::export!(TrapDescribe with_types_in guests::bindings);
