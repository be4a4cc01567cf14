//! One model, which answers what the test says. A word counts as a token.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::poll::Pollable;
use crate::bindings::village::agent::model::Prompt;
use crate::model::{Completion, Listed};
use crate::test::world::open;
use crate::types::Error;

/// The one that there is.
pub(crate) const NAME: &str = "test/model";

/// How long the vectors are.
const WIDTH: usize = 64;

#[derive(Debug)]
pub(crate) struct Writing {
    pieces: RefCell<VecDeque<String>>,
    result: Result<Completion, Error>,
    given: Cell<bool>,
}

impl Writing {
    pub(crate) fn subscribe(&self) -> Pollable {
        Pollable { at: 0 }
    }

    pub(crate) fn text(&self) -> String {
        self.pieces.borrow_mut().pop_front().unwrap_or_default()
    }

    pub(crate) fn finish(&self) -> Option<Result<Completion, Error>> {
        if self.given.replace(true) {
            return Some(Err(Error::Invalid("the completion was given already".to_owned())));
        }
        Some(self.result.clone())
    }
}

pub(crate) fn complete(prompt: &Prompt) -> Result<Completion, Error> {
    let world = open("model")?;
    if prompt.turns.is_empty() || prompt.max_tokens == 0 {
        return Err(Error::Invalid(if prompt.turns.is_empty() { "turns" } else { "max-tokens" }.to_owned()));
    }
    let script = world.borrow().model.clone();
    let script = script.ok_or_else(|| Error::Unavailable("the test says nothing of a model".to_owned()))?;
    let mut completion = (script.borrow_mut())(prompt)?;
    completion.tokens_in = prompt.turns.iter().map(|turn| words(&turn.content)).sum();
    Ok(completion)
}

pub(crate) fn write(prompt: &Prompt) -> Result<Writing, Error> {
    let result = complete(prompt);
    let text = result.as_ref().map(|completion| completion.text.as_str()).unwrap_or_default();
    let pieces = text.split_inclusive(' ').map(str::to_owned).collect();
    Ok(Writing { pieces: RefCell::new(pieces), result, given: Cell::new(false) })
}

/// Words are counted by their hashes, so that texts with words in common are near each other.
pub(crate) fn embed(_model: &str, texts: &[String]) -> Result<Vec<Vec<f32>>, Error> {
    open("model")?;
    let embed = |text: &String| {
        let mut vector = vec![0.0f32; WIDTH];
        for word in text.split_whitespace() {
            let mut hasher = DefaultHasher::new();
            word.to_lowercase().hash(&mut hasher);
            vector[hasher.finish() as usize % WIDTH] += 1.0;
        }
        let norm = vector.iter().map(|number| number * number).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
        vector.iter_mut().for_each(|number| *number /= norm);
        vector
    };
    Ok(texts.iter().map(embed).collect())
}

pub(crate) fn count(_model: &str, text: &str) -> Result<u64, Error> {
    open("model")?;
    Ok(words(text))
}

pub(crate) fn models() -> Result<Vec<Listed>, Error> {
    open("model")?;
    Ok(vec![Listed { name: NAME.to_owned(), context: 8192, embeds: true, local: true }])
}

pub(crate) fn feedback(model: &str, _score: u32) -> Result<(), Error> {
    open("model")?;
    if model == NAME { Ok(()) } else { Err(Error::NotFound(model.to_owned())) }
}

fn words(text: &str) -> u64 {
    text.split_whitespace().count() as u64
}
