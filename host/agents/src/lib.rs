//! Living with an agent: its mailbox, its turns, its instance.
//!
//! An agent handles one message at a time, in the order in which they were accepted. Its memory is a cache: a turn that
//! fails discards the instance, and the next message meets a new one.

mod agent;
mod door;
mod live;
pub mod swap;

pub use agent::{Agent, Answer, Data, Error, Keep, Receipt, Spec};
pub use door::{Desk, Door, Mailbox, Place, Refusal};
