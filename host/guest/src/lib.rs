//! Everything an agent can reach: the whole attack surface in one folder.
//!
//! [`Host`] loads components and gives them life; [`Grants`] say what is open to them. What is not is shut.

mod abroad;
mod accounts;
mod address;
mod agent;
mod command;
mod compute;
mod ctx;
mod effects;
mod fetched;
mod grants;
mod host;
mod house;
mod idempotency;
mod imports;
mod kin;
mod log;
mod manifest;
mod narrow;
mod network;
mod outgoing;
mod rate;
mod reception;
mod redact;
mod replay;
pub mod replicas;
mod roll;
mod secrets;
mod serve;
mod service;
mod site;
mod spaces;
mod standing;
mod state;
mod swap;
mod talk;
mod tape;
mod tensors;
mod thinking;
mod tokens;
mod turns;
mod waits;
mod workspace;

pub use abroad::{ADDRESSES, Elsewhere, SKILL, Unanswered};
pub use accounts::{Parent as Group, Usage};
pub use agent::{Agent, Unkept};
pub use agents::kin::{STRATEGIES, Strategy, Supervision};
pub use agents::swap::{
    Carried, Event as SwapEvent, KEPT, Known, LONGEST, MOST_JUDGED, MOST_SHADOWED, Memory, Place as VersionPlace, Plan,
    Reason, Refused, Shadowed, Skills, Swap, Switch, Tried,
};
pub use agents::{Answer, Books, Error as Failed, Receipt, Refusal, Retry};
pub use command::{Finished, Stdin};
pub use ctx::Ctx;
pub use grants::{Error as GrantError, Folder, Grants, NAMES as GRANTS};
pub use host::{Builder, Error, Host, Version, cache_folder, grants_needed};
pub use log::{Line, Source};
pub use manifest::lives::{read_replicas, read_turns};
pub use manifest::{Error as ManifestError, Manifest, supervision::read as read_supervision};
pub use reception::{Limits, receive};
pub use replay::Replayed;
pub use replicas::Replicas;
pub use roll::Enrolment;
pub use runtime::compiler::enter;
pub use runtime::{
    Card, Chunk, Compiler, Failure, FailureKind, Fault, Frame, Kind, Message, Payload, Pool, Priority, Sender, Shape,
    Skill,
};
pub use secrets::{Error as SecretError, Place, Secrets};
pub use serve::{Exchange, Server, address as listen_address};
pub use site::{Key, Site};
pub use spaces::local_model;
pub use talk::Talk;
pub use tape::Record;
pub use turns::{Error as TurnsError, FIELDS as TURNS_FIELDS, Turns};
