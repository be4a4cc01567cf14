//! Tokens of models: set aside before one is asked, and settled by what it used.

use crate::rate::{Exceeded, Rate};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Prompts that one agent may have under way at once.
const AT_ONCE: usize = 16;

/// What one agent's use of models is charged on.
pub(crate) struct Tokens {
    /// So many a minute: its seconds are minutes.
    rate: Arc<Rate>,
    total: Arc<AtomicU64>,
    at_once: Arc<Semaphore>,
}

/// Tokens that are set aside. All of them are given back if that is dropped.
pub(crate) struct Aside {
    rate: Arc<Rate>,
    total: Arc<AtomicU64>,
    amount: u64,
}

/// The present on a clock whose seconds are minutes.
fn now() -> u64 {
    runtime::clock::now() / 60
}

impl Tokens {
    pub(crate) fn new(limit: u32, above: Option<&Tokens>) -> Tokens {
        let rate = Rate::new(limit.into(), above.map(|above| above.rate.clone()), now());
        Tokens { rate, total: Arc::default(), at_once: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Sets tokens aside; otherwise says when there will be as many, if ever.
    pub(crate) fn set_aside(&self, amount: u64) -> Result<Aside, Option<Duration>> {
        match self.rate.take(amount, now()) {
            Ok(()) => Ok(Aside { rate: self.rate.clone(), total: self.total.clone(), amount }),
            Err(Exceeded { after }) => Err(after.map(|nanos| Duration::from_nanos(nanos.saturating_mul(60)))),
        }
    }

    /// A place among the prompts that are under way; none if all are taken.
    pub(crate) fn begin(&self) -> Option<OwnedSemaphorePermit> {
        self.at_once.clone().try_acquire_owned().ok()
    }

    pub(crate) fn set_limit(&self, limit: u32) {
        self.rate.set_limit(limit.into());
    }

    /// What was used within the last minute, as far as it is not made up for.
    pub(crate) fn spent(&self) -> u64 {
        self.rate.limit().saturating_sub(self.rate.left(now()))
    }

    /// All that was ever used.
    pub(crate) fn used(&self) -> u64 {
        self.total.load(Relaxed)
    }

    pub(crate) fn total(&self) -> Arc<AtomicU64> {
        self.total.clone()
    }
}

impl Aside {
    /// So many were used; the rest is given back, and what is beyond is owed.
    pub(crate) fn settle(mut self, used: u64) {
        self.total.fetch_add(used, Relaxed);
        let aside = std::mem::take(&mut self.amount);
        match used > aside {
            true => self.rate.spend(used - aside, now()),
            false => self.rate.give(aside - used),
        }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if self.amount > 0 {
            self.rate.give(self.amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_aside_is_settled_by_what_was_used() {
        let above = Tokens::new(10_000, None);
        let tokens = Tokens::new(1_000, Some(&above));
        let aside = tokens.set_aside(800).expect("there is room");
        assert_eq!((tokens.spent(), above.spent(), tokens.used()), (800, 800, 0));
        let wait = tokens.set_aside(800).err().flatten().expect("later there is");
        assert!(wait > Duration::from_secs(30) && wait <= Duration::from_secs(36), "{wait:?}: 600 are 36 s");
        aside.settle(300);
        assert_eq!((tokens.spent(), above.spent(), tokens.used()), (300, 300, 300));
        drop(tokens.set_aside(700).expect("there is room"));
        assert_eq!(tokens.spent(), 300, "what was not used is given back");
        assert_eq!(tokens.set_aside(1_001).err(), Some(None), "there will never be as many");
        tokens.set_aside(500).expect("there is room").settle(1_500);
        let wait = tokens.set_aside(1).err().flatten().expect("later there is");
        assert!(wait > Duration::from_secs(40), "{wait:?}: 800 are owed");
        assert_eq!(tokens.used(), 1_800);
    }
}
