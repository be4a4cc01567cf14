//! Turns of several replicas beside each other: what each read, and what others changed meanwhile.
//!
//! A turn is kept only if nothing that it read was changed by one that was kept since it began. One that wrote is kept
//! while no other one is.

use super::writes::Writes;
use super::{Part, State, Value};
use agents::{Claim, Stale};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Bound;

/// So many keys are remembered; with more of them everything counts as read, or as changed.
const MOST: usize = 10_000;

/// A list that was read: keys of a part that begin so, and come after one.
type List = (Part, String, Option<String>);

/// What a turn has read.
pub(super) struct Seen {
    /// Turns that were kept when it began.
    begun: u64,
    keys: HashSet<(Part, String)>,
    lists: HashSet<List>,
    all: bool,
}

impl Seen {
    fn full(&mut self) -> bool {
        self.all |= self.keys.len() + self.lists.len() >= MOST;
        self.all
    }
}

/// What turns have changed since there are several replicas.
#[derive(Default)]
pub(super) struct Changed {
    /// Turns that were kept.
    turns: u64,
    /// By which turn each key was changed last.
    keys: [BTreeMap<String, u64>; 2],
    /// Beginnings of keys of the workspace that were taken away.
    cleared: BTreeMap<String, u64>,
    /// What was changed up to this turn is not remembered.
    forgotten: u64,
}

impl Changed {
    /// A turn is kept, which changed this.
    pub(super) fn note(&mut self, changed: &[BTreeMap<String, Option<Value>>; 2], cleared: &BTreeSet<String>) {
        self.turns += 1;
        let count = self.cleared.len() + self.keys.iter().map(BTreeMap::len).sum::<usize>();
        if count + cleared.len() + changed.iter().map(BTreeMap::len).sum::<usize>() > MOST {
            self.keys = Default::default();
            self.cleared.clear();
            self.forgotten = self.turns;
            return;
        }
        for (keys, changed) in self.keys.iter_mut().zip(changed) {
            keys.extend(changed.keys().map(|key| (key.clone(), self.turns)));
        }
        self.cleared.extend(cleared.iter().map(|prefix| (prefix.clone(), self.turns)));
    }

    /// Whether something of this was changed since.
    fn concerns(&self, seen: &Seen, writes: &Writes) -> bool {
        let later = |turn: &u64| *turn > seen.begun;
        if self.forgotten > seen.begun || (seen.all && self.turns > seen.begun) {
            return true;
        }
        let key = |part: Part, key: &str| {
            let gone = |(prefix, turn): (&String, &u64)| later(turn) && key.starts_with(prefix.as_str());
            self.keys[part as usize].get(key).is_some_and(later)
                || (part == Part::Workspace && self.cleared.iter().any(gone))
        };
        let list = |part: Part, prefix: &str, after: Option<&str>| {
            let from = after.filter(|after| *after >= prefix).map_or(Bound::Included(prefix), Bound::Excluded);
            let mut keys = self.keys[part as usize].range::<str, _>((from, Bound::Unbounded));
            let near = |other: &str| other.starts_with(prefix) || prefix.starts_with(other);
            let mut cleared = self.cleared.iter().filter(|_| part == Part::Workspace);
            keys.by_ref().take_while(|(key, _)| key.starts_with(prefix)).any(|(_, turn)| later(turn))
                || cleared.any(|(other, turn)| later(turn) && near(other))
        };
        seen.keys.iter().any(|(part, name)| key(*part, name))
            || seen.lists.iter().any(|(part, prefix, after)| list(*part, prefix, after.as_deref()))
            || writes.cleared().any(|prefix| list(Part::Workspace, prefix, None))
    }
}

impl Writes {
    /// The turn reads what lasts under a key.
    pub(super) fn saw(&self, part: Part, key: &str) {
        let Some(seen) = &self.seen else { return };
        let mut seen = seen.lock();
        if !seen.full() {
            seen.keys.insert((part, key.into()));
        }
    }

    /// The turn reads a list.
    pub(super) fn saw_all(&self, part: Part, prefix: &str, after: Option<&str>) {
        let Some(seen) = &self.seen else { return };
        let mut seen = seen.lock();
        if !seen.full() {
            seen.lists.insert((part, prefix.into(), after.map(String::from)));
        }
    }
}

impl State {
    /// From now on several replicas may share it.
    pub(crate) fn share(&self) {
        self.kept.lock().changed.get_or_insert_default();
    }

    /// A turn begins: what it reads is noted, if others may change that meanwhile.
    pub(crate) fn watch(&self, writes: &mut Writes) {
        let kept = self.kept.lock();
        let seen = |changed: &Changed| {
            let (keys, lists) = Default::default();
            Box::new(Mutex::new(Seen { begun: changed.turns, keys, lists, all: false }))
        };
        writes.seen = kept.changed.as_ref().map(seen);
    }

    /// Sees to it that a turn that read and wrote this can be kept.
    pub(crate) async fn claim(&self, writes: &Writes) -> Result<Claim, Stale> {
        if writes.seen.is_none() {
            return Ok(None);
        }
        let claim = match writes.is_empty() {
            true => None,
            false => Some(self.gate.clone().lock_owned().await),
        };
        let kept = self.kept.lock();
        match (&kept.changed, &writes.seen) {
            (Some(changed), Some(seen)) if changed.concerns(&seen.lock(), writes) => Err(Stale),
            _ => Ok(claim),
        }
    }
}
