//! A rate: so many a second, with one second's worth in hand.

use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// So many a second. Up to one second's worth may be used at once. What is used counts on the rate above it too.
#[derive(Debug)]
pub(crate) struct Rate {
    /// Limit and level change together.
    level: Mutex<Level>,
    above: Option<Arc<Rate>>,
}

#[derive(Debug)]
struct Level {
    limit: u64,
    /// Below zero is owed.
    left: i64,
    filled: u64,
}

/// Too much for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exceeded {
    /// Nanoseconds after which it would pass; none if it never will, being more than a second's worth.
    pub(crate) after: Option<u64>,
}

impl Rate {
    pub(crate) fn new(limit: u64, above: Option<Arc<Rate>>, now: u64) -> Arc<Rate> {
        Arc::new(Rate { level: Mutex::new(Level { limit, left: signed(limit), filled: now }), above })
    }

    /// Uses `amount`, or none of it.
    pub(crate) fn take(&self, amount: u64, now: u64) -> Result<(), Exceeded> {
        self.level.lock().take(amount, now)?;
        let above = self.above.as_ref().map_or(Ok(()), |above| above.take(amount, now));
        if above.is_err() {
            let mut level = self.level.lock();
            level.left = level.left.saturating_add_unsigned(amount).min(signed(level.limit));
        }
        above
    }

    /// Uses `amount` whatever is left: what is used too much is owed, and has to be made up for before anything else.
    pub(crate) fn spend(&self, amount: u64, now: u64) {
        let mut level = self.level.lock();
        level.fill(now);
        level.left = level.left.saturating_sub_unsigned(amount);
        drop(level);
        if let Some(above) = &self.above {
            above.spend(amount, now);
        }
    }

    /// Gives back what was used and is not needed.
    pub(crate) fn give(&self, amount: u64) {
        let mut level = self.level.lock();
        level.left = level.left.saturating_add_unsigned(amount).min(signed(level.limit));
        drop(level);
        if let Some(above) = &self.above {
            above.give(amount);
        }
    }

    /// What could be used now.
    pub(crate) fn left(&self, now: u64) -> u64 {
        let mut level = self.level.lock();
        level.fill(now);
        let left = u64::try_from(level.left).unwrap_or(0);
        drop(level);
        self.above.as_ref().map_or(left, |above| above.left(now).min(left))
    }

    /// How long until `amount`, or a second's worth if that is less, could be used.
    pub(crate) fn wait(&self, amount: u64, now: u64) -> Duration {
        let mut level = self.level.lock();
        level.fill(now);
        let wait = Duration::from_nanos(level.until(amount.min(level.limit)));
        drop(level);
        self.above.as_ref().map_or(wait, |above| above.wait(amount, now).max(wait))
    }

    pub(crate) fn limit(&self) -> u64 {
        self.level.lock().limit
    }

    pub(crate) fn set_limit(&self, limit: u64) {
        let mut level = self.level.lock();
        level.limit = limit;
        level.left = level.left.min(signed(limit));
    }
}

const SECOND: u128 = 1_000_000_000;

impl Level {
    fn take(&mut self, amount: u64, now: u64) -> Result<(), Exceeded> {
        self.fill(now);
        if amount > self.limit {
            return Err(Exceeded { after: None });
        }
        if self.left < signed(amount) {
            return Err(Exceeded { after: Some(self.until(amount)) });
        }
        self.left -= signed(amount);
        Ok(())
    }

    fn fill(&mut self, now: u64) {
        let passed = now.saturating_sub(self.filled);
        let gained = u128::from(passed) * u128::from(self.limit) / SECOND;
        if self.left == signed(self.limit) {
            self.filled = now;
        } else if gained > 0 {
            // Only as much time is used up as made whole units, so that nothing is lost to rounding.
            self.filled += u64::try_from(gained * SECOND / u128::from(self.limit)).unwrap_or(passed).min(passed);
            let gained = u64::try_from(gained).unwrap_or(u64::MAX);
            self.left = self.left.saturating_add_unsigned(gained).min(signed(self.limit));
        }
    }

    fn until(&self, amount: u64) -> u64 {
        let missing = u128::try_from(i128::from(amount) - i128::from(self.left)).unwrap_or(0);
        u64::try_from((missing * SECOND).div_ceil(u128::from(self.limit))).unwrap_or(u64::MAX)
    }
}

fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn a_seconds_worth_is_in_hand_and_no_more() {
        let rate = Rate::new(1000, None, 0);
        assert_eq!(rate.take(1000, 0), Ok(()));
        assert_eq!(rate.take(1, 0), Err(Exceeded { after: Some(1_000_000) }));
        assert_eq!(rate.take(1000, 10 * S), Ok(()));
        assert_eq!(rate.left(10 * S), 0, "a long rest saves up no more");
    }

    #[test]
    fn the_rate_holds_however_it_is_asked() {
        let rate = Rate::new(1000, None, 0);
        let mut used = 0;
        for now in (0..10 * S).step_by(777_777) {
            used += u64::from(rate.take(1, now).is_ok()) + u64::from(rate.take(1, now).is_ok());
        }
        assert!((10_900..=11_000).contains(&used), "{used}");
    }

    #[test]
    fn what_is_spent_beyond_the_rate_is_owed() {
        let rate = Rate::new(1000, None, 0);
        rate.spend(5000, 0);
        assert_eq!((rate.left(0), rate.take(1, 0)), (0, Err(Exceeded { after: Some(4_001_000_000) })));
        assert_eq!(rate.take(1, 4 * S), Err(Exceeded { after: Some(1_000_000) }));
        assert_eq!(rate.take(1000, 5 * S), Ok(()));
    }

    #[test]
    fn what_can_never_pass_says_so() {
        assert_eq!(Rate::new(10, None, 0).take(11, 0), Err(Exceeded { after: None }));
    }

    #[test]
    fn what_is_used_counts_above_too() {
        let above = Rate::new(10, None, 0);
        let (one, other) = (Rate::new(8, Some(above.clone()), 0), Rate::new(8, Some(above.clone()), 0));
        assert_eq!(one.take(8, 0), Ok(()));
        assert!(other.take(3, 0).is_err(), "two are left above");
        assert_eq!((other.left(0), above.left(0)), (2, 2), "what was refused above is not used below");
        assert_eq!(other.take(2, 0), Ok(()));
        assert_eq!(other.wait(1, 0), Duration::from_millis(100));
    }
}
