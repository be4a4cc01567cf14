//! The commands of a village among others.

use super::running::Reach;
use super::votes::{Propose, Verify, Vote, Votes};
use crate::help;
use clap::{Args, Subcommand};

#[derive(Args)]
#[command(after_help = help::MESH)]
pub(crate) struct Mesh {
    #[command(subcommand)]
    pub(crate) action: MeshAction,
}

#[derive(Subcommand)]
pub(crate) enum MeshAction {
    /// Make an invitation, and show its token: whoever has that can join
    Invite {
        /// How many may join with it
        #[arg(long, value_name = "N", default_value_t = 1)]
        uses: u32,
        /// For how long: 30 days at most
        #[arg(long = "for", value_name = "TIME", default_value = "1h")]
        life: String,
        #[command(flatten)]
        reach: Reach,
    },
    /// Take an invitation back
    Revoke {
        /// Its token, or its number
        invitation: String,
        #[command(flatten)]
        reach: Reach,
    },
    /// Join other villages with an invitation of one of them
    Join {
        /// What `village mesh invite` has shown there; - for the standard input
        token: String,
        #[command(flatten)]
        reach: Reach,
    },
    /// Leave the others, and be alone again
    Leave {
        #[command(flatten)]
        reach: Reach,
    },
    /// List the other villages: when they were seen, and how the links with them do
    Peers {
        #[command(flatten)]
        reach: Reach,
    },
    /// Show who is linked with whom
    Topology {
        #[command(flatten)]
        reach: Reach,
    },
    /// Measure the way to another village and back
    Ping {
        /// Its id, or how that begins
        peer: String,
        /// How often
        #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1000))]
        count: u32,
        #[command(flatten)]
        reach: Reach,
    },
    /// Have nothing to do with another village any more
    Block {
        /// Its id, or how that begins
        peer: String,
        #[command(flatten)]
        reach: Reach,
    },
    /// Take that back
    Unblock {
        /// Its id, or how that begins
        peer: String,
        #[command(flatten)]
        reach: Reach,
    },
    /// Propose something to those who are to decide it, and show its id
    Propose(Propose),
    /// Vote on a proposal, once
    Vote(Vote),
    /// List what is being decided; or show one proposal, who has voted how, and the proof of its outcome
    Votes(Votes),
    /// Check a proof: that something was accepted, or that somebody has voted both ways. It needs no village
    Verify(Verify),
}

#[derive(Args)]
#[command(after_help = help::FETCH)]
pub(crate) struct Fetch {
    /// The component's digest, as `village ps` and `village versions` show it there
    pub(crate) digest: String,
    /// From this village: its id, or how that begins; from any, unless it is said
    #[arg(long, value_name = "PEER")]
    pub(crate) from: Option<String>,
    #[command(flatten)]
    pub(crate) reach: Reach,
}
