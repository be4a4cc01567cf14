//! A back end in memory that does as it is told.

use async_trait::async_trait;
use model::{Ask, Backend, Completion, Counted, Embedded, Error, Finish, Listed, Prompt, Reader};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// What it does for one call.
#[derive(Clone)]
pub(crate) struct Deed {
    /// Before the first piece.
    pub(crate) wait: Duration,
    pub(crate) pieces: Vec<String>,
    pub(crate) end: Result<Finish, Error>,
}

pub(crate) fn says(text: &str) -> Deed {
    Deed { wait: Duration::ZERO, pieces: crate::fake::words(text), end: Ok(Finish::Stop) }
}

impl Deed {
    pub(crate) fn after(self, millis: u64) -> Deed {
        Deed { wait: Duration::from_millis(millis), ..self }
    }

    pub(crate) fn then(self, error: Error) -> Deed {
        Deed { end: Err(error), ..self }
    }
}

pub(crate) fn fails(error: Error) -> Deed {
    says("").then(error)
}

pub(crate) fn down() -> Error {
    Error::Unavailable { backend: "a".into(), why: "the connection was refused".into(), retry_after: None }
}

pub(crate) struct Scripted {
    name: String,
    models: Vec<Listed>,
    deeds: Mutex<VecDeque<Deed>>,
    usual: Mutex<Deed>,
    pub(crate) asked: Mutex<Vec<(String, Prompt)>>,
    pub(crate) dropped: Mutex<usize>,
    /// It is not there at all: nothing that it is asked is answered.
    pub(crate) gone: AtomicBool,
}

pub(crate) fn listed(name: &str, local: bool) -> Listed {
    Listed { name: name.into(), context: 8192, embeds: name.contains("embed"), local }
}

impl Scripted {
    pub(crate) fn new(name: &str, models: &[&str], local: bool, usual: Deed) -> Arc<Scripted> {
        Arc::new(Scripted {
            name: name.into(),
            models: models.iter().map(|model| listed(model, local)).collect(),
            deeds: Mutex::default(),
            usual: Mutex::new(usual),
            asked: Mutex::default(),
            dropped: Mutex::default(),
            gone: AtomicBool::new(false),
        })
    }

    pub(crate) fn next(&self, deed: Deed) {
        self.deeds.lock().expect("not poisoned").push_back(deed);
    }

    pub(crate) fn usually(&self, deed: Deed) {
        *self.usual.lock().expect("not poisoned") = deed;
    }

    pub(crate) fn calls(&self) -> usize {
        self.asked.lock().expect("not poisoned").len()
    }
}

/// Notes that a call was dropped before its end.
struct Guard<'a>(&'a Mutex<usize>, bool);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        *self.0.lock().expect("not poisoned") += usize::from(!self.1);
    }
}

#[async_trait]
impl Backend for Scripted {
    fn name(&self) -> &str {
        &self.name
    }

    async fn list(&self, until: Instant) -> Result<Vec<Listed>, Error> {
        if self.gone.load(Ordering::Relaxed) {
            tokio::time::sleep_until(until).await;
            return Err(Error::Timeout);
        }
        Ok(self.models.clone())
    }

    async fn complete(&self, ask: Ask<'_>, reader: &mut dyn Reader) -> Result<Completion, Error> {
        self.asked.lock().expect("not poisoned").push((ask.model.into(), ask.prompt.clone()));
        let usual = self.usual.lock().expect("not poisoned").clone();
        let deed = self.deeds.lock().expect("not poisoned").pop_front().unwrap_or(usual);
        let mut guard = Guard(&self.dropped, false);
        let work = async {
            if !deed.wait.is_zero() {
                tokio::time::sleep(deed.wait).await;
            }
            for piece in &deed.pieces {
                reader.text(piece);
                tokio::task::yield_now().await;
            }
            let finish = deed.end.clone()?;
            let (text, calls) = (deed.pieces.concat(), Vec::new());
            let tokens_out = deed.pieces.len() as u64;
            Ok(Completion { text, calls, finish, model: ask.model.into(), tokens_in: 10, tokens_out })
        };
        let answer = tokio::time::timeout_at(ask.until, work).await.unwrap_or(Err(Error::Timeout));
        guard.1 = true;
        answer
    }

    async fn embed(&self, _model: &str, texts: &[String], _private: bool, _until: Instant) -> Result<Embedded, Error> {
        Ok(Embedded { vectors: texts.iter().map(|text| vec![text.len() as f32]).collect(), tokens: 1 })
    }

    async fn count(&self, _model: &str, text: &str, _private: bool, _until: Instant) -> Result<Counted, Error> {
        Ok(Counted { tokens: text.len() as u64, exact: true })
    }
}
