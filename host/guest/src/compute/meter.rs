//! The way between pieces of work: where they are charged, wait, take turns, and are cancelled.

use super::{LOOK, Works};
use kernels::job::Watch;
use runtime::{Cpu, clock};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Whoever has computed this long lets another one go first: nanoseconds.
const SLICE: u64 = 4_000_000;

/// One piece of work under way, on the thread of its agent. Used on that thread only.
pub(crate) struct Meter {
    works: Arc<Works>,
    cancelled: Arc<AtomicBool>,
    /// This thread's CPU time when it was last charged.
    charged: AtomicU64,
    /// This thread's CPU time when its turn came.
    began: AtomicU64,
    /// Whether it is its turn.
    turn: AtomicBool,
}

impl Meter {
    pub(super) fn new(works: Arc<Works>, cancelled: Arc<AtomicBool>) -> Meter {
        let now = clock::thread_cpu();
        Meter { works, cancelled, charged: now.into(), began: now.into(), turn: false.into() }
    }

    /// To be called often: charges what was used, and returns when the work may go on. Breaks if it is not wanted any more.
    pub(crate) fn pause(&self) -> ControlFlow<()> {
        self.charge();
        self.wait_for(&self.works.cpu)?;
        if self.turn.load(Relaxed) {
            let used = clock::thread_cpu().saturating_sub(self.began.load(Relaxed));
            if used < SLICE || !self.works.compute.somebody_waits() {
                return ControlFlow::Continue(());
            }
            self.leave();
        }
        if !self.works.compute.take_turn(&|| self.cancelled()) {
            return ControlFlow::Break(());
        }
        self.began.store(clock::thread_cpu(), Relaxed);
        self.turn.store(true, Relaxed);
        ControlFlow::Continue(())
    }

    /// Waits until an account is above empty, letting others compute.
    pub(super) fn wait_for(&self, account: &Cpu) -> ControlFlow<()> {
        loop {
            if self.cancelled() || self.works.compute.is_over() {
                return ControlFlow::Break(());
            }
            let wait = account.wait();
            if wait == Duration::ZERO {
                return ControlFlow::Continue(());
            }
            self.leave();
            let mut queue = self.works.queue.lock();
            if !self.cancelled() {
                // A group's budget may be changed without a word to its members.
                self.works.changed.wait_for(&mut queue, wait.min(LOOK));
            }
        }
    }

    /// Lets others compute while this thread waits for something.
    pub(super) fn leave(&self) {
        if self.turn.swap(false, Relaxed) {
            self.works.compute.end_turn();
        }
    }

    /// What the thread did until now was the host's business.
    pub(super) fn forgive(&self) {
        self.charged.store(clock::thread_cpu(), Relaxed);
    }

    pub(super) fn works(&self) -> &Works {
        &self.works
    }

    fn charge(&self) {
        let now = clock::thread_cpu();
        let used = now.saturating_sub(self.charged.swap(now, Relaxed));
        self.works.cpu.spend(used);
    }

    fn cancelled(&self) -> bool {
        self.cancelled.load(Relaxed)
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.charge();
        self.leave();
    }
}

/// One thread: a share is of one core.
impl kernels::Pool for Meter {
    fn width(&self) -> usize {
        1
    }

    fn each(&self, count: usize, job: &(dyn Fn(usize) + Sync)) -> ControlFlow<()> {
        for number in 0..count {
            self.pause()?;
            job(number);
        }
        self.pause()
    }
}

impl Watch for Meter {
    fn advance(&self, _bytes: u64) -> ControlFlow<()> {
        match self.cancelled() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}
