//! The agents of one node: deployed, awake or asleep, asked and told, and there again after a restart.
//!
//! A registered agent is a row and a small entry; its accounts and its instance are made when its first message comes.
//! What reaches the village from outside, and as what, is left to others.

mod audit;
mod backup;
mod callers;
mod cards;
mod components;
mod config;
mod dead;
mod deploy;
mod erase;
mod error;
mod event;
mod figures;
mod folder;
mod groups;
mod holds;
mod journal;
mod keys;
mod letter;
mod look;
mod manage;
mod models;
mod peers;
mod registry;
mod replay;
mod replicas;
mod resident;
mod ring;
mod send;
mod share;
mod spaces;
mod swap;
mod turns;
mod village;
mod weights;
mod window;

pub use audit::{Entries, Entry, Verified};
pub use backup::Backup;
pub use components::Uploaded;
pub use config::{Config, Error as ConfigError, MeshConfig, Wish};
pub use dead::DeadLetter;
pub use deploy::Deployment;
pub use erase::{Erase, Erased};
pub use error::Error;
pub use event::{Event, What};
pub use figures::{Dead, Details, Figures, GroupFigures, Health, Sends, State, Swaps, Talk, Used};
pub use folder::private;
pub use journal::{Cut, Keep};
pub use letter::{Came, Letter};
pub use models::{attempt as try_models, open as open_models};
pub use peers::{
    Adopted, Adoption, Conditions, Edge, Fetched, Invited, Joined, Left, LinkFigures, MeshFigures, Motion, PeerFigures,
    Pinged, Poll, PollDetails, Proved, Topology, short, verify,
};
pub use registry::{Before, Registration, Wanted};
pub use replay::Again;
pub use replicas::Scale;
pub use resident::Spoken;
pub use ring::{Since, Stamped};
pub use share::Terms;
pub use spaces::SpaceFigures;
pub use swap::{Step, Steps, VersionFigures};
pub use village::{Options, Village};
