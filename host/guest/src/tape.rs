//! What a turn read, kept so that it can be run again in the world that it saw.

use crate::fetched::Fetched;
use agents::{Mail, raw};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// What a turn read, and what it did: all that it takes to run it again and compare.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The message; none if nothing of the turn was kept.
    pub message: Option<Mail>,
    pub(crate) reads: Vec<Seen>,
    /// Keys that it changed, in their order, and what is there now.
    pub(crate) wrote: Vec<(String, Option<Bytes>)>,
    /// What it told, in order: to whom, the skill, what.
    pub(crate) told: Vec<(String, String, Bytes)>,
    /// The reply, or the word for why there is none.
    pub(crate) outcome: Option<Result<Bytes, String>>,
    /// Whether there was more than is kept.
    pub(crate) cut: bool,
}

impl Record {
    /// A record as the journal keeps it; none if nothing was recorded.
    pub fn read(bytes: &[u8]) -> Option<Record> {
        postcard::from_bytes(bytes).ok()
    }

    /// Whether there was more than is kept.
    pub fn is_cut(&self) -> bool {
        self.cut
    }
}

/// Bytes, as one piece.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bytes(#[serde(with = "raw")] pub(crate) Vec<u8>);

/// One thing that a turn read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Seen {
    State { key: String, value: Option<(u64, Bytes)> },
    Scan { prefix: String, after: Option<String>, most: u32, found: Vec<(String, u64, Bytes)> },
    Wall { seconds: u64, nanoseconds: u32 },
    Time(u64),
    Chance(Bytes),
    Seed(u64, u64),
    Left(u64),
    Answer { question: [u8; 32], outcome: Result<(String, Bytes), String> },
    Web(Box<Fetched>),
}

/// A record is no longer than this: what is beyond is not kept, and a turn that is run again finds nothing there.
const LONGEST: usize = 1 << 20;

/// Where what a turn reads is written down, or read from.
#[derive(Default)]
pub(crate) enum Tape {
    /// Nobody wants to know.
    #[default]
    Off,
    Recording(Box<Recording>),
    Playing(Box<Playing>),
}

#[derive(Default)]
pub(crate) struct Recording {
    pub(crate) record: Record,
    bytes: usize,
}

/// A turn that is run again.
#[derive(Default)]
pub(crate) struct Playing {
    reads: VecDeque<Seen>,
    /// What it wanted to read and the record doesn't have.
    pub(crate) missing: Vec<String>,
}

impl Tape {
    pub(crate) fn playing(reads: Vec<Seen>) -> Tape {
        Tape::Playing(Box::new(Playing { reads: reads.into(), missing: Vec::new() }))
    }

    /// Writes down what was read.
    pub(crate) fn note(&mut self, size: usize, seen: impl FnOnce() -> Seen) {
        let Tape::Recording(recording) = self else { return };
        recording.bytes += size + 32;
        match recording.bytes <= LONGEST {
            true => recording.record.reads.push(seen()),
            false => recording.record.cut = true,
        }
    }

    /// In a turn that is run again: the first thing on the record that is `wanted`. The outer `None` is a turn of its own.
    pub(crate) fn find<T>(
        &mut self,
        what: impl FnOnce() -> String,
        wanted: impl Fn(&Seen) -> Option<T>,
    ) -> Option<Option<T>> {
        let Tape::Playing(playing) = self else { return None };
        let found = playing.reads.iter().enumerate().find_map(|(at, seen)| Some((at, wanted(seen)?)));
        match found {
            Some((at, value)) => {
                playing.reads.remove(at);
                Some(Some(value))
            }
            None => {
                playing.missing.push(what());
                Some(None)
            }
        }
    }

    pub(crate) fn is_playing(&self) -> bool {
        matches!(self, Tape::Playing(_))
    }
}

/// Ends a turn that is run again and wants what its record does not have, where there is no way to say so.
pub(crate) fn missing(what: &str) -> wasmtime::Error {
    wasmtime::Error::msg(format!("the record of this turn does not have {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(seen: &Seen) -> Option<u64> {
        match seen {
            Seen::Time(time) => Some(*time),
            _ => None,
        }
    }

    #[test]
    fn what_was_read_comes_back_in_its_order_and_once() {
        let mut tape = Tape::playing(vec![Seen::Time(1), Seen::Left(5), Seen::Time(2)]);
        let mut next = || tape.find(|| "a time".into(), time);
        assert_eq!([next(), next(), next()], [Some(Some(1)), Some(Some(2)), Some(None)]);
        let Tape::Playing(playing) = tape else { panic!("it plays") };
        assert_eq!(playing.missing, ["a time"]);
    }

    #[test]
    fn a_record_ends_at_its_longest() {
        let mut tape = Tape::Recording(Box::default());
        for number in 0..3 {
            tape.note(LONGEST / 2 - 32, || Seen::Time(number));
        }
        let Tape::Recording(recording) = tape else { panic!("it records") };
        assert_eq!((recording.record.reads.len(), recording.record.cut), (2, true));
    }

    #[test]
    fn nobody_writes_down_what_nobody_wants() {
        let mut tape = Tape::Off;
        tape.note(8, || panic!("it is not made"));
        assert_eq!(tape.find(|| panic!("it is not named"), time), None);
    }
}
