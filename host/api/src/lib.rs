//! A running village over HTTP on loopback: the requests, the replies, the server and its client.
//!
//! Whoever has the token may do everything, and whoever has not may ask whether the village lives.

pub mod client;
mod document;
mod error;
mod guard;
mod manage;
mod mesh;
mod messages;
mod metrics;
mod models;
mod read;
mod records;
mod routes;
mod scale;
mod schema;
mod server;
mod shape;
mod spaces;
mod streams;
mod token;
mod votes;
pub mod wire;

pub use error::Error;
pub use server::{Server, Settings};
pub use token::Token;
