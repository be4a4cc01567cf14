//! Checkpoints: a thread of its own takes frozen layers into the tree, and then drops their part of the log.

use crate::Error;
use crate::layer::{Keys, Layer};
use crate::log;
use crate::shared::Shared;
use crate::tree::Tree;
use parking_lot::{Condvar, Mutex};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// A frozen layer, the last segment that it is made of, and the keys that can be dropped from the tree.
pub(crate) struct Job {
    pub(crate) layer: Arc<Layer>,
    pub(crate) applied: u64,
    pub(crate) gone: Keys,
}

/// What the writer, the checkpoint and those who wait for it say to each other.
#[derive(Default)]
pub(crate) struct Checkpoints {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    job: Option<Job>,
    /// Whether a job is there or under way.
    busy: bool,
    /// The last segment that is in the tree.
    applied: u64,
    /// Why the last attempt failed, until one succeeds.
    failing: Option<Error>,
    stopped: bool,
}

/// Between attempts to write to a disk that has failed: twice as long each time, within these.
const PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(250));

impl Checkpoints {
    pub(crate) fn set_applied(&self, applied: u64) {
        self.state.lock().applied = applied;
    }

    pub(crate) fn begin(&self, job: Job) {
        let mut state = self.state.lock();
        state.job = Some(job);
        state.busy = true;
        state.failing = None;
        self.changed.notify_all();
    }

    pub(crate) fn stop(&self) {
        self.state.lock().stopped = true;
        self.changed.notify_all();
    }

    /// Lets the writer wait while the log is twice as long as it should be. Fails if that does not help.
    pub(crate) fn wait_for_room(&self, bytes: u64, checkpoint: u64) -> Result<(), Error> {
        if bytes < checkpoint.saturating_mul(2) {
            return Ok(());
        }
        let mut state = self.state.lock();
        while state.busy {
            if let Some(error) = &state.failing {
                return Err(error.clone());
            }
            if state.stopped {
                break;
            }
            self.changed.wait(&mut state);
        }
        Ok(())
    }

    /// Notes why a checkpoint could not be begun.
    pub(crate) fn refuse(&self, error: Error) {
        self.state.lock().failing = Some(error);
        self.changed.notify_all();
    }

    /// Waits for the checkpoint that is under way. Answers whether a segment is in the tree then.
    pub(crate) fn wait_for(&self, segment: u64) -> Result<bool, Error> {
        let mut state = self.state.lock();
        loop {
            if state.applied >= segment {
                return Ok(true);
            }
            if let Some(error) = &state.failing {
                return Err(error.clone());
            }
            if !state.busy {
                return Ok(false);
            }
            self.changed.wait(&mut state);
        }
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.job.take() {
                return Some(job);
            }
            if state.stopped {
                return None;
            }
            self.changed.wait(&mut state);
        }
    }

    fn succeed(&self, applied: u64) {
        let mut state = self.state.lock();
        // The writer may have handed over the next one as soon as there was place for it.
        state.busy = state.job.is_some();
        state.applied = applied;
        state.failing = None;
        self.changed.notify_all();
    }

    /// Notes a failure and lets some time pass. Answers whether to try again.
    fn fail(&self, error: Error, pause: Duration) -> bool {
        let mut state = self.state.lock();
        state.failing = Some(error);
        self.changed.notify_all();
        if !state.stopped {
            self.changed.wait_for(&mut state, pause);
        }
        !state.stopped
    }
}

/// Does one checkpoint after another until the store is closed.
pub(crate) fn run(shared: &Shared, tree: Tree) {
    let mut open = Some(tree);
    while let Some(job) = shared.checkpoints.next() {
        let mut pause = PAUSE.0;
        loop {
            // A panic of the database must not leave the writer waiting for this thread.
            let attempted = catch_unwind(AssertUnwindSafe(|| attempt(shared, &mut open, &job)));
            let error = match attempted {
                Ok(Ok(())) => break,
                Ok(Err(error)) => error,
                Err(_) => Error::damaged(&shared.tree_path(), "what is in it cannot be"),
            };
            // After an error the database wants to be opened anew.
            if let Some(tree) = open.take() {
                tree.give_up();
            }
            // Readers go on with what is on disk, and the checkpoint when there is room for it.
            if let Ok(tree) = reopen(shared) {
                open = Some(tree);
            }
            if !shared.checkpoints.fail(error, pause) {
                return;
            }
            pause = (pause * 2).min(PAUSE.1);
        }
        drop_segments(shared, job.applied);
        if let Some(tree) = open.take() {
            open = tidy(shared, tree, &job.gone);
        }
        shared.checkpoints.succeed(job.applied);
    }
}

fn attempt(shared: &Shared, open: &mut Option<Tree>, job: &Job) -> Result<(), Error> {
    let tree = match open.take() {
        Some(tree) => open.insert(tree),
        None => open.insert(reopen(shared)?),
    };
    tree.absorb(&job.layer, job.applied)?;
    let snapshot = Arc::new(tree.snapshot()?);
    let mut view = shared.view.write();
    view.tree = snapshot;
    view.frozen = None;
    Ok(())
}

/// Drops what was cut off the journal. What a failing disk leaves of it goes after the next checkpoint.
fn tidy(shared: &Shared, tree: Tree, gone: &Keys) -> Option<Tree> {
    let mut dropped = false;
    let outcome = loop {
        match tree.drop_some(gone) {
            Ok(true) => dropped = true,
            Ok(false) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    if outcome.is_err() {
        tree.give_up();
        return reopen(shared).ok();
    }
    if dropped && let Ok(snapshot) = tree.snapshot() {
        shared.view.write().tree = Arc::new(snapshot);
    }
    Some(tree)
}

fn reopen(shared: &Shared) -> Result<Tree, Error> {
    let tree = Tree::open(&*shared.files, &shared.tree_path(), shared.options.cache)?;
    shared.view.write().tree = Arc::new(tree.snapshot()?);
    Ok(tree)
}

/// Removes segments that are in the tree. What stays is removed next time, or when the store is opened.
fn drop_segments(shared: &Shared, applied: u64) {
    for number in log::segments(&*shared.files, &shared.folder).unwrap_or_default() {
        if number <= applied {
            let _ = shared.files.remove(&log::path(&shared.folder, number));
        }
    }
}
