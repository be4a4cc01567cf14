//! CPU accounts: a sustained share and a burst each, in a tree.
//!
//! An account is a token bucket that fills at its share and holds at most its burst. What runs is charged after it ran,
//! so a bucket may go below empty; it must be above empty again before the next slice. The debt is carried, which
//! makes the sustained rate exact however coarse the slices are.

use crate::clock;
use base::Share;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The CPU account of one agent or group. The time of a graphics processor is counted on one, too.
#[derive(Debug)]
pub struct Cpu {
    /// Share, burst and level change together.
    bucket: Mutex<Bucket>,
    used: AtomicU64,
    /// The part of it that the host used beside the guest.
    beside: AtomicU64,
    parent: Option<Arc<Cpu>>,
}

#[derive(Debug)]
struct Bucket {
    /// Millionths of a core.
    share: u64,
    burst: i64,
    /// Nanoseconds of CPU time that may be used now; below zero is debt.
    level: i64,
    /// Millionths of a nanosecond that did not make a whole one at the last filling.
    rest: u64,
    /// When it was last filled.
    filled: u64,
}

impl Cpu {
    /// An account that stands alone. Its bucket is full.
    pub fn new(share: Share, burst: Duration) -> Arc<Cpu> {
        Self::make(share, burst, None)
    }

    /// An account whose charges `self` bears too.
    pub fn child(self: &Arc<Cpu>, share: Share, burst: Duration) -> Arc<Cpu> {
        Self::make(share, burst, Some(self.clone()))
    }

    /// An account beside this one, whose charges the same group bears.
    pub fn sibling(&self, share: Share, burst: Duration) -> Arc<Cpu> {
        Self::make(share, burst, self.parent.clone())
    }

    fn make(share: Share, burst: Duration, parent: Option<Arc<Cpu>>) -> Arc<Cpu> {
        let burst = as_level(burst);
        let bucket =
            Bucket { share: u64::from(share.millionths()), burst, level: burst, rest: 0, filled: clock::now() };
        Arc::new(Cpu { bucket: Mutex::new(bucket), used: AtomicU64::new(0), beside: AtomicU64::new(0), parent })
    }

    /// Changes share and burst while the account is in use. Debt stays debt.
    pub fn set(&self, share: Share, burst: Duration) {
        let mut bucket = self.bucket.lock();
        bucket.fill(clock::now());
        bucket.share = u64::from(share.millionths());
        bucket.burst = as_level(burst);
        bucket.level = bucket.level.min(bucket.burst);
    }

    /// Nanoseconds of CPU time that were ever charged.
    pub fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    /// Charges what the host did for the agent beside its guest, on a thread of the host's own.
    pub fn spend(&self, nanos: u64) {
        self.beside.fetch_add(nanos, Relaxed);
        self.charge(nanos, clock::now());
    }

    /// Nanoseconds that were ever charged by [`Cpu::spend`].
    pub fn beside(&self) -> u64 {
        self.beside.load(Relaxed)
    }

    /// How long until this account and all above it are above empty.
    pub fn wait(&self) -> Duration {
        let now = clock::now();
        Duration::from_nanos(self.ready_at(now) - now)
    }

    /// Nanoseconds that it has run ahead of its share: its burst is spent when this reaches the burst.
    pub fn ahead(&self) -> u64 {
        let mut bucket = self.bucket.lock();
        bucket.fill(clock::now());
        u64::try_from(bucket.burst - bucket.level).unwrap_or(0)
    }

    /// Charges this account and all above it. Answers how much further that moves it in the order of who goes next (the
    /// smaller its share, the further), and how much may be used now before any of them is empty.
    pub(crate) fn charge(&self, nanos: u64, now: u64) -> (u64, i64) {
        let (mut weighted, mut left) = (0, i64::MAX);
        let mut account = Some(self);
        while let Some(one) = account {
            one.used.fetch_add(nanos, Relaxed);
            let mut bucket = one.bucket.lock();
            bucket.fill(now);
            bucket.level = bucket.level.saturating_sub_unsigned(nanos);
            left = left.min(bucket.level);
            if std::ptr::eq(one, self) {
                weighted = nanos.saturating_mul(1_000_000) / bucket.share;
            }
            account = one.parent.as_deref();
        }
        (weighted, left)
    }

    /// When this account and all above it are above empty: `now`, or a time to come.
    pub(crate) fn ready_at(&self, now: u64) -> u64 {
        let mut at = now;
        let mut account = Some(self);
        while let Some(one) = account {
            at = at.max(one.bucket.lock().ready_at(now));
            account = one.parent.as_deref();
        }
        at
    }
}

impl Bucket {
    fn fill(&mut self, now: u64) {
        let passed = now.saturating_sub(self.filled);
        self.filled = self.filled.max(now);
        if self.level == self.burst {
            return;
        }
        // After a long rest the product would not fit; a bucket that is full anyway needs no precision.
        let Some(gained) = passed.checked_mul(self.share).and_then(|gained| gained.checked_add(self.rest)) else {
            self.level = self.burst;
            return;
        };
        self.rest = gained % 1_000_000;
        self.level = self.level.saturating_add_unsigned(gained / 1_000_000).min(self.burst);
    }

    fn ready_at(&mut self, now: u64) -> u64 {
        self.fill(now);
        match u64::try_from(-self.level) {
            Ok(debt) => now.saturating_add(debt.saturating_add(1).saturating_mul(1_000_000) / self.share),
            Err(_) => now,
        }
    }
}

fn as_level(burst: Duration) -> i64 {
    i64::try_from(burst.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn account(percent: u32, burst_ms: u64) -> Arc<Cpu> {
        let cpu = Cpu::new(Share::percent(percent), Duration::from_millis(burst_ms));
        cpu.bucket.lock().filled = 0;
        cpu
    }

    #[test]
    fn a_full_bucket_runs_its_burst_ahead() {
        let cpu = account(10, 50);
        cpu.charge(49 * MS, 0);
        assert_eq!(cpu.ready_at(0), 0);
        cpu.charge(MS, 0);
        assert!(cpu.ready_at(0) > 0);
    }

    #[test]
    fn debt_is_waited_for_at_the_share() {
        let cpu = account(10, 50);
        cpu.charge(53 * MS, 0);
        assert_eq!(cpu.ready_at(0) / MS, 30);
        assert_eq!(cpu.ready_at(31 * MS), 31 * MS);
    }

    #[test]
    fn a_long_rest_fills_no_more_than_the_burst() {
        let cpu = account(10, 50);
        cpu.charge(50 * MS, 0);
        let later = 3_600_000 * MS;
        assert_eq!(cpu.ready_at(later), later);
        cpu.charge(51 * MS, later);
        assert!(cpu.ready_at(later) > later);
    }

    #[test]
    fn small_refills_lose_nothing() {
        let cpu = account(1, 50);
        cpu.charge(50 * MS, 0);
        for now in 0..1_000_000 {
            cpu.ready_at(now);
        }
        assert_eq!(cpu.bucket.lock().level, 10_000 - 1);
    }

    #[test]
    fn a_parent_bears_its_childrens_charges() {
        let group = account(20, 10);
        let (a, b) = (
            group.child(Share::percent(50), Duration::from_millis(100)),
            group.child(Share::percent(50), Duration::from_millis(100)),
        );
        a.charge(12 * MS, 0);
        assert_eq!(group.used(), 12 * MS);
        assert_eq!(b.ready_at(0) / MS, 10, "b waits for the debt that a made");
    }

    #[test]
    fn what_the_host_spends_beside_the_guest_is_waited_for_too() {
        let group = Cpu::new(Share::percent(10), Duration::from_millis(1));
        let cpu = group.child(Share::percent(50), Duration::from_millis(100));
        assert_eq!(cpu.wait(), Duration::ZERO);
        cpu.spend(3 * MS);
        assert_eq!((cpu.used(), cpu.beside(), group.used()), (3 * MS, 3 * MS, 3 * MS));
        assert!((15..=20).contains(&cpu.wait().as_millis()), "two milliseconds at a tenth: {:?}", cpu.wait());
    }

    #[test]
    fn a_smaller_share_moves_further_for_the_same_time() {
        assert_eq!(account(50, 1).charge(MS, 0).0, 2 * MS);
        assert_eq!(account(2, 1).charge(MS, 0).0, 50 * MS);
    }

    #[test]
    fn a_raised_share_shortens_the_wait() {
        let cpu = Cpu::new(Share::percent(1), Duration::from_millis(1));
        let now = clock::now();
        cpu.charge(11 * MS, now);
        let slow = cpu.ready_at(now) - now;
        cpu.set(Share::percent(100), Duration::from_millis(1));
        let now = clock::now();
        assert!(cpu.ready_at(now) - now < slow / 50);
    }
}
