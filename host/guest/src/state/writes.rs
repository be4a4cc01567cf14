//! What a turn wrote and is not kept yet.

use super::Part;
use super::beside::Seen;
use super::rows::Value;
use crate::tape::Bytes;
use parking_lot::Mutex;
use runtime::{Fault, Held};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// What a turn wrote; none is a key that it took away.
pub(crate) struct Writes {
    changed: [BTreeMap<String, Option<Value>>; 2],
    /// Beginnings of keys of the workspace: what lasts under them is gone, but for what was written since.
    cleared: BTreeSet<String>,
    /// What the writes take while they are not kept yet.
    pub(super) held: Held,
    /// How many more bytes of storage there are in all as this turn sees it.
    pub(super) more: i64,
    /// What the writes take of storage until then.
    pub(super) room: Held,
    /// What the turn has read, where another replica may change it meanwhile.
    pub(super) seen: Option<Box<Mutex<Seen>>>,
}

/// Changes of the workspace that are made together, or not at all.
#[derive(Default)]
pub(crate) struct Batch {
    /// Beginnings of keys that are taken away, before anything is put.
    pub(crate) cleared: Vec<String>,
    /// Each key once.
    pub(crate) rows: Vec<(String, Option<Vec<u8>>)>,
    /// How many more bytes of storage that takes.
    pub(crate) more: i64,
}

/// Why a write was refused.
#[derive(Debug)]
pub(crate) enum Refused {
    Storage,
    Memory,
    Store(store::Error),
}

impl Refused {
    /// What it is for an instance that can't be made because of it.
    pub(crate) fn fault(self, limit: u64) -> Fault {
        match self {
            Refused::Memory | Refused::Storage => Fault::Memory { limit, frames: Vec::new() },
            Refused::Store(error) => Fault::Refused { what: format!("the agent's state can't be read: {error}") },
        }
    }
}

impl From<store::Error> for Refused {
    fn from(error: store::Error) -> Refused {
        Refused::Store(error)
    }
}

/// What an entry of the map is counted as beside key and value.
pub(super) const ENTRY: u64 = 96;

/// What a row takes in memory.
pub(super) fn footprint(key: &str, value: Option<&Value>) -> u64 {
    ENTRY + (key.len() + value.map_or(0, |value| value.bytes.len())) as u64
}

impl Writes {
    pub(super) fn new(held: Held, room: Held) -> Writes {
        Writes { changed: Default::default(), cleared: BTreeSet::new(), held, more: 0, room, seen: None }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.cleared.is_empty() && self.changed.iter().all(BTreeMap::is_empty)
    }

    /// What was changed of a part, by key.
    pub(crate) fn of(&self, part: Part) -> &BTreeMap<String, Option<Value>> {
        &self.changed[part as usize]
    }

    /// The keys of the state that were changed, with what is there now.
    pub(crate) fn list(&self) -> Vec<(String, Option<Bytes>)> {
        let bytes = |value: &Value| Bytes(value.bytes.to_vec());
        self.of(Part::State).iter().map(|(key, value)| (key.clone(), value.as_ref().map(bytes))).collect()
    }

    /// What the turn has made of a key, if it did anything to it.
    pub(crate) fn find(&self, part: Part, key: &str) -> Option<Option<&Value>> {
        match self.of(part).get(key) {
            Some(value) => Some(value.as_ref()),
            None => self.is_cleared(part, key).then_some(None),
        }
    }

    pub(super) fn is_cleared(&self, part: Part, key: &str) -> bool {
        let starts = |end| key.get(..end).is_some_and(|start| self.cleared.contains(start));
        part == Part::Workspace && !self.cleared.is_empty() && (1..=key.len()).any(starts)
    }

    pub(super) fn cleared(&self) -> impl Iterator<Item = &str> {
        self.cleared.iter().map(String::as_str)
    }

    pub(super) fn insert(&mut self, part: Part, key: String, value: Option<Value>) {
        self.changed[part as usize].insert(key, value);
    }

    /// What the writes take with these as well.
    pub(super) fn held_with(&self, batch: &Batch) -> u64 {
        let changed = self.of(Part::Workspace);
        let gone = |prefix: &String| -> u64 {
            under(changed, prefix).map(|(key, value)| footprint(key, value.as_ref())).sum()
        };
        let overwritten = |(key, _): &(String, Option<Vec<u8>>)| match changed.get(key) {
            // Counted among those that are cleared.
            Some(_) if batch.cleared.iter().any(|prefix| key.starts_with(prefix)) => 0,
            Some(value) => footprint(key, value.as_ref()),
            None => 0,
        };
        let row =
            |(key, value): &(String, Option<Vec<u8>>)| ENTRY + (key.len() + value.as_ref().map_or(0, Vec::len)) as u64;
        let fresh = batch.cleared.iter().filter(|prefix| !self.cleared.contains(*prefix));
        let less = batch.cleared.iter().map(gone).sum::<u64>() + batch.rows.iter().map(overwritten).sum::<u64>();
        let more =
            fresh.map(|prefix| ENTRY + prefix.len() as u64).sum::<u64>() + batch.rows.iter().map(row).sum::<u64>();
        self.held.bytes() + more - less
    }

    pub(super) fn take_in(&mut self, batch: Batch) {
        let changed = &mut self.changed[Part::Workspace as usize];
        for prefix in batch.cleared {
            let gone: Vec<_> = under(changed, &prefix).map(|(key, _)| key.clone()).collect();
            gone.iter().for_each(|key| drop(changed.remove(key)));
            self.cleared.insert(prefix);
        }
        for (key, bytes) in batch.rows {
            changed.insert(key, bytes.map(|bytes| Value { bytes: bytes.into(), version: 0 }));
        }
    }

    /// The writes, which are none any more.
    pub(super) fn take(&mut self) -> ([BTreeMap<String, Option<Value>>; 2], BTreeSet<String>) {
        (std::mem::take(&mut self.changed), std::mem::take(&mut self.cleared))
    }
}

/// What is under keys that begin so.
pub(super) fn under<'a, V>(
    rows: &'a BTreeMap<String, V>,
    prefix: &'a str,
) -> impl Iterator<Item = (&'a String, &'a V)> {
    rows.range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
        .take_while(move |(key, _)| key.starts_with(prefix))
}
