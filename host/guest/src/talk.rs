//! How much agents have to say to each other: what they asked and told since their host is there.

use crate::ctx::Ctx;
use crate::host::Host;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What agents of one host asked and told each other since it is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Talk {
    /// Questions that were handed over.
    pub asked: u64,
    /// Questions that were not: no grant covers the other agent, it is not there, or there is no room.
    pub asks_refused: u64,
    /// Messages that left when their turn ended well, those for later included.
    pub told: u64,
    /// Messages that were not accepted.
    pub tells_refused: u64,
}

/// The same, while it is counted.
#[derive(Default)]
pub(crate) struct Counts {
    asked: AtomicU64,
    asks_refused: AtomicU64,
    told: AtomicU64,
    tells_refused: AtomicU64,
}

impl Counts {
    pub(crate) fn told(&self, count: usize) {
        if count > 0 {
            self.told.fetch_add(count as u64, Relaxed);
        }
    }
}

impl Ctx {
    /// Whether what it says is said: a turn that runs apart, or again, tells nobody.
    fn is_heard(&self) -> bool {
        !self.tape.is_playing() && self.accounts.apart.is_none()
    }

    /// Counts a question that was handed over, or was not.
    pub(crate) fn count_ask(&self, accepted: bool) {
        if self.is_heard() {
            let counts = &self.standing.house.talk;
            let count = if accepted { &counts.asked } else { &counts.asks_refused };
            count.fetch_add(1, Relaxed);
        }
    }

    /// Counts a message that was not accepted. Those that are count when they leave.
    pub(crate) fn count_tell(&self, accepted: bool) {
        if !accepted && self.is_heard() {
            self.standing.house.talk.tells_refused.fetch_add(1, Relaxed);
        }
    }
}

impl Host {
    /// What its agents asked and told each other.
    pub fn talk(&self) -> Talk {
        let counts = &self.house().talk;
        Talk {
            asked: counts.asked.load(Relaxed),
            asks_refused: counts.asks_refused.load(Relaxed),
            told: counts.told.load(Relaxed),
            tells_refused: counts.tells_refused.load(Relaxed),
        }
    }
}
