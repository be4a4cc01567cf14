//! The back ends and the router against counterparts on the wire.

mod anthropic;
mod fake;
mod faults;
mod openai;
mod router;
mod saving;
mod scripted;
mod secrecy;
mod suite;
mod workload;
