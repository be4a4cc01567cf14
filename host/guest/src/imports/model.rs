//! `village:agent/model`: prompts, vectors and counts, by the models that the grant covers.

use super::bindings::village::agent::model::*;
use super::bindings::village::agent::types::{Failure, FailureKind};
use super::{Error, denied, out_of_reach};
use crate::ctx::Ctx;
use crate::tape::{Bytes, Seen};
use crate::thinking::{Job, Said, Thought, UNDER_WAY, Why, Writing, apart};
use ::model::{self as models, Allowance, Router, guess};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use wasmtime::component::Resource;
use wasmtime_wasi::p2;

type Answer<T> = wasmtime::Result<Result<T, Error>>;

/// What is asked for at once, at most.
const TEXTS: usize = 2048;
const BYTES: usize = 16 << 20;

/// What asking how many tokens a text has counts as, in tokens.
const COUNTING: u64 = 1;

/// Which function was asked.
#[derive(Clone, Copy, Serialize)]
enum Asked {
    Prompt,
    Vectors,
    Count,
    List,
    Judge,
}

impl Host for Ctx {
    async fn complete(&mut self, prompt: Prompt) -> Answer<Completion> {
        Ok(self.completed(asked(prompt)).await.map(answered).map_err(told))
    }

    fn write(&mut self, prompt: Prompt) -> Answer<Resource<Writing>> {
        let begun = match self.begin_writing(asked(prompt)) {
            Ok(writing) => writing,
            Err(why) => return Ok(Err(told(why))),
        };
        Ok(self.table.push(begun).map_err(|_| told(Why::memory())))
    }

    async fn embed(&mut self, model: String, texts: Vec<String>) -> Answer<Vec<Vec<f32>>> {
        let question = question(Asked::Vectors, &(&model, &texts));
        let found = self.again_or(question, "the vectors of texts");
        let outcome = match found {
            Err(found) => found,
            Ok(()) => {
                let outcome = self.vectors(model, texts).await.map(|vectors| Said::Vectors(packed(&vectors)));
                self.note(question, outcome)
            }
        };
        Ok(match outcome {
            Ok(Said::Vectors(vectors)) => Ok(unpacked(&vectors)),
            outcome => Err(astray(outcome)),
        })
    }

    async fn count(&mut self, model: String, text: String) -> Answer<u64> {
        let question = question(Asked::Count, &(&model, &text));
        let outcome = match self.again_or(question, "how many tokens a text has") {
            Err(found) => found,
            Ok(()) => {
                let outcome = self.counted(model, text).await.map(Said::Count);
                self.note(question, outcome)
            }
        };
        Ok(match outcome {
            Ok(Said::Count(count)) => Ok(count),
            outcome => Err(astray(outcome)),
        })
    }

    async fn models(&mut self) -> Answer<Vec<Listed>> {
        let question = question(Asked::List, &());
        let outcome = match self.again_or(question, "which models there are") {
            Err(found) => found,
            Ok(()) => {
                let outcome = self.listed().await.map(Said::Listed);
                self.note(question, outcome)
            }
        };
        Ok(match outcome {
            Ok(Said::Listed(all)) => Ok(all
                .into_iter()
                .map(|(name, context, embeds, local)| Listed { name, context, embeds, local })
                .collect()),
            outcome => Err(astray(outcome)),
        })
    }

    fn feedback(&mut self, model: String, score: u32) -> Answer<()> {
        let question = question(Asked::Judge, &(&model, score));
        let outcome = match self.again_or(question, "whether an answer could be judged") {
            Err(found) => found,
            Ok(()) => {
                let outcome = self.judge(&model, score).map(|()| Said::Judged);
                self.note(question, outcome)
            }
        };
        Ok(match outcome {
            Ok(Said::Judged) => Ok(()),
            outcome => Err(astray(outcome)),
        })
    }
}

impl HostWriting for Ctx {
    fn subscribe(&mut self, this: Resource<Writing>) -> wasmtime::Result<Resource<Pollable>> {
        let news = self.table.get(&this)?.news();
        let news = self.table.push(news)?;
        p2::subscribe(&mut self.table, news)
    }

    fn text(&mut self, this: Resource<Writing>) -> wasmtime::Result<String> {
        Ok(self.table.get_mut(&this)?.text())
    }

    fn finish(&mut self, this: Resource<Writing>) -> wasmtime::Result<Option<Result<Completion, Error>>> {
        let writing = self.table.get_mut(&this)?;
        let (question, first) = (writing.question, !writing.given());
        let Some(outcome) = writing.outcome() else { return Ok(None) };
        if first {
            self.note_outcome(question, &outcome);
        }
        Ok(Some(outcome.map(answered).map_err(told)))
    }

    fn drop(&mut self, this: Resource<Writing>) -> wasmtime::Result<()> {
        let mut writing = self.table.delete(this)?;
        if let Some(part) = writing.part() {
            let size = part.len();
            self.note_sized(size, writing.question, Ok(Said::Part(part)));
        }
        Ok(())
    }
}

impl Ctx {
    /// Whether any model is granted; otherwise why not.
    fn model(&self) -> Result<(), Why> {
        match self.grants.model.is_empty() {
            true => Err(Why::Denied(String::new())),
            false => Ok(()),
        }
    }

    /// In a turn that is run again: what was answered then. `Ok` is to ask now.
    fn again_or(&mut self, question: [u8; 32], what: &str) -> Result<(), Result<Said, Why>> {
        self.model().map_err(Err)?;
        let wanted = |seen: &Seen| match seen {
            Seen::Model(thought) if thought.question == question => Some(thought.answer.clone()),
            _ => None,
        };
        match self.tape.find(|| what.into(), wanted) {
            None => Ok(()),
            Some(Some(answer)) => Err(answer),
            Some(None) => Err(Err(Why::Unavailable(format!("the record of this turn does not have {what}")))),
        }
    }

    /// Who answers prompts, unless nothing that this does may leave it.
    fn router(&self) -> Result<Arc<Router>, Why> {
        if self.accounts.out_of_reach() {
            return Err(match out_of_reach() {
                Error::Unavailable(text) => Why::Unavailable(text),
                _ => Why::Timeout,
            });
        }
        let none = || Why::Unavailable("this host has no models: [models] in village.toml names them".into());
        self.standing.house.models.clone().ok_or_else(none)
    }

    /// When an answer must be there, so that something can still be made of it before the turn's deadline.
    fn by(&self) -> Instant {
        let left = Duration::from_nanos(self.until.saturating_sub(runtime::clock::now()));
        let left = left.min(Duration::from_secs(86_400));
        Instant::now() + (left - (left / 20).min(Duration::from_millis(500)))
    }

    fn begin_writing(&mut self, prompt: models::Prompt) -> Result<Writing, Why> {
        let question = question(Asked::Prompt, &prompt);
        match self.again_or(question, "what a model said to a prompt") {
            Err(Ok(said)) => return Ok(Writing::again(question, said)),
            Err(Err(why)) => return Err(why),
            Ok(()) => {}
        }
        match self.job(prompt) {
            Ok(job) => {
                let mut writing = Writing::begin(&self.standing.house.io, question, job);
                if self.tape.is_recording() {
                    writing.remember();
                }
                Ok(writing)
            }
            Err(why) => {
                self.note_sized(64, question, Err(why.clone()));
                Err(why)
            }
        }
    }

    fn job(&mut self, prompt: models::Prompt) -> Result<Job, Why> {
        let models = self.router()?;
        prompt.check().map_err(|error| Why::of(&error))?;
        let tokens = &self.accounts.tokens;
        let many = || Why::Unavailable("this agent has as many prompts under way as one may have".into());
        let permit = tokens.begin().ok_or_else(many)?;
        // As we have it, and as it goes to the back end.
        let held = self.accounts.memory.hold(2 * prompt.bytes() as u64 + UNDER_WAY).map_err(|_| Why::memory())?;
        // What was answered before costs nothing: the router has the last word.
        let aside = tokens.set_aside(prompt.most()).map_err(|retry_after| Allowance { tokens: 0, retry_after });
        let seed = self.request_seed();
        self.posts += 1;
        self.leave();
        let (agent, grant, until) = (self.standing.name.clone(), self.grants.model.clone(), self.by());
        Ok(Job { models, agent, grant, prompt, until, aside, seed, held, permit })
    }

    async fn completed(&mut self, prompt: models::Prompt) -> Result<models::Completion, Why> {
        let mut writing = self.begin_writing(prompt)?;
        writing.wait().await;
        let outcome = writing.outcome().unwrap_or(Err(Why::Timeout));
        self.note_outcome(writing.question, &outcome);
        outcome
    }

    async fn vectors(&mut self, model: String, texts: Vec<String>) -> Result<Vec<Vec<f32>>, Why> {
        let models = self.router()?;
        let bytes: usize = texts.iter().map(String::len).sum();
        if texts.len() > TEXTS || bytes > BYTES {
            return Err(Why::Invalid(format!("more than {TEXTS} texts, or {}MiB of them", BYTES >> 20)));
        }
        let mut held = self.hold_texts(bytes + texts.len() * size_of::<String>())?;
        let aside = self.set_aside(guess(bytes) + texts.len() as u64)?;
        let (seed, until, grant) = (self.request_seed(), self.by(), self.grants.model.clone());
        self.posts += 1;
        self.leave();
        let embedded = apart(&self.standing.house.io, async move {
            let asking = models.embed(&model, &texts, false, &grant, until);
            match seed {
                Some(seed) => models::known_by(seed, asking).await,
                None => asking.await,
            }
        });
        let (_, embedded) = embedded.await?.map_err(|error| Why::of(&error))?;
        aside.settle(embedded.tokens);
        let floats: usize = embedded.vectors.iter().map(Vec::len).sum();
        held.resize(held.bytes() + 2 * 4 * floats as u64).map_err(|_| Why::memory())?;
        Ok(embedded.vectors)
    }

    async fn counted(&mut self, model: String, text: String) -> Result<u64, Why> {
        let models = self.router()?;
        if text.len() > BYTES {
            return Err(Why::Invalid(format!("a text of more than {}MiB", BYTES >> 20)));
        }
        let _held = self.hold_texts(text.len())?;
        let aside = self.set_aside(COUNTING)?;
        let (until, grant) = (self.by(), self.grants.model.clone());
        self.leave();
        let work = async move { models.count(&model, &text, false, &grant, until).await };
        let counted = apart(&self.standing.house.io, work).await?.map_err(|error| Why::of(&error))?;
        aside.settle(COUNTING);
        Ok(counted.tokens)
    }

    async fn listed(&mut self) -> Result<Vec<(String, u32, bool, bool)>, Why> {
        let models = self.router()?;
        let (until, grant) = (self.by(), self.grants.model.clone());
        let all = apart(&self.standing.house.io, async move { models.models(&grant, until).await }).await?;
        Ok(all.into_iter().map(|listed| (listed.name, listed.context, listed.embeds, listed.local)).collect())
    }

    /// Notes what the turn says of an answer; it counts when the turn ends well.
    fn judge(&mut self, model: &str, score: u32) -> Result<(), Why> {
        let models = self.router()?;
        if score > 100 {
            return Err(Why::Invalid(format!("`score` is {score}, and at most 100")));
        }
        let said = self.effects().judged.iter().filter(|(known, _)| known == model).count();
        if models.unjudged(&self.standing.name, model) <= said {
            return Err(Why::NotFound(format!("no answer of a model `{model}` waits for a word")));
        }
        self.effects().judged.push((model.into(), score));
        Ok(())
    }

    fn hold_texts(&self, bytes: usize) -> Result<runtime::Held, Why> {
        self.accounts.memory.hold(2 * bytes as u64 + UNDER_WAY).map_err(|_| Why::memory())
    }

    fn set_aside(&self, tokens: u64) -> Result<crate::tokens::Aside, Why> {
        let limit =
            |after: Option<Duration>| Why::Limit("tokens".into(), after.map(|after| after.as_millis() as u64 + 1));
        self.accounts.tokens.set_aside(tokens).map_err(limit)
    }

    /// Writes an answer down where that is wanted.
    fn note(&mut self, question: [u8; 32], answer: Result<Said, Why>) -> Result<Said, Why> {
        let size = match &answer {
            Ok(Said::Vectors(vectors)) => vectors.iter().map(|vector| vector.0.len() + 4).sum(),
            Ok(Said::Listed(all)) => all.iter().map(|(name, ..)| name.len() + 8).sum(),
            _ => 64,
        };
        self.note_sized(size, question, answer.clone());
        answer
    }

    fn note_outcome(&mut self, question: [u8; 32], outcome: &Result<models::Completion, Why>) {
        let size = outcome.as_ref().map_or(64, |whole| {
            whole.text.len() + whole.calls.iter().map(|call| call.arguments.len() + 64).sum::<usize>()
        });
        self.note_sized(size, question, Ok(outcome.clone().map_or_else(Said::Late, Said::Whole)));
    }

    fn note_sized(&mut self, size: usize, question: [u8; 32], answer: Result<Said, Why>) {
        self.tape.note(size + 32, || Seen::Model(Box::new(Thought { question, answer })));
    }
}

/// What a question is known by on the record.
fn question(asked: Asked, what: &impl Serialize) -> [u8; 32] {
    // What can't be written down can't be found again either.
    let bytes = postcard::to_allocvec(&(asked, what)).unwrap_or_default();
    *blake3::hash(&bytes).as_bytes()
}

fn packed(vectors: &[Vec<f32>]) -> Vec<Bytes> {
    vectors.iter().map(|vector| Bytes(vector.iter().flat_map(|value| value.to_le_bytes()).collect())).collect()
}

fn unpacked(vectors: &[Bytes]) -> Vec<Vec<f32>> {
    let value = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().unwrap_or_default());
    vectors.iter().map(|vector| vector.0.chunks_exact(4).map(value).collect()).collect()
}

/// What the record has instead of the answer that was wanted.
fn astray(outcome: Result<Said, Why>) -> Error {
    told(outcome.err().unwrap_or_else(|| Why::Unavailable("the record of this turn has another answer".into())))
}

/// An error, as the contract has it.
fn told(why: Why) -> Error {
    let failed = |kind, message| Error::Failed(Failure { kind, message, details: String::new() });
    match why {
        Why::Denied(text) if text.is_empty() => denied("model"),
        Why::Denied(text) => Error::Denied(text),
        Why::Limit(what, retry_after) => Error::Limit(super::types::Limit { what, retry_after }),
        Why::NotFound(text) => Error::NotFound(text),
        Why::Invalid(text) => Error::Invalid(text),
        Why::Timeout => Error::Timeout("no model answered in time".into()),
        Why::Unavailable(text) => Error::Unavailable(text),
        Why::Refused(text) => failed(FailureKind::Refused, text),
        Why::Unfit(text) => failed(FailureKind::Temporary, text),
    }
}

fn asked(prompt: Prompt) -> models::Prompt {
    let role = |role| match role {
        Role::System => models::Role::System,
        Role::User => models::Role::User,
        Role::Assistant => models::Role::Assistant,
        Role::Tool => models::Role::Tool,
    };
    let call = |Call { id, name, arguments }| models::Call { id, name, arguments };
    let turn = |turn: Turn| models::Turn {
        role: role(turn.role),
        content: turn.content,
        calls: turn.calls.into_iter().map(call).collect(),
        answers: turn.answers,
    };
    let tool = |Tool { name, description, parameters }| models::Tool { name, description, parameters };
    models::Prompt {
        model: prompt.model,
        turns: prompt.turns.into_iter().map(turn).collect(),
        tools: prompt.tools.into_iter().map(tool).collect(),
        schema: prompt.schema,
        max_tokens: prompt.max_tokens,
        stop: prompt.stop,
        temperature: prompt.temperature,
        seed: prompt.seed,
        private: prompt.private,
    }
}

fn answered(completion: models::Completion) -> Completion {
    let models::Completion { text, calls, finish, model, tokens_in, tokens_out } = completion;
    let call = |models::Call { id, name, arguments }| Call { id, name, arguments };
    let finish = match finish {
        models::Finish::Stop => Finish::Stop,
        models::Finish::Length => Finish::Length,
        models::Finish::Calls => Finish::Calls,
        models::Finish::Refused => Finish::Refused,
    };
    Completion { text, calls: calls.into_iter().map(call).collect(), finish, model, tokens_in, tokens_out }
}
