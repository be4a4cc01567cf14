//! An index of passages: which are nearest to a question, by words, by vectors, or by both.
//!
//! Several are searched as one, so that what a turn adds is found beside what lasts, and weighed as if it lasted too.

mod search;

use crate::vectors::{Vector, Vectors};
use crate::words::each_word;
pub use search::{Hit, Layer, Query, search};
use std::collections::HashMap;

/// So many passages are in one index at most.
pub const PASSAGES: usize = 1 << 20;

/// A passage that is added.
#[derive(Debug, Clone, Copy)]
pub struct Added<'a> {
    /// What it says.
    pub text: &'a str,
    /// What it stands under.
    pub context: &'a str,
    /// Its vector, if there is one.
    pub vector: Option<&'a Vector>,
}

/// An index of passages, in memory.
#[derive(Debug, Default)]
pub struct Index {
    /// Words by their numbers, which are places in `postings`.
    words: HashMap<Box<str>, u32>,
    /// In which passages a word is, in order.
    postings: Vec<Vec<Posting>>,
    passages: Vec<Place>,
    sources: Vec<Source>,
    names: HashMap<Box<str>, u32>,
    vectors: Vectors,
    /// Passages of sources that are there, and how many words they have.
    live: usize,
    length: u64,
    bytes: u64,
}

/// How often a word is in a passage.
#[derive(Debug, Clone, Copy)]
struct Posting {
    passage: u32,
    times: u16,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    source: u32,
    part: u32,
    /// Words that it has.
    length: u32,
}

#[derive(Debug)]
struct Source {
    name: Box<str>,
    id: u64,
    tags: Box<[Box<str>]>,
    parts: u32,
    gone: bool,
}

/// What there is of each thing beside its own bytes, as far as it is counted: with the room that lists keep ahead.
const WORD: u64 = 112;
const POSTING: u64 = 12;
const PLACE: u64 = 24;
const SOURCE: u64 = 160;

/// A search walks over what is gone, until there is more of it than of what is there, and of this.
const GONE: usize = 4_096;

impl Index {
    /// An index of nothing.
    pub fn new() -> Index {
        Index::default()
    }

    /// Bytes that it takes in memory, nearly.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Passages that can be found.
    pub fn passages(&self) -> usize {
        self.live
    }

    /// Sources that can be found.
    pub fn sources(&self) -> usize {
        self.names.len()
    }

    /// Whether there is such a source.
    pub fn has(&self, source: &str) -> bool {
        self.names.contains_key(source)
    }

    /// Adds a source, known by `id`, instead of one of that name. Its passages are known by their place in it.
    ///
    /// Passages beyond [`PASSAGES`] are not found; who adds them looks before.
    pub fn add<'a>(&mut self, name: &str, id: u64, tags: &[String], passages: impl IntoIterator<Item = Added<'a>>) {
        self.remove(name);
        let source = self.sources.len() as u32;
        let tags: Box<[Box<str>]> = tags.iter().map(|tag| tag.as_str().into()).collect();
        self.bytes += SOURCE + 2 * name.len() as u64 + tags.iter().map(|tag| 16 + tag.len() as u64).sum::<u64>();
        let mut parts = 0;
        let mut counts: HashMap<u32, u16> = HashMap::new();
        for added in passages {
            if self.passages.len() >= PASSAGES {
                break;
            }
            let passage = self.passages.len() as u32;
            let mut length = 0;
            for text in [added.context, added.text] {
                each_word(text, |word| {
                    length += 1;
                    let number = self.number(word);
                    let times = counts.entry(number).or_default();
                    *times = times.saturating_add(1);
                });
            }
            self.bytes += PLACE + POSTING * counts.len() as u64;
            for (number, times) in counts.drain() {
                self.postings[number as usize].push(Posting { passage, times });
            }
            self.passages.push(Place { source, part: parts, length });
            self.vectors.push(added.vector);
            if self.vectors.dimensions() > 0 {
                self.bytes += Vectors::each(self.vectors.dimensions());
            }
            self.live += 1;
            self.length += u64::from(length);
            parts += 1;
        }
        self.names.insert(name.into(), source);
        self.sources.push(Source { name: name.into(), id, tags, parts, gone: false });
    }

    fn number(&mut self, word: &str) -> u32 {
        if let Some(number) = self.words.get(word) {
            return *number;
        }
        let number = self.postings.len() as u32;
        self.words.insert(word.into(), number);
        self.postings.push(Vec::new());
        self.bytes += WORD + word.len() as u64;
        number
    }

    /// Takes a source away; answers whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        let Some(number) = self.names.remove(name) else { return false };
        let source = &mut self.sources[number as usize];
        source.gone = true;
        self.live -= source.parts as usize;
        // They lie together, as they were added together.
        let first = self.passages.partition_point(|place| place.source < number);
        let its = &self.passages[first..first + source.parts as usize];
        self.length -= its.iter().map(|place| u64::from(place.length)).sum::<u64>();
        if self.passages.len() - self.live > self.live.max(GONE) || self.sources.len() > 2 * self.names.len().max(GONE)
        {
            self.tidy();
        }
        true
    }

    /// Makes room of what is gone.
    fn tidy(&mut self) {
        let mut places: Vec<Option<u32>> = Vec::with_capacity(self.passages.len());
        let mut next = 0;
        for place in &self.passages {
            let stays = !self.sources[place.source as usize].gone;
            places.push(stays.then_some(next));
            next += u32::from(stays);
        }
        self.vectors.retain(|at| places[at].is_some());
        let mut numbers = vec![0; self.sources.len()];
        let mut sources = Vec::with_capacity(self.names.len());
        for (number, source) in std::mem::take(&mut self.sources).into_iter().enumerate().filter(|(_, one)| !one.gone) {
            numbers[number] = sources.len() as u32;
            sources.push(source);
        }
        self.sources = sources;
        self.names.values_mut().for_each(|number| *number = numbers[*number as usize]);
        let mut at = 0;
        self.passages.retain_mut(|place| {
            let stays = places[at].is_some();
            at += 1;
            place.source = numbers[place.source as usize];
            stays
        });
        let mut words = std::mem::take(&mut self.words);
        let mut postings = Vec::new();
        words.retain(|_, number| {
            let mut list = std::mem::take(&mut self.postings[*number as usize]);
            list.retain_mut(|posting| match places[posting.passage as usize] {
                Some(place) => {
                    posting.passage = place;
                    true
                }
                None => false,
            });
            list.shrink_to_fit();
            *number = postings.len() as u32;
            let stays = !list.is_empty();
            if stays {
                postings.push(list);
            }
            stays
        });
        (self.words, self.postings) = (words, postings);
        self.recount();
    }

    fn recount(&mut self) {
        let words: u64 = self.words.keys().map(|word| WORD + word.len() as u64).sum();
        let postings: u64 = self.postings.iter().map(|list| POSTING * list.len() as u64).sum();
        let each = if self.vectors.dimensions() > 0 { Vectors::each(self.vectors.dimensions()) } else { 0 };
        let tags = |source: &Source| source.tags.iter().map(|tag| 16 + tag.len() as u64).sum::<u64>();
        let sources: u64 = self.sources.iter().map(|source| SOURCE + 2 * source.name.len() as u64 + tags(source)).sum();
        self.bytes = words + postings + (PLACE + each) * self.passages.len() as u64 + sources;
    }
}

#[cfg(test)]
mod tests;
