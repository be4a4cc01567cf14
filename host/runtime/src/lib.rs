//! One agent: compiling it, bounding it, calling it.
//!
//! Generic over the guest's state `T`, so nothing here knows what an agent can import;
//! that is the `guest` crate's business.

mod cache;
pub mod clock;
pub mod compiler;
mod contract;
mod cpu;
mod engine;
mod fault;
mod instance;
mod limiter;
mod quota;
mod shape;
mod turn;
mod workers;

pub use compiler::Compiler;
pub use contract::{Card, Failure, FailureKind, Message, Payload, Priority, Reply, Sender, Skill};
pub use cpu::Cpu;
pub use engine::{Engine, Error, Pool, Room, Settings};
pub use fault::{Denied, Exited, Fault, Frame, ringed};
pub use instance::{Begin, Chunk, Guest, Instance, Leaving, Version, fault, store};
pub use limiter::Limiter;
pub use quota::{Full, Held, Quota};
pub use shape::{Kind, Shape};
pub use turn::{Interrupted, Turn, turn};
pub use workers::{Spawner, Task, Workers, give_way_to_guests};
