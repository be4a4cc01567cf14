//! The command for an agent's replicas.

use super::running::Reach;
use crate::help;
use clap::Args;

#[derive(Args)]
#[command(after_help = help::SCALE)]
pub(crate) struct Scale {
    /// The agent
    pub(crate) agent: String,
    /// Always so many; without any number it is only shown
    #[arg(value_name = "N", conflicts_with_all = ["min", "max"])]
    pub(crate) count: Option<String>,
    /// Never fewer: 1, unless it is said
    #[arg(long, value_name = "N")]
    pub(crate) min: Option<String>,
    /// Never more: as many as the fewest, unless it is said
    #[arg(long, value_name = "N")]
    pub(crate) max: Option<String>,
    #[command(flatten)]
    pub(crate) reach: Reach,
}
