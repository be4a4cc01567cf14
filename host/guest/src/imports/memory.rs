//! `village:agent/memory`.

use super::bindings::village::agent::memory::*;
use super::{Error, denied, limit};
use crate::compute::{Broke, Busy};
use crate::ctx::Ctx;
use crate::grants::of_space;
use crate::spaces::rows::{Document as Kept, Head, Row};
use crate::spaces::{Found, Full, Staged, Unsearched, digest, payer};
use crate::tape::{PassageThen, Seen};
use base::Digest;
use memory::{Query, Vector};
use parking_lot::RwLock;
use runtime::clock;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

type Answer<T> = wasmtime::Result<Result<T, Error>>;

/// A question is at most so long, and so many passages are answered.
const QUESTION: usize = 64 << 10;
const MOST: u32 = 100;

/// Names of sources and tags are at most so long, and so many tags are carried.
const SOURCE: usize = 1024;
const TAG: usize = 128;
const TAGS: usize = 32;

/// A text that is made shorter is at most so long.
const TEXT: usize = 4 << 20;

/// What reading a document takes for each of its bytes, until it is in passages: those, and what was taken out of it.
const READING: u64 = 3;

impl Host for Ctx {
    async fn ingest(&mut self, space: String, document: Document) -> Answer<u32> {
        Ok(self.take_in(space, document).await)
    }

    async fn search(&mut self, space: String, query: String, tags: Vec<String>, limit: u32) -> Answer<Vec<Passage>> {
        Ok(self.recall(space, query, tags, limit).await)
    }

    fn forget(&mut self, space: String, source: String) -> Answer<bool> {
        Ok(self.let_go(&space, &source))
    }

    async fn compress(&mut self, text: String, task: String, model: String, tokens: u32) -> Answer<String> {
        Ok(self.shorten(text, task, model, tokens).await)
    }
}

impl Ctx {
    fn space(&self, space: &str, writes: bool) -> Result<(), Error> {
        let rest = |space: &str| !space.is_empty() && space.len() <= 128 && space.bytes().all(of_space);
        match self.grants.remembers(space, writes) {
            _ if self.grants.memory.is_empty() => Err(denied("memory")),
            _ if !rest(space) => Err(Error::Invalid("a space has a name of 1 to 128 letters, digits and -_./".into())),
            true => Ok(()),
            false if self.grants.remembers(space, false) => {
                Err(Error::Denied(format!("`memory` opens the space `{space}` for reading only")))
            }
            false => Err(Error::Denied(format!("no grant `memory` covers the space `{space}`"))),
        }
    }

    /// What the turn does to spaces.
    fn staged(&mut self) -> Result<Arc<RwLock<Staged>>, Error> {
        if let Some(staged) = &self.staged {
            return Ok(staged.clone());
        }
        let held = self.accounts.memory.hold(0).map_err(|_| limit("memory", None))?;
        let room = self.accounts.storage.hold(0).map_err(|_| limit("storage", None))?;
        let staged = Arc::new(RwLock::new(Staged::new(self.standing.house.spaces.clone(), held, room)));
        self.staged = Some(staged.clone());
        Ok(staged)
    }

    /// When what is done for the turn outside of it must be done, a little before the turn's own end.
    fn in_time(&self) -> Instant {
        let left = Duration::from_nanos(self.until.saturating_sub(clock::now()));
        Instant::now() + (left - left / 8).min(Duration::from_secs(3_600))
    }

    async fn take_in(&mut self, space: String, document: Document) -> Result<u32, Error> {
        self.space(&space, true)?;
        named(&document.source)?;
        tagged(&document.tags)?;
        let Document { source, content, tags } = document;
        let digest = digest(&content.content_type, &content.body, &tags);
        let mut parts = digest.to_vec();
        parts.extend_from_slice(Digest::of(format!("{space}\0{source}").as_bytes()).as_bytes());
        let which = *Digest::of(&parts).as_bytes();
        let staged = self.staged()?;
        let wanted = |seen: &Seen| match seen {
            Seen::Ingested { document, passages } if *document == which => Some(passages.clone()),
            _ => None,
        };
        if let Some(found) = self.tape.find(|| format!("how `{source}` was ingested"), wanted) {
            staged.write().pretend(&space, &source, Some(digest));
            return found.ok_or_else(missing)?.map_err(Error::Invalid);
        }
        let _held =
            self.accounts.memory.hold(READING * content.body.len() as u64).map_err(|_| limit("memory", None))?;
        let name = source.clone();
        let read = self.accounts.works.begin(move |meter| {
            let _ = meter.pause();
            memory::read(&content.content_type, &name, &content.body)
        });
        let read = read.map_err(busy)?.wait().await.map_err(broke)?.map_err(|error| error.to_string());
        let noted = read.as_ref().map(|passages| passages.len() as u32).map_err(String::clone);
        self.tape.note(64, || Seen::Ingested { document: which, passages: noted });
        let passages = read.map_err(Error::Invalid)?;
        let count = passages.len() as u32;
        let house = self.standing.house.clone();
        let text = |one: &memory::Passage| [&one.context, "\n", &one.text].concat().trim().to_owned();
        let texts: Vec<String> = passages.iter().map(text).collect();
        let model = house.spaces.model().unwrap_or_default().to_owned();
        let vectors = self.vectors_of(&texts).await;
        let rows = passages.into_iter().zip(vectors).map(|(passage, vector)| {
            let memory::Passage { text, context, start, end } = passage;
            Row { text, context, start, end, vector }
        });
        let payer = payer(&self.standing.name).to_owned();
        let head = Head { payer: payer.clone(), bytes: 0, passages: 0, tags, model, kept: self.accepted };
        let kept = Kept::new(&source, head, rows.collect());
        let (more, bytes) = staged.read().more(&space);
        let room = house.spaces.has_room(&space, more + u64::from(count), bytes + kept.head.bytes);
        if !room.map_err(unavailable)? {
            return Err(limit("space", None));
        }
        // Words are looked at here too, for the turn's own searches.
        let work = self.accounts.works.begin(move |meter| {
            let _ = meter.pause();
            staged.write().set((&space, &source), Some(kept), Some(digest), &payer)
        });
        work.map_err(busy)?.wait().await.map_err(broke)?.map_err(full)?;
        Ok(count)
    }

    /// A vector for each text, as far as there are a model, tokens and time for that. What has none is found by its words.
    async fn vectors_of(&mut self, texts: &[String]) -> Vec<Option<Vector>> {
        let (house, accounts, until) = (self.standing.house.clone(), self.accounts.clone(), self.in_time());
        match house.spaces.embedder() {
            // A version that runs apart from its agent uses nothing that costs.
            Some(embedder) if accounts.apart.is_none() => embedder.embed(&accounts.tokens, texts, until).await,
            _ => vec![None; texts.len()],
        }
    }

    async fn recall(
        &mut self,
        space: String,
        query: String,
        tags: Vec<String>,
        most: u32,
    ) -> Result<Vec<Passage>, Error> {
        self.space(&space, false)?;
        tagged(&tags)?;
        if most == 0 {
            return Err(Error::Invalid("a search's limit must not be 0".into()));
        }
        if query.len() > QUESTION {
            return Err(Error::Invalid(format!("a question has at most {QUESTION} bytes")));
        }
        let most = most.min(MOST);
        let question = *Digest::of(format!("{space}\0{query}\0{}\0{most}", tags.join("\0")).as_bytes()).as_bytes();
        let wanted = |seen: &Seen| match seen {
            Seen::Recalled { question: asked, found } if *asked == question => Some(found.clone()),
            _ => None,
        };
        if let Some(found) = self.tape.find(|| format!("a search of the space `{space}`"), wanted) {
            return Ok(found.ok_or_else(missing)?.into_iter().map(then).collect());
        }
        let house = self.standing.house.clone();
        let vector = self.vectors_of(std::slice::from_ref(&query)).await.pop().flatten();
        let staged = self.staged.clone();
        let work = self.accounts.works.begin(move |meter| {
            let _ = meter.pause();
            let query = Query { text: &query, vector: vector.as_ref(), tags: &tags, most: most as usize };
            let staged = staged.as_ref().map(|staged| staged.read());
            house.spaces.search(&space, staged.as_deref(), &query)
        });
        let found = work.map_err(busy)?.wait().await.map_err(broke)?.map_err(|error| match error {
            Unsearched::Store(error) => unavailable(error),
            Unsearched::TooLarge => limit("space", None),
        })?;
        let found: Vec<Passage> = found.into_iter().map(passage).collect();
        let size =
            |one: &Passage| 64 + one.text.len() + one.source.len() + one.tags.iter().map(String::len).sum::<usize>();
        let size = found.iter().map(size).sum::<usize>() + 32;
        self.tape.note(size, || Seen::Recalled { question, found: found.iter().map(now).collect() });
        Ok(found)
    }

    fn let_go(&mut self, space: &str, source: &str) -> Result<bool, Error> {
        self.space(space, true)?;
        named(source)?;
        let staged = self.staged()?;
        let wanted = |seen: &Seen| match seen {
            Seen::Had { space: its, source: known, there } if its == space && known == source => Some(*there),
            _ => None,
        };
        let changed = staged.read().find(space, source).map(|document| document.is_some());
        let there = match changed {
            Some(there) => there,
            None => match self.tape.find(|| format!("whether `{space}` has `{source}`"), wanted) {
                Some(found) => found.ok_or_else(missing)?,
                None => {
                    let there = self.standing.house.spaces.has(space, source).map_err(unavailable)?;
                    let note = || Seen::Had { space: space.into(), source: source.into(), there };
                    self.tape.note(space.len() + source.len(), note);
                    there
                }
            },
        };
        if there && self.tape.is_playing() {
            staged.write().pretend(space, source, None);
        } else if there {
            let payer = payer(&self.standing.name);
            staged.write().set((space, source), None, None, payer).map_err(full)?;
        }
        Ok(there)
    }

    async fn shorten(&mut self, text: String, task: String, model: String, tokens: u32) -> Result<String, Error> {
        if self.grants.memory.is_empty() {
            return Err(denied("memory"));
        }
        if text.len() > TEXT || task.len() > QUESTION {
            let said = format!("a text has at most {TEXT} bytes, and a task {QUESTION}: shorten it in parts");
            return Err(Error::Invalid(said));
        }
        let question = *Digest::of(format!("{model}\0{tokens}\0{task}\0{text}").as_bytes()).as_bytes();
        let wanted = |seen: &Seen| match seen {
            Seen::Shortened { question: asked, text } if *asked == question => Some(text.clone()),
            _ => None,
        };
        if let Some(found) = self.tape.find(|| "a text made shorter".into(), wanted) {
            return found.ok_or_else(missing);
        }
        let _held = self.accounts.memory.hold(8 * text.len() as u64).map_err(|_| limit("memory", None))?;
        let (house, until) = (self.standing.house.clone(), self.in_time());
        let counts = (!model.is_empty()).then(|| model::Grant::parse([model.as_str()])).transpose();
        let counts = counts.map_err(|said| Error::Invalid(format!("`{model}`: {said}")))?;
        let work = self.accounts.works.begin(move |meter| {
            let _ = meter.pause();
            memory::compress(&text, &task, tokens as usize, |part| match (&counts, &house.models) {
                (None, _) => Ok(model::guess(part.len()) as usize),
                (Some(_), None) => Err(model::Error::Unknown { model: model.clone() }),
                // It is only counted: the text stays here.
                (Some(grant), Some(models)) => {
                    let counted = house.io.block_on(models.count(&model, part, true, grant, until))?;
                    Ok(counted.tokens as usize)
                }
            })
        });
        let made = work.map_err(busy)?.wait().await.map_err(broke)?.map_err(|error| match error {
            model::Error::Timeout => Error::Timeout("the tokens were not counted in time".into()),
            model::Error::Unknown { model } => {
                Error::NotFound(format!("no model `{model}` of this machine can count: name none, and it is guessed"))
            }
            other => Error::Unavailable(format!("the tokens can't be counted: {other}")),
        })?;
        self.tape.note(made.len() + 32, || Seen::Shortened { question, text: made.clone() });
        Ok(made)
    }
}

fn named(source: &str) -> Result<(), Error> {
    match source.len() {
        1..=SOURCE if !source.contains(char::is_control) => Ok(()),
        1..=SOURCE => Err(Error::Invalid("a source has a name without control characters".into())),
        length => Err(Error::Invalid(format!("a source has a name of 1 to {SOURCE} bytes, not {length}"))),
    }
}

fn tagged(tags: &[String]) -> Result<(), Error> {
    let good = |tag: &String| (1..=TAG).contains(&tag.len()) && !tag.contains(char::is_control);
    match tags.len() <= TAGS && tags.iter().all(good) {
        true => Ok(()),
        false => {
            Err(Error::Invalid(format!("at most {TAGS} tags, each of 1 to {TAG} bytes and without control characters")))
        }
    }
}

fn passage(found: Found) -> Passage {
    let Row { text, start, end, .. } = found.row;
    Passage { text, source: found.source, start, end, score: found.score, tags: found.tags }
}

fn now(one: &Passage) -> PassageThen {
    (one.text.clone(), one.source.clone(), one.start, one.end, one.score, one.tags.clone())
}

fn then((text, source, start, end, score, tags): PassageThen) -> Passage {
    Passage { text, source, start, end, score, tags }
}

fn full(full: Full) -> Error {
    match full {
        Full::Memory => limit("memory", None),
        Full::Storage => limit("storage", None),
    }
}

fn busy(_: Busy) -> Error {
    Error::Unavailable("this host computes as much as it may: try again".into())
}

fn broke(_: Broke) -> Error {
    Error::Unavailable("this could not be computed".into())
}

fn missing() -> Error {
    Error::Unavailable("the record of this turn does not have it".into())
}

fn unavailable(error: store::Error) -> Error {
    Error::Unavailable(format!("the memory can't be read: {error}"))
}
