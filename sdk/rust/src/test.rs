//! A village of one, for tests that run natively with `cargo test`.
//!
//! On a [`Host`] every import is shut that was not opened, as under a manifest without grants. State takes effect when a turn ends
//! well and is dropped otherwise; the log is kept; what other agents, models and web sites answer is scripted by the test.
//! What only the sandbox shows (budgets that are enforced, files, the size of the component) is for `village test`.
//!
//! ```
//! use village::{Failure, agent, state, test};
//!
//! #[derive(Default)]
//! struct Counter;
//!
//! #[agent(name = "counter")]
//! impl Counter {
//!     #[skill]
//!     fn add(&mut self, by: u32) -> Result<u32, Failure> {
//!         let sum = state::update("sum", |sum: Option<u32>| sum.unwrap_or(0) + by)?;
//!         if sum > 10 { Err(Failure::refused("that is too many")) } else { Ok(sum) }
//!     }
//! }
//!
//! let host = test::Host::new().with_state();
//! let mut counter = test::agent::<Counter>(host.clone());
//! assert_eq!(counter.call("add", 4), Ok(test::json!(4)));
//! assert!(counter.call("add", 7).is_err());
//! assert_eq!(host.kept::<u32>("sum"), Some(4), "the turn failed, and so did its writes");
//! ```

pub(crate) mod imports;
mod world;

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
pub use serde_json::{Value, json};

use crate::agent::{Agent, Card, Message, Sender};
use crate::budget::Allowance;
use crate::log::Level;
use crate::types::{Failure, Payload, Priority};
pub use world::Line;
use world::World;

/// A host for tests. Clones are the same host.
#[derive(Clone, Default)]
pub struct Host(Rc<RefCell<World>>);

impl Host {
    /// One on which everything is shut.
    pub fn new() -> Host {
        Host::default()
    }

    /// Opens the log.
    pub fn with_log(self) -> Host {
        self.open("log")
    }

    /// Opens the state, which is empty.
    pub fn with_state(self) -> Host {
        self.open("state")
    }

    /// Puts a value into the state, as an earlier turn would have.
    pub fn with_kept<T: Serialize + ?Sized>(self, key: &str, value: &T) -> Host {
        let json = serde_json::to_vec(value).expect("what a test puts into the state can be written as JSON");
        self.0.borrow_mut().put(key, Some(json));
        self.0.borrow_mut().commit();
        self
    }

    /// Bounds the bytes of keys and values that the state may have. Without this: 64 MiB.
    pub fn with_storage(self, bytes: u64) -> Host {
        self.0.borrow_mut().storage = bytes;
        self
    }

    /// Opens the budget, which shows these figures.
    pub fn with_budget(self, allowances: impl IntoIterator<Item = Allowance>, remaining: Duration) -> Host {
        {
            let mut world = self.0.borrow_mut();
            world.allowances = allowances.into_iter().collect();
            world.remaining = remaining;
        }
        self.open("budget")
    }

    fn open(self, grant: &'static str) -> Host {
        self.0.borrow_mut().open.insert(grant);
        self
    }

    /// What is in the state under `key`, of turns that ended well.
    ///
    /// # Panics
    ///
    /// If it is no `T`.
    pub fn kept<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        let world = self.0.borrow();
        let (value, _) = world.committed.state.get(key)?;
        Some(serde_json::from_slice(value).unwrap_or_else(|error| panic!("`{key}` in the state: {error}")))
    }

    /// The keys in the state, of turns that ended well.
    pub fn keys(&self) -> Vec<String> {
        self.0.borrow().committed.state.keys().cloned().collect()
    }

    /// All that was logged, also in turns that failed.
    pub fn lines(&self) -> Vec<Line> {
        self.0.borrow().lines.clone()
    }

    /// Whether a line of that level was logged that has `text` in it.
    pub fn logged(&self, level: Level, text: &str) -> bool {
        self.0.borrow().lines.iter().any(|line| line.level as u8 == level as u8 && line.message.contains(text))
    }

    /// Calls `inside` with this host in place, for testing what is no agent. All of it takes effect.
    pub fn enter<R>(&self, inside: impl FnOnce() -> R) -> R {
        let result = world::enter(&self.0, inside);
        self.0.borrow_mut().commit();
        result
    }

    fn turn<R>(&self, inside: impl FnOnce() -> Result<R, Failure>) -> Result<R, Failure> {
        let result = world::enter(&self.0, inside);
        let mut world = self.0.borrow_mut();
        if result.is_ok() {
            world.commit()
        } else {
            world.roll_back()
        }
        result
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("keys", &self.keys()).finish_non_exhaustive()
    }
}

/// An agent on a host.
pub fn agent<A: Agent>(host: Host) -> Tested<A> {
    Tested { host, agent: None, messages: 0 }
}

/// A message with defaults: from the client `test`, of normal priority, tried for the first time.
pub fn message(skill: &str, payload: impl Into<Payload>) -> Message {
    Message {
        id: "1".to_owned(),
        sender: Sender::Client("test".to_owned()),
        skill: skill.to_owned(),
        payload: payload.into(),
        priority: Priority::Normal,
        attempt: 1,
        accepted: 0,
    }
}

/// An agent under test.
#[derive(Debug)]
pub struct Tested<A> {
    host: Host,
    agent: Option<A>,
    messages: u64,
}

impl<A: Agent> Tested<A> {
    /// Asks for a skill that takes and answers JSON. What answers nothing answers null.
    ///
    /// # Panics
    ///
    /// If the input can't be written as JSON, or the answer is none.
    pub fn call<T: Serialize>(&mut self, skill: &str, input: T) -> Result<Value, Failure> {
        let input = Payload::json(&input).expect("the input of a test can be written as JSON");
        let answer = self.send(skill, input)?;
        if answer.body.is_empty() {
            return Ok(Value::Null);
        }
        let value = serde_json::from_slice(&answer.body);
        Ok(value.unwrap_or_else(|error| panic!("`{skill}` did not answer JSON ({error}): use `send`")))
    }

    /// Asks for a skill with any payload.
    pub fn send(&mut self, skill: &str, payload: impl Into<Payload>) -> Result<Payload, Failure> {
        self.messages += 1;
        let id = self.messages.to_string();
        self.handle(Message { id, ..message(skill, payload) })
    }

    /// One whole message: a turn. A turn that fails costs the agent its memory, as in a village.
    pub fn handle(&mut self, message: Message) -> Result<Payload, Failure> {
        let Tested { host, agent, .. } = self;
        let result = host.turn(|| agent.get_or_insert_default().handle(message));
        if result.is_err() {
            self.restart();
        }
        result
    }

    /// What the agent says of itself.
    pub fn card(&self) -> Card {
        A::card()
    }

    /// What the agent would keep across a swap, or a sleep.
    pub fn snapshot(&mut self) -> Option<Vec<u8>> {
        let Tested { host, agent, .. } = self;
        world::enter(&host.0, || agent.as_mut().and_then(A::snapshot))
    }

    /// A new agent takes over what a snapshot kept.
    pub fn restore(&mut self, kept: Vec<u8>, version: &str) -> Result<(), Failure> {
        let mut next = A::default();
        world::enter(&self.host.0, || next.restore(kept, version.to_owned()))?;
        self.agent = Some(next);
        Ok(())
    }

    /// Takes the agent's memory away. Its state stays.
    pub fn restart(&mut self) {
        self.agent = None;
    }

    /// The host that it is on.
    pub fn host(&self) -> &Host {
        &self.host
    }
}
