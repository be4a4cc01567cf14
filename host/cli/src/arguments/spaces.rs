//! The commands for spaces of memory.

use super::running::Reach;
use clap::{Args, Subcommand};

#[derive(Args)]
pub(crate) struct Memory {
    #[command(subcommand)]
    pub(crate) action: MemoryAction,
}

#[derive(Subcommand)]
pub(crate) enum MemoryAction {
    /// List the spaces: documents, passages, and what they count as
    List {
        #[command(flatten)]
        reach: Reach,
    },
    /// Take a space away with all that is in it
    Rm {
        /// Its name, as grants have it
        space: String,
        #[command(flatten)]
        reach: Reach,
    },
}
