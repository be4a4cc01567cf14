//! An agent's workspace: files, and objects that are kept in versions, as rows beside its state.
//!
//! Of a file, and of an object, there is one row that it is known by, which says how large it is; an object has a row for each
//! version. Content is in pieces, a row each, so that little is written when little is changed.

mod content;
mod files;
mod name;
mod objects;

use crate::state::{self, Batch, Part, State, Value, Writes};
use crate::tape::{Bytes, Seen, Tape, Touched};
use base::Digest;
pub(crate) use files::File;
pub(crate) use objects::Object;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A workspace, as the turn under way sees it.
pub(crate) struct Workspace<'a> {
    pub(crate) state: &'a State,
    pub(crate) writes: &'a mut Writes,
    pub(crate) tape: &'a mut Tape,
    /// What changes now, changes at this time: Unix milliseconds.
    pub(crate) now: u64,
}

/// Why something was not done. Nothing was changed.
#[derive(Debug)]
pub(crate) enum Refused {
    /// There is no room, or the store can't be read.
    State(state::Refused),
    NotFound(String),
    Invalid(String),
    /// In a turn that is run again: its record does not have what it wants to read.
    Unrecorded,
    /// A row is not what it should be.
    Unreadable(String),
}

impl From<state::Refused> for Refused {
    fn from(refused: state::Refused) -> Refused {
        Refused::State(refused)
    }
}

type Answer<T> = Result<T, Refused>;

/// At most so much is written, or kept, at once.
const LONGEST: usize = 16 << 20;

/// At most so many are listed at once.
const MOST: u32 = 1000;

/// What keys begin with, of the rows that files and objects are known by, of versions, and of pieces of content.
const FILE: char = 'f';
const OBJECT: char = 'o';
const VERSION: char = 'v';
const PIECE: char = 'c';

/// The last number that was given to anything here.
const LAST: &str = "n";

/// Whether a row is what a file or an object is known by.
pub(crate) fn is_head(key: &str) -> bool {
    key.starts_with([FILE, OBJECT])
}

/// A number in a key: of one length, so that keys are in its order.
fn hex(number: u64) -> String {
    format!("{number:016x}")
}

/// What the turn changed: each file and object in words, with a digest of all that was written of it.
pub(crate) fn touched(writes: &Writes) -> Vec<Touched> {
    let changed = writes.of(Part::Workspace);
    let heads = changed.iter().filter(|(key, _)| is_head(key));
    heads
        .map(|(key, value)| {
            let what = if key.starts_with(FILE) { "file" } else { "object" };
            let digest = value.as_ref().map(|value| {
                let mut parts = Digest::of(&value.bytes).as_bytes().to_vec();
                // Both begin with their number.
                let id = postcard::take_from_bytes::<u64>(&value.bytes).map_or(0, |(id, _)| id);
                for kind in [VERSION, PIECE] {
                    let prefix = format!("{kind}{}", hex(id));
                    let rows = changed.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix));
                    for (key, value) in rows {
                        let bytes = value.as_ref().map_or(&[][..], |value| &value.bytes[..]);
                        parts.extend_from_slice(Digest::of(key.as_bytes()).as_bytes());
                        parts.extend_from_slice(Digest::of(bytes).as_bytes());
                    }
                }
                *Digest::of(&parts).as_bytes()
            });
            (format!("the {what} `{}`", &key[1..]), digest)
        })
        .collect()
}

impl Workspace<'_> {
    /// A row.
    fn row(&mut self, key: &str) -> Answer<Option<Value>> {
        if let Some(changed) = self.writes.find(Part::Workspace, key) {
            return Ok(changed.cloned());
        }
        if let Some(found) = self.tape.row(key, || described(key)) {
            let value = found.ok_or(Refused::Unrecorded)?;
            return Ok(value.map(|bytes| Value { bytes: bytes.into(), version: 0 }));
        }
        let value = self.state.get(self.writes, Part::Workspace, key).map_err(state::Refused::from)?;
        self.tape.note_row(key, value.as_ref().map(|value| &value.bytes[..]));
        Ok(value)
    }

    /// A row, as what it says.
    fn read_row<T: DeserializeOwned>(&mut self, key: &str) -> Answer<Option<T>> {
        self.row(key)?.map(|value| decode(key, &value.bytes)).transpose()
    }

    /// At most `most` rows whose keys begin with `prefix`, those after the key `after` if one is given.
    fn rows<T: DeserializeOwned>(&mut self, prefix: &str, after: Option<&str>, most: u32) -> Answer<Vec<(String, T)>> {
        let wanted = |seen: &Seen| match seen {
            Seen::Rows { prefix: p, after: a, most: m, found }
                if p == prefix && a.as_deref() == after && *m == most =>
            {
                Some(found.clone())
            }
            _ => None,
        };
        let found = match self.tape.find(|| format!("the list of {}", described(prefix)), wanted) {
            Some(found) => found.ok_or(Refused::Unrecorded)?,
            None => {
                let mut count = 0;
                let full = |_: &str, _: &Value| {
                    count += 1;
                    count > most
                };
                let rows = self.state.scan(self.writes, Part::Workspace, prefix, after, full);
                let rows = rows.map_err(state::Refused::from)?;
                let found: Vec<_> = rows.into_iter().map(|(key, value)| (key, Bytes(value.bytes.to_vec()))).collect();
                let size: usize = found.iter().map(|(key, bytes)| key.len() + bytes.0.len() + 32).sum();
                let size = size + prefix.len() + after.map_or(0, str::len);
                let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
                self.tape.note(size, || Seen::Rows { prefix, after, most, found: found.clone() });
                found
            }
        };
        found.into_iter().map(|(key, bytes)| decode(&key, &bytes.0).map(|value| (key, value))).collect()
    }

    fn apply(&mut self, batch: Batch) -> Answer<()> {
        Ok(self.state.apply(self.writes, batch)?)
    }

    /// A number that nothing here ever had. It is given with the batch.
    fn number(&mut self, batch: &mut Batch) -> Answer<u64> {
        let number = self.read_row::<u64>(LAST)?.unwrap_or(0) + 1;
        put(batch, LAST.into(), &number);
        Ok(number)
    }
}

/// Puts a row.
fn put<T: Serialize>(batch: &mut Batch, key: String, value: &T) {
    let bytes = postcard::to_allocvec(value).expect("numbers can always be written");
    batch.rows.push((key, Some(bytes)));
}

fn decode<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Answer<T> {
    postcard::from_bytes(bytes).map_err(|_| Refused::Unreadable(described(key)))
}

/// A row in words.
fn described(key: &str) -> String {
    let rest = key.get(1..).unwrap_or_default();
    match key.chars().next() {
        Some(FILE) => format!("the file `{rest}`"),
        Some(OBJECT) => format!("the object `{rest}`"),
        Some(VERSION) => "the versions of an object".into(),
        Some(PIECE) => "content of the workspace".into(),
        _ => "the last number of the workspace".into(),
    }
}

/// How many are listed.
fn bounded(limit: u32) -> Answer<u32> {
    match limit {
        0 => Err(Refused::Invalid("a list's limit must not be 0".into())),
        limit => Ok(limit.min(MOST)),
    }
}

fn short_enough(content: &[u8]) -> Answer<()> {
    match content.len() {
        0..=LONGEST => Ok(()),
        _ => Err(Refused::Invalid("at most 16 MiB are written at once".into())),
    }
}

#[cfg(test)]
mod tests;
