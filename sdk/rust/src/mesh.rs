//! Other villages. Grant: `mesh`, by topic and skill. Budget: `mesh`, bytes per second, and `messages`.
//!
//! Every function fails with `denied` without a grant that covers the topic or skill.
//!
//! ```
//! use village::{Error, agents, mesh};
//!
//! /// Asks whichever agent anywhere is best for it.
//! fn translated(text: &str) -> Result<String, Error> {
//!     let found = mesh::find("translate", 1)?;
//!     let best = found.first().ok_or_else(|| Error::NotFound("a translator".to_owned()))?;
//!     agents::ask(&best.address, "translate", text)?.wait()
//! }
//! # assert!(matches!(translated("Guten Tag"), Err(Error::Denied(_))));
//! ```

use crate::imports::mesh as host;
use crate::types::{Error, Payload};

pub use crate::bindings::village::agent::mesh::Found;

/// Publishes when this turn commits. A topic that nobody follows is no error.
pub fn publish(topic: &str, payload: impl Into<Payload>) -> Result<(), Error> {
    host::publish(topic, &payload.into())
}

/// From the next turn on, messages of the topic reach the agent, sent by [`Sender::Topic`](crate::Sender) and naming no skill: see
/// `#[otherwise]`. Doing it twice changes nothing.
pub fn subscribe(topic: &str) -> Result<(), Error> {
    host::subscribe(topic)
}

/// Ends it; answers whether the topic was followed.
pub fn unsubscribe(topic: &str) -> Result<bool, Error> {
    host::unsubscribe(topic)
}

/// Agents that have the skill, best first, at most `limit` (0 fails with `invalid`). None found is an empty list.
pub fn find(skill: &str, limit: u32) -> Result<Vec<Found>, Error> {
    host::find(skill, limit)
}
