//! The back ends and the router against counterparts on the wire, or with tiny models.

mod anthropic;
mod dialects;
mod embedded;
mod fake;
mod faults;
mod openai;
mod recorded;
mod router;
mod saving;
mod scripted;
mod secrecy;
mod suite;
mod tls;
mod workload;
