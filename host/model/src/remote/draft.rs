//! An answer while it is written: what is known of it so far, and whether there is enough.

use crate::backend::{Ask, Reader, guess};
use crate::error::Error;
use crate::key::{Key, overlap};
use crate::prompt::{Call, Completion, Finish};
use std::borrow::Cow;

/// The most that an answer may be in bytes, its calls included.
const LARGEST: usize = 8 << 20;

/// Calls that an answer may have.
const CALLS: usize = 256;

/// Pieces that a server may send beyond the tokens that it was allowed: those without anything in them aren't counted,
/// but some send the last one twice.
const SLACK: u64 = 8;

/// An answer while it is written.
pub(super) struct Draft<'a> {
    name: &'a str,
    /// Taken out where a server repeats it.
    key: Option<&'a Key>,
    ask: Ask<'a>,
    reader: &'a mut dyn Reader,
    text: String,
    /// Up to here the reader has it. The rest may become a text at which to stop.
    told: usize,
    calls: Vec<Slot>,
    pieces: u64,
    enough: bool,
    pub(super) finish: Option<Finish>,
    pub(super) tokens_in: Option<u64>,
    pub(super) tokens_out: Option<u64>,
}

/// A call in its place.
struct Slot {
    index: u64,
    call: Call,
}

impl<'a> Draft<'a> {
    pub(super) fn new(name: &'a str, key: Option<&'a Key>, ask: Ask<'a>, reader: &'a mut dyn Reader) -> Draft<'a> {
        Draft {
            name,
            key,
            ask,
            reader,
            text: String::new(),
            told: 0,
            calls: Vec::new(),
            pieces: 0,
            enough: false,
            finish: None,
            tokens_in: None,
            tokens_out: None,
        }
    }

    /// Whether the model has begun to write.
    pub(super) fn begun(&self) -> bool {
        self.pieces > 0
    }

    /// Whether no more is wanted.
    pub(super) fn enough(&self) -> bool {
        self.enough
    }

    /// Whether the model has said why it stopped, or was stopped.
    pub(super) fn finished(&self) -> bool {
        self.enough || self.finish.is_some()
    }

    pub(super) fn broken(&self, why: &str) -> Error {
        Error::Broken { backend: self.name.into(), why: why.into() }
    }

    /// The model has written more text.
    pub(super) fn text(&mut self, piece: &str) -> Result<(), Error> {
        if piece.is_empty() || self.enough {
            return Ok(());
        }
        self.text.push_str(piece);
        self.piece(piece.len())?;
        if let Some(Cow::Owned(clean)) = self.key.map(|key| key.clean(&self.text[self.told..])) {
            self.text.truncate(self.told);
            self.text.push_str(&clean);
        }
        let stops = &self.ask.prompt.stop;
        if let Some(at) = stops.iter().filter_map(|stop| self.text[self.told..].find(stop.as_str())).min() {
            self.text.truncate(self.told + at);
            (self.enough, self.finish) = (true, Some(Finish::Stop));
        }
        let begun = stops.iter().map(|stop| overlap(&self.text, stop)).chain(self.key.map(|key| key.begun(&self.text)));
        let held = if self.enough { 0 } else { begun.max().unwrap_or(0).min(self.text.len() - self.told) };
        self.tell(self.text.len() - held);
        Ok(())
    }

    /// The model is at work on something that is no text.
    pub(super) fn thought(&mut self, bytes: usize) -> Result<(), Error> {
        if bytes == 0 || self.enough {
            return Ok(());
        }
        self.reader.alive();
        self.piece(bytes)
    }

    /// A call, or more of one. A server that gives all calls the same place tells them apart by their ids.
    pub(super) fn call(&mut self, index: u64, id: &str, name: &str, arguments: &str) -> Result<(), Error> {
        if self.enough {
            return Ok(());
        }
        let same =
            |slot: &Slot| slot.index == index && (id.is_empty() || slot.call.id == id || slot.call.id.is_empty());
        let at = match self.calls.iter().rposition(same) {
            Some(at) => at,
            None if self.calls.len() == CALLS => return Err(self.broken("it asks for too many calls")),
            None => {
                let call = Call { id: String::new(), name: String::new(), arguments: String::new() };
                self.calls.push(Slot { index, call });
                self.calls.len() - 1
            }
        };
        let call = &mut self.calls[at].call;
        if call.id.is_empty() {
            call.id = id.into();
        }
        call.name.push_str(name);
        call.arguments.push_str(arguments);
        self.reader.alive();
        self.piece(id.len() + name.len() + arguments.len())
    }

    /// The whole answer.
    pub(super) fn done(mut self) -> Result<Completion, Error> {
        self.tell(self.text.len());
        let mut finish = self.finish.ok_or_else(|| self.broken("it ended midway"))?;
        let mut calls: Vec<Call> = self.calls.drain(..).map(|slot| slot.call).collect();
        if finish == Finish::Length {
            // The last one may be half a call.
            calls.retain(|call| serde_json::from_str::<serde::de::IgnoredAny>(&call.arguments).is_ok());
        }
        for (index, call) in calls.iter_mut().enumerate() {
            if call.name.is_empty() {
                return Err(self.broken("it calls a tool without a name"));
            }
            if call.id.is_empty() {
                call.id = format!("call-{index}");
            }
            if let Some(Cow::Owned(clean)) = self.key.map(|key| key.clean(&call.arguments)) {
                call.arguments = clean;
            }
            if call.arguments.trim().is_empty() {
                call.arguments = "{}".into();
            }
            if serde_json::from_str::<serde::de::IgnoredAny>(&call.arguments).is_err() {
                return Err(self.broken("the arguments of a call are no JSON"));
            }
        }
        if finish == Finish::Stop && !calls.is_empty() {
            finish = Finish::Calls;
        }
        if finish == Finish::Calls && calls.is_empty() {
            return Err(self.broken("it asks for tools and names none"));
        }
        let written: usize = self.text.len() + calls.iter().map(|call| call.arguments.len()).sum::<usize>();
        Ok(Completion {
            finish,
            model: self.ask.model.into(),
            tokens_in: self.tokens_in.unwrap_or_else(|| guess(self.ask.prompt.bytes())),
            tokens_out: self.tokens_out.unwrap_or_else(|| self.pieces.max(guess(written))),
            text: self.text,
            calls,
        })
    }

    fn tell(&mut self, to: usize) {
        if to > self.told {
            self.reader.text(&self.text[self.told..to]);
            self.told = to;
        }
    }

    /// Counts a piece. Each has a token at least, so too many of them are a model that does not stop.
    fn piece(&mut self, bytes: usize) -> Result<(), Error> {
        self.pieces += u64::from(bytes > 0);
        let held: usize = self.calls.iter().map(|slot| slot.call.arguments.len() + slot.call.name.len()).sum();
        if self.text.len() + held > LARGEST {
            return Err(self.broken("its answer is too large"));
        }
        if self.pieces >= u64::from(self.ask.prompt.max_tokens) + SLACK && self.finish.is_none() {
            (self.enough, self.finish) = (true, Some(Finish::Length));
        }
        Ok(())
    }
}
