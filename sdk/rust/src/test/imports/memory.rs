//! Passages that are paragraphs, and nearness by words in common.

use std::collections::BTreeSet;

use crate::memory::{Document, Passage};
use crate::test::world::{World, open};
use crate::types::Error;

pub(crate) fn ingest(space: &str, document: &Document) -> Result<u32, Error> {
    let world = open("memory")?;
    let mut world = world.borrow_mut();
    check(&world, space)?;
    if document.source.is_empty() {
        return Err(Error::Invalid("source".to_owned()));
    }
    let text = document.content.as_text().ok_or_else(|| Error::Invalid("content: not UTF-8".to_owned()))?;
    let count = paragraphs(text).count() as u32;
    world.turn.documents.insert((space.to_owned(), document.source.clone()), document.clone());
    Ok(count)
}

pub(crate) fn search(space: &str, query: &str, tags: &[String], limit: u32) -> Result<Vec<Passage>, Error> {
    let world = open("memory")?;
    let world = world.borrow();
    check(&world, space)?;
    if limit == 0 {
        return Err(Error::Invalid("limit".to_owned()));
    }
    let wanted = words(query);
    let documents = world.turn.documents.iter().filter(|((other, _), _)| other == space);
    let tagged = documents.filter(|(_, document)| tags.iter().all(|tag| document.tags.contains(tag)));
    let mut found: Vec<_> = tagged.flat_map(|(_, document)| passages(document, &wanted)).collect();
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    found.truncate(limit as usize);
    Ok(found)
}

pub(crate) fn forget(space: &str, source: &str) -> Result<bool, Error> {
    let world = open("memory")?;
    let mut world = world.borrow_mut();
    check(&world, space)?;
    Ok(world.turn.documents.remove(&(space.to_owned(), source.to_owned())).is_some())
}

/// Keeps the first words: a word counts as a token.
pub(crate) fn compress(text: &str, _task: &str, _model: &str, tokens: u32) -> Result<String, Error> {
    open("memory")?;
    let words: Vec<_> = text.split_whitespace().collect();
    if words.len() <= tokens as usize {
        return Ok(text.to_owned());
    }
    Ok(words[..tokens as usize].join(" "))
}

fn check(world: &World, space: &str) -> Result<(), Error> {
    if world.spaces.contains(space) {
        return Ok(());
    }
    Err(Error::Denied(format!("no grant opens `memory` for `{space}`")))
}

fn passages(document: &Document, wanted: &BTreeSet<String>) -> Vec<Passage> {
    let text = document.content.as_text().unwrap_or_default();
    let passage = |(start, paragraph): (usize, &str)| {
        let common = words(paragraph).intersection(wanted).count();
        (common > 0).then(|| Passage {
            text: paragraph.to_owned(),
            source: document.source.clone(),
            start: start as u64,
            end: (start + paragraph.len()) as u64,
            score: common as f32 / wanted.len() as f32,
            tags: document.tags.clone(),
        })
    };
    paragraphs(text).filter_map(passage).collect()
}

/// Paragraphs with the places at which they begin.
fn paragraphs(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut start = 0;
    text.split("\n\n").filter_map(move |paragraph| {
        let at = start;
        start += paragraph.len() + 2;
        (!paragraph.trim().is_empty()).then_some((at, paragraph))
    })
}

fn words(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}
