//! Looking after an agent that breaks too often, has lived long, or has nothing to do.

use crate::agent::{Answer, Error, Lasting};
use crate::blow::Broke;
use crate::door::Origin;
use crate::event::Event;
use crate::fresh::secure;
use crate::live::{Handed, Life};
use parking_lot::Mutex;
use runtime::{Failure, FailureKind, Fault, Held, Task, clock};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// How an agent is looked after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Care {
    /// So often it may break within [`Care::within`]; then it is left alone for a while.
    pub faults: u32,
    /// See above.
    pub within: Duration,
    /// How long it is left alone; twice as long each time that the first turn afterwards breaks as well.
    pub pause: Duration,
    /// It is never left alone longer.
    pub longest: Duration,
    /// So many turns have one instance; the next one gets what it keeps.
    pub recycle: u32,
    /// After so long without a message its instance is put away, with what it keeps.
    pub idle: Duration,
}

impl Default for Care {
    fn default() -> Care {
        Care {
            faults: 10,
            within: Duration::from_secs(30),
            pause: Duration::from_secs(1),
            longest: Duration::from_secs(60),
            recycle: 100_000,
            idle: Duration::from_secs(300),
        }
    }
}

/// How an agent is, for those who look at it from outside. Its replicas share it.
#[derive(Default)]
pub(crate) struct Pulse {
    /// When its last turn ended, by [`clock::now`].
    pub(crate) last: AtomicU64,
    /// Until when it is left alone; 0 if it isn't.
    pub(crate) paused: AtomicU64,
    /// How often it broke.
    pub(crate) faults: AtomicU64,
    /// Whether it has an instance.
    pub(crate) awake: AtomicBool,
    /// Whether it handles a message.
    pub(crate) busy: AtomicBool,
    /// How many instances serve its mailbox.
    pub(crate) replicas: AtomicU32,
    /// How many may; it falls to one when the last replica has gone.
    pub(crate) most: AtomicU32,
    /// What its replicas run as.
    pub(crate) crew: Mutex<Vec<Arc<Task>>>,
}

/// Counts what breaks.
#[derive(Default)]
pub(crate) struct Breaker {
    faults: VecDeque<u64>,
    /// Until when nothing is handled; 0 if nothing holds it back.
    until: u64,
    /// How often in a row it was left alone.
    pauses: u32,
}

impl Breaker {
    /// Until when nothing may be handled.
    pub(crate) fn shut(&self) -> Option<u64> {
        (self.until > 0 && clock::now() < self.until).then_some(self.until)
    }

    /// A turn broke at `now`; answers how long the agent is left alone, if it is.
    pub(crate) fn broke(&mut self, care: &Care, now: u64) -> Option<Duration> {
        let nanos = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        self.faults.push_back(now);
        let old = now.saturating_sub(nanos(care.within));
        while self.faults.front().is_some_and(|fault| *fault < old) {
            self.faults.pop_front();
        }
        // The first turn after a pause is on trial.
        if self.pauses == 0 && self.faults.len() < care.faults as usize {
            return None;
        }
        let pause = care.pause.saturating_mul(1u32.checked_shl(self.pauses).unwrap_or(u32::MAX)).min(care.longest);
        self.pauses = self.pauses.saturating_add(1);
        self.faults.clear();
        self.until = now.saturating_add(nanos(pause));
        Some(pause)
    }

    /// Nothing is handled for a while, whatever it was that broke.
    pub(crate) fn hold(&mut self, pause: Duration, now: u64) {
        let pause = u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX);
        self.until = self.until.max(now.saturating_add(pause));
    }

    /// A turn did not break.
    fn held(&mut self) {
        if self.until > 0 {
            *self = Breaker::default();
        }
    }
}

/// What an instance kept when it was put away.
pub(crate) struct PutAway {
    pub(crate) state: Vec<u8>,
    pub(crate) version: String,
    _held: Held,
}

impl<T: Lasting> Life<T> {
    /// Notes whether a turn broke. Only an agent whose messages wait somewhere can be left alone for that.
    pub(crate) fn watch(&mut self, answer: &Answer) {
        self.turns = self.turns.saturating_add(1);
        self.pulse.last.store(self.ended, Relaxed);
        let fault = match &answer.outcome {
            Err(Error::Broke(Fault::Stopped | Fault::Refused { .. } | Fault::Linked { .. })) => return,
            Err(Error::Broke(fault)) => fault,
            _ => return self.shared.breaker.lock().held(),
        };
        self.pulse.faults.fetch_add(1, Relaxed);
        self.broke = Some(Broke { kind: Some(fault.kind()), pause: None });
        let Some(books) = &self.spec.books else { return };
        let pause = self.shared.breaker.lock().broke(&self.spec.care, clock::now());
        let Some(pause) = pause else { return };
        self.broke = Some(Broke { kind: Some(fault.kind()), pause: Some(pause) });
        let what = format!("{{\"millis\":{},\"fault\":\"{}\"}}", pause.as_millis(), fault.kind());
        let (agent, by) = (self.spec.name.to_string(), "village".into());
        // Nobody waits for it: it says what happened, and nothing depends on it.
        drop(books.note(&Event::Noted { what: "left-alone".into(), agent, by, details: what }));
    }

    /// Until when nothing may be handled. Whoever waits for an answer of an agent that is left alone is told so.
    pub(crate) fn left_alone(&mut self) -> Option<u64> {
        let until = self.shared.breaker.lock().shut();
        self.pulse.paused.store(until.unwrap_or(0), Relaxed);
        until
    }

    /// A message for an agent that is left alone: one that is kept waits, any other is answered.
    pub(crate) fn turn_away(&self, handed: Box<Handed>, until: u64) -> Option<Box<Handed>> {
        if matches!(handed.origin, Origin::Kept(_)) {
            secure(&handed.fresh);
            return Some(handed);
        }
        let left = Duration::from_nanos(until.saturating_sub(clock::now()));
        let message = format!("the agent breaks too often, and is left alone for another {} ms", left.as_millis());
        let failure = Failure { kind: FailureKind::Temporary, message, details: String::new() };
        let outcome = Err(Error::Failed(failure));
        handed.desk.deliver(Answer { outcome, receipt: Default::default(), held: None });
        None
    }

    /// Gives it a new instance after many turns, with what the old one keeps.
    pub(crate) async fn recycle(&mut self) {
        if self.turns >= self.spec.care.recycle && self.spec.books.is_some() {
            self.put_away().await;
        }
    }

    /// Puts the instance away with what it keeps, until there is something to do.
    pub(crate) async fn put_away(&mut self) {
        self.turns = 0;
        if self.instance.is_none() {
            // A turn that failed has taken it.
            self.pulse.awake.store(false, Relaxed);
            return;
        }
        let kept = self.outside(async |instance| instance.snapshot().await).await;
        self.instance = None;
        self.pulse.awake.store(false, Relaxed);
        if let Ok(Some(state)) = kept
            && let Ok(_held) = self.spec.memory.hold(state.len() as u64)
        {
            let version = self.spec.version.digest().to_string();
            self.asleep = Some(PutAway { state, version, _held });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARE: Care = Care {
        faults: 3,
        within: Duration::from_secs(10),
        pause: Duration::from_secs(1),
        longest: Duration::from_secs(3),
        recycle: 1,
        idle: Duration::from_secs(1),
    };
    const SECOND: u64 = 1_000_000_000;

    fn seconds(pause: Option<Duration>) -> Option<u64> {
        pause.map(|pause| pause.as_secs())
    }

    #[test]
    fn faults_far_apart_are_borne_and_many_at_once_are_not() {
        let mut breaker = Breaker::default();
        assert!((0..20).all(|number| breaker.broke(&CARE, SECOND + number * 6 * SECOND).is_none()));
        let mut breaker = Breaker::default();
        let pauses = [1, 2, 3].map(|at| seconds(breaker.broke(&CARE, at * SECOND)));
        assert_eq!(pauses, [None, None, Some(1)]);
    }

    #[test]
    fn whoever_breaks_again_right_after_a_pause_is_left_alone_longer_up_to_the_longest() {
        let mut breaker = Breaker::default();
        for at in [1, 2, 3] {
            breaker.broke(&CARE, at * SECOND);
        }
        let pauses = [10, 20, 30].map(|at| seconds(breaker.broke(&CARE, at * SECOND)));
        assert_eq!(pauses, [Some(2), Some(3), Some(3)]);
        breaker.held();
        assert_eq!(breaker.broke(&CARE, 40 * SECOND), None, "one good turn, and it is as before");
    }
}
