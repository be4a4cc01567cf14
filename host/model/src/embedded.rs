//! Models that run in this process: nothing else is installed, and nothing leaves the machine.
//!
//! Decoders of the family Llama from safetensors or GGUF, and embedders of the family BERT, on the processor.

#![allow(clippy::needless_range_loop, reason = "lanes by their number are what the compiler makes vectors of")]

mod bandwidth;
mod bert;
mod calls;
mod decoder;
mod engine;
mod fault;
mod guide;
mod matrix;
mod models;
mod product;
mod sampler;
mod shape;
mod source;
mod template;
#[cfg(test)]
mod tests;
mod tokens;
mod vector;

pub use bandwidth::bandwidth;
pub use fault::Fault;
pub use models::{Models, Settings, Settled};
pub use template::Template;
