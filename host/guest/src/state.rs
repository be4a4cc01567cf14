//! What an agent keeps, its key-value state and its workspace, with the writes of the turn that is under way.
//!
//! Where there is a store, it is kept there. Without one it is kept in memory, and counts as memory as well as storage.

mod beside;
mod rows;
mod writes;

use crate::host::Host;
use crate::workspace::is_head;
use beside::Changed;
use parking_lot::{Mutex, MutexGuard};
use rows::{Entry, Lasting, Pages, Rows, Totals};
pub(crate) use rows::{STATE, Shelf, TOTALS, Value, WORKSPACE};
use runtime::{Full, Held, Quota};
use std::ops::Bound;
use std::sync::Arc;
use store::{Change, Table};
pub(crate) use writes::{Batch, Refused, Writes};
use writes::{ENTRY, footprint, under};

/// What there is to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    State,
    Workspace,
}

impl Part {
    const BOTH: [Part; 2] = [Part::State, Part::Workspace];

    fn table(self) -> Table<(String, String), Entry> {
        match self {
            Part::State => STATE,
            Part::Workspace => WORKSPACE,
        }
    }
}

/// A turn's writes take no more than this where there is a store: half of what can wait there, so that one turn leaves room
/// for those of others.
const TOGETHER: u64 = 32 << 20;

/// What lasts: the effects of all turns that ended well.
pub(crate) struct State {
    /// The values, their versions and what they take change together.
    kept: Mutex<Kept>,
    memory: Arc<Quota>,
    storage: Arc<Quota>,
    shelf: Option<Shelf>,
    /// Held by whichever of several replicas has what its turn wrote kept.
    gate: Arc<tokio::sync::Mutex<()>>,
}

struct Kept {
    /// Empty where there is a store.
    values: [Rows; 2],
    version: u64,
    /// What counts as storage.
    bytes: u64,
    /// What the values take in memory.
    resident: u64,
    storage: Held,
    memory: Held,
    /// Whether what the store has is counted.
    counted: bool,
    /// What turns changed since there may be several replicas; none if there never were.
    changed: Option<Changed>,
}

impl State {
    pub(crate) fn new(storage: &Arc<Quota>, memory: &Arc<Quota>, shelf: Option<Shelf>) -> Result<State, Full> {
        let (room, held) = (storage.hold(0)?, memory.hold(0)?);
        let counted = shelf.is_none();
        let values = Default::default();
        let kept =
            Kept { values, version: 0, bytes: 0, resident: 0, storage: room, memory: held, counted, changed: None };
        let (memory, storage, gate) = (memory.clone(), storage.clone(), Arc::default());
        Ok(State { kept: Mutex::new(kept), memory, storage, shelf, gate })
    }

    /// A turn begins, that has written nothing.
    pub(crate) fn begin(&self) -> Result<Writes, Refused> {
        let mut kept = self.kept.lock();
        self.count(&mut kept)?;
        // What is there stays, also where there may be less now.
        let bytes = kept.bytes;
        kept.storage.force(bytes);
        let held = self.memory.hold(0).map_err(|_| Refused::Memory)?;
        let room = self.storage.hold(0).map_err(|_| Refused::Storage)?;
        Ok(Writes::new(held, room))
    }

    /// Learns what the store has, if that was not done before.
    fn count(&self, kept: &mut Kept) -> Result<(), store::Error> {
        if let (false, Some(Shelf { books, agent })) = (kept.counted, &self.shelf) {
            let totals = books.store().read().get(&TOTALS, agent)?.unwrap_or_default();
            (kept.bytes, kept.version, kept.counted) = (totals.bytes, totals.version, true);
            kept.storage.force(totals.bytes);
        }
        Ok(())
    }

    /// Counts what the store has, for who looks before the first turn. If it can't be read, the first turn says so.
    pub(crate) fn look(&self) {
        let _ = self.count(&mut self.kept.lock());
    }

    /// Takes over all that another agent's turns left behind, instead of what is here, where there is no store.
    pub(crate) fn copy(&self, other: &State) -> Result<(), Refused> {
        let mut copied: [Rows; 2] = Default::default();
        let mut held = self.memory.hold(0).map_err(|_| Refused::Memory)?;
        let mut kept = other.kept.lock();
        other.count(&mut kept)?;
        let (version, bytes) = (kept.version, kept.bytes);
        for part in Part::BOTH {
            let mut lasting = other.lasting(&kept, part, Bound::Unbounded, "", None);
            while let Some((key, value)) = lasting.next()? {
                // Where values are shared with the other agent they are counted all the same: nobody knows who drops
                // them last.
                held.resize(held.bytes() + footprint(&key, Some(&value))).map_err(|_| Refused::Memory)?;
                copied[part as usize].insert(key, value);
            }
        }
        drop(kept);
        let mut kept = self.kept.lock();
        kept.storage.resize(bytes).map_err(|_| Refused::Storage)?;
        kept.resident = held.bytes();
        kept.memory.force(0);
        kept.memory.absorb(&mut held);
        (kept.values, kept.version, kept.bytes) = (copied, version, bytes);
        Ok(())
    }

    /// Forgets what was written outside of a turn, while the agent was made or described itself.
    pub(crate) fn discard(&self, writes: &mut Writes) {
        if writes.is_empty() {
            return;
        }
        drop(writes.take());
        writes.more = 0;
        writes.room.force(0);
        writes.held.force(0);
    }

    /// What the turn sees under `key`.
    pub(crate) fn get(&self, writes: &Writes, part: Part, key: &str) -> Result<Option<Value>, store::Error> {
        let written = writes.find(part, key);
        if written.is_none() {
            writes.saw(part, key);
        }
        match (written, &self.shelf) {
            (Some(changed), _) => Ok(changed.cloned()),
            (None, None) => Ok(self.kept.lock().values[part as usize].get(key).cloned()),
            (None, Some(shelf)) => shelf.get(part, key),
        }
    }

    /// Puts `bytes` under `key` of the state, or takes the key away; answers the new version.
    pub(crate) fn put(&self, writes: &mut Writes, key: &str, bytes: Option<Vec<u8>>) -> Result<u64, Refused> {
        let size = |length: usize| (key.len() + length) as u64;
        let before = self.get(writes, Part::State, key)?.map_or(0, |value| size(value.bytes.len()));
        let pending = writes.of(Part::State).get(key).map_or(0, |changed| footprint(key, changed.as_ref()));
        let added = bytes.as_ref().map(|bytes| size(bytes.len()));
        let held = writes.held.bytes() - pending + ENTRY + added.unwrap_or(size(0));
        let mut kept = self.reserve(writes, held, added.unwrap_or(0) as i64 - before as i64)?;
        kept.version += 1;
        let version = kept.version;
        let value = bytes.map(|bytes| Value { bytes: bytes.into(), version });
        writes.insert(Part::State, key.into(), value);
        Ok(version)
    }

    /// Changes the workspace.
    pub(crate) fn apply(&self, writes: &mut Writes, batch: Batch) -> Result<(), Refused> {
        let held = writes.held_with(&batch);
        drop(self.reserve(writes, held, batch.more)?);
        writes.take_in(batch);
        Ok(())
    }

    /// Takes the room for writes that take `held` in all, and `more` of storage than those before.
    fn reserve(&self, writes: &mut Writes, held: u64, more: i64) -> Result<MutexGuard<'_, Kept>, Refused> {
        let more = writes.more + more;
        let kept = self.kept.lock();
        let reserved = writes.room.bytes();
        // What is taken away becomes free when the turn ends well, not before.
        writes.room.resize(reserved.max(u64::try_from(more).unwrap_or(0))).map_err(|_| Refused::Storage)?;
        let too_much = self.shelf.is_some() && held > TOGETHER;
        if too_much || writes.held.resize(held).is_err() {
            writes.room.force(reserved);
            return Err(Refused::Memory);
        }
        writes.more = more;
        Ok(kept)
    }

    /// The entries the turn sees whose keys begin with `prefix` and come after `after`, until `full` says so.
    pub(crate) fn scan(
        &self,
        writes: &Writes,
        part: Part,
        prefix: &str,
        after: Option<&str>,
        mut full: impl FnMut(&str, &Value) -> bool,
    ) -> Result<Vec<(String, Value)>, store::Error> {
        writes.saw_all(part, prefix, after);
        let kept = self.kept.lock();
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let mut lasting = self.lasting(&kept, part, from, prefix, after);
        let mut changed = writes.of(part).range::<str, _>((from, Bound::Unbounded)).peekable();
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
                std::mem::replace(&mut next_lasting, after).map(|(key, value)| {
                    let gone = writes.is_cleared(part, &key);
                    (key, (!gone).then_some(value))
                })
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

    fn lasting<'a>(
        &'a self,
        kept: &'a Kept,
        part: Part,
        from: Bound<&str>,
        prefix: &'a str,
        after: Option<&str>,
    ) -> Lasting<'a> {
        match &self.shelf {
            None => Lasting::Here(kept.values[part as usize].range::<str, _>((from, Bound::Unbounded))),
            Some(shelf) => Lasting::There(Pages::new(shelf, part, prefix, after)),
        }
    }

    /// Adds the turn's writes to what is to be kept; answers how many keys, files and objects they are of.
    pub(crate) fn record(&self, writes: &Writes, change: &mut Change) -> u32 {
        let Some(Shelf { agent, .. }) = &self.shelf else { return 0 };
        if writes.is_empty() {
            return 0;
        }
        let mut count = 0;
        for prefix in writes.cleared() {
            change.clear(WORKSPACE.under_starting(agent, prefix));
        }
        for part in Part::BOTH {
            for (key, value) in writes.of(part) {
                let (table, place) = (part.table(), (agent.as_str(), key.as_str()));
                match value {
                    Some(value) => {
                        let entry = Entry { version: value.version, bytes: value.bytes.to_vec() };
                        change.put(&table, place, &entry);
                    }
                    None => drop(change.delete(&table, place)),
                }
                // Of the rows of a file, or of an object, one is what it is known by.
                count += u32::from(part == Part::State || is_head(key));
            }
        }
        let kept = self.kept.lock();
        let totals = Totals { bytes: kept.bytes.saturating_add_signed(writes.more), version: kept.version };
        change.put(&TOTALS, agent, &totals);
        count
    }

    /// The turn has ended well: its writes last.
    pub(crate) fn commit(&self, writes: &mut Writes) {
        if writes.is_empty() {
            return;
        }
        let mut guard = self.kept.lock();
        let kept = &mut *guard;
        let (changed, cleared) = writes.take();
        if let Some(others) = &mut kept.changed {
            others.note([&changed[0], &changed[1]], &cleared);
        }
        kept.bytes = kept.bytes.saturating_add_signed(std::mem::take(&mut writes.more));
        kept.storage.absorb(&mut writes.room);
        kept.storage.force(kept.bytes);
        if self.shelf.is_some() {
            writes.held.force(0);
            return;
        }
        for prefix in cleared {
            let rows = &mut kept.values[Part::Workspace as usize];
            let gone: Vec<_> = under(rows, &prefix).map(|(key, _)| key.clone()).collect();
            for key in gone {
                let value = rows.remove(&key);
                kept.resident -= footprint(&key, value.as_ref());
            }
        }
        for (rows, changed) in kept.values.iter_mut().zip(changed) {
            for (key, value) in changed {
                if let Some(old) = rows.remove(&key) {
                    kept.resident -= footprint(&key, Some(&old));
                }
                if let Some(value) = value {
                    kept.resident += footprint(&key, Some(&value));
                    rows.insert(key, value);
                }
            }
        }
        // The room was taken when the writes were made, and what lasts now is no more than was held with them. It is
        // handed over, not given back and taken again: meanwhile somebody else of the group could have it.
        kept.memory.absorb(&mut writes.held);
        kept.memory.force(kept.resident);
    }
}

impl Host {
    /// Bytes of `storage` that an agent's state and workspace take where this host keeps them, and what it put into spaces of
    /// memory, also if it does not live.
    pub fn stored(&self, name: &str) -> Result<u64, store::Error> {
        let Some(books) = &self.house().books else { return Ok(0) };
        let own = books.store().read().get(&TOTALS, name)?.unwrap_or_default().bytes;
        Ok(own + self.house().spaces.paid(name)?)
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
        state.get(writes, Part::State, key).expect("it can be read")
    }

    fn keys(state: &State, writes: &Writes, prefix: &str, after: Option<&str>) -> Vec<String> {
        let found = state.scan(writes, Part::State, prefix, after, |_, _| false).expect("it can be read");
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
        assert!(matches!(state.put(&mut one, "d", Some(Vec::new())), Err(Refused::Storage)));
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
