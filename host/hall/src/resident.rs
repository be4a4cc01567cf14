//! One agent of the village, beside its row: whether it may run, what came of its messages, what it logged.

use crate::error::Error;
use crate::event::What;
use crate::figures::{Health, Sends, State};
use crate::letter::Came;
use crate::registry::Wanted;
use crate::ring::{self, Ring, Since};
use guest::{Agent, Failed};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;

/// One agent of the village. While it sleeps this is all there is of it, with its row and its place on the host's roll.
pub(crate) struct Resident {
    pub(crate) name: Arc<str>,
    life: Mutex<Life>,
    /// Held by whoever makes it, stops it or removes it.
    pub(crate) changing: tokio::sync::Mutex<()>,
    counts: [AtomicU64; 4],
    /// Turns that broke one after the other.
    broke: AtomicU64,
    log: OnceLock<Box<Ring<Spoken>>>,
}

/// Together, because what is wanted decides what may be there.
struct Life {
    wanted: Wanted,
    removed: bool,
    /// Whether the last try to make it failed.
    failed: bool,
    problem: Option<String>,
}

/// A line of an agent's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spoken {
    /// The level that it was written at, or the stream that it came from.
    pub level: String,
    /// The line.
    pub text: String,
}

/// Lines of a log that are kept of each agent, and their bytes.
const LINES: usize = 1_000;
const BYTES: usize = 256 << 10;

impl Resident {
    pub(crate) fn new(name: &str, wanted: Wanted) -> Arc<Resident> {
        let life = Mutex::new(Life { wanted, removed: false, failed: false, problem: None });
        let (changing, counts, broke) = (tokio::sync::Mutex::default(), Default::default(), AtomicU64::new(0));
        Arc::new(Resident { name: name.into(), life, changing, counts, broke, log: OnceLock::new() })
    }

    /// An error if it takes no messages.
    pub(crate) fn open(&self) -> Result<(), Error> {
        let life = self.life.lock();
        match (life.removed, life.wanted) {
            (true, _) => Err(Error::Unknown { name: self.name.to_string(), nearest: None }),
            (false, Wanted::Stopped) => Err(Error::Stopped { name: self.name.to_string() }),
            (false, Wanted::Running) => Ok(()),
        }
    }

    /// It was made, or could not be.
    pub(crate) fn made(&self, problem: Option<String>) {
        let mut life = self.life.lock();
        life.failed = problem.is_some();
        life.problem = problem;
    }

    pub(crate) fn want(&self, wanted: Wanted) {
        let mut life = self.life.lock();
        life.wanted = wanted;
        life.failed = false;
        life.problem = None;
    }

    /// Nobody finds it any more.
    pub(crate) fn remove(&self) {
        self.life.lock().removed = true;
    }

    pub(crate) fn state(&self, awake: bool) -> State {
        let life = self.life.lock();
        match (life.wanted, awake, life.failed) {
            (Wanted::Stopped, ..) => State::Stopped,
            (_, true, _) => State::Awake,
            (_, _, true) => State::Failed,
            _ => State::Asleep,
        }
    }

    pub(crate) fn problem(&self) -> Option<String> {
        self.life.lock().problem.clone()
    }

    pub(crate) fn health(&self) -> Health {
        Health::after(self.broke.load(Relaxed))
    }

    pub(crate) fn sends(&self) -> Sends {
        let [answered, failed, broke, refused] = [0, 1, 2, 3].map(|at: usize| self.counts[at].load(Relaxed));
        Sends { answered, failed, broke, refused }
    }

    /// Counts what came of a message; answers what to tell of it.
    pub(crate) fn count(&self, came: &Result<Came, Error>) -> Option<What> {
        let at = match came {
            Ok(Came { outcome: Ok(_), .. }) => 0,
            Ok(Came { outcome: Err(Failed::Broke(_)), .. }) => 2,
            Ok(_) => 1,
            Err(_) => 3,
        };
        self.counts[at].fetch_add(1, Relaxed);
        match came {
            Ok(Came { outcome: Err(Failed::Broke(fault)), .. }) => {
                self.broke.fetch_add(1, Relaxed);
                let (kind, message) = (fault.kind().to_string(), fault.to_string());
                self.life.lock().problem = Some(message.clone());
                Some(What::Broke { kind, message })
            }
            Ok(_) => {
                if self.broke.swap(0, Relaxed) > 0 {
                    self.life.lock().problem = None;
                }
                None
            }
            Err(_) => None,
        }
    }

    fn ring(&self) -> &Ring<Spoken> {
        self.log.get_or_init(|| Box::new(Ring::new(LINES, BYTES)))
    }

    /// Takes what it logged.
    pub(crate) fn collect(&self, agent: &Agent) {
        let (lines, lost) = agent.log();
        if lines.is_empty() && lost == 0 {
            return;
        }
        let ring = self.ring();
        ring.skip(lost);
        for line in lines {
            let spoken = Spoken { level: line.source.word().into(), text: line.text };
            ring.push(ring::of(line.time), 64 + spoken.text.len(), spoken);
        }
    }

    /// What it logged since a number, as far as it was collected.
    pub(crate) fn log(&self, id: u64, most: usize, newest: bool) -> Since<Spoken> {
        self.ring().since(id, most, newest)
    }

    /// Tells when there are lines that were collected.
    pub(crate) fn spoke(&self) -> watch::Receiver<u64> {
        self.ring().watch()
    }
}
