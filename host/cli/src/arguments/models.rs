//! The commands for models.

use super::running::Reach;
use crate::help;
use clap::{Args, Subcommand};

#[derive(Args)]
#[command(after_help = help::MODELS)]
pub(crate) struct Models {
    #[command(subcommand)]
    pub(crate) action: ModelsAction,
}

#[derive(Subcommand)]
pub(crate) enum ModelsAction {
    /// List the models: back end, window, price, latency, and how they do
    List {
        #[command(flatten)]
        reach: Reach,
    },
    /// Say which models would answer a prompt, in which order; nobody is given it
    Route(RouteWish),
    /// Ask models to write something, and measure how fast they do
    Bench {
        /// A name or pattern; all that write on this machine and cost nothing, unless it is said
        #[arg(default_value = "")]
        model: String,
        /// How much each is to write
        #[arg(long, value_name = "N", default_value_t = 64)]
        tokens: u32,
        #[command(flatten)]
        reach: Reach,
    },
}

#[derive(Args)]
pub(crate) struct RouteWish {
    /// What would be asked; - for the standard input
    pub(crate) prompt: String,
    /// Say what was thought of each model, those included that would not be asked
    #[arg(long)]
    pub(crate) explain: bool,
    /// What one is chosen by: cost, speed, privacy, quality or balanced; as it is configured, unless it is said
    #[arg(long)]
    pub(crate) policy: Option<String>,
    /// Whether it must not leave this machine
    #[arg(long)]
    pub(crate) private: bool,
    /// A name or pattern, as a prompt would name it
    #[arg(long, value_name = "PATTERN", default_value = "")]
    pub(crate) model: String,
    /// The agent that would ask: what it said of earlier answers counts
    #[arg(long, default_value = "")]
    pub(crate) agent: String,
    /// How much may be written, in tokens
    #[arg(long, value_name = "N")]
    pub(crate) max_tokens: Option<u32>,
    #[command(flatten)]
    pub(crate) reach: Reach,
}
