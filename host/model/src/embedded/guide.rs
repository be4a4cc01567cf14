//! Keeps what a model writes within a grammar, token by token, so that it can always be brought to its end in time.

mod apart;
mod compile;
mod grammar;
mod letters;
mod merge;
mod number;
mod order;
mod rules;
#[cfg(test)]
mod tests;
mod vocabulary;

pub(crate) use compile::{Form, Refusal};
pub(crate) use vocabulary::Vocabulary;

use super::sampler::Sampler;
use grammar::{Grammar, Way};
use std::sync::Arc;
use vocabulary::Sorted;

/// What is left of a token that may not come. The arithmetic on logits keeps to numbers.
const BARRED: f32 = -1e30;

/// What one answer may still become.
#[derive(Debug, Clone)]
pub(crate) struct Guide {
    grammar: Arc<Grammar>,
    vocabulary: Arc<Vocabulary>,
    ways: Vec<Way>,
}

impl Guide {
    /// For an answer of this form.
    pub(crate) fn new(form: &Form, vocabulary: &Arc<Vocabulary>) -> Result<Guide, Refusal> {
        let grammar = Arc::new(form.grammar(vocabulary)?);
        let ways = grammar.start();
        Ok(Guide { grammar, vocabulary: vocabulary.clone(), ways })
    }

    /// How many tokens the shortest answer takes.
    pub(crate) fn least(&self) -> u64 {
        self.grammar.least().unwrap_or(u64::MAX)
    }

    /// The next token, of `left` that may be written; none if the logits are no numbers. What is in `logits` afterwards is
    /// of no use.
    pub(crate) fn choose(&self, sampler: &mut Sampler, logits: &mut [f32], left: u64, ends: &[u32]) -> Option<u32> {
        // Most tokens of a model that knows what it does are good: what all would be is looked at only otherwise. One
        // drawn again among the good is as likely as if it had been drawn among them at first.
        let first = sampler.choose(&mut logits.to_vec())?;
        if self.allows(first, left, ends) {
            return Some(first);
        }
        let mut allowed = vec![false; logits.len()];
        self.each(left, &mut |id| {
            if let Some(place) = allowed.get_mut(id as usize) {
                *place = true;
            }
        });
        for id in ends {
            if let Some(place) = allowed.get_mut(*id as usize) {
                *place = self.may_end();
            }
        }
        if !allowed.contains(&true) {
            return None;
        }
        for (logit, _) in logits.iter_mut().zip(&allowed).filter(|(_, allowed)| !**allowed) {
            *logit = BARRED;
        }
        sampler.choose(logits)
    }

    /// Notes that a token was written.
    pub(crate) fn take(&mut self, id: u32) {
        if let Some(bytes) = self.vocabulary.bytes(id) {
            self.ways = self.after(bytes);
        }
    }

    /// Whether the answer may be at its end.
    pub(crate) fn may_end(&self) -> bool {
        self.ways.iter().any(Way::whole)
    }

    /// Whether it may still become any text.
    pub(crate) fn is_free(&self) -> bool {
        self.ways.iter().any(|way| self.grammar.is_free(way))
    }

    /// Whether nothing can follow.
    pub(crate) fn must_end(&self) -> bool {
        self.ways.iter().all(Way::whole)
    }

    fn after(&self, bytes: &[u8]) -> Vec<Way> {
        let mut ways = self.ways.clone();
        for byte in bytes {
            ways = self.step(&ways, *byte);
        }
        ways
    }

    fn step(&self, ways: &[Way], byte: u8) -> Vec<Way> {
        let mut next = Vec::new();
        ways.iter().for_each(|way| self.grammar.push(way, byte, &mut next));
        next
    }

    /// Whether what is missing after this can still be written.
    fn within(&self, ways: &[Way], left: u64) -> bool {
        ways.iter().any(|way| self.grammar.missing_of(way) < left)
    }

    fn allows(&self, id: u32, left: u64, ends: &[u32]) -> bool {
        if ends.contains(&id) {
            return self.may_end();
        }
        self.vocabulary.bytes(id).is_some_and(|bytes| self.within(&self.after(bytes), left))
    }

    /// Names all tokens that may come.
    fn each(&self, left: u64, allow: &mut dyn FnMut(u32)) {
        for way in &self.ways {
            let Some(room) = self.grammar.letters(way) else {
                self.walk(way, &self.vocabulary.all, left, allow);
                continue;
            };
            // Within a string nearly everything may come, and what it leads to need not be looked at.
            for (id, letters) in &self.vocabulary.plain {
                let letters = u64::from(*letters);
                if letters <= room.most && room.rest.saturating_add(room.least.saturating_sub(letters)) < left {
                    allow(*id);
                }
            }
            self.walk(way, &self.vocabulary.odd, left, allow);
        }
    }

    /// Names the tokens by which a way can go on.
    fn walk(&self, way: &Way, tokens: &Sorted, left: u64, allow: &mut dyn FnMut(u32)) {
        // What each byte of the token at hand leads to.
        let mut levels = vec![vec![way.clone()]];
        for (place, id) in tokens.ids.iter().enumerate() {
            let common = tokens.common[place] as usize;
            if common >= levels.len() {
                // It begins as one did that led to nothing.
                continue;
            }
            levels.truncate(common + 1);
            let bytes = tokens.bytes(place);
            for byte in &bytes[common..] {
                let next = levels.last().map(|ways| self.step(ways, *byte)).unwrap_or_default();
                if next.is_empty() {
                    break;
                }
                levels.push(next);
            }
            if levels.len() == bytes.len() + 1 && levels.last().is_some_and(|ways| self.within(ways, left)) {
                allow(*id);
            }
        }
    }
}
