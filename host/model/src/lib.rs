//! Models: what agents ask, who answers, and which of those who could.
//!
//! Back ends know the wire and nothing of agents; the router knows grants, prices and what was measured. What an agent
//! may use is judged here, and counted by the one who calls.

mod backend;
pub mod embedded;
mod error;
mod prompt;

pub use backend::{Ask, Backend, Counted, Embedded, Listed, Reader, guess};
pub use error::Error;
pub use prompt::{Call, Completion, Finish, Prompt, Role, Tool, Turn};
