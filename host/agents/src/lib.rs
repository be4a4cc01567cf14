//! Living with an agent: its mailbox, its turns, its instance.
//!
//! An agent handles one message at a time, in the order in which they were accepted. Its memory is a cache: a turn that
//! fails discards the instance, and the next message meets a new one. Where there is a store, a message is kept before
//! its sender is told so, and what a turn does takes effect together with the message's end, in one change.

mod agent;
mod arrive;
mod attend;
mod blow;
mod books;
mod care;
mod crew;
mod door;
mod event;
mod found;
mod fresh;
mod graves;
mod keys;
pub mod kin;
mod live;
mod mail;
mod outbox;
mod queue;
mod replica;
mod retry;
mod scaled;
mod settle;
pub mod swap;

pub use agent::{Agent, Answer, Claim, Data, Error, Keep, Lasting, Receipt, Spec, Stale};
pub use blow::{Blow, Broke, Fell, Told};
pub use books::{Books, Strays, question};
pub use care::Care;
pub use crew::{Join, MOST_REPLICAS, Replicas, Room};
pub use door::{Accepted, Desk, Door, Mailbox, Origin, Place, Refusal};
pub use event::{Did, Entry, Event, Outcome, Then, Used};
pub use graves::{DEAD_BYTES, MOST_DEAD};
pub use keys::{ANSWERS, Answered, Counted, KEYS, Keyed, SEQUENCES};
pub use mail::raw;
pub use mail::{DEAD, Dead, From, MAIL, Mail, REPLIES, Recorded, TIMERS, Timer};
pub use outbox::{ARRIVED, OUTBOX, OUTBOX_LIFE, Outgoing, TOPICS, lane};
pub use retry::Retry;
pub use scaled::Scaled;
