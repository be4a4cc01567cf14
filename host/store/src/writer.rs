//! The writer: one thread that puts all changes that wait into one frame of the log, and syncs it once.

use crate::Error;
use crate::change::{Change, Step};
use crate::checkpoint::Job;
use crate::layer::Keys;
use crate::log::{self, Entry, Log};
use crate::record::{ANCHOR, Anchor, JOURNAL, Record};
use crate::shared::{Done, Shared, Waiting};
use crate::table::table_of;
use crate::view::{From, View};
use std::ops::{Bound, ControlFlow, Range};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The numbers of its records in the journal.
    pub records: Range<u64>,
    /// The last segment of the log that has something of it.
    pub(crate) segment: u64,
}

pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) log: Log,
    pub(crate) head: Anchor,
    /// The version of the last group.
    pub(crate) version: u64,
    pub(crate) frame: Vec<u8>,
}

/// A frame's buffer is kept up to this size.
const KEEP: usize = 4 << 20;

impl Writer {
    /// Writes until the store is closed and nothing waits.
    pub(crate) fn run(mut self) {
        while let Some(batch) = self.shared.next_batch() {
            let flush = batch.iter().any(|waiting| waiting.change.flush);
            self.commit(batch);
            if self.log.bytes() > 0 && (flush || self.log.bytes() >= self.shared.options.checkpoint) {
                self.freeze();
            }
        }
        self.log.trim();
    }

    fn commit(&mut self, batch: Vec<Waiting>) {
        let (changes, done): (Vec<Change>, Vec<Done>) =
            batch.into_iter().map(|Waiting { change, done }| (change, done)).unzip();
        match self.store(changes) {
            Ok(outcomes) => {
                for (done, outcome) in done.into_iter().zip(outcomes) {
                    answer(done, outcome);
                }
            }
            Err(error) => {
                for done in done {
                    answer(done, Err(error.clone()));
                }
            }
        }
        self.frame.shrink_to(KEEP);
    }

    /// Stores changes with one sync, or none of them. What is visible changes when all is durable.
    fn store(&mut self, changes: Vec<Change>) -> Result<Vec<Result<Committed, Error>>, Error> {
        self.shared.checkpoints.wait_for_room(self.log.bytes(), self.shared.options.checkpoint)?;
        let before = self.head;
        let view = self.shared.view.read().clone();
        let stored = self.write(&view, changes);
        if stored.is_err() {
            view.active.rows.write().unset(self.version + 1);
            self.head = before;
            return stored;
        }
        self.version += 1;
        self.shared.readers.publish(self.version);
        if self.head != before {
            self.shared.tail.send_replace(self.head.seq);
        }
        stored
    }

    fn write(&mut self, view: &View, changes: Vec<Change>) -> Result<Vec<Result<Committed, Error>>, Error> {
        let oldest = self.shared.readers.oldest();
        let mut outcomes = Vec::with_capacity(changes.len());
        self.frame.clear();
        self.frame.resize(log::FRAME, 0);
        for change in changes {
            let first = self.head.seq + 1;
            outcomes.push(match guards(view, &change)? {
                Ok(()) => {
                    self.apply(view, change, oldest)?;
                    Ok(Committed { records: first..self.head.seq + 1, segment: 0 })
                }
                Err(conflict) => Err(conflict),
            });
        }
        if self.frame.len() > log::FRAME {
            self.log.append(&mut self.frame)?;
        }
        let segment = if self.log.bytes() > 0 { self.log.number() } else { self.log.number() - 1 };
        for outcome in outcomes.iter_mut().flatten() {
            outcome.segment = segment;
        }
        Ok(outcomes)
    }

    fn apply(&mut self, view: &View, change: Change, oldest: u64) -> Result<(), Error> {
        let version = self.version + 1;
        let set = |key, value| view.active.rows.write().set(key, value, version, oldest);
        for step in change.steps {
            match step {
                Step::Put { key, value } => {
                    log::push(&mut self.frame, &Entry::Put(&key, &value));
                    set(key, Some(value));
                }
                Step::Delete { key } => {
                    log::push(&mut self.frame, &Entry::Delete(&key));
                    set(key, None);
                }
                Step::Clear { prefix } => {
                    log::push(&mut self.frame, &Entry::Clear(&prefix));
                    clear(view, &prefix, version, oldest)?;
                }
                Step::Record { time, hash, body } => {
                    let seq = self.head.seq + 1;
                    self.head = Anchor { seq, hash: self.head.hash.next(seq, time, &hash) };
                    let (key, row) = (JOURNAL.key(seq), Record::encode(time, &self.head.hash, &body, false));
                    log::push(&mut self.frame, &Entry::Put(&key, &row));
                    set(key, Some(row));
                }
                Step::Guard { .. } | Step::Require { .. } => {}
            }
        }
        Ok(())
    }

    /// Hands what is in the log to the checkpoint, and goes on with an empty layer and a new segment.
    fn freeze(&mut self) {
        if self.shared.view.read().frozen.is_some() {
            return;
        }
        let applied = self.log.number();
        // A disk that has no room for a segment yet may have it after the next group.
        if let Err(error) = self.log.rotate() {
            return self.shared.checkpoints.refuse(error);
        }
        let layer = {
            let mut view = self.shared.view.write();
            let layer = std::mem::take(&mut view.active);
            view.frozen = Some(layer.clone());
            layer
        };
        let gone = gone(&self.shared.view.read());
        self.shared.checkpoints.begin(Job { layer, applied, gone });
    }
}

/// The rows of the journal that were cut off and may still be in the tree.
fn gone(view: &View) -> Keys {
    let nothing = Keys { from: Bound::Included(vec![]), to: Bound::Excluded(vec![]) };
    let anchor = view.find(&ANCHOR.key(0), u64::MAX, |row| row.and_then(|row| ANCHOR.decode(row).ok()));
    match anchor {
        Ok(Some(anchor)) => {
            Keys { from: Bound::Included(JOURNAL.key(0)), to: Bound::Included(JOURNAL.key(anchor.seq)) }
        }
        // Where the anchor cannot be read now, the next checkpoint does it.
        _ => nothing,
    }
}

/// Whether all guards of a change hold. The outer error is one of reading.
fn guards(view: &View, change: &Change) -> Result<Result<(), Error>, Error> {
    for step in &change.steps {
        let (key, holds) = match step {
            Step::Guard { key, expected } => (key, view.find(key, u64::MAX, |row| row == expected.as_deref())?),
            Step::Require { key } => (key, view.find(key, u64::MAX, |row| row.is_some())?),
            _ => continue,
        };
        if !holds {
            return Ok(Err(Error::Conflict { table: table_of(key) }));
        }
    }
    Ok(Ok(()))
}

/// Deletes all rows that begin so.
pub(crate) fn clear(view: &View, prefix: &[u8], version: u64, oldest: u64) -> Result<(), Error> {
    let mut keys = Vec::new();
    view.scan(&Keys::of(prefix), u64::MAX, From::First, &mut |key, _| {
        keys.push(key.to_vec());
        ControlFlow::Continue(())
    })?;
    let mut rows = view.active.rows.write();
    for key in keys {
        rows.set(key, None, version, oldest);
    }
    Ok(())
}

/// Tells whoever waits. What they do with it is their own affair, so a panic of theirs does not end the writer.
pub(crate) fn answer(done: Done, outcome: Result<Committed, Error>) {
    let _ = catch_unwind(AssertUnwindSafe(|| done(outcome)));
}
