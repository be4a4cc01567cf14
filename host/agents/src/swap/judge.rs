//! Judging a canary by the turns that it takes.

use super::event::{Reason, Tried};
use super::plan::{Plan, Senders};
use crate::agent::Answer;
use runtime::Message;
use std::time::Duration;
use tokio::sync::oneshot;

/// A canary on trial.
pub(crate) struct Judge {
    senders: Senders,
    plan: Plan,
    new: Times,
    old: Times,
    /// Where the verdict goes; none once it is known.
    verdict: Option<oneshot::Sender<Verdict>>,
    /// Once it has failed, it handles no more.
    over: bool,
}

/// What became of the trial.
pub(crate) type Verdict = Result<Tried, (Reason, Tried)>;

/// What turns took, and how many failed.
#[derive(Default)]
struct Times {
    nanos: Vec<u64>,
    messages: u32,
    failures: u32,
    slow: u32,
}

impl Judge {
    pub(crate) fn new(senders: Senders, plan: Plan, verdict: oneshot::Sender<Verdict>) -> Judge {
        let (new, old) = Default::default();
        Judge { senders, plan, new, old, verdict: Some(verdict), over: false }
    }

    /// Whether the canary handles a message.
    pub(crate) fn takes(&self, message: &Message) -> bool {
        !self.over && self.senders.include(message)
    }

    /// A turn has ended, of the canary or of the old version.
    pub(crate) fn saw(&mut self, canary: bool, answer: &Answer) {
        if self.verdict.is_none() {
            return;
        }
        let (wall, failed) = (answer.receipt.wall, answer.outcome.is_err());
        let times = if canary { &mut self.new } else { &mut self.old };
        times.add(wall, failed, &self.plan);
        if canary && let Some(verdict) = self.decided() {
            self.over = verdict.is_err();
            let waiting = self.verdict.take();
            // Whoever waits for it has given up, and will say so.
            waiting.map(|waiting| waiting.send(verdict));
        }
    }

    /// The verdict, as soon as it is certain.
    fn decided(&self) -> Option<Verdict> {
        let (plan, new) = (&self.plan, &self.new);
        let allowed = plan.max_failures.of(plan.window);
        if new.failures > allowed {
            let reason = Reason::Failures { failures: new.failures, messages: new.messages, allowed };
            return Some(Err((reason, self.tried())));
        }
        if new.slow > plan.window / 100 {
            return Some(Err((Reason::Slow { limit: plan.max_p99, messages: new.messages }, self.tried())));
        }
        (new.messages >= plan.window).then(|| Ok(self.tried()))
    }

    /// What came of it so far.
    pub(crate) fn tried(&self) -> Tried {
        Tried {
            messages: self.new.messages,
            failures: self.new.failures,
            p99: self.new.p99(),
            old_messages: self.old.messages,
            old_failures: self.old.failures,
            old_p99: self.old.p99(),
        }
    }
}

impl Times {
    fn add(&mut self, wall: Duration, failed: bool, plan: &Plan) {
        self.messages = self.messages.saturating_add(1);
        self.failures += u32::from(failed);
        self.slow += u32::from(wall > plan.max_p99);
        if self.nanos.len() < plan.window as usize {
            self.nanos.push(u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX));
        }
    }

    fn p99(&self) -> Duration {
        percentile(&mut self.nanos.clone(), 99)
    }
}

/// The value that so many of a hundred are not above; nothing if there are none.
pub(crate) fn percentile(nanos: &mut [u64], percent: usize) -> Duration {
    let at = (nanos.len() * percent).div_ceil(100).saturating_sub(1);
    match nanos.is_empty() {
        true => Duration::ZERO,
        false => Duration::from_nanos(*nanos.select_nth_unstable(at).1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{Error, Receipt};
    use base::{Digest, Part};
    use runtime::{Fault, Payload, Reply};

    fn answer(wall: u64, good: bool) -> Answer {
        let reply = Reply { payload: Payload { content_type: String::new(), body: Vec::new() } };
        let outcome = if good { Ok(reply) } else { Err(Error::Broke(Fault::Stopped)) };
        Answer { outcome, receipt: Receipt { wall: Duration::from_micros(wall), ..Receipt::default() }, held: None }
    }

    fn judge(plan: Plan) -> (Judge, oneshot::Receiver<Verdict>) {
        let (verdict, heard) = oneshot::channel();
        (Judge::new(Senders::new(Part::ALL, Digest::of(b"")), plan, verdict), heard)
    }

    fn plan() -> Plan {
        Plan { window: 200, max_failures: Part::percent(1), max_p99: Duration::from_millis(1), ..Plan::default() }
    }

    #[test]
    fn as_many_failures_as_may_are_forgiven_and_one_more_is_not() {
        let (mut one, mut heard) = judge(plan());
        for i in 0..200 {
            assert!(heard.try_recv().is_err(), "nothing is certain before the end");
            one.saw(true, &answer(10, i % 100 != 0));
        }
        let tried = heard.try_recv().expect("it is decided").expect("two of two hundred may fail");
        assert_eq!((tried.messages, tried.failures), (200, 2));

        let (mut one, mut heard) = judge(plan());
        (0..3).for_each(|_| one.saw(true, &answer(10, false)));
        let (reason, _) = heard.try_recv().expect("it is decided at once").expect_err("three may not");
        assert!(matches!(reason, Reason::Failures { failures: 3, messages: 3, allowed: 2 }), "{reason}");
    }

    #[test]
    fn a_canary_is_slow_when_more_than_one_of_a_hundred_turns_is() {
        let (mut one, mut heard) = judge(plan());
        for i in 0..200 {
            one.saw(true, &answer(if i < 2 { 2_000 } else { 10 }, true));
        }
        assert_eq!(
            heard.try_recv().expect("it is decided").expect("it is quick enough").p99,
            Duration::from_micros(10)
        );

        let (mut one, mut heard) = judge(plan());
        (0..3).for_each(|_| one.saw(true, &answer(2_000, true)));
        assert!(matches!(heard.try_recv(), Ok(Err((Reason::Slow { messages: 3, .. }, _)))));
    }

    #[test]
    fn the_old_version_is_not_judged() {
        let (mut one, mut heard) = judge(plan());
        (0..500).for_each(|_| one.saw(false, &answer(9_000, false)));
        assert!(heard.try_recv().is_err());
        assert_eq!((one.tried().old_messages, one.tried().old_failures, one.tried().messages), (500, 500, 0));
    }

    #[test]
    fn a_percentile_is_the_value_that_so_many_are_not_above() {
        let mut nanos: Vec<u64> = (1..=200).rev().collect();
        assert_eq!(percentile(&mut nanos, 99), Duration::from_nanos(198));
        assert_eq!(percentile(&mut nanos, 50), Duration::from_nanos(100));
        assert_eq!(percentile(&mut [7], 99), Duration::from_nanos(7));
        assert_eq!(percentile(&mut [], 99), Duration::ZERO);
    }
}
