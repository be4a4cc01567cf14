//! One prompt, from the choice to the answer: failover, second calls, and rounds with pauses between them.

use super::choice::{self, Candidate, Scales};
use super::learned::KindOf;
use super::race::{Came, Lane, Race, Slow};
use super::{Answer, Inner, Policy, Request, Router};
use crate::backend::{Ask, Reader};
use crate::error::Error;
use crate::prompt::{Completion, Finish, Prompt};
use base::schema::Schema;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often all that could answer are tried.
const ROUNDS: u32 = 3;

/// The pause before the second round; twice as long before the next. A part of it is chance.
const PAUSE: Duration = Duration::from_millis(200);

/// When another is asked as well, if nothing has been measured of the first.
const SLOW: Duration = Duration::from_secs(5);

/// What is allowed beyond what most calls took.
const GRACE: Duration = Duration::from_millis(2);

/// Calls before what they took is relied on.
const ENOUGH: usize = 8;

/// A back end that has been silent for this part of the usual time is asked whether it is there at all, and has this part to
/// say so: one that is gone is found out before its answer would be late, and the question costs nothing.
const EARLY: f64 = 0.5;
const HEARD: f64 = 0.2;

/// Answers that come sooner are not worth a question.
const QUICK: Duration = Duration::from_millis(20);

/// One prompt on its way.
struct Run<'a> {
    inner: &'a Inner,
    request: &'a Request<'a>,
    kind: KindOf,
    candidates: &'a [Candidate],
    calls: u32,
    cost: u64,
    /// What became of those that failed.
    failed: Vec<Error>,
}

/// Answers a prompt.
pub(super) async fn run(
    router: &Router,
    request: &Request<'_>,
    policy: Policy,
    kind: KindOf,
    reader: &mut dyn Reader,
) -> Result<Answer, Error> {
    let candidates = router.candidates(request.until).await;
    let mut run =
        Run { inner: &router.inner, request, kind, candidates: &candidates, calls: 0, cost: 0, failed: Vec::new() };
    let mut race = Race::new(request.prompt, request.until);
    let mut round = 0;
    loop {
        let order = match run.order(policy) {
            Ok(order) => order,
            // What happened says more than that all are resting now.
            Err(_) if !run.failed.is_empty() => return Err(run.gave_up()),
            Err(none) => return Err(none),
        };
        if let Some(completion) = run.round(&order, &mut race, reader).await? {
            return Ok(Answer { completion, cached: false, cost: run.cost, calls: run.calls });
        }
        round += 1;
        let Some(pause) = run.pause(round) else { return Err(run.gave_up()) };
        tokio::time::sleep(pause).await;
    }
}

impl<'a> Run<'a> {
    fn order(&self, policy: Policy) -> Result<Vec<usize>, Error> {
        let mut state = self.inner.state.lock();
        let now = Instant::now();
        let mut chance = state.chance.clone();
        let scales = Scales { request: self.request, policy, kind: self.kind, learned: &state.learned, now };
        let seen = |candidate: &Candidate| state.seen(candidate, now);
        let (order, verdicts) = choice::order(&scales, self.candidates, seen, &mut chance)?;
        if order.is_empty() {
            return Err(choice::none(&scales, &verdicts, self.candidates, seen));
        }
        state.chance = chance;
        Ok(order)
    }

    /// Asks one after the other until one answers; none if all failed.
    async fn round(
        &mut self,
        order: &[usize],
        race: &mut Race,
        reader: &mut dyn Reader,
    ) -> Result<Option<Completion>, Error> {
        let mut next = order.iter().copied();
        let mut slow: Option<Slow<'a>> = None;
        loop {
            if race.lanes.is_empty() {
                let Some(at) = next.next() else { return Ok(None) };
                slow = self.start(at, race);
            }
            let may = race.lanes.len() == 1 && !race.led() && next.len() > 0;
            let waiting = slow.as_mut().filter(|_| may);
            let lanes: Vec<usize> = race.lanes.iter().map(|lane| lane.at).collect();
            match race.next(waiting, reader).await {
                Came::Slow => {
                    slow = None;
                    if let Some(at) = next.next() {
                        self.inner.state.lock().totals.hedged += 1;
                        self.start(at, race);
                    }
                }
                Came::Ended(lane, answer) => {
                    let answer = answer.and_then(|answer| self.fitting(&lane, answer));
                    match answer {
                        Ok(answer) => {
                            self.outrun(&lanes, lane.at);
                            self.answered(&lane, &answer);
                            let answer = race.whole(answer, reader);
                            let model = self.candidates[lane.at].name.clone();
                            return Ok(Some(Completion { model, ..answer }));
                        }
                        Err(error) => {
                            if race.led_by(lane.at) {
                                self.outrun(&lanes, lane.at);
                                race.lost();
                            }
                            self.failed(&lane, error)?;
                        }
                    }
                }
            }
        }
    }

    /// Sets a model to work. Answers when another may be asked as well.
    fn start(&mut self, at: usize, race: &mut Race) -> Option<Slow<'a>> {
        let (inner, candidates, now) = (self.inner, self.candidates, Instant::now());
        let candidate = &candidates[at];
        let mut state = self.inner.state.lock();
        let doubted = state.breakers[candidate.backend].doubted();
        state.breakers[candidate.backend].sent(now, self.request.until);
        if self.calls > 0 {
            state.totals.failovers += u64::from(race.lanes.is_empty());
        }
        let health = state.health(candidate);
        health.calls += 1;
        let usual = health.first(95).filter(|_| health.measured() >= ENOUGH);
        let median = health.first(50).filter(|median| usual.is_some() && !doubted && *median >= QUICK);
        drop(state);
        self.calls += 1;
        race.start(at, &candidate.listed.name, self.inner.backends[candidate.backend].clone());
        // One that was silent a moment ago is given a fraction of the time.
        let wait = usual.map_or(SLOW, |usual| if doubted { usual / 4 } else { usual + GRACE });
        inner.routing.hedge.then(|| -> Slow<'a> {
            let Some(median) = median else { return Box::pin(tokio::time::sleep_until(now + wait)) };
            Box::pin(async move {
                let _ = tokio::time::timeout_at(now + wait, gone(inner, candidate, now, median)).await;
            })
        })
    }

    /// An answer, if it is what was asked for.
    fn fitting(&self, lane: &Lane, answer: Completion) -> Result<Completion, Error> {
        let Some(schema) = self.request.prompt.schema.as_ref().filter(|_| answer.finish == Finish::Stop) else {
            return Ok(answer);
        };
        if fits(schema, &answer.text) {
            return Ok(answer);
        }
        let candidate = &self.candidates[lane.at];
        // Nobody needs to say so: this model did not do.
        self.inner.state.lock().learned.learn(self.kind, &candidate.name, 0.0);
        Err(Error::Unfit { backend: candidate.backend_name.clone() })
    }

    fn answered(&mut self, lane: &Lane, answer: &Completion) {
        let candidate = &self.candidates[lane.at];
        let whole = lane.begun.elapsed();
        let cost = answer.tokens_in * candidate.price.read + answer.tokens_out * candidate.price.write;
        let mut state = self.inner.state.lock();
        state.breakers[candidate.backend].answered();
        let health = state.health(candidate);
        health.answered(lane.first().unwrap_or(whole), whole, answer.tokens_out, Instant::now());
        health.tokens_in += answer.tokens_in;
        health.tokens_out += answer.tokens_out;
        health.cost += cost;
        self.cost += cost;
    }

    /// Others were at work too and came too late. One that was never heard of counts as having failed: it may be hanging.
    fn outrun(&self, lanes: &[usize], winner: usize) {
        let now = Instant::now();
        let mut state = self.inner.state.lock();
        // The first was asked long before: that it was outrun says something. The second was hardly asked.
        for (place, at) in lanes.iter().enumerate().filter(|(_, at)| **at != winner) {
            let candidate = &self.candidates[*at];
            if place > 0 {
                state.breakers[candidate.backend].dropped();
                continue;
            }
            state.health(candidate).failed(Instant::now());
            state.breakers[candidate.backend].failed(&Error::Timeout, now);
        }
    }

    /// Notes a failure; an error that is no use trying elsewhere is the answer.
    fn failed(&mut self, lane: &Lane, error: Error) -> Result<(), Error> {
        let candidate = &self.candidates[lane.at];
        let mut state = self.inner.state.lock();
        let health = state.health(candidate);
        // Whoever leaves little time is not to bring others to their rest: that was not waited for long enough to tell.
        let usual = health.first(95).filter(|_| health.measured() >= ENOUGH).map_or(SLOW, |usual| usual * 2);
        let hasty = error == Error::Timeout && lane.begun.elapsed() < usual;
        if hasty {
            state.breakers[candidate.backend].dropped();
        } else if error.counts() {
            state.health(candidate).failed(Instant::now());
            state.breakers[candidate.backend].failed(&error, Instant::now());
        } else {
            // It answered, if only to say no.
            state.breakers[candidate.backend].answered();
        }
        drop(state);
        if !error.elsewhere() || error == Error::Timeout && Instant::now() >= self.request.until {
            return Err(error);
        }
        self.failed.push(error);
        Ok(())
    }

    /// How long to wait before the next round; none if that is no use.
    fn pause(&self, round: u32) -> Option<Duration> {
        if round >= ROUNDS || !self.failed.iter().any(Error::passes) {
            return None;
        }
        let chance = self.inner.state.lock().chance.unit();
        let pause = PAUSE.saturating_mul(1 << (round - 1)).mul_f64(0.5 + chance / 2.0);
        let asked = self.failed.iter().filter_map(Error::retry_after).min().unwrap_or_default();
        let pause = pause.max(asked);
        (Instant::now() + pause < self.request.until).then_some(pause)
    }

    /// What is said when nobody answered: what the only one said, or what all of them did.
    fn gave_up(&mut self) -> Error {
        self.failed.dedup();
        let retry_after = self.failed.iter().filter_map(Error::retry_after).min();
        if self.failed.len() == 1 {
            return self.failed.remove(0);
        }
        let mut each: Vec<String> = self.failed.iter().map(ToString::to_string).collect();
        each.sort();
        each.dedup();
        Error::NoBackend { why: each.join("; "), retry_after }
    }
}

/// Ends when a back end that was asked at some time shows that it is not there at all; never, if it is.
async fn gone(inner: &Inner, candidate: &Candidate, asked: Instant, median: Duration) {
    tokio::time::sleep_until(asked + median.mul_f64(EARLY)).await;
    let allowed = median.mul_f64(HEARD) * inner.state.lock().health(candidate).patience();
    let begun = Instant::now();
    let listing = inner.backends[candidate.backend].list(begun + allowed);
    let listed = tokio::time::timeout_at(begun + allowed, listing).await;
    let there = matches!(listed, Ok(Ok(_)));
    inner.state.lock().health(candidate).heard(there.then(|| begun.elapsed()), allowed);
    if there {
        std::future::pending::<()>().await;
    }
}

/// Whether a text is JSON that fits a schema.
fn fits(schema: &str, text: &str) -> bool {
    let value = serde_json::from_str(text);
    Schema::parse(schema).is_ok_and(|schema| value.is_ok_and(|value| schema.misfits(&value).is_empty()))
}

/// Has a model answer what was answered already, and notes how it did.
pub(super) async fn shadow(inner: &Arc<Inner>, candidate: Candidate, prompt: Prompt, said: &str, until: Instant) {
    let begun = Instant::now();
    let mut first = First(None);
    let ask = Ask { model: &candidate.listed.name, prompt: &prompt, until };
    let answer = inner.backends[candidate.backend].complete(ask, &mut first).await;
    let mut state = inner.state.lock();
    state.health(&candidate).calls += 1;
    match answer {
        Ok(answer) => {
            let whole = begun.elapsed();
            let cost = answer.tokens_in * candidate.price.read + answer.tokens_out * candidate.price.write;
            let health = state.health(&candidate);
            health.answered(
                first.0.map_or(whole, |at| at.duration_since(begun)),
                whole,
                answer.tokens_out,
                Instant::now(),
            );
            health.tokens_in += answer.tokens_in;
            health.tokens_out += answer.tokens_out;
            health.cost += cost;
            state.totals.shadows += 1;
            state.totals.agreed += u64::from(answer.text.trim() == said.trim());
        }
        Err(error) if error.counts() => {
            state.health(&candidate).failed(Instant::now());
            state.breakers[candidate.backend].failed(&error, Instant::now());
        }
        Err(_) => {}
    }
}

/// When the first sign of life came.
pub(super) struct First(pub(super) Option<Instant>);

impl Reader for First {
    fn text(&mut self, _text: &str) {
        self.alive();
    }

    fn alive(&mut self) {
        self.0.get_or_insert_with(Instant::now);
    }
}
