//! Models: what agents ask, who answers, and which of those who could.
//!
//! Back ends know the wire and nothing of agents; the router knows grants, prices and what was measured. What an agent
//! may use is judged here, and counted by the one who calls.

mod backend;
pub mod embedded;
mod error;
mod key;
mod pattern;
mod prompt;
mod remote;
mod router;
mod settings;

pub use backend::{Ask, Backend, Counted, Embedded, Listed, Reader, guess};
pub use error::Error;
pub use key::{Key, KeyError, Keys};
pub use pattern::{Grant, Pattern};
pub use prompt::{Call, Completion, Finish, Prompt, Role, Tool, Turn};
pub use remote::anthropic::Anthropic;
pub use remote::openai::OpenAi;
pub use remote::{Address, Remote, Trust, known_by};
pub use router::{
    Allowance, Answer, Considered, Explained, Figure, Known, Measured, Policy, Price, Request, Router, Routing, Terms,
    Totals, Verdict,
};
pub use settings::{Chosen, Inside, Kind, Settings, Unopened};
