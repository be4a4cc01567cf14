//! An agent's key-value state, with the writes of the turn that is under way.
//!
//! It is kept in memory, so it counts as memory as well as storage.

use parking_lot::Mutex;
use runtime::{Full, Held, Quota};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// What is kept under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) bytes: Arc<[u8]>,
    pub(crate) version: u64,
}

/// What lasts: the effects of all turns that ended well.
pub(crate) struct State {
    /// The values, their versions and what they take change together.
    kept: Mutex<Kept>,
    memory: Arc<Quota>,
}

struct Kept {
    values: BTreeMap<String, Value>,
    version: u64,
    bytes: u64,
    storage: Held,
    memory: Held,
}

/// What a turn wrote; none is a key that it took away.
pub(crate) struct Writes {
    changed: BTreeMap<String, Option<Value>>,
    /// What the writes take while they are not kept yet.
    held: Held,
    /// How many more key and value bytes there are in all as this turn sees it.
    more: i64,
}

/// Why a write was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Storage(Full),
    Memory(Full),
}

/// What an entry of the map is counted as beside key and value.
const ENTRY: u64 = 96;

impl State {
    pub(crate) fn new(storage: &Arc<Quota>, memory: &Arc<Quota>) -> Result<State, Full> {
        let (storage, held) = (storage.hold(0)?, memory.hold(0)?);
        let kept = Kept { values: BTreeMap::new(), version: 0, bytes: 0, storage, memory: held };
        Ok(State { kept: Mutex::new(kept), memory: memory.clone() })
    }

    /// A turn begins, that has written nothing.
    pub(crate) fn begin(&self) -> Result<Writes, Full> {
        let mut kept = self.kept.lock();
        // What a turn that was given up had reserved is free again.
        let bytes = kept.bytes;
        kept.storage.resize(bytes)?;
        Ok(Writes { changed: BTreeMap::new(), held: self.memory.hold(0)?, more: 0 })
    }

    /// Takes over all that another agent's turns left behind, instead of what is here.
    pub(crate) fn copy(&self, other: &State) -> Result<(), Full> {
        let (values, version, bytes) = {
            let other = other.kept.lock();
            (other.values.clone(), other.version, other.bytes)
        };
        let mut kept = self.kept.lock();
        kept.storage.resize(bytes)?;
        // The values themselves are shared, and counted all the same: whoever drops them last is not known.
        kept.memory.resize(bytes + values.len() as u64 * ENTRY)?;
        (kept.values, kept.version, kept.bytes) = (values, version, bytes);
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
        // Both only shrink.
        let bytes = kept.bytes;
        let _ = kept.storage.resize(bytes);
        let _ = writes.held.resize(0);
    }

    /// What the turn sees under `key`.
    pub(crate) fn get(&self, writes: &Writes, key: &str) -> Option<Value> {
        match writes.changed.get(key) {
            Some(changed) => changed.clone(),
            None => self.kept.lock().values.get(key).cloned(),
        }
    }

    /// Puts `bytes` under `key`, or takes the key away; answers the new version.
    pub(crate) fn put(&self, writes: &mut Writes, key: &str, bytes: Option<Vec<u8>>) -> Result<u64, Refused> {
        let size = |value: &Value| (key.len() + value.bytes.len()) as u64;
        let before = self.get(writes, key).map_or(0, |value| size(&value));
        let pending =
            writes.changed.get(key).map_or(0, |changed| ENTRY + changed.as_ref().map_or(key.len() as u64, size));
        let added = bytes.as_ref().map(|bytes| (key.len() + bytes.len()) as u64);
        let held = writes.held.bytes() - pending + ENTRY + added.unwrap_or(key.len() as u64);
        let more = writes.more + added.unwrap_or(0) as i64 - before as i64;
        let mut kept = self.kept.lock();
        let total = kept.bytes.saturating_add_signed(more);
        let reserved = kept.storage.bytes();
        // What is taken away becomes free when the turn ends well, not before.
        kept.storage.resize(reserved.max(total)).map_err(Refused::Storage)?;
        if let Err(full) = writes.held.resize(held) {
            let _ = kept.storage.resize(reserved);
            return Err(Refused::Memory(full));
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
    ) -> Vec<(String, Value)> {
        let kept = self.kept.lock();
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let mut lasting = kept.values.range::<str, _>((from, Bound::Unbounded)).peekable();
        let mut changed = writes.changed.range::<str, _>((from, Bound::Unbounded)).peekable();
        let mut found = Vec::new();
        loop {
            let lasting_first = match (lasting.peek(), changed.peek()) {
                (Some((a, _)), Some((b, _))) => {
                    if a == b {
                        lasting.next();
                        continue;
                    }
                    a < b
                }
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (None, None) => return found,
            };
            let next = if lasting_first {
                lasting.next().map(|(key, value)| (key, Some(value)))
            } else {
                changed.next().map(|(key, value)| (key, value.as_ref()))
            };
            let Some((key, value)) = next else { return found };
            if !key.starts_with(prefix) {
                return found;
            }
            let Some(value) = value else { continue };
            if full(key, value) {
                return found;
            }
            found.push((key.clone(), value.clone()));
        }
    }

    /// The turn has ended well: its writes last.
    pub(crate) fn commit(&self, writes: &mut Writes) {
        if writes.changed.is_empty() {
            return;
        }
        let mut kept = self.kept.lock();
        for (key, value) in std::mem::take(&mut writes.changed) {
            match value {
                Some(value) => drop(kept.values.insert(key, value)),
                None => drop(kept.values.remove(&key)),
            }
        }
        kept.bytes = kept.bytes.saturating_add_signed(std::mem::take(&mut writes.more));
        let (bytes, entries) = (kept.bytes, kept.values.len() as u64);
        // The room was taken when the writes were made, and what lasts now is no more than was held with them. It is
        // handed over, not given back and taken again: meanwhile somebody else of the group could have it.
        kept.memory.absorb(&mut writes.held);
        let _ = kept.storage.resize(bytes);
        let _ = kept.memory.resize(bytes + entries * ENTRY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(storage: u64, memory: u64) -> (State, Arc<Quota>, Arc<Quota>) {
        let (storage, memory) = (Quota::new(storage), Quota::new(memory));
        (State::new(&storage, &memory).expect("there is room"), storage, memory)
    }

    fn keys(state: &State, writes: &Writes, prefix: &str, after: Option<&str>) -> Vec<String> {
        state.scan(writes, prefix, after, |_, _| false).into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn a_turn_reads_its_own_writes_and_they_last_when_it_ends_well() {
        let (state, storage, _) = state(100, 10_000);
        let mut turn = state.begin().expect("room");
        state.put(&mut turn, "a", Some(vec![1; 9])).expect("room");
        assert_eq!(state.get(&turn, "a").map(|value| value.bytes.len()), Some(9));
        state.commit(&mut turn);
        let next = state.begin().expect("room");
        assert_eq!(state.get(&next, "a").map(|value| value.bytes.len()), Some(9));
        assert_eq!(storage.used(), 10);
    }

    #[test]
    fn writes_of_a_turn_that_failed_are_gone() {
        let (state, storage, memory) = state(100, 10_000);
        let mut turn = state.begin().expect("room");
        state.put(&mut turn, "a", Some(vec![1; 90])).expect("room");
        drop(turn);
        let mut next = state.begin().expect("room");
        assert_eq!(state.get(&next, "a"), None);
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
        assert_eq!((state.get(&turn, "a"), storage.used(), memory.used()), (None, 0, 0));
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
        assert!(matches!(state.put(&mut turn, "b", Some(vec![0; 39])), Err(Refused::Storage(_))));
        assert_eq!(state.get(&turn, "b"), None);
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
        assert!(matches!(state.put(&mut turn, "a", Some(vec![0; 2_000])), Err(Refused::Memory(_))));
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
