//! What was measured of back ends and models: how fast they are, how often they fail, and whether one rests.

use crate::error::Error;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// Failures in a row after which a back end is left alone for a while.
const PATIENCE: u32 = 3;

/// How long at first; twice as long after each further failure, up to the longest.
const REST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// Calls of which the times are kept.
const KEPT: usize = 32;

/// Whether a back end is asked (a circuit breaker).
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failed: u32,
    rests_until: Option<Instant>,
    /// Somebody is finding out whether it answers again, until then at the latest.
    probed_until: Option<Instant>,
}

impl Breaker {
    /// When it may be asked again; none if it may be now.
    pub(super) fn rests(&self, now: Instant) -> Option<Instant> {
        let probed = self.probed_until.filter(|until| *until > now);
        self.rests_until.filter(|until| *until > now).or(probed)
    }

    /// Whether what came of it last was a failure.
    pub(super) fn doubted(&self) -> bool {
        self.failed > 0
    }

    /// One is sent. After a rest the first finds out, and the others wait for what it learns.
    pub(super) fn sent(&mut self, now: Instant, until: Instant) {
        if self.failed >= PATIENCE {
            self.probed_until = Some(until.min(now + LONGEST));
        }
    }

    pub(super) fn answered(&mut self) {
        *self = Breaker::default();
    }

    /// Nobody waited for what it would say.
    pub(super) fn dropped(&mut self) {
        self.probed_until = None;
    }

    pub(super) fn failed(&mut self, error: &Error, now: Instant) {
        self.probed_until = None;
        let rest = match error {
            Error::Key { .. } => LONGEST,
            // It works, and wants to be left alone.
            Error::Busy { retry_after, .. } => retry_after.unwrap_or(REST),
            _ => {
                self.failed += 1;
                let doubled = REST.saturating_mul(1 << self.failed.saturating_sub(PATIENCE).min(10));
                let rest = if self.failed >= PATIENCE { doubled.min(LONGEST) } else { Duration::ZERO };
                rest.max(error.retry_after().unwrap_or_default())
            }
        };
        self.rests_until = (!rest.is_zero()).then(|| now + rest);
    }
}

/// What was measured of one model at one back end.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// From the call to the first sign of life, the last ones.
    first: VecDeque<Duration>,
    /// For a token after that, in seconds.
    token: f64,
    /// How many it writes.
    written: f64,
    /// The part of its calls that failed, the later ones counting more, and when that was noted.
    failing: f64,
    noted: Option<Instant>,
    /// How often it was late to say that it is there, less how often it was early.
    late: u32,
    pub(super) calls: u64,
    pub(super) failures: u64,
    pub(super) tokens_in: u64,
    pub(super) tokens_out: u64,
    /// In billionths.
    pub(super) cost: u64,
}

/// Above this, asking whether it is there tells nothing sooner than waiting does.
const LATEST: u32 = 4;

/// How soon failures are forgotten.
const FORGOTTEN: Duration = Duration::from_secs(30);

/// How much the latest call counts.
const NEW: f64 = 0.1;

fn blend(old: f64, new: f64, first: bool) -> f64 {
    if first { new } else { old + NEW * (new - old) }
}

impl Health {
    /// The part of its calls that failed lately. What nobody tries is forgotten: it may have been mended.
    pub(super) fn failing(&self, now: Instant) -> f64 {
        let since = self.noted.map_or(0.0, |noted| now.saturating_duration_since(noted).as_secs_f64());
        self.failing * (-since / FORGOTTEN.as_secs_f64()).exp()
    }

    pub(super) fn answered(&mut self, first: Duration, whole: Duration, tokens_out: u64, now: Instant) {
        let fresh = self.first.is_empty();
        if self.first.len() == KEPT {
            self.first.pop_front();
        }
        self.first.push_back(first);
        let rest = whole.saturating_sub(first).as_secs_f64() / tokens_out.max(1) as f64;
        self.token = blend(self.token, rest, fresh);
        self.written = blend(self.written, tokens_out as f64, fresh);
        (self.failing, self.noted) = (self.failing(now) * (1.0 - NEW), Some(now));
    }

    /// How many times longer than others it is given to say that it is there.
    pub(super) fn patience(&self) -> u32 {
        1 << self.late
    }

    /// It took so long to say that it is there, or did not say so in what it was given. What is always late for another
    /// reason is given more, and so doesn't have its calls made twice for long.
    pub(super) fn heard(&mut self, took: Option<Duration>, given: Duration) {
        match took {
            None => self.late = (self.late + 1).min(LATEST),
            Some(took) if took < given / 2 => self.late = self.late.saturating_sub(1),
            Some(_) => {}
        }
    }

    pub(super) fn failed(&mut self, now: Instant) {
        self.failures += 1;
        let failing = self.failing(now);
        (self.failing, self.noted) = (failing + NEW * (1.0 - failing), Some(now));
    }

    /// How long until its first token, for all but so many of a hundred calls; none before anything was measured.
    pub(super) fn first(&self, percent: usize) -> Option<Duration> {
        let mut sorted: Vec<Duration> = self.first.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get((sorted.len() * percent / 100).min(sorted.len().checked_sub(1)?)).copied()
    }

    /// Tokens that it writes in a second after the first; none before anything was measured.
    pub(super) fn speed(&self) -> Option<f64> {
        (!self.first.is_empty() && self.token > 0.0).then(|| 1.0 / self.token)
    }

    pub(super) fn measured(&self) -> usize {
        self.first.len()
    }

    /// How many tokens it will write, of at most so many.
    pub(super) fn written(&self, most: u32) -> f64 {
        if self.first.is_empty() { f64::from(most) / 2.0 } else { self.written.min(f64::from(most)) }
    }

    /// How long a whole answer of so many tokens takes; a guess before anything was measured.
    pub(super) fn whole(&self, tokens: f64) -> Duration {
        let first = self.first(50).unwrap_or(Duration::from_millis(500));
        let token = if self.first.is_empty() { 0.02 } else { self.token };
        first + Duration::try_from_secs_f64(token * tokens).unwrap_or(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_back_end_that_is_slow_to_say_that_it_is_there_is_given_more() {
        let (mut health, given) = (Health::default(), Duration::from_millis(20));
        let mut after = |took: Option<u64>| {
            health.heard(took.map(Duration::from_millis), given * health.patience());
            health.patience()
        };
        assert_eq!([after(None), after(None), after(Some(70)), after(Some(70))], [2, 4, 4, 4]);
        assert_eq!([after(Some(30)), after(Some(30)), after(Some(3)), after(Some(3))], [2, 2, 1, 1]);
        assert_eq!((0..9).map(|_| after(None)).max(), Some(1 << LATEST));
    }

    #[test]
    fn a_back_end_that_fails_rests_longer_each_time_and_one_finds_out() {
        let mut breaker = Breaker::default();
        let now = Instant::now();
        let down = Error::Unavailable { backend: "a".into(), why: String::new(), retry_after: None };
        let rest = |breaker: &Breaker, now| breaker.rests(now).map(|until| until.duration_since(now).as_secs());
        for expected in [None, None, Some(1), Some(2), Some(4), Some(8), Some(16), Some(32), Some(60), Some(60)] {
            breaker.failed(&down, now);
            assert_eq!(rest(&breaker, now), expected);
        }
        let later = now + Duration::from_secs(61);
        assert_eq!(rest(&breaker, later), None);
        breaker.sent(later, later + Duration::from_secs(5));
        assert_eq!(rest(&breaker, later), Some(5), "one finds out");
        breaker.answered();
        assert_eq!(rest(&breaker, later), None);
        let busy = Error::Busy { backend: "a".into(), retry_after: Some(Duration::from_secs(9)) };
        breaker.failed(&busy, now);
        assert_eq!(rest(&breaker, now), Some(9), "who asks for time gets it");
    }
}
