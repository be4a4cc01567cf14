//! The mesh: peers that know each other by signed passes, and what they say to one another.
//!
//! One task owns libp2p. A village is closed: who has no pass gets as far as an encrypted connection and one question, and
//! nothing behind it. Everything is bounded, and whatever is turned away is counted and told.

mod admission;
mod behaviour;
mod blobs;
mod codec;
mod directory;
mod error;
mod event;
pub mod fault;
mod fetch;
mod figures;
mod frame;
mod gate;
mod identity;
mod invitation;
mod key;
mod mesh;
mod meter;
mod node;
mod pass;
mod port;
mod raw;
mod roster;
mod said;
mod settings;
mod short;
pub mod storm;
mod timers;
mod votes;

pub use blobs::{BlobHash, CHUNK};
pub use directory::{Card, Found, Present};
pub use error::Error;
pub use event::{Event, Why};
pub use fetch::Fetched;
pub use figures::{Counts, Link, Traffic};
pub use frame::{BODY_LIMIT, Frame, FrameError, Id, LIFE_LIMIT, Priority, Trace};
pub use invitation::Invitation;
pub use key::{Key, Signature};
pub use libp2p::{Multiaddr, PeerId};
pub use mesh::Mesh;
pub use pass::Pass;
pub use roster::Member;
pub use said::{Ask, Asks, Heard, Message, Topic};
pub use settings::{Pace, Rate, Relay, Settings};
pub use short::{may_be, short};
pub use votes::{Certificate, Draft, Flaw, Lie, Matter, Proposal, State, THRESHOLD, Tally, Vote};
