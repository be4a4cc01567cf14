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

mod host;
pub(crate) mod imports;
mod script;
mod world;

use serde::Serialize;
pub use serde_json::{Value, json};

use crate::agent::{Agent, Card, Message, Sender};
pub use crate::bindings::village::agent::model::Prompt as Prompted;
use crate::types::{Failure, Payload, Priority};
pub use host::Host;
pub use script::{Answer, Asked, Line, Published, Told};

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
        let result = host.turn(message.accepted, || agent.get_or_insert_default().handle(message));
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
        host.inside(|| agent.as_mut().and_then(A::snapshot))
    }

    /// A new agent takes over what a snapshot kept.
    pub fn restore(&mut self, kept: Vec<u8>, version: &str) -> Result<(), Failure> {
        let mut next = A::default();
        self.host.inside(|| next.restore(kept, version.to_owned()))?;
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
