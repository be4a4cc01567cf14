//! Serves well, and traps when it is asked what to keep.

use guests::{Agent, Answer};

struct SnapshotTrap;

impl Agent for SnapshotTrap {
    const NAME: &'static str = "snapshot-trap";
    const SKILLS: &'static [&'static str] = &["echo"];

    fn handle(_skill: &str, body: Vec<u8>) -> Answer {
        Ok(body)
    }

    fn snapshot() -> Option<Vec<u8>> {
        panic!("snapshot traps");
    }
}

guests::export!(SnapshotTrap with_types_in guests::bindings);
