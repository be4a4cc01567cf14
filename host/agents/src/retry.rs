//! How often a message is tried, and how long it waits in between.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How often a message is tried, and how long it waits in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// How often it is tried in all.
    pub attempts: u32,
    /// How long it waits after the first failure; twice as long after each further one.
    pub backoff: Duration,
    /// It never waits longer.
    pub longest: Duration,
    /// Whether what its sender sent after it waits as well, so that the order holds.
    pub ordered: bool,
}

impl Default for Retry {
    fn default() -> Retry {
        let (backoff, longest) = (Duration::from_millis(100), Duration::from_secs(60));
        Retry { attempts: 5, backoff, longest, ordered: true }
    }
}

impl Retry {
    /// Everything is tried once.
    pub const NEVER: Retry = Retry { attempts: 1, backoff: Duration::ZERO, longest: Duration::ZERO, ordered: true };

    /// How long to wait after the failure of the try `attempt`, which counts from 1. `chance` is any number: those who
    /// failed together are not tried again together.
    pub fn wait(&self, attempt: u32, chance: u64) -> Duration {
        let doubled = self.backoff.saturating_mul(1u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX));
        let wait = doubled.min(self.longest);
        // Half of it for certain, the other half by chance.
        let half = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX) / 2;
        Duration::from_nanos(half + if half == 0 { 0 } else { chance % (half + 1) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_half_of_each_is_chance() {
        let retry =
            Retry { attempts: 9, backoff: Duration::from_millis(100), longest: Duration::from_secs(1), ordered: true };
        let bounds = |attempt| {
            (retry.wait(attempt, 0).as_millis(), retry.wait(attempt, 50_000_000 << (attempt - 1)).as_millis())
        };
        assert_eq!([1, 2, 3, 4].map(bounds), [(50, 100), (100, 200), (200, 400), (400, 800)]);
        for attempt in [5, 31, 32, 33, u32::MAX] {
            assert_eq!(retry.wait(attempt, 0), Duration::from_millis(500), "after {attempt}");
            assert!((0..1000).all(|chance| retry.wait(attempt, chance * 987_654_321) <= Duration::from_secs(1)));
        }
    }

    #[test]
    fn no_back_off_is_no_wait() {
        assert_eq!(Retry::NEVER.wait(1, 12345), Duration::ZERO);
    }
}
