//! Never gets as far as being an instance: a constructor that the linker runs first spins.

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

extern "C" fn spin() {
    loop {
        black_box(());
    }
}

#[used]
#[unsafe(link_section = ".init_array")]
static FIRST: extern "C" fn() = spin;

guests::export!(StartLoop with_types_in guests::bindings);
