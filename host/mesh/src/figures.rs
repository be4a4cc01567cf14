//! Figures: what was turned away, and how each link does.

use crate::Why;
use libp2p::{Multiaddr, PeerId};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often what was turned away, and what else is counted.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    turned_away: [AtomicU64; Why::ALL.len()],
    pub(crate) retries: AtomicU64,
    pub(crate) busy: AtomicU64,
    pub(crate) repeated: AtomicU64,
    pub(crate) untold: AtomicU64,
}

/// Counts since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// How much was turned away, by why.
    pub turned_away: BTreeMap<Why, u64>,
    /// Messages that were sent once more.
    pub retries: u64,
    /// Messages of others that had to wait because too much was under way here.
    pub busy: u64,
    /// Messages that came more than once, by honest ways: they were handled once.
    pub repeated: u64,
    /// Published messages for which nobody listened in time.
    pub untold: u64,
}

impl Counters {
    pub(crate) fn turn_away(&self, why: Why) {
        if let Some(at) = Why::ALL.iter().position(|each| *each == why) {
            self.turned_away[at].fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Counts {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = Why::ALL.iter().zip(&self.turned_away).map(|(why, count)| (*why, load(count)));
        Counts {
            turned_away: counts.filter(|(_, count)| *count > 0).collect(),
            retries: load(&self.retries),
            busy: load(&self.busy),
            repeated: load(&self.repeated),
            untold: load(&self.untold),
        }
    }
}

/// How the connection with one member does.
#[derive(Clone, Debug)]
pub struct Link {
    /// The member.
    pub peer: PeerId,
    /// Where it was met.
    pub address: Multiaddr,
    /// Whether this side has called.
    pub called: bool,
    /// Since when.
    pub since: Instant,
    /// The way there and back, smoothed; nothing before the first measurement.
    pub latency: Option<Duration>,
    /// Pings that were sent, and those without an answer.
    pub pings: u64,
    /// Of these, how many had no answer.
    pub lost: u64,
    /// Messages sent.
    pub sent: Traffic,
    /// Messages received.
    pub received: Traffic,
}

/// Messages and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// How many messages.
    pub messages: u64,
    /// How many bytes.
    pub bytes: u64,
}

impl Traffic {
    pub(crate) fn add(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes as u64;
    }
}

impl Link {
    /// The part of the pings that were lost, 0 to 1.
    pub fn loss(&self) -> f64 {
        if self.pings == 0 { 0.0 } else { self.lost as f64 / self.pings as f64 }
    }

    pub(crate) fn pinged(&mut self, outcome: Option<Duration>) {
        self.pings += 1;
        match (outcome, self.latency) {
            (None, _) => self.lost += 1,
            (Some(new), None) => self.latency = Some(new),
            // An eighth, as TCP does.
            (Some(new), Some(old)) => self.latency = Some((old * 7 + new) / 8),
        }
    }
}
