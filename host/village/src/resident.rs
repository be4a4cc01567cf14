//! One agent of the village, there or not.

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

/// One agent of the village, there or not. While it is not, this is all there is of it beside its row.
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
    agent: Option<Arc<Agent>>,
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
        let life = Mutex::new(Life { wanted, removed: false, agent: None, problem: None });
        let (changing, counts, broke) = (tokio::sync::Mutex::default(), Default::default(), AtomicU64::new(0));
        Arc::new(Resident { name: name.into(), life, changing, counts, broke, log: OnceLock::new() })
    }

    /// The agent, if it is there; an error if it is not to be.
    pub(crate) fn agent(&self) -> Result<Option<Arc<Agent>>, Error> {
        let life = self.life.lock();
        match (life.removed, life.wanted) {
            (true, _) => Err(Error::Unknown { name: self.name.to_string(), nearest: None }),
            (false, Wanted::Stopped) => Err(Error::Stopped { name: self.name.to_string() }),
            (false, Wanted::Running) => Ok(life.agent.clone()),
        }
    }

    /// The agent, whatever is wanted of it.
    pub(crate) fn present(&self) -> Option<Arc<Agent>> {
        self.life.lock().agent.clone()
    }

    pub(crate) fn woken(&self, agent: Arc<Agent>) {
        let mut life = self.life.lock();
        life.agent = Some(agent);
        life.problem = None;
    }

    pub(crate) fn failed(&self, problem: String) {
        self.life.lock().problem = Some(problem);
    }

    pub(crate) fn want(&self, wanted: Wanted) {
        let mut life = self.life.lock();
        life.wanted = wanted;
        life.problem = None;
    }

    /// Nobody finds it any more.
    pub(crate) fn remove(&self) {
        self.life.lock().removed = true;
    }

    /// Lets the agent go, in the midst of a turn if need be. What it logged stays.
    pub(crate) fn end(&self) {
        let agent = self.life.lock().agent.take();
        if let Some(agent) = agent {
            self.collect(&agent);
            agent.stop();
        }
    }

    pub(crate) fn state(&self) -> State {
        let life = self.life.lock();
        match (&life.agent, life.wanted, &life.problem) {
            (_, Wanted::Stopped, _) => State::Stopped,
            (Some(_), _, _) => State::Awake,
            (None, _, Some(_)) => State::Failed,
            (None, _, None) => State::Asleep,
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
    fn collect(&self, agent: &Agent) {
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

    /// What it logged since a number.
    pub(crate) fn log(&self, id: u64, most: usize, newest: bool) -> Since<Spoken> {
        if let Some(agent) = self.present() {
            self.collect(&agent);
        }
        self.ring().since(id, most, newest)
    }

    /// Tells when there are lines that were collected.
    pub(crate) fn spoke(&self) -> watch::Receiver<u64> {
        self.ring().watch()
    }
}
