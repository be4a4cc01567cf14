//! Never gets as far as being an instance: the start function, which a component calls on its way in, spins.

use std::hint::black_box;

use guests::{Agent, Answer};

struct StartLoop;

impl Agent for StartLoop {
    const NAME: &'static str = "start-loop";
    const SKILLS: &'static [&'static str] = &[];

    fn handle(_skill: &str, body: Vec<u8>) -> Answer {
        Ok(body)
    }
}

#[unsafe(export_name = "_initialize")]
extern "C" fn spin() {
    loop {
        black_box(());
    }
}

guests::export!(StartLoop with_types_in guests::bindings);
