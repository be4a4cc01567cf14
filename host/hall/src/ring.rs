//! The last of what was said, numbered: whoever comes back later asks for what came since, and learns what is gone.

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

/// One thing that was said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamped<T> {
    /// Its number. They begin at one, and none is given twice.
    pub id: u64,
    /// When, in Unix milliseconds.
    pub time: u64,
    /// What.
    #[serde(flatten)]
    pub what: T,
}

/// What came since a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Since<T> {
    /// How many are gone that came after the number.
    pub lost: u64,
    /// The rest, in order.
    pub all: Vec<Stamped<T>>,
}

/// Bounded in number and in bytes; the oldest go first.
pub(crate) struct Ring<T> {
    kept: Mutex<Kept<T>>,
    most: usize,
    bytes: usize,
    /// The number of the last one.
    last: watch::Sender<u64>,
}

struct Kept<T> {
    all: VecDeque<(usize, Stamped<T>)>,
    next: u64,
    bytes: usize,
}

impl<T: Clone> Ring<T> {
    pub(crate) fn new(most: usize, bytes: usize) -> Ring<T> {
        let kept = Mutex::new(Kept { all: VecDeque::new(), next: 1, bytes: 0 });
        Ring { kept, most, bytes, last: watch::Sender::new(0) }
    }

    /// Adds one that counts as so many bytes.
    pub(crate) fn push(&self, time: u64, bytes: usize, what: T) {
        let mut kept = self.kept.lock();
        let id = kept.next;
        kept.next += 1;
        kept.bytes += bytes;
        kept.all.push_back((bytes, Stamped { id, time, what }));
        while kept.all.len() > self.most || (kept.bytes > self.bytes && kept.all.len() > 1) {
            let gone = kept.all.pop_front().map_or(0, |(bytes, _)| bytes);
            kept.bytes -= gone;
        }
        drop(kept);
        self.last.send_replace(id);
    }

    /// Notes that some are gone which were never here.
    pub(crate) fn skip(&self, count: u64) {
        if count > 0 {
            self.kept.lock().next += count;
        }
    }

    /// Those after `id`, at most `most` of them: the first, or with `newest` the last.
    pub(crate) fn since(&self, id: u64, most: usize, newest: bool) -> Since<T> {
        let kept = self.kept.lock();
        // Of a number that was never given, from before a restart perhaps, everything is new.
        let id = if id >= kept.next { 0 } else { id };
        let first = kept.all.partition_point(|(_, one)| one.id <= id);
        let first = if newest { first.max(kept.all.len().saturating_sub(most)) } else { first };
        let all: Vec<_> = kept.all.range(first..).take(most).map(|(_, one)| one.clone()).collect();
        let end = all.last().map_or(kept.next - 1, |one| one.id);
        Since { lost: if newest { 0 } else { end - id - all.len() as u64 }, all }
    }

    /// Tells when there is more.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }
}

/// The present as Unix milliseconds.
pub(crate) fn millis() -> u64 {
    of(SystemTime::now())
}

/// A time as Unix milliseconds.
pub(crate) fn of(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(since: &Since<u32>) -> Vec<u64> {
        since.all.iter().map(|one| one.id).collect()
    }

    #[test]
    fn what_came_since_is_given_and_what_is_gone_is_counted() {
        let ring = Ring::new(3, 1000);
        (0..5).for_each(|n| ring.push(0, 1, n));
        assert_eq!((ids(&ring.since(0, 10, false)), ring.since(0, 10, false).lost), (vec![3, 4, 5], 2));
        assert_eq!((ids(&ring.since(4, 10, false)), ring.since(4, 10, false).lost), (vec![5], 0));
        assert_eq!(ids(&ring.since(0, 2, false)), [3, 4]);
        assert_eq!(ids(&ring.since(0, 2, true)), [4, 5]);
        assert_eq!(ring.since(5, 10, false), Since { lost: 0, all: Vec::new() });
        assert_eq!(ids(&ring.since(77, 10, false)), [3, 4, 5], "a number of another life");
        ring.skip(4);
        ring.push(0, 1, 9);
        assert_eq!((ids(&ring.since(5, 10, false)), ring.since(5, 10, false).lost), (vec![10], 4));
        assert_eq!((ids(&ring.since(3, 10, false)), ring.since(3, 10, false).lost), (vec![4, 5, 10], 4));
    }

    #[test]
    fn bytes_are_bounded_too() {
        let ring = Ring::new(100, 10);
        (0..5).for_each(|n| ring.push(0, 4, n));
        assert_eq!(ids(&ring.since(0, 10, false)), [4, 5]);
        ring.push(0, 100, 7);
        assert_eq!(ids(&ring.since(0, 10, false)), [6], "and the last one is kept, however large");
    }

    #[tokio::test]
    async fn whoever_waits_is_told() {
        let ring = Ring::new(3, 1000);
        let mut watch = ring.watch();
        ring.push(0, 1, 1);
        watch.changed().await.expect("the ring is there");
        assert_eq!(*watch.borrow(), 1);
    }
}
