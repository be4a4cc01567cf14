//! Messages with a key, and what came of them: for a while, the same message sent again gets the same answer.

use crate::error::Error;
use crate::letter::Came;
use base::Digest;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How far a message with a key has come.
#[derive(Debug, Clone)]
pub(crate) enum Stage {
    /// It is on its way.
    Sent,
    /// The agent has accepted it, under this id.
    Accepted(String),
    /// This came of it.
    Over(Result<Came, Error>),
}

type Answer = watch::Receiver<Stage>;

/// The last messages with keys. Bounded in number, in bytes of answers and in time.
#[derive(Default)]
pub(crate) struct Window {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    all: HashMap<(String, String), Entry>,
    /// In the order in which they came.
    order: VecDeque<(Instant, (String, String))>,
    bytes: usize,
}

struct Entry {
    came: Instant,
    said: Digest,
    answer: Answer,
    bytes: usize,
}

/// Messages with keys that are known.
const MOST: usize = 10_000;

/// Bytes of their answers.
const BYTES: usize = 64 << 20;

/// How long they are.
const SPAN: Duration = Duration::from_secs(600);

/// What a message with a key is to the village.
pub(crate) enum Noted {
    /// It is new. Its answer goes here.
    New(Promise),
    /// It came before, and this comes of it.
    Before(Answer),
}

/// Where the answer to a message with a key goes.
pub(crate) struct Promise {
    key: (String, String),
    answer: watch::Sender<Stage>,
}

impl Promise {
    /// The agent has accepted the message, under this id.
    pub(crate) fn accepted(&self, id: &str) {
        self.answer.send_replace(Stage::Accepted(id.into()));
    }
}

impl Window {
    /// Notes a message with a key.
    pub(crate) fn note(&self, agent: &str, key: &str, said: Digest, now: Instant) -> Result<Noted, Error> {
        let mut known = self.known.lock();
        known.forget(now);
        let at = (agent.to_string(), key.to_string());
        if let Some(entry) = known.all.get(&at) {
            return match entry.said == said {
                true => Ok(Noted::Before(entry.answer.clone())),
                false => Err(Error::Key { key: key.into() }),
            };
        }
        let (answer, waiting) = watch::channel(Stage::Sent);
        let bytes = 256 + at.0.len() + at.1.len();
        known.bytes += bytes;
        known.all.insert(at.clone(), Entry { came: now, said, answer: waiting, bytes });
        known.order.push_back((now, at.clone()));
        Ok(Noted::New(Promise { key: at, answer }))
    }

    /// Forgets all that was sent to an agent, and what came of it.
    pub(crate) fn forget_agent(&self, agent: &str) {
        let mut known = self.known.lock();
        let gone: Vec<_> = known.all.keys().filter(|(name, _)| name == agent).cloned().collect();
        gone.iter().for_each(|key| known.remove(key));
    }

    /// Keeps an answer. Of a message that was not accepted nothing is kept: it may be sent again.
    pub(crate) fn keep(&self, promise: Promise, answer: Result<Came, Error>) {
        let mut known = self.known.lock();
        let bytes = match &answer {
            Ok(Came { outcome: Ok(payload), .. }) => payload.body.len(),
            Ok(_) => 512,
            Err(_) => {
                known.remove(&promise.key);
                0
            }
        };
        if let Some(entry) = known.all.get_mut(&promise.key) {
            entry.bytes += bytes;
            known.bytes += bytes;
        }
        drop(known);
        promise.answer.send_replace(Stage::Over(answer));
    }
}

impl Known {
    fn remove(&mut self, key: &(String, String)) {
        if let Some(entry) = self.all.remove(key) {
            self.bytes -= entry.bytes;
        }
    }

    fn forget(&mut self, now: Instant) {
        while let Some((came, key)) = self.order.front() {
            let old = now.saturating_duration_since(*came) >= SPAN;
            if !old && self.all.len() < MOST && self.bytes < BYTES {
                break;
            }
            let (came, key) = (*came, key.clone());
            self.order.pop_front();
            // One that was not accepted may have come again since.
            if self.all.get(&key).is_some_and(|entry| entry.came == came) {
                self.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use guest::{Payload, Receipt};

    fn came(size: usize) -> Result<Came, Error> {
        let payload = Payload { content_type: String::new(), body: vec![1; size] };
        Ok(Came { id: "1".into(), outcome: Ok(payload), receipt: Receipt::default(), repeated: false })
    }

    fn new(window: &Window, key: &str, now: Instant) -> Promise {
        match window.note("a", key, Digest::of(b"said"), now) {
            Ok(Noted::New(promise)) => promise,
            _ => panic!("`{key}` is new"),
        }
    }

    #[test]
    fn the_same_key_has_the_same_answer_until_its_time_is_over() {
        let (window, now) = (Window::default(), Instant::now());
        window.keep(new(&window, "k", now), came(3));
        let again = window.note("a", "k", Digest::of(b"said"), now + SPAN / 2);
        assert!(matches!(again, Ok(Noted::Before(answer)) if matches!(*answer.borrow(), Stage::Over(_))));
        let other = window.note("a", "k", Digest::of(b"something else"), now);
        assert!(matches!(other, Err(Error::Key { .. })));
        drop(new(&window, "k", now + SPAN));
        assert!(matches!(window.note("b", "k", Digest::of(b"x"), now), Ok(Noted::New(_))), "another agent's key");
    }

    #[test]
    fn what_was_not_accepted_may_be_sent_again() {
        let (window, now) = (Window::default(), Instant::now());
        window.keep(new(&window, "k", now), Err(Error::Stopping));
        drop(new(&window, "k", now));
    }

    #[test]
    fn it_is_bounded_in_number_and_in_bytes() {
        let (window, now) = (Window::default(), Instant::now());
        for n in 0..MOST + 5 {
            window.keep(new(&window, &n.to_string(), now), came(1));
        }
        assert!(window.known.lock().all.len() <= MOST);
        for n in 0..80 {
            window.keep(new(&window, &format!("large {n}"), now), came(1 << 20));
        }
        let known = window.known.lock();
        assert!(known.bytes <= BYTES + (2 << 20), "{}", known.bytes);
        assert_eq!(known.bytes, known.all.values().map(|entry| entry.bytes).sum::<usize>());
    }
}
