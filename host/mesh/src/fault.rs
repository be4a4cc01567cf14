//! Bad weather for tests: what peers say gets lost, late, doubled, or does not get through at all.

use crate::timers::Dice;
use libp2p::PeerId;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// The weather over one peer, which the test can change while it runs. It concerns what arrives there.
#[derive(Clone, Debug)]
pub struct Weather {
    now: Arc<Mutex<Now>>,
    skew: Arc<AtomicI64>,
}

#[derive(Debug)]
struct Now {
    dice: Dice,
    loss: f64,
    twice: f64,
    delay: Duration,
    cut: HashSet<PeerId>,
}

/// What becomes of one message that arrives.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fate {
    pub(crate) lost: bool,
    pub(crate) twice: bool,
    pub(crate) delay: Duration,
}

impl Weather {
    /// Fair weather; chance is decided by the seed.
    pub fn new(seed: u64) -> Weather {
        let dice = Dice::new(seed.max(1));
        let now = Now { dice, loss: 0.0, twice: 0.0, delay: Duration::ZERO, cut: HashSet::new() };
        Weather { now: Arc::new(Mutex::new(now)), skew: Arc::default() }
    }

    /// The part of the messages that get lost, 0 to 1.
    pub fn lose(&self, part: f64) {
        self.now.lock().loss = part;
    }

    /// The part of the messages that arrive twice, 0 to 1.
    pub fn double(&self, part: f64) {
        self.now.lock().twice = part;
    }

    /// Messages arrive up to so much later, and so in another order.
    pub fn delay(&self, most: Duration) {
        self.now.lock().delay = most;
    }

    /// There is no way between this peer and those any more; there is one to all others.
    pub fn cut(&self, peers: impl IntoIterator<Item = PeerId>) {
        self.now.lock().cut = peers.into_iter().collect();
    }

    /// This peer's clock is so many milliseconds ahead.
    pub fn skew(&self, ahead: i64) {
        self.skew.store(ahead, Ordering::Relaxed);
    }

    pub(crate) fn is_cut(&self, peer: &PeerId) -> bool {
        self.now.lock().cut.contains(peer)
    }

    pub(crate) fn fate(&self) -> Fate {
        let now = &mut *self.now.lock();
        Fate {
            lost: now.dice.part() < now.loss,
            twice: now.dice.part() < now.twice,
            delay: now.delay.mul_f64(now.dice.part()),
        }
    }

    pub(crate) fn ahead(&self) -> i64 {
        self.skew.load(Ordering::Relaxed)
    }
}
