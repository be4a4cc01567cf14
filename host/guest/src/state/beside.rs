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
    /// What a turn changes that is being kept: others may see that before it is noted.
    pending: Option<Box<Changed>>,
}

impl Changed {
    /// A turn is about to be kept, which changes this.
    fn expect(&mut self, writes: &Writes) {
        // Later than any turn that has begun.
        let mut pending = Changed { turns: u64::MAX - 1, ..Changed::default() };
        let cleared = writes.cleared().map(String::from).collect();
        pending.note([writes.of(Part::State), writes.of(Part::Workspace)], &cleared);
        self.pending = Some(Box::new(pending));
    }

    /// A turn is kept, which changed this.
    pub(super) fn note(&mut self, changed: [&BTreeMap<String, Option<Value>>; 2], cleared: &BTreeSet<String>) {
        self.pending = None;
        self.turns += 1;
        let count = self.cleared.len() + self.keys.iter().map(BTreeMap::len).sum::<usize>();
        if count + cleared.len() + changed.iter().map(|keys| keys.len()).sum::<usize>() > MOST {
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
        // One that only read waits for what is being kept and may be what it saw in part.
        let claim = match writes.is_empty() && !self.is_pending(writes) {
            true => None,
            false => Some(self.gate.clone().lock_owned().await),
        };
        let mut kept = self.kept.lock();
        let (Some(changed), Some(seen)) = (&mut kept.changed, &writes.seen) else { return Ok(claim) };
        if changed.concerns(&seen.lock(), writes) {
            return Err(Stale);
        }
        if writes.is_empty() {
            return Ok(None);
        }
        changed.expect(writes);
        Ok(claim)
    }

    /// Whether something that the turn has read is being changed now.
    fn is_pending(&self, writes: &Writes) -> bool {
        let kept = self.kept.lock();
        match (kept.changed.as_ref().and_then(|changed| changed.pending.as_ref()), &writes.seen) {
            (Some(pending), Some(seen)) => pending.concerns(&seen.lock(), writes),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Batch;
    use super::*;
    use runtime::Quota;
    use std::task::{Context, Poll, Waker};

    fn state() -> State {
        let state = State::new(&Quota::new(1 << 20), &Quota::new(64 << 20), None).expect("there is room");
        state.share();
        state
    }

    fn begin(state: &State) -> Writes {
        let mut writes = state.begin().expect("there is room");
        state.watch(&mut writes);
        writes
    }

    fn put(state: &State, writes: &mut Writes, key: &str) {
        state.put(writes, key, Some(vec![1])).expect("there is room");
    }

    /// Changes the workspace: beginnings that are taken away, and keys that are put.
    fn apply(state: &State, writes: &mut Writes, cleared: &[&str], keys: &[&str]) {
        let cleared = cleared.iter().map(|prefix| prefix.to_string()).collect();
        let rows = keys.iter().map(|key| (key.to_string(), Some(vec![1]))).collect();
        state.apply(writes, Batch { cleared, rows, more: 0 }).expect("there is room");
    }

    /// What comes of a claim now; none if it waits.
    fn now<T>(claim: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
        match std::pin::Pin::new(claim).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(came) => Some(came),
            Poll::Pending => None,
        }
    }

    /// Whether a turn that has read and written this could be kept now.
    fn stands(state: &State, writes: &Writes) -> bool {
        now(&mut Box::pin(state.claim(writes))).expect("nobody has the gate").is_ok()
    }

    fn keep(state: &State, mut writes: Writes) {
        assert!(stands(state, &writes), "it is kept");
        state.commit(&mut writes);
    }

    fn list(state: &State, writes: &Writes, part: Part, prefix: &str, after: Option<&str>) {
        state.scan(writes, part, prefix, after, |_, _| false).expect("it is read");
    }

    #[test]
    fn only_what_others_changed_since_and_was_read_makes_a_turn_stale() {
        let state = state();
        type Read<'a> = (&'a str, &'a dyn Fn(&Writes), bool);
        let reads: [Read<'_>; 9] = [
            ("another key", &|turn| drop(state.get(turn, Part::State, "b").expect("read")), true),
            ("the key", &|turn| drop(state.get(turn, Part::State, "a/1").expect("read")), false),
            ("the key of the other part", &|turn| drop(state.get(turn, Part::Workspace, "a/1").expect("read")), true),
            ("a list with it", &|turn| list(&state, turn, Part::State, "a/", None), false),
            ("a list of all", &|turn| list(&state, turn, Part::State, "", None), false),
            ("a list that begins behind it", &|turn| list(&state, turn, Part::State, "a/", Some("a/1")), true),
            ("a list that begins before it", &|turn| list(&state, turn, Part::State, "a/", Some("a/0")), false),
            ("a list of others", &|turn| list(&state, turn, Part::State, "b/", None), true),
            ("a list of the other part", &|turn| list(&state, turn, Part::Workspace, "a/", None), true),
        ];
        for (what, read, wanted) in reads {
            let (before, mut other) = (begin(&state), begin(&state));
            read(&before);
            assert!(stands(&state, &before), "{what}: nobody has changed anything");
            put(&state, &mut other, "a/1");
            assert!(stands(&state, &before), "{what}: nor has one whose turn is not kept");
            keep(&state, other);
            assert_eq!(stands(&state, &before), wanted, "{what}");
            let later = begin(&state);
            read(&later);
            assert!(stands(&state, &later), "{what}: it was changed before");
        }
    }

    #[test]
    fn who_wrote_without_reading_stands_and_who_reads_what_it_wrote_does_too() {
        let state = state();
        let (mut one, mut other) = (begin(&state), begin(&state));
        apply(&state, &mut one, &[], &["f"]);
        assert!(state.get(&one, Part::Workspace, "f").expect("read").is_some());
        apply(&state, &mut other, &[], &["f"]);
        keep(&state, other);
        assert!(stands(&state, &one), "either order gives the same");
    }

    #[test]
    fn beginnings_that_are_taken_away_concern_all_that_begins_so() {
        let state = state();
        let (key, part_of, around, beside, clearing) =
            (begin(&state), begin(&state), begin(&state), begin(&state), begin(&state));
        let mut clearing = clearing;
        drop(state.get(&key, Part::Workspace, "dir/f").expect("read"));
        list(&state, &part_of, Part::Workspace, "dir/sub/", None);
        list(&state, &around, Part::Workspace, "", None);
        drop(state.get(&beside, Part::Workspace, "dirt").expect("read"));
        drop(state.get(&beside, Part::State, "dir/f").expect("read"));
        apply(&state, &mut clearing, &["dir/"], &[]);
        let mut other = begin(&state);
        apply(&state, &mut other, &["dir/"], &[]);
        keep(&state, other);
        let all = [&key, &part_of, &around, &beside, &clearing].map(|turn| stands(&state, turn));
        assert_eq!(all, [false, false, false, true, false]);
        // One that takes a beginning away has to know all that begins so.
        let (mut clearing, mut other) = (begin(&state), begin(&state));
        apply(&state, &mut clearing, &["dir/"], &[]);
        apply(&state, &mut other, &[], &["dir/new"]);
        keep(&state, other);
        assert!(!stands(&state, &clearing));
    }

    #[test]
    fn beyond_what_is_remembered_everything_counts_as_read_or_changed() {
        let state = state();
        let (much, little, mut other) = (begin(&state), begin(&state), begin(&state));
        for number in 0..MOST {
            drop(state.get(&much, Part::State, &format!("k{number}")).expect("read"));
        }
        drop(state.get(&much, Part::State, "one more").expect("read"));
        drop(state.get(&little, Part::State, "k1").expect("read"));
        put(&state, &mut other, "unknown");
        keep(&state, other);
        assert!(!stands(&state, &much) && stands(&state, &little));
        let mut other = begin(&state);
        (0..=MOST).for_each(|number| put(&state, &mut other, &format!("n{number}")));
        keep(&state, other);
        assert!(!stands(&state, &little), "what was changed is not known any more");
        let later = begin(&state);
        drop(state.get(&later, Part::State, "n1").expect("read"));
        assert!(stands(&state, &later));
    }

    #[test]
    fn one_that_writes_waits_for_another_and_one_that_read_what_is_being_kept_does_too() {
        let state = state();
        let (mut first, mut second, reader, other) = (begin(&state), begin(&state), begin(&state), begin(&state));
        put(&state, &mut first, "a");
        put(&state, &mut second, "b");
        drop(state.get(&reader, Part::State, "a").expect("read"));
        drop(state.get(&other, Part::State, "c").expect("read"));
        let claim = now(&mut Box::pin(state.claim(&first))).expect("nobody is before it");
        let mut waits = Box::pin(state.claim(&second));
        let mut reads = Box::pin(state.claim(&reader));
        assert!(now(&mut waits).is_none() && now(&mut reads).is_none(), "what it saw of that is not known");
        assert!(stands(&state, &other), "what it read is not being changed");
        state.commit(&mut first);
        drop(claim);
        let second = now(&mut waits).expect("it is its turn");
        assert!(second.is_ok_and(|claim| claim.is_some()));
        assert!(now(&mut reads).expect("it is its turn").is_err(), "it was changed");
        // One that could not be kept changed nothing.
        let (mut failed, reader) = (begin(&state), begin(&state));
        put(&state, &mut failed, "a");
        drop(state.get(&reader, Part::State, "a").expect("read"));
        drop(now(&mut Box::pin(state.claim(&failed))).expect("nobody is before it"));
        assert!(stands(&state, &reader));
    }
}
