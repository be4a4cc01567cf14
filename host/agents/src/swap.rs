//! Replacing an agent's version while it lives, without losing a message.
//!
//! A version that is to take over is probed apart from the agent, may shadow it and be tried on a part of its senders,
//! and then takes over between two turns, with the memory of the one before. Whatever goes wrong, the old one serves on.

mod apart;
mod carry;
mod driver;
mod event;
mod history;
mod judge;
mod order;
mod plan;
mod shadow;
mod side;
mod versions;

pub use apart::{Apart, Make};
pub use event::{Carried, Event, Reason, Shadowed, Skills, Switch, Tried};
pub use history::{KEPT, Known, Place};
pub(crate) use order::Orders;
pub use plan::{LONGEST, MOST_JUDGED, MOST_SHADOWED, Memory, Plan};
pub use side::Side;
pub use versions::{Clean, Explain, Refused, Serves, Stage, Swap, Versions};
