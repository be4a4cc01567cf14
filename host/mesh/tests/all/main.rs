//! The mesh, tried: peers in one process over memory, some over TCP and QUIC, in fair weather and foul, with liars among them.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod blobs;
mod cable;
mod churn;
mod directory;
mod harness;
#[cfg(target_os = "linux")]
mod lan;
mod liar;
mod lookup;
mod messages;
mod peers;
mod room;
mod storms;
mod votes;
