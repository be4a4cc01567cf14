//! What is to be done later, chance, and the time of day.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Things that wait for their time.
#[derive(Debug)]
pub(crate) struct Timers<T> {
    waiting: BTreeMap<(Instant, u64), T>,
    next: u64,
}

impl<T> Timers<T> {
    pub(crate) fn new() -> Timers<T> {
        Timers { waiting: BTreeMap::new(), next: 0 }
    }

    pub(crate) fn after(&mut self, wait: Duration, what: T) {
        self.next += 1;
        self.waiting.insert((Instant::now() + wait, self.next), what);
    }

    /// When the first is due; far away if there is none.
    pub(crate) fn due(&self) -> Instant {
        let first = self.waiting.first_key_value().map(|((at, _), _)| *at);
        first.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600))
    }

    /// The first, if its time has come.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let first = self.waiting.first_entry()?;
        (first.key().0 <= Instant::now()).then(|| first.remove())
    }
}

/// Chance that can be repeated: xorshift64*.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        // A zero would stay one for ever.
        Dice(if seed == 0 { u64::from_le_bytes(crate::key::random()) | 1 } else { seed })
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// From 0 to below `end`; 0 if that is 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { (self.next() >> 16) as usize % end }
    }

    /// From 0 to below 1.
    pub(crate) fn part(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Three quarters to five quarters of a time.
    pub(crate) fn about(&mut self, time: Duration) -> Duration {
        time.mul_f64(0.75 + self.part() / 2.0)
    }

    pub(crate) fn shuffle<T>(&mut self, all: &mut [T]) {
        for last in (1..all.len()).rev() {
            all.swap(last, self.below(last + 1));
        }
    }
}

/// Milliseconds since 1970, as this machine's clock has it.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
