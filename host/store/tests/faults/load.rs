//! Agents that write at once, and what must be found of them afterwards.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use store::{Change, Error, Hash, Options, Store, Table};

pub(crate) const AGENTS: u64 = 4;

/// How far an agent has come: written twice in each change, so that half a change shows.
const COUNT: Table<u64, u64> = Table::new("count");
const AGAIN: Table<(u64, String), u64> = Table::new("again");
/// Messages that come and go: an agent has always those of its last three changes.
const MAIL: Table<(u64, u64), Vec<u8>> = Table::new("mail");
/// Rows that are cleared and written anew.
const LIST: Table<(u64, u64), u64> = Table::new("list");
/// The blob that an agent's row names.
const BLOB: Table<u64, Hash> = Table::new("blob");

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    agent: u64,
    number: u64,
}

/// Small segments, so that there are many checkpoints.
pub(crate) fn options() -> Options {
    Options { cache: 1 << 20, checkpoint: 24 << 10, waiting: 1 << 20 }
}

/// Small, and the same for the same seed everywhere.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// What agents know of themselves: the last change that was acknowledged, and the last one that was tried.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) done: [AtomicU64; AGENTS as usize],
    pub(crate) tried: [AtomicU64; AGENTS as usize],
}

impl Progress {
    /// What was acknowledged before is what the next agents begin with.
    pub(crate) fn after(found: &[u64]) -> Progress {
        let progress = Progress::default();
        for (agent, number) in found.iter().enumerate() {
            progress.done[agent].store(*number, Ordering::Relaxed);
            progress.tried[agent].store(*number, Ordering::Relaxed);
        }
        progress
    }
}

fn change(agent: u64, number: u64, blob: Option<Hash>) -> Change {
    let mut change = Change::new();
    let before = number - 1;
    change.guard(&COUNT, agent, Some(&before).filter(|before| **before > 0));
    change.put(&COUNT, agent, &number).put(&AGAIN, (agent, "count"), &number);
    change.put(&MAIL, (agent, number), &vec![number as u8; (number % 700) as usize]);
    if let Some(old) = number.checked_sub(3) {
        change.delete(&MAIL, (agent, old));
    }
    if number.is_multiple_of(10) {
        change.clear(LIST.under(agent));
    }
    change.put(&LIST, (agent, number % 10), &number).record(number, &Entry { agent, number });
    if let Some(blob) = blob {
        change.put(&BLOB, agent, &blob);
    }
    change
}

/// Lets all agents write until the disk fails, or they were told to stop. `acknowledged` hears of each change.
pub(crate) fn write(
    store: &Store,
    progress: &Progress,
    stop: &(dyn Fn() -> bool + Sync),
    acknowledged: &(dyn Fn(u64, u64) + Sync),
) {
    thread::scope(|scope| {
        for agent in 0..AGENTS {
            scope.spawn(move || {
                let place = agent as usize;
                while !stop() {
                    let number = progress.tried[place].load(Ordering::Relaxed) + 1;
                    let Ok(blob) = blob(store, agent, number) else { return };
                    progress.tried[place].store(number, Ordering::Relaxed);
                    match store.commit(change(agent, number, blob)).wait() {
                        Ok(_) => progress.done[place].store(number, Ordering::Relaxed),
                        Err(Error::Conflict { .. }) => panic!("agent {agent} lost change {}", number - 1),
                        Err(_) => return,
                    }
                    acknowledged(agent, number);
                    // Some of the journal is cut off now and then.
                    if agent == 0 && number.is_multiple_of(40) && store.cut(number, None).is_err() {
                        return;
                    }
                }
            });
        }
    });
}

fn blob(store: &Store, agent: u64, number: u64) -> Result<Option<Hash>, Error> {
    if !number.is_multiple_of(16) {
        return Ok(None);
    }
    let bytes = [agent, number].map(u64::to_le_bytes).concat().repeat(100);
    store.blobs().put(&bytes).map(Some)
}

/// How far each agent has come by what is stored, every part of which must agree.
pub(crate) fn check(store: &Store) -> Vec<u64> {
    let read = store.read();
    let verified = read.verify().expect("the chain verifies");
    let mut entries: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for record in read.journal(0..u64::MAX, usize::MAX).expect("the journal is read") {
        let entry: Entry = record.read().expect("a record is what was written").expect("nothing was erased");
        assert_eq!(record.time, entry.number);
        entries.entry(entry.agent).or_default().push(entry.number);
    }
    let mut found = Vec::new();
    for agent in 0..AGENTS {
        let count = read.get(&COUNT, agent).expect("a read").unwrap_or(0);
        assert_eq!(read.get(&AGAIN, (agent, "count")).expect("a read").unwrap_or(0), count, "half a change of {agent}");
        let mail = read.scan(MAIL.under(agent), None, 100).expect("a scan");
        let numbers: Vec<u64> = mail.iter().map(|((_, number), _)| *number).collect();
        assert_eq!(numbers, (count.saturating_sub(2).max(1)..=count).collect::<Vec<_>>());
        for ((_, number), body) in mail {
            assert_eq!(body, vec![number as u8; (number % 700) as usize]);
        }
        let list: Vec<u64> =
            read.scan(LIST.under(agent), None, 100).expect("a scan").into_iter().map(|r| r.1).collect();
        let expected: Vec<u64> =
            if count == 0 { vec![] } else { (count / 10 * 10..=count).filter(|n| *n > 0).collect() };
        assert_eq!(list, if count < 10 { (1..=count).collect() } else { expected });
        let numbers = entries.remove(&agent).unwrap_or_default();
        let cut = verified.from.seq > 0;
        assert!(cut || numbers.len() as u64 == count, "{agent} has {count} changes, and {} records", numbers.len());
        assert_eq!(numbers.last().copied().unwrap_or(count), count, "the last record is that of the last change");
        assert!(numbers.is_sorted_by(|a, b| a + 1 == *b), "each change has one record: {numbers:?}");
        if let Some(hash) = read.get(&BLOB, agent).expect("a read") {
            assert!(
                store.blobs().get(&hash).expect("a blob is read").is_some(),
                "a row names a blob that is not there"
            );
        }
        found.push(count);
    }
    found
}

/// Checks that nothing acknowledged is missing, and that nothing is there that was never tried.
pub(crate) fn compare(found: &[u64], progress: &Progress) {
    for (agent, found) in found.iter().enumerate() {
        let done = progress.done[agent].load(Ordering::Relaxed);
        let tried = progress.tried[agent].load(Ordering::Relaxed);
        assert!(*found >= done, "agent {agent}: change {done} was acknowledged, and {found} is the last one found");
        assert!(*found <= tried, "agent {agent}: change {found} was found, and {tried} is the last one tried");
    }
}
