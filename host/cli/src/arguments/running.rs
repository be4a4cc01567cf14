//! The commands of a running village.

use crate::help;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Which village is meant.
#[derive(Args, Clone, Debug)]
pub(crate) struct Reach {
    /// The village's data folder; $VILLAGE_DATA, or the user's own, unless it is said
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Where it listens, such as http://127.0.0.1:7420; what it wrote into its data folder, unless it is said
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
}

#[derive(Args)]
#[command(after_help = help::UP)]
pub(crate) struct Up {
    /// The settings; village.toml in this folder, if there is one
    #[arg(long, value_name = "village.toml")]
    pub(crate) config: Option<PathBuf>,
    /// Where it keeps what must last
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Where it listens: a port of this machine, or ADDRESS:PORT; 127.0.0.1:7420, unless it is said
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<String>,
    /// Listen also where others can reach it. What is sent is not encrypted
    #[arg(long)]
    pub(crate) open: bool,
    /// How long turns may take to end when it stops; 30s, unless it is said
    #[arg(long, value_name = "TIME")]
    pub(crate) stop_within: Option<String>,
}

#[derive(Args)]
#[command(after_help = help::DEPLOY)]
pub(crate) struct Deploy {
    /// A component, an agent.toml, a folder with one, or the name of an agent inside the program
    pub(crate) file: PathBuf,
    /// What it is called; as its manifest says, unless it is said
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// What it may use, over its manifest
    #[arg(long, value_name = "FIELD=VALUE,…")]
    pub(crate) budget: Vec<String>,
    /// What it may reach, beside its manifest
    #[arg(long, value_name = "GRANT")]
    pub(crate) grant: Vec<String>,
    /// Take budget and grants from this agent.toml
    #[arg(long, value_name = "agent.toml")]
    pub(crate) manifest: Option<PathBuf>,
    /// The group of village.toml that it shares a budget with
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Option<String>,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

#[derive(Args)]
#[command(after_help = help::PS)]
pub(crate) struct Ps {
    /// Only this agent, with every field of its budget and what it may reach
    pub(crate) agent: Option<String>,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

#[derive(Args)]
pub(crate) struct Top {
    /// How often it is drawn anew
    #[arg(long, value_name = "TIME", default_value = "1s")]
    pub(crate) every: String,
    /// How often in all; without end on a terminal, and once elsewhere
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

#[derive(Args)]
#[command(after_help = help::LOGS)]
pub(crate) struct Logs {
    /// The agent
    pub(crate) agent: String,
    /// Go on with what it logs, until Ctrl-C
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// How many lines of what it logged before
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) lines: usize,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

#[derive(Args)]
pub(crate) struct Events {
    /// Begin after this event; with what comes next, unless it is said
    #[arg(long, value_name = "N")]
    pub(crate) since: Option<u64>,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Urgency {
    Low,
    Normal,
    High,
    Urgent,
}

#[derive(Args)]
#[command(after_help = help::SEND)]
pub(crate) struct Send {
    /// The agent
    pub(crate) agent: String,
    /// The skill that it is asked for
    #[arg(long, value_name = "NAME")]
    pub(crate) skill: Option<String>,
    /// What it is given: TEXT as it is, @FILE for what is in a file, - for the standard input
    #[arg(long, value_name = "TEXT|@FILE|-", allow_negative_numbers = true)]
    pub(crate) input: Option<String>,
    /// Who sends it, as the agent is told
    #[arg(long, value_name = "NAME")]
    pub(crate) from: Option<String>,
    /// Which messages go first
    #[arg(long, value_enum, default_value_t = Urgency::Normal)]
    pub(crate) priority: Urgency,
    /// Keep nothing of it: it is handled at most once, and sooner
    #[arg(long)]
    pub(crate) fast: bool,
    /// Sent again with the same key it is not handled again: it gets the first one's answer
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// Don't wait for the answer
    #[arg(long, conflicts_with = "stream")]
    pub(crate) no_wait: bool,
    /// Write the parts of the answer as they come; the answer at the end says whether they stand
    #[arg(long)]
    pub(crate) stream: bool,
    /// How long to wait for the answer
    #[arg(long, value_name = "TIME", default_value = "60s")]
    pub(crate) timeout: String,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

#[derive(Args)]
pub(crate) struct Named {
    /// The agents
    #[arg(required = true, value_name = "AGENT")]
    pub(crate) agents: Vec<String>,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

#[derive(Args)]
#[command(after_help = help::BUDGET)]
pub(crate) struct Budget {
    /// The agent, or with --group the group
    #[arg(value_name = "AGENT")]
    pub(crate) name: String,
    /// Fields with their new limits, such as cpu=10%; without any the budget is shown
    #[arg(value_name = "FIELD=VALUE")]
    pub(crate) fields: Vec<String>,
    /// It is a group of village.toml
    #[arg(long)]
    pub(crate) group: bool,
    #[command(flatten)]
    pub(crate) reach: Reach,
}
