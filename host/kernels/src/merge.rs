//! Several models to one.
//!
//! A method turns one tensor of each model into a [`Job`]: whatever it must know of whole tensors (norms, cuts,
//! masks) is found first, then any stretch can be computed by itself, on any back end.

mod directions;
mod job;
mod masks;
mod method;
mod parameters;
mod plan;
mod prepare;
mod recipe;
mod select;
pub(crate) mod sums;

pub use job::Job;
pub use method::{Ask, Method, Model};
pub use parameters::{Global, Own};
pub use plan::{Masks, Plan, Source, Target};
pub use prepare::{check, prepare};
pub use recipe::{Recipe, Setting};
