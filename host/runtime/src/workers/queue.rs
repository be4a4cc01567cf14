//! Who is ready, in the order in which they go, and who waits for a time.

use super::task::Task;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Places that are nearer than this count as one: there, first come is first served.
const NEAR: u32 = 19;

pub(super) struct Queue {
    /// By place. A bucket that is emptied is taken out.
    ready: BTreeMap<u64, VecDeque<(Arc<Task>, u64)>>,
    /// An empty bucket, for the next one that is needed.
    spare: VecDeque<(Arc<Task>, u64)>,
    waiting: BinaryHeap<Entry>,
    /// Where the last one that went stood. Never goes back. Written under the queue's lock.
    front: Arc<AtomicU64>,
    /// Breaks ties: first come, first served.
    entries: u64,
    /// The earliest time at which an idle worker wakes by itself.
    pub(super) kept: u64,
    stopped: bool,
}

/// A task that waits for a time.
struct Entry {
    key: Reverse<(u64, u64)>,
    task: Arc<Task>,
    /// The task's ticket when it lined up. Of an alarm, its time.
    ticket: u64,
    alarm: bool,
}

impl Queue {
    pub(super) fn new(front: Arc<AtomicU64>) -> Queue {
        let (ready, spare, waiting) = (BTreeMap::new(), VecDeque::new(), BinaryHeap::new());
        Queue { ready, spare, waiting, front, entries: 0, kept: u64::MAX, stopped: false }
    }

    /// Lines a task up; answers its place. A former entry of the task no longer counts.
    pub(super) fn ready(&mut self, task: Arc<Task>) -> u64 {
        let place = if task.overdue() { 0 } else { task.line_up(self.front.load(Relaxed)) };
        let ticket = task.draw();
        let spare = &mut self.spare;
        self.ready.entry(place >> NEAR).or_insert_with(|| std::mem::take(spare)).push_back((task, ticket));
        place
    }

    /// Lets a task wait until `at` to be ready again. A former entry of the task no longer counts.
    pub(super) fn throttle(&mut self, task: Arc<Task>, at: u64) {
        let ticket = task.draw();
        let entry = self.entry(at, task, ticket, false);
        self.waiting.push(entry);
    }

    /// Wakes a task at `at`, whatever else becomes of it.
    pub(super) fn alarm(&mut self, task: Arc<Task>, at: u64) {
        let entry = self.entry(at, task, at, true);
        self.waiting.push(entry);
    }

    /// Makes ready whoever has waited long enough; answers when the next one will have.
    pub(super) fn release(&mut self, now: u64) -> Option<u64> {
        loop {
            let Reverse((at, _)) = self.waiting.peek()?.key;
            if at > now {
                return Some(at);
            }
            let entry = self.waiting.pop()?;
            if entry.alarm {
                entry.task.alarmed(entry.ticket, now, self);
            } else if entry.task.holds(entry.ticket) {
                self.ready(entry.task);
            }
        }
    }

    pub(super) fn next(&mut self) -> Option<Arc<Task>> {
        loop {
            let mut first = self.ready.first_entry()?;
            let Some((task, ticket)) = first.get_mut().pop_front() else {
                self.spare = first.remove();
                continue;
            };
            if task.holds(ticket) {
                self.front.fetch_max(task.place(), Relaxed);
                return Some(task);
            }
        }
    }

    pub(super) fn has_ready(&self) -> bool {
        self.ready.values().any(|bucket| !bucket.is_empty())
    }

    pub(super) fn stop(&mut self) {
        self.stopped = true;
    }

    pub(super) fn stopped(&self) -> bool {
        self.stopped
    }

    pub(super) fn clear(&mut self) {
        self.ready.clear();
        self.waiting.clear();
    }

    fn entry(&mut self, key: u64, task: Arc<Task>, ticket: u64, alarm: bool) -> Entry {
        self.entries += 1;
        Entry { key: Reverse((key, self.entries)), task, ticket, alarm }
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.key == other.key
    }
}

impl Eq for Entry {}
