//! What a turn read, kept so that it can be run again in the world that it saw.

use crate::fetched::Fetched;
use crate::thinking::Thought;
use agents::{Mail, raw};
use serde::{Deserialize, Serialize};
use std::collections::{HashSet, VecDeque};

/// What a turn read, and what it did: all that it takes to run it again and compare.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
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
    /// What it changed in its workspace, in words, and a digest of what is there now. Behind the others in the journal: the
    /// first records did not have it.
    #[serde(skip)]
    pub(crate) workspace: Vec<Touched>,
}

/// Something that a turn changed in its workspace: what it is, and a digest of what is there now.
pub(crate) type Touched = (String, Option<[u8; 32]>);

impl Record {
    /// A record as the journal keeps it; none if nothing was recorded.
    pub fn read(bytes: &[u8]) -> Option<Record> {
        let (record, rest) = postcard::take_from_bytes::<Record>(bytes).ok()?;
        let workspace = if rest.is_empty() { Vec::new() } else { postcard::from_bytes(rest).ok()? };
        Some(Record { workspace, ..record })
    }

    /// As the journal keeps it; empty if it can't be written.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let bytes = postcard::to_allocvec(self).unwrap_or_default();
        match self.workspace.is_empty() || bytes.is_empty() {
            true => bytes,
            false => postcard::to_extend(&self.workspace, bytes).unwrap_or_default(),
        }
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Seen {
    State {
        key: String,
        value: Option<(u64, Bytes)>,
    },
    Scan {
        prefix: String,
        after: Option<String>,
        most: u32,
        found: Vec<(String, u64, Bytes)>,
    },
    Wall {
        seconds: u64,
        nanoseconds: u32,
    },
    Time(u64),
    Chance(Bytes),
    Seed(u64, u64),
    Left(u64),
    Answer {
        question: [u8; 32],
        outcome: Result<(String, Bytes), String>,
    },
    /// A row of the workspace, as it lasted when the turn began.
    Row {
        key: String,
        value: Option<Bytes>,
    },
    /// Rows of the workspace, as the turn saw them.
    Rows {
        prefix: String,
        after: Option<String>,
        most: u32,
        found: Vec<(String, Bytes)>,
    },
    Web(Box<Fetched>),
    /// Who has a skill in which village.
    Found {
        skill: String,
        most: u32,
        found: Vec<FoundThen>,
    },
    /// Whether a topic was followed.
    Follows {
        topic: String,
        there: bool,
    },
    /// What a model said.
    Model(Box<Thought>),
    /// How many passages a document became, or why it can't be read.
    Ingested {
        document: [u8; 32],
        passages: Result<u32, String>,
    },
    /// What a search of a space found.
    Recalled {
        question: [u8; 32],
        found: Vec<PassageThen>,
    },
    /// Whether a space had a source.
    Had {
        space: String,
        source: String,
        there: bool,
    },
    /// A text that was made shorter.
    Shortened {
        question: [u8; 32],
        text: String,
    },
}

/// A passage that was found: text, source, where it begins and ends, how near it is, tags.
pub(crate) type PassageThen = (String, String, u64, u64, f32, Vec<String>);

/// An agent that was found: address, name, version, skills, age, load, latency.
pub(crate) type FoundThen = (String, String, String, Vec<String>, u64, u32, u64);

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
    /// The rows that are on the record. Nobody but the turn itself changes them while it runs, so once is enough.
    rows: HashSet<String>,
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

    /// Writes down a row of the workspace that was read.
    pub(crate) fn note_row(&mut self, key: &str, value: Option<&[u8]>) {
        let Tape::Recording(recording) = self else { return };
        if !recording.record.cut && recording.rows.insert(key.to_owned()) {
            let size = key.len() + value.map_or(0, <[u8]>::len);
            self.note(size, || Seen::Row { key: key.into(), value: value.map(|bytes| Bytes(bytes.to_vec())) });
        }
    }

    /// In a turn that is run again: a row of the workspace, as often as it is wanted.
    pub(crate) fn row(&mut self, key: &str, what: impl FnOnce() -> String) -> Option<Option<Option<Vec<u8>>>> {
        let Tape::Playing(playing) = self else { return None };
        let found = playing.reads.iter().find_map(|seen| match seen {
            Seen::Row { key: known, value } if known == key => Some(value.as_ref().map(|value| value.0.clone())),
            _ => None,
        });
        if found.is_none() {
            playing.missing.push(what());
        }
        Some(found)
    }

    pub(crate) fn is_recording(&self) -> bool {
        matches!(self, Tape::Recording(_))
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
    fn a_record_of_before_there_were_workspaces_can_be_read_and_one_of_now_by_who_knows_none() {
        let before = Record { wrote: vec![("key".into(), Some(Bytes(vec![7])))], cut: true, ..Record::default() };
        let old = [0, 0, 1, 3, b'k', b'e', b'y', 1, 1, 7, 0, 0, 1];
        assert_eq!((before.bytes(), Record::read(&old)), (old.to_vec(), Some(before.clone())));
        let now =
            Record { workspace: vec![("the file `a`".into(), Some([9; 32])), ("b".into(), None)], ..before.clone() };
        let bytes = now.bytes();
        assert_eq!(bytes[old.len()..][..15], *b"\x02\x0cthe file `a`\x01");
        assert_eq!(Record::read(&bytes), Some(now));
        assert_eq!(postcard::from_bytes::<Record>(&bytes).ok(), Some(before));
        assert_eq!(Record::read(&bytes[..bytes.len() - 1]), None, "what is cut off is no record");
    }

    #[test]
    fn a_row_is_on_the_record_once_and_comes_back_as_often_as_it_is_wanted() {
        let mut tape = Tape::Recording(Box::default());
        tape.note_row("a", Some(b"1"));
        tape.note_row("a", Some(b"1"));
        tape.note_row("b", None);
        let Tape::Recording(recording) = tape else { panic!("it records") };
        assert_eq!(recording.record.reads.len(), 2);
        let mut tape = Tape::playing(recording.record.reads);
        let mut row = |key: &str| tape.row(key, || format!("the row {key}"));
        assert_eq!([row("a"), row("a")], [Some(Some(Some(b"1".to_vec()))), Some(Some(Some(b"1".to_vec())))]);
        assert_eq!((row("b"), row("c")), (Some(Some(None)), Some(None)));
        let Tape::Playing(playing) = tape else { panic!("it plays") };
        assert_eq!(playing.missing, ["the row c"]);
    }

    #[test]
    fn nobody_writes_down_what_nobody_wants() {
        let mut tape = Tape::Off;
        tape.note(8, || panic!("it is not made"));
        assert_eq!(tape.find(|| panic!("it is not named"), time), None);
    }
}
