//! What is known of each model, and measuring one by asking it.

use super::choice::Candidate;
use super::run::First;
use super::{Figure, Policy, Price, Router};
use crate::backend::Ask;
use crate::error::Error;
use crate::pattern::wanted;
use crate::prompt::Prompt;
use std::time::Duration;
use tokio::time::Instant;

/// A model of a back end, and what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// Tokens that fit in its window.
    pub context: u32,
    /// Whether it makes vectors; otherwise it writes.
    pub embeds: bool,
    /// Whether nothing that it is given leaves this machine.
    pub local: bool,
    /// What a token costs.
    pub price: Price,
    /// How well it is thought to do before anybody has said a word, from nothing to one.
    pub quality: f64,
    /// The part of its calls that failed lately.
    pub failing: f64,
    /// Tokens that it writes in a second after the first; none before the first answer.
    pub speed: Option<f64>,
    /// What was counted.
    pub figure: Figure,
}

/// How fast a model answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// As agents call it.
    pub model: String,
    /// The back end.
    pub backend: String,
    /// Until the first token.
    pub first: Duration,
    /// Tokens that it wrote.
    pub tokens: u64,
    /// How many of them a second, after the first; none if it wrote no more than one.
    pub speed: Option<f64>,
    /// What it cost, in billionths.
    pub cost: u64,
    /// Bytes that it reads for each token, and the threads that do; none where that isn't known.
    pub weighs: Option<(u64, usize)>,
}

/// What a model is asked that is measured.
const QUESTION: &str = "Describe a village by the sea, its houses, its people and what they do on a day in autumn.";

impl Router {
    /// All models, and what is known of each.
    pub async fn known(&self, until: Instant) -> Vec<Known> {
        let candidates = self.candidates(until).await;
        let figures = self.figures();
        let (now, state) = (Instant::now(), self.inner.state.lock());
        let known = |(candidate, figure): (&Candidate, Figure)| {
            let health = state.seen(candidate, now).health;
            Known {
                context: candidate.listed.context,
                embeds: candidate.listed.embeds,
                local: candidate.listed.local,
                price: candidate.price,
                quality: candidate.before,
                failing: health.failing(now),
                speed: health.speed(),
                figure,
            }
        };
        let of =
            |one: &&Figure, candidate: &Candidate| one.backend == candidate.backend_name && one.model == candidate.name;
        let both = candidates
            .iter()
            .filter_map(|candidate| Some((candidate, figures.iter().find(|one| of(one, candidate))?.clone())));
        both.map(known).collect()
    }

    /// Back ends that have never said which models they have.
    pub fn silent(&self) -> Vec<String> {
        let all = self.inner.catalogue.all();
        let heard = |name: &str| all.iter().any(|candidate| candidate.backend_name == name);
        self.inner
            .backends
            .iter()
            .map(|backend| backend.name())
            .filter(|name| !heard(name))
            .map(str::to_owned)
            .collect()
    }

    /// What models are chosen by where a request does not say.
    pub fn policy(&self) -> Policy {
        self.inner.routing.policy
    }

    /// Asks models to write so many tokens, one after the other: those that are named, or else all that write here and
    /// cost nothing. Each with what came of it.
    pub async fn measure(
        &self,
        model: &str,
        tokens: u32,
        each: Duration,
    ) -> Result<Vec<(String, Result<Measured, Error>)>, Error> {
        let wanted = wanted(model)?;
        let candidates = self.candidates(Instant::now() + each).await;
        let free = |one: &Candidate| one.listed.local && one.price == Price::default();
        let asked = |one: &&Candidate| wanted.as_ref().map_or(free(one), |wanted| wanted.covers(&one.name));
        let found: Vec<&Candidate> = candidates.iter().filter(asked).filter(|one| !one.listed.embeds).collect();
        if found.is_empty() {
            return Err(Error::Unknown { model: if model.is_empty() { "local/*".into() } else { model.into() } });
        }
        let mut all = Vec::new();
        for candidate in found {
            all.push((candidate.name.clone(), self.measured(candidate, tokens, each).await));
        }
        Ok(all)
    }

    async fn measured(&self, candidate: &Candidate, tokens: u32, each: Duration) -> Result<Measured, Error> {
        let backend = &self.inner.backends[candidate.backend];
        let prompt = Prompt { temperature: 1000, ..Prompt::ask(QUESTION, tokens) };
        let (begun, mut first) = (Instant::now(), First(None));
        let ask = Ask { model: &candidate.listed.name, prompt: &prompt, until: begun + each };
        self.inner.state.lock().health(candidate).calls += 1;
        let answer = match backend.complete(ask, &mut first).await {
            Ok(answer) => answer,
            Err(error) => {
                self.inner.state.lock().health(candidate).failed(Instant::now());
                return Err(self.noted(candidate, error));
            }
        };
        let whole = begun.elapsed();
        let first = first.0.map_or(whole, |at| at.duration_since(begun));
        let cost = answer.tokens_in * candidate.price.read + answer.tokens_out * candidate.price.write;
        let mut state = self.inner.state.lock();
        state.breakers[candidate.backend].answered();
        let health = state.health(candidate);
        health.answered(first, whole, answer.tokens_out, Instant::now());
        health.tokens_in += answer.tokens_in;
        health.tokens_out += answer.tokens_out;
        health.cost += cost;
        let rest = (whole - first).as_secs_f64();
        let speed = (answer.tokens_out > 1 && rest > 0.0).then(|| (answer.tokens_out - 1) as f64 / rest);
        Ok(Measured {
            model: candidate.name.clone(),
            backend: candidate.backend_name.clone(),
            first,
            tokens: answer.tokens_out,
            speed,
            cost,
            weighs: backend.weighs(&candidate.listed.name),
        })
    }
}
