//! Keeps to nothing, on demand: it computes for ever, takes all memory, and looks where it was not let in.

use serde::{Deserialize, Serialize};
use std::hint::black_box;
use village::{Schema, agent};

#[derive(Default)]
struct Mischief;

#[derive(Deserialize, Schema)]
struct Places {
    /// Files to open.
    paths: Vec<String>,
}

#[derive(Serialize, Schema)]
struct Found {
    /// The files that could be read.
    read: Vec<String>,
    /// The files that could not, with the reason.
    refused: Vec<Refused>,
}

#[derive(Serialize, Schema)]
struct Refused {
    path: String,
    reason: String,
}

/// Keeps to nothing, on demand: for seeing what becomes of it.
#[agent(role = "mischief", tags = ["demo"])]
impl Mischief {
    /// Computes, and never ends.
    #[skill]
    fn spin(&mut self) {
        loop {
            black_box(0);
        }
    }

    /// Takes memory, a MiB at a time, and never stops.
    #[skill]
    fn hog(&mut self) {
        let mut taken: Vec<Vec<u8>> = Vec::new();
        loop {
            taken.push(black_box(vec![1; 1 << 20]));
        }
    }

    /// Tries to read files.
    #[skill(example = r#"{"paths": ["/etc/passwd"]}"#)]
    fn peek(&mut self, places: Places) -> Found {
        let mut found = Found { read: Vec::new(), refused: Vec::new() };
        for path in places.paths {
            match std::fs::read(&path) {
                Ok(_) => found.read.push(path),
                Err(error) => found.refused.push(Refused { path, reason: error.to_string() }),
            }
        }
        found
    }
}
