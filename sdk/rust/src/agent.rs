//! An agent: what it says of itself, and how it answers. `#[agent]` writes both.

use std::cell::RefCell;

use crate::bindings::exports::village::agent::agent::Reply;
pub use crate::bindings::exports::village::agent::agent::{Card, Message, Sender, Skill};
use crate::types::{Failure, Payload};

/// What every agent is. `#[agent]` implements it; by hand it is for agents that make up their skills as they run.
///
/// A value of it is the agent's memory, which is a cache: it begins as `default()`, lives while turns end well, and is gone
/// after one that fails. What must last belongs in [`state`](crate::state).
pub trait Agent: Default + 'static {
    /// Name, version, role and skills. The same each time.
    fn card() -> Card;

    /// One message: a turn. An error drops every effect of it.
    fn handle(&mut self, message: Message) -> Result<Payload, Failure>;

    /// What to keep across a swap, a recycle or a sleep; none keeps nothing.
    fn snapshot(&mut self) -> Option<Vec<u8>> {
        None
    }

    /// Takes over what `snapshot` of `version` gave. An error leaves the old version in charge.
    fn restore(&mut self, kept: Vec<u8>, version: String) -> Result<(), Failure> {
        let _ = (kept, version);
        Ok(())
    }
}

/// The instance's one agent. Empty until it is needed.
pub struct Slot<A>(RefCell<Option<A>>);

impl<A: Agent> Slot<A> {
    /// An empty one.
    #[allow(clippy::new_without_default, reason = "made in a constant, where `default` can't be called")]
    pub const fn new() -> Slot<A> {
        Slot(RefCell::new(None))
    }

    /// One turn.
    pub fn handle(&self, message: Message) -> Result<Reply, Failure> {
        let mut agent = self.0.borrow_mut();
        let payload = agent.get_or_insert_default().handle(message)?;
        Ok(Reply { payload })
    }

    /// What to keep: nothing of an agent that was never needed.
    pub fn snapshot(&self) -> Option<Vec<u8>> {
        self.0.borrow_mut().as_mut().and_then(A::snapshot)
    }

    /// Takes over what was kept.
    pub fn restore(&self, kept: Vec<u8>, version: String) -> Result<(), Failure> {
        self.0.borrow_mut().get_or_insert_default().restore(kept, version)
    }
}

impl Message {
    /// Who sent it, as text: the name of a client or agent, a topic, or nothing for a timer.
    pub fn sender_name(&self) -> &str {
        match &self.sender {
            Sender::Client(name) | Sender::Agent(name) | Sender::Timer(name) | Sender::Topic(name) => name,
        }
    }
}
