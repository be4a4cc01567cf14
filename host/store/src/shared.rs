//! What the store's handles and its two threads share.

use crate::Error;
use crate::change::Change;
use crate::checkpoint::Checkpoints;
use crate::files::Files;
use crate::store::Options;
use crate::view::View;
use crate::writer::Committed;
use parking_lot::{Condvar, Mutex, RwLock};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;

pub(crate) type Done = Box<dyn FnOnce(Result<Committed, Error>) + Send>;

pub(crate) struct Shared {
    pub(crate) files: Arc<dyn Files>,
    pub(crate) folder: PathBuf,
    pub(crate) options: Options,
    pub(crate) queue: Mutex<Queue>,
    pub(crate) work: Condvar,
    /// Changed by the writer, when it freezes a layer, and by the checkpoint.
    pub(crate) view: RwLock<View>,
    pub(crate) readers: Arc<Readers>,
    pub(crate) tail: watch::Sender<u64>,
    pub(crate) checkpoints: Checkpoints,
}

/// Changes in the order in which they were handed over.
#[derive(Default)]
pub(crate) struct Queue {
    waiting: Vec<Waiting>,
    bytes: usize,
    asleep: bool,
    stopped: bool,
}

pub(crate) struct Waiting {
    pub(crate) change: Change,
    pub(crate) done: Done,
}

impl Shared {
    pub(crate) fn tree_path(&self) -> PathBuf {
        self.folder.join(crate::store::TREE)
    }

    /// Puts a change at the end of the queue. Gives `done` back with the reason if it cannot.
    pub(crate) fn enqueue(&self, change: Change, done: Done) -> Result<(), (Done, Error)> {
        if let Some(error) = &change.refused {
            return Err((done, error.clone()));
        }
        let (bytes, limit) = (change.bytes, self.options.waiting);
        if bytes > limit {
            return Err((done, Error::TooLarge { bytes, limit }));
        }
        let mut queue = self.queue.lock();
        if queue.stopped {
            return Err((done, Error::Closed));
        }
        if queue.bytes + bytes > limit {
            return Err((done, Error::Overloaded { limit }));
        }
        queue.bytes += bytes;
        queue.waiting.push(Waiting { change, done });
        if queue.asleep {
            queue.asleep = false;
            self.work.notify_one();
        }
        Ok(())
    }

    /// All that waits; nothing when the store is closed.
    pub(crate) fn next_batch(&self) -> Option<Vec<Waiting>> {
        let mut queue = self.queue.lock();
        while queue.waiting.is_empty() {
            if queue.stopped {
                return None;
            }
            queue.asleep = true;
            self.work.wait(&mut queue);
        }
        queue.asleep = false;
        queue.bytes = 0;
        Some(std::mem::take(&mut queue.waiting))
    }

    /// Takes no more changes.
    pub(crate) fn stop(&self) {
        self.queue.lock().stopped = true;
        self.work.notify_one();
    }
}

/// Which version is visible, and which ones are being read.
#[derive(Debug, Default)]
pub(crate) struct Readers(Mutex<Versions>);

#[derive(Debug, Default)]
struct Versions {
    visible: u64,
    read: BTreeMap<u64, usize>,
}

impl Readers {
    pub(crate) fn publish(&self, version: u64) {
        self.0.lock().visible = version;
    }

    /// Begins to read what is visible.
    pub(crate) fn enter(&self) -> u64 {
        let mut versions = self.0.lock();
        let version = versions.visible;
        *versions.read.entry(version).or_default() += 1;
        version
    }

    pub(crate) fn leave(&self, version: u64) {
        let mut versions = self.0.lock();
        if let Some(count) = versions.read.get_mut(&version) {
            *count -= 1;
            if *count == 0 {
                versions.read.remove(&version);
            }
        }
    }

    /// The oldest version that somebody reads, or may begin to read.
    pub(crate) fn oldest(&self) -> u64 {
        let versions = self.0.lock();
        versions.read.keys().next().copied().unwrap_or(versions.visible)
    }
}
