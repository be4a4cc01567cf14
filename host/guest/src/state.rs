//! An agent's key-value state, with the writes of the turn that is under way.
//!
//! Where there is a store, it is kept there. Without one it is kept in memory, and counts as memory as well as storage.

use crate::tape::Bytes;
use agents::Books;
use parking_lot::Mutex;
use runtime::{Fault, Full, Held, Quota};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use store::{Change, Table};

/// What is kept under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) bytes: Arc<[u8]>,
    pub(crate) version: u64,
}

/// The same in the store, by agent and key.
pub(crate) const STATE: Table<(String, String), Entry> = Table::new("state");

/// What all of an agent's state comes to.
pub(crate) const TOTALS: Table<String, Totals> = Table::new("totals");

/// A value in the store.
#[derive(Serialize, Deserialize)]
pub(crate) struct Entry {
    version: u64,
    #[serde(with = "agents::raw")]
    bytes: Vec<u8>,
}

/// What all of an agent's state comes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Totals {
    /// Of keys and values.
    bytes: u64,
    /// The last that was given.
    version: u64,
}

/// What lasts: the effects of all turns that ended well.
pub(crate) struct State {
    /// The values, their versions and what they take change together.
    kept: Mutex<Kept>,
    memory: Arc<Quota>,
    shelf: Option<Shelf>,
}

/// Where an agent's state is in the store.
pub(crate) struct Shelf {
    pub(crate) books: Arc<Books>,
    pub(crate) agent: String,
}

struct Kept {
    /// Empty where there is a store.
    values: BTreeMap<String, Value>,
    version: u64,
    bytes: u64,
    storage: Held,
    memory: Held,
    /// Whether what the store has is counted.
    counted: bool,
}

/// What a turn wrote; none is a key that it took away.
pub(crate) struct Writes {
    changed: BTreeMap<String, Option<Value>>,
    /// What the writes take while they are not kept yet.
    held: Held,
    /// How many more key and value bytes there are in all as this turn sees it.
    more: i64,
}

impl Writes {
    /// The keys that were changed, with what is there now.
    pub(crate) fn list(&self) -> Vec<(String, Option<Bytes>)> {
        let bytes = |value: &Value| Bytes(value.bytes.to_vec());
        self.changed.iter().map(|(key, value)| (key.clone(), value.as_ref().map(bytes))).collect()
    }

    /// Whether the turn has changed `key`.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.changed.contains_key(key)
    }
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
const ENTRY: u64 = 96;

/// So many entries are fetched from the store at once.
const PAGE: usize = 64;

impl State {
    pub(crate) fn new(storage: &Arc<Quota>, memory: &Arc<Quota>, shelf: Option<Shelf>) -> Result<State, Full> {
        let (storage, held) = (storage.hold(0)?, memory.hold(0)?);
        let counted = shelf.is_none();
        let kept = Kept { values: BTreeMap::new(), version: 0, bytes: 0, storage, memory: held, counted };
        Ok(State { kept: Mutex::new(kept), memory: memory.clone(), shelf })
    }

    /// A turn begins, that has written nothing.
    pub(crate) fn begin(&self) -> Result<Writes, Refused> {
        let mut kept = self.kept.lock();
        if let (false, Some(Shelf { books, agent })) = (kept.counted, &self.shelf) {
            let totals = books.store().read().get(&TOTALS, agent)?.unwrap_or_default();
            (kept.bytes, kept.version, kept.counted) = (totals.bytes, totals.version, true);
        }
        // What a turn that was given up had reserved is free again. What is there stays, also where there may be less now.
        let bytes = kept.bytes;
        kept.storage.force(bytes);
        let held = self.memory.hold(0).map_err(|_| Refused::Memory)?;
        Ok(Writes { changed: BTreeMap::new(), held, more: 0 })
    }

    /// Takes over all that another agent's turns left behind, instead of what is here, where there is no store.
    pub(crate) fn copy(&self, other: &State) -> Result<(), Refused> {
        let (version, bytes) = {
            let other = other.kept.lock();
            (other.version, other.bytes)
        };
        let mut copied = BTreeMap::new();
        let mut held = self.memory.hold(0).map_err(|_| Refused::Memory)?;
        let kept = other.kept.lock();
        let mut lasting = match &other.shelf {
            None => Lasting::Here(kept.values.range::<str, _>((Bound::Unbounded, Bound::Unbounded))),
            Some(shelf) => Lasting::There(Pages::new(shelf, "", None)?),
        };
        while let Some((key, value)) = lasting.next()? {
            // Where values are shared with the other agent they are counted all the same: nobody knows who drops them last.
            let size = ENTRY + (key.len() + value.bytes.len()) as u64;
            held.resize(held.bytes() + size).map_err(|_| Refused::Memory)?;
            copied.insert(key, value);
        }
        drop(kept);
        let mut kept = self.kept.lock();
        kept.storage.resize(bytes).map_err(|_| Refused::Storage)?;
        kept.memory.force(0);
        kept.memory.absorb(&mut held);
        (kept.values, kept.version, kept.bytes) = (copied, version, bytes);
        Ok(())
    }

    /// Forgets what was written outside of a turn, while the agent was made or described itself.
    pub(crate) fn discard(&self, writes: &mut Writes) {
        if writes.changed.is_empty() {
            return;
        }
        writes.changed.clear();
        writes.more = 0;
        let mut kept = self.kept.lock();
        let bytes = kept.bytes;
        kept.storage.force(bytes);
        writes.held.force(0);
    }

    /// What the turn sees under `key`.
    pub(crate) fn get(&self, writes: &Writes, key: &str) -> Result<Option<Value>, store::Error> {
        match (writes.changed.get(key), &self.shelf) {
            (Some(changed), _) => Ok(changed.clone()),
            (None, None) => Ok(self.kept.lock().values.get(key).cloned()),
            (None, Some(Shelf { books, agent })) => {
                let entry = books.store().read().get(&STATE, (agent, key))?;
                Ok(entry.map(Value::from))
            }
        }
    }

    /// Puts `bytes` under `key`, or takes the key away; answers the new version.
    pub(crate) fn put(&self, writes: &mut Writes, key: &str, bytes: Option<Vec<u8>>) -> Result<u64, Refused> {
        let size = |value: &Value| (key.len() + value.bytes.len()) as u64;
        let before = self.get(writes, key)?.map_or(0, |value| size(&value));
        let pending =
            writes.changed.get(key).map_or(0, |changed| ENTRY + changed.as_ref().map_or(key.len() as u64, size));
        let added = bytes.as_ref().map(|bytes| (key.len() + bytes.len()) as u64);
        let held = writes.held.bytes() - pending + ENTRY + added.unwrap_or(key.len() as u64);
        let more = writes.more + added.unwrap_or(0) as i64 - before as i64;
        let mut kept = self.kept.lock();
        let total = kept.bytes.saturating_add_signed(more);
        let reserved = kept.storage.bytes();
        // What is taken away becomes free when the turn ends well, not before.
        kept.storage.resize(reserved.max(total)).map_err(|_| Refused::Storage)?;
        if writes.held.resize(held).is_err() {
            kept.storage.force(reserved);
            return Err(Refused::Memory);
        }
        writes.more = more;
        kept.version += 1;
        let version = kept.version;
        writes.changed.insert(key.into(), bytes.map(|bytes| Value { bytes: bytes.into(), version }));
        Ok(version)
    }

    /// The entries the turn sees whose keys begin with `prefix` and come after `after`, until `full` says so.
    pub(crate) fn scan(
        &self,
        writes: &Writes,
        prefix: &str,
        after: Option<&str>,
        mut full: impl FnMut(&str, &Value) -> bool,
    ) -> Result<Vec<(String, Value)>, store::Error> {
        let kept = self.kept.lock();
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let mut lasting = match &self.shelf {
            None => Lasting::Here(kept.values.range::<str, _>((from, Bound::Unbounded))),
            Some(shelf) => Lasting::There(Pages::new(shelf, prefix, after)?),
        };
        let mut changed = writes.changed.range::<str, _>((from, Bound::Unbounded)).peekable();
        let mut next_lasting = lasting.next()?;
        let mut found = Vec::new();
        loop {
            let lasting_first = match (&next_lasting, changed.peek()) {
                (Some((a, _)), Some((b, _))) => {
                    if a == *b {
                        next_lasting = lasting.next()?;
                        continue;
                    }
                    a < *b
                }
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (None, None) => return Ok(found),
            };
            let next = if lasting_first {
                let after = lasting.next()?;
                std::mem::replace(&mut next_lasting, after).map(|(key, value)| (key, Some(value)))
            } else {
                changed.next().map(|(key, value)| (key.clone(), value.clone()))
            };
            let Some((key, value)) = next else { return Ok(found) };
            if !key.starts_with(prefix) {
                return Ok(found);
            }
            let Some(value) = value else { continue };
            if full(&key, &value) {
                return Ok(found);
            }
            found.push((key, value));
        }
    }

    /// Adds the turn's writes to what is to be kept; answers how many there are.
    pub(crate) fn record(&self, writes: &Writes, change: &mut Change) -> u32 {
        let Some(Shelf { agent, .. }) = &self.shelf else { return 0 };
        if writes.changed.is_empty() {
            return 0;
        }
        for (key, value) in &writes.changed {
            let place = (agent.as_str(), key.as_str());
            match value {
                Some(value) => {
                    let entry = Entry { version: value.version, bytes: value.bytes.to_vec() };
                    change.put(&STATE, place, &entry);
                }
                None => drop(change.delete(&STATE, place)),
            }
        }
        let kept = self.kept.lock();
        let totals = Totals { bytes: kept.bytes.saturating_add_signed(writes.more), version: kept.version };
        change.put(&TOTALS, agent, &totals);
        writes.changed.len() as u32
    }

    /// The turn has ended well: its writes last.
    pub(crate) fn commit(&self, writes: &mut Writes) {
        if writes.changed.is_empty() {
            return;
        }
        let mut kept = self.kept.lock();
        let changed = std::mem::take(&mut writes.changed);
        kept.bytes = kept.bytes.saturating_add_signed(std::mem::take(&mut writes.more));
        let bytes = kept.bytes;
        kept.storage.force(bytes);
        if self.shelf.is_some() {
            writes.held.force(0);
            return;
        }
        for (key, value) in changed {
            match value {
                Some(value) => drop(kept.values.insert(key, value)),
                None => drop(kept.values.remove(&key)),
            }
        }
        // The room was taken when the writes were made, and what lasts now is no more than was held with them. It is
        // handed over, not given back and taken again: meanwhile somebody else of the group could have it.
        let entries = kept.values.len() as u64;
        kept.memory.absorb(&mut writes.held);
        kept.memory.force(bytes + entries * ENTRY);
    }
}

impl From<Entry> for Value {
    fn from(entry: Entry) -> Value {
        Value { bytes: entry.bytes.into(), version: entry.version }
    }
}

/// What lasts, in the order of its keys.
enum Lasting<'a> {
    Here(std::collections::btree_map::Range<'a, String, Value>),
    There(Pages<'a>),
}

impl Lasting<'_> {
    fn next(&mut self) -> Result<Option<(String, Value)>, store::Error> {
        match self {
            Lasting::Here(values) => Ok(values.next().map(|(key, value)| (key.clone(), value.clone()))),
            Lasting::There(pages) => pages.next(),
        }
    }
}

/// What lasts in the store, fetched a little at a time.
struct Pages<'a> {
    read: store::Read,
    agent: &'a str,
    prefix: &'a str,
    after: Option<String>,
    page: VecDeque<(String, Value)>,
    end: bool,
}

impl<'a> Pages<'a> {
    fn new(shelf: &'a Shelf, prefix: &'a str, after: Option<&str>) -> Result<Pages<'a>, store::Error> {
        let (read, after) = (shelf.books.store().read(), after.map(str::to_owned));
        Ok(Pages { read, agent: &shelf.agent, prefix, after, page: VecDeque::new(), end: false })
    }

    fn next(&mut self) -> Result<Option<(String, Value)>, store::Error> {
        if self.page.is_empty() && !self.end {
            let after = self.after.as_deref().map(|key| (self.agent, key));
            let rows = self.read.scan(STATE.under_starting(self.agent, self.prefix), after, PAGE)?;
            self.end = rows.len() < PAGE;
            self.page = rows.into_iter().map(|((_, key), entry)| (key, Value::from(entry))).collect();
            self.after = self.page.back().map(|(key, _)| key.clone());
        }
        Ok(self.page.pop_front())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(storage: u64, memory: u64) -> (State, Arc<Quota>, Arc<Quota>) {
        let (storage, memory) = (Quota::new(storage), Quota::new(memory));
        (State::new(&storage, &memory, None).expect("there is room"), storage, memory)
    }

    fn get(state: &State, writes: &Writes, key: &str) -> Option<Value> {
        state.get(writes, key).expect("it can be read")
    }

    fn keys(state: &State, writes: &Writes, prefix: &str, after: Option<&str>) -> Vec<String> {
        let found = state.scan(writes, prefix, after, |_, _| false).expect("it can be read");
        found.into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn a_turn_reads_its_own_writes_and_they_last_when_it_ends_well() {
        let (state, storage, _) = state(100, 10_000);
        let mut turn = state.begin().expect("room");
        state.put(&mut turn, "a", Some(vec![1; 9])).expect("room");
        assert_eq!(get(&state, &turn, "a").map(|value| value.bytes.len()), Some(9));
        state.commit(&mut turn);
        let next = state.begin().expect("room");
        assert_eq!(get(&state, &next, "a").map(|value| value.bytes.len()), Some(9));
        assert_eq!(storage.used(), 10);
    }

    #[test]
    fn writes_of_a_turn_that_failed_are_gone() {
        let (state, storage, memory) = state(100, 10_000);
        let mut turn = state.begin().expect("room");
        state.put(&mut turn, "a", Some(vec![1; 90])).expect("room");
        drop(turn);
        let mut next = state.begin().expect("room");
        assert_eq!(get(&state, &next, "a"), None);
        assert_eq!((storage.used(), memory.used()), (0, 0));
        state.put(&mut next, "b", Some(vec![1; 99])).expect("the room is free again");
    }

    #[test]
    fn two_who_write_in_turn_see_one_size() {
        let (state, storage, _) = state(100, 10_000);
        let (mut one, mut other) = (state.begin().expect("room"), state.begin().expect("room"));
        for key in ["a", "b"] {
            state.put(&mut one, key, Some(vec![1; 19])).expect("room");
            state.commit(&mut one);
        }
        state.put(&mut other, "a", None).expect("taking away always passes");
        state.put(&mut other, "c", Some(vec![1; 79])).expect("room");
        state.commit(&mut other);
        assert_eq!(storage.used(), 100);
        assert!(matches!(state.put(&mut one, "d", Some(Vec::new())), Err(Refused::Storage(_))));
    }

    #[test]
    fn what_is_discarded_is_neither_seen_nor_counted() {
        let (state, storage, memory) = state(100, 10_000);
        let mut turn = state.begin().expect("room");
        state.put(&mut turn, "a", Some(vec![1; 90])).expect("room");
        state.discard(&mut turn);
        assert_eq!((get(&state, &turn, "a"), storage.used(), memory.used()), (None, 0, 0));
        state.put(&mut turn, "b", Some(vec![1; 99])).expect("the room is free again");
        state.commit(&mut turn);
        assert_eq!(storage.used(), 100);
    }

    #[test]
    fn what_lasts_stays_counted_when_memory_is_short_meanwhile() {
        let (state, _, memory) = state(10_000, 1_000);
        let mut turn = state.begin().expect("room");
        state.put(&mut turn, "a", Some(vec![1; 800])).expect("room");
        memory.set_limit(100);
        state.commit(&mut turn);
        assert_eq!(memory.used(), 801 + ENTRY);
    }

    #[test]
    fn storage_bounds_keys_and_values() {
        let (state, _, _) = state(100, 10_000);
        let mut turn = state.begin().expect("room");
        state.put(&mut turn, "a", Some(vec![0; 60])).expect("room");
        assert!(matches!(state.put(&mut turn, "b", Some(vec![0; 39])), Err(Refused::Storage)));
        assert_eq!(get(&state, &turn, "b"), None);
        state.put(&mut turn, "a", Some(vec![0; 99])).expect("replacing needs only the difference");
        state.commit(&mut turn);
        let mut turn = state.begin().expect("room");
        state.put(&mut turn, "a", None).expect("taking away always passes");
        state.commit(&mut turn);
        let mut turn = state.begin().expect("room");
        state.put(&mut turn, "c", Some(vec![0; 99])).expect("what was taken away is free");
    }

    #[test]
    fn memory_bounds_what_is_held_as_well() {
        let (state, storage, memory) = state(10_000, 1_000);
        let mut turn = state.begin().expect("room");
        assert!(matches!(state.put(&mut turn, "a", Some(vec![0; 2_000])), Err(Refused::Memory)));
        assert_eq!((storage.used(), memory.used()), (0, 0));
    }

    #[test]
    fn a_scan_sees_writes_in_order_and_goes_on_after_a_key() {
        let (state, _, _) = state(1_000, 10_000);
        let mut turn = state.begin().expect("room");
        for key in ["p/1", "p/3", "q/1", "o"] {
            state.put(&mut turn, key, Some(vec![0])).expect("room");
        }
        state.commit(&mut turn);
        let mut turn = state.begin().expect("room");
        state.put(&mut turn, "p/2", Some(vec![])).expect("room");
        state.put(&mut turn, "p/3", None).expect("room");
        state.put(&mut turn, "p/1", Some(vec![9])).expect("room");
        assert_eq!(keys(&state, &turn, "p/", None), ["p/1", "p/2"]);
        assert_eq!(keys(&state, &turn, "p/", Some("p/1")), ["p/2"]);
        assert_eq!(keys(&state, &turn, "", None), ["o", "p/1", "p/2", "q/1"]);
        assert_eq!(keys(&state, &turn, "x", None), Vec::<String>::new());
    }
}
