//! The commands for what a running village keeps of turns.

use super::running::Reach;
use crate::help;
use clap::Args;
use std::path::PathBuf;

#[derive(Args)]
#[command(after_help = help::TURNS)]
pub(crate) struct Turns {
    /// The agent
    pub(crate) agent: String,
    /// Fields with their new values, such as record=true; without any all are shown
    #[arg(value_name = "FIELD=VALUE")]
    pub(crate) fields: Vec<String>,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

#[derive(Args)]
#[command(after_help = help::REPLAY)]
pub(crate) struct Replay {
    /// The message's id, or the number of the turn's entry in `village audit`
    pub(crate) turn: String,
    /// Which try of the message; the last one, unless it is said
    #[arg(long, value_name = "N")]
    pub(crate) attempt: Option<u32>,
    /// Another component than the one that had the turn
    #[arg(long, value_name = "FILE")]
    pub(crate) with: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

#[derive(Args)]
#[command(after_help = help::ERASE)]
pub(crate) struct Erase {
    /// All that was sent to this agent, and what its turns read
    #[arg(required_unless_present = "message", conflicts_with = "message")]
    pub(crate) agent: Option<String>,
    /// Only this message, by its id
    #[arg(long, value_name = "ID")]
    pub(crate) message: Option<String>,
    #[command(flatten)]
    pub(crate) reach: Reach,
}
