//! Who answers: of all models that could and may, the one that the policy asks for, and another one if it fails.

mod cache;
mod catalogue;
mod chance;
mod choice;
mod health;
mod learned;
mod look;
mod race;
mod request;
mod run;
mod terms;

pub use choice::{Considered, Explained, Verdict};
pub use look::{Known, Measured};
pub use request::{Allowance, Answer, Figure, Request, Totals};
pub use terms::{Policy, Price, Routing, Terms};

use crate::backend::{Backend, Counted, Embedded, Listed, Reader};
use crate::error::Error;
use crate::pattern::{Grant, wanted};
use crate::prompt::Completion;
use cache::Cache;
use catalogue::Catalogue;
use chance::Chance;
use choice::{Candidate, Scales};
use health::{Breaker, Health};
use learned::Learned;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Who answers. Ends what it has begun when it is dropped.
pub struct Router {
    inner: Arc<Inner>,
    /// Calls that nobody waits for, and lists that are renewed.
    aside: Mutex<JoinSet<()>>,
}

struct Inner {
    backends: Vec<Arc<dyn Backend>>,
    routing: Routing,
    catalogue: Catalogue,
    state: Mutex<State>,
}

/// What was learned and measured. It changes together, after each call.
struct State {
    chance: Chance,
    learned: Learned,
    cache: Cache,
    breakers: Vec<Breaker>,
    health: HashMap<(usize, String), Health>,
    /// Of a model that was never asked.
    unknown: Health,
    totals: Totals,
}

/// What is known of a candidate.
struct Seen<'a> {
    health: &'a Health,
    rests_until: Option<Instant>,
}

impl State {
    fn seen(&self, candidate: &Candidate, now: Instant) -> Seen<'_> {
        let health = self.health.get(&(candidate.backend, candidate.listed.name.clone()));
        Seen { health: health.unwrap_or(&self.unknown), rests_until: self.breakers[candidate.backend].rests(now) }
    }

    fn health(&mut self, candidate: &Candidate) -> &mut Health {
        self.health.entry((candidate.backend, candidate.listed.name.clone())).or_default()
    }
}

impl Router {
    /// A router over back ends, each with what its models cost. What it does by chance begins with `seed`.
    pub fn new(backends: Vec<(Arc<dyn Backend>, Terms)>, routing: Routing, seed: u64) -> Router {
        let (backends, terms): (Vec<_>, Vec<_>) = backends.into_iter().unzip();
        let state = State {
            chance: Chance::new(seed),
            learned: Learned::default(),
            cache: Cache::new(usize::try_from(routing.cache.get()).unwrap_or(usize::MAX)),
            breakers: backends.iter().map(|_| Breaker::default()).collect(),
            health: HashMap::new(),
            unknown: Health::default(),
            totals: Totals::default(),
        };
        let catalogue = Catalogue::new(terms);
        let inner = Inner { backends, routing, catalogue, state: Mutex::new(state) };
        Router { inner: Arc::new(inner), aside: Mutex::default() }
    }

    /// Answers a prompt. Dropping this stops the models that are at work on it.
    pub async fn complete(&self, request: Request<'_>, reader: &mut dyn Reader) -> Result<Answer, Error> {
        let prompt = request.prompt;
        prompt.check()?;
        let policy = request.policy.unwrap_or(self.inner.routing.policy);
        let key = cache::key(request.agent, prompt, request.grant, policy);
        let kind = learned::kind(request.agent, prompt);
        if let Some(found) = key.as_ref().and_then(|key| self.again(key)) {
            self.inner.state.lock().learned.answered(request.agent, &found.model, kind, key);
            if !found.text.is_empty() {
                reader.text(&found.text);
            }
            return Ok(Answer { completion: found, cached: true, cost: 0, calls: 0 });
        }
        let Allowance { tokens, retry_after } = request.allowance;
        if prompt.most() > tokens {
            return Err(Error::Budget { retry_after });
        }
        if request.until <= Instant::now() {
            return Err(Error::Timeout);
        }
        let work = run::run(self, &request, policy, kind, reader);
        let answer = tokio::time::timeout_at(request.until, work).await.unwrap_or(Err(Error::Timeout))?;
        let mut state = self.inner.state.lock();
        if let Some(key) = key {
            state.cache.keep(key, &answer.completion, Instant::now());
        }
        state.learned.answered(request.agent, &answer.completion.model, kind, key);
        drop(state);
        self.shadow(&request, policy, &answer.completion);
        Ok(answer)
    }

    fn again(&self, key: &cache::CacheKey) -> Option<Completion> {
        let mut state = self.inner.state.lock();
        let found = state.cache.find(key, Instant::now())?;
        state.totals.cached += 1;
        Some(found)
    }

    /// How a prompt would be answered now, and why. Asks nobody anything but for their lists.
    pub async fn explain(&self, request: Request<'_>) -> Result<Explained, Error> {
        request.prompt.check()?;
        let candidates = self.candidates(request.until).await;
        let policy = request.policy.unwrap_or(self.inner.routing.policy);
        let state = self.inner.state.lock();
        let now = Instant::now();
        let kind = learned::kind(request.agent, request.prompt);
        let scales = Scales { request: &request, policy, kind, learned: &state.learned, now };
        // It draws as the next call would, and leaves that its chance.
        let mut chance = state.chance.clone();
        let (_, verdicts) = choice::order(&scales, &candidates, |candidate| state.seen(candidate, now), &mut chance)?;
        Ok(choice::explain(&scales, &candidates, &verdicts, |candidate| state.seen(candidate, now)))
    }

    /// The models that a grant covers, by the names that agents know.
    pub async fn models(&self, grant: &Grant, until: Instant) -> Vec<Listed> {
        let mut all: Vec<Listed> = Vec::new();
        for candidate in self.candidates(until).await.iter().filter(|candidate| grant.covers(&candidate.name)) {
            // Two back ends that have it are one to those who ask.
            match all.iter_mut().find(|listed| listed.name == candidate.name) {
                Some(listed) => listed.context = listed.context.min(candidate.listed.context),
                None => all.push(Listed { name: candidate.name.clone(), ..candidate.listed.clone() }),
            }
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// How well the latest answer of a model did that the agent has said nothing about, from 0 to 100.
    pub fn feedback(&self, agent: &str, model: &str, score: u32) -> Result<(), Error> {
        if score > 100 {
            return Err(Error::Invalid { what: format!("`score` is {score}, and at most 100") });
        }
        let mut state = self.inner.state.lock();
        let Some(cached) = state.learned.feedback(agent, model, score) else {
            return Err(Error::Unknown { model: model.into() });
        };
        // What did not do is not said again.
        if let Some(key) = cached.filter(|_| score < 50) {
            state.cache.forget(&key);
        }
        Ok(())
    }

    /// How many answers of a model an agent got and has said nothing about.
    pub fn unjudged(&self, agent: &str, model: &str) -> usize {
        self.inner.state.lock().learned.unjudged(agent, model)
    }

    /// One vector a text, by the first model that is asked for, may be used and answers.
    pub async fn embed(
        &self,
        model: &str,
        texts: &[String],
        private: bool,
        grant: &Grant,
        until: Instant,
    ) -> Result<(String, Embedded), Error> {
        let found = self.covered(model, private, grant, until, |listed| listed.embeds).await?;
        let mut failed = Error::Unknown { model: model.into() };
        for candidate in found {
            let backend = &self.inner.backends[candidate.backend];
            match backend.embed(&candidate.listed.name, texts, private, until).await {
                Ok(embedded) => {
                    self.inner.state.lock().breakers[candidate.backend].answered();
                    return Ok((candidate.name, embedded));
                }
                Err(error) => failed = self.noted(&candidate, error),
            }
        }
        Err(failed)
    }

    /// How many tokens a model would count.
    pub async fn count(
        &self,
        model: &str,
        text: &str,
        private: bool,
        grant: &Grant,
        until: Instant,
    ) -> Result<Counted, Error> {
        let found = self.covered(model, private, grant, until, |_| true).await?;
        let mut failed = Error::Unknown { model: model.into() };
        for candidate in found {
            match self.inner.backends[candidate.backend].count(&candidate.listed.name, text, private, until).await {
                Ok(counted) => return Ok(counted),
                Err(error) => failed = self.noted(&candidate, error),
            }
        }
        Err(failed)
    }

    fn noted(&self, candidate: &Candidate, error: Error) -> Error {
        if error.counts() && error != Error::Timeout {
            self.inner.state.lock().breakers[candidate.backend].failed(&error, Instant::now());
        }
        error
    }

    /// The candidates that are asked for, may be used and do not rest.
    async fn covered(
        &self,
        model: &str,
        private: bool,
        grant: &Grant,
        until: Instant,
        able: impl Fn(&Listed) -> bool,
    ) -> Result<Vec<Candidate>, Error> {
        let wanted = wanted(model)?;
        let denied =
            || Error::Denied { model: if model.is_empty() { "any model".into() } else { format!("`{model}`") } };
        if wanted.as_ref().is_some_and(|wanted| wanted.exact() && !grant.covers(model)) {
            return Err(denied());
        }
        let candidates = self.candidates(until).await;
        let asked = |candidate: &&Candidate| wanted.as_ref().is_none_or(|wanted| wanted.covers(&candidate.name));
        let mut found: Vec<&Candidate> = candidates.iter().filter(asked).filter(|one| able(&one.listed)).collect();
        if found.is_empty() {
            return Err(Error::Unknown { model: model.into() });
        }
        found.retain(|one| grant.covers(&one.name) && (!private || one.listed.local));
        if found.is_empty() {
            return Err(denied());
        }
        let (now, state) = (Instant::now(), self.inner.state.lock());
        let awake: Vec<Candidate> = found
            .iter()
            .filter(|candidate| state.breakers[candidate.backend].rests(now).is_none())
            .map(|candidate| (*candidate).clone())
            .collect();
        if awake.is_empty() {
            let rests = found.iter().filter_map(|one| state.breakers[one.backend].rests(now)).min();
            let retry_after = rests.map(|until| until.duration_since(now));
            return Err(Error::NoBackend { why: "those that could failed, and rest".into(), retry_after });
        }
        Ok(awake)
    }

    async fn candidates(&self, until: Instant) -> Arc<Vec<Candidate>> {
        let inner = &self.inner;
        if inner.catalogue.fresh(Instant::now()) {
            return inner.catalogue.all();
        }
        if inner.catalogue.begin() {
            let inner = inner.clone();
            self.spawn(async move { inner.catalogue.renew(&inner.backends).await });
        }
        // Only who has nothing at all to go by waits, and then for a first list.
        inner.catalogue.known(until).await
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut aside = self.aside.lock();
        while aside.try_join_next().is_some() {}
        aside.spawn(work);
    }

    /// What was counted of each model.
    pub fn figures(&self) -> Vec<Figure> {
        let candidates = self.inner.catalogue.all();
        let (now, state) = (Instant::now(), self.inner.state.lock());
        let figure = |candidate: &Candidate| {
            let Seen { health, rests_until } = state.seen(candidate, now);
            Figure {
                backend: candidate.backend_name.clone(),
                model: candidate.name.clone(),
                calls: health.calls,
                failures: health.failures,
                tokens_in: health.tokens_in,
                tokens_out: health.tokens_out,
                cost: health.cost,
                first: health.first(50).zip(health.first(95)),
                rests: rests_until.is_some(),
            }
        };
        candidates.iter().map(figure).collect()
    }

    /// What was counted of all calls.
    pub fn totals(&self) -> Totals {
        let state = self.inner.state.lock();
        Totals { held: state.cache.held() as u64, ..state.totals }
    }

    /// What was learned from agents' words, as bytes to be stored. No prompt and no answer is part of it.
    pub fn learned(&self) -> Vec<u8> {
        self.inner.state.lock().learned.store()
    }

    /// Takes what was stored. Whether it could be read.
    pub fn learn(&self, bytes: &[u8]) -> bool {
        self.inner.state.lock().learned.restore(bytes)
    }

    /// Has another model answer now and then what was answered already, to see how it would do.
    fn shadow(&self, request: &Request<'_>, policy: Policy, answer: &Completion) {
        const AT_ONCE: usize = 4;
        const LONGEST: Duration = Duration::from_secs(60);
        let Some(pattern) = &self.inner.routing.shadow else { return };
        let part = f64::from(self.inner.routing.shadow_part.millionths()) / 1e6;
        let now = Instant::now();
        let mut state = self.inner.state.lock();
        if state.chance.unit() >= part {
            return;
        }
        let private = request.prompt.private || policy == Policy::Privacy;
        let will = |one: &&Candidate| {
            let lent = pattern.covers(&one.name) && request.grant.covers(&one.name) && one.name != answer.model;
            lent && !one.listed.embeds
                && (one.listed.local || !private)
                && state.breakers[one.backend].rests(now).is_none()
        };
        let candidates = self.inner.catalogue.all();
        let Some(candidate) = candidates.iter().find(will).cloned() else { return };
        drop(state);
        let running = {
            let mut aside = self.aside.lock();
            while aside.try_join_next().is_some() {}
            aside.len()
        };
        if running >= AT_ONCE {
            return;
        }
        let (inner, prompt, said) = (self.inner.clone(), request.prompt.clone(), answer.text.clone());
        self.spawn(async move { run::shadow(&inner, candidate, prompt, &said, now + LONGEST).await });
    }
}

/// What a pattern in the configuration is said to cover.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    crate::pattern::covers(pattern, name)
}
