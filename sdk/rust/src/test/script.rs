//! What a test says that others answer, and what it sees of what they were asked.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::agents::Delivery;
use crate::log::Level;
use crate::model::{Completion, Finish};
use crate::types::{Error, Failure, Payload, Priority};

/// What somebody answers, given by a test.
pub(crate) type Script<Q, A> = Rc<RefCell<dyn FnMut(&Q) -> A>>;

/// A logged line.
#[derive(Clone, Debug)]
pub struct Line {
    /// How grave it is.
    pub level: Level,
    /// As it was logged.
    pub message: String,
}

/// What another agent was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The address.
    pub to: String,
    /// The skill; empty if none was named.
    pub skill: String,
    /// What was sent.
    pub payload: Payload,
    /// Which messages go first.
    pub priority: Priority,
}

impl Asked {
    /// What was sent, as JSON.
    ///
    /// # Panics
    ///
    /// If it is no `T`.
    pub fn read<T: DeserializeOwned>(&self) -> T {
        self.payload.read().unwrap_or_else(|error| panic!("what `{}` was asked: {error}", self.to))
    }
}

/// What another agent was told.
#[derive(Clone, Debug)]
pub struct Told {
    /// For `agents::cancel`.
    pub id: String,
    /// To whom, and what.
    pub what: Asked,
    /// When it is delivered.
    pub when: Delivery,
}

/// What was published.
#[derive(Clone, Debug)]
pub struct Published {
    /// Where.
    pub topic: String,
    /// What.
    pub payload: Payload,
}

/// What another agent answers.
#[derive(Clone, Debug)]
pub struct Answer {
    pub(crate) chunks: Vec<Vec<u8>>,
    pub(crate) after: Duration,
    pub(crate) result: Result<Payload, Error>,
}

impl Answer {
    /// Provisional pieces that come before it.
    pub fn after_chunks<T: AsRef<[u8]>>(mut self, chunks: impl IntoIterator<Item = T>) -> Answer {
        self.chunks = chunks.into_iter().map(|chunk| chunk.as_ref().to_vec()).collect();
        self
    }

    /// It takes so long. Nobody waits in fact: tests have a clock of their own, which goes on when there is nothing else to do.
    pub fn after(mut self, delay: Duration) -> Answer {
        self.after = delay;
        self
    }
}

impl From<Result<Payload, Error>> for Answer {
    fn from(result: Result<Payload, Error>) -> Answer {
        Answer { chunks: Vec::new(), after: Duration::ZERO, result }
    }
}

impl From<Result<Payload, Failure>> for Answer {
    fn from(result: Result<Payload, Failure>) -> Answer {
        result.map_err(Error::Failed).into()
    }
}

impl From<Payload> for Answer {
    fn from(payload: Payload) -> Answer {
        Ok::<_, Error>(payload).into()
    }
}

impl From<Failure> for Answer {
    fn from(failure: Failure) -> Answer {
        Err::<Payload, _>(failure).into()
    }
}

impl From<String> for Completion {
    fn from(text: String) -> Completion {
        let tokens_out = text.split_whitespace().count() as u64;
        let model = super::imports::model::NAME.to_owned();
        Completion { text, calls: Vec::new(), finish: Finish::Stop, model, tokens_in: 0, tokens_out }
    }
}

impl From<&str> for Completion {
    fn from(text: &str) -> Completion {
        text.to_owned().into()
    }
}
