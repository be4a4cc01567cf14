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
    /// Meet other villages, listening at ADDR: a port of this machine, or ADDRESS:PORT; 0.0.0.0:7421, unless it is said
    #[arg(long, value_name = "ADDR", num_args = 0..=1)]
    pub(crate) mesh: Option<Option<String>>,
    /// How long turns may take to end when it stops; 30s, unless it is said
    #[arg(long, value_name = "TIME")]
    pub(crate) stop_within: Option<String>,
}

#[derive(Args)]
#[command(after_help = help::DEPLOY)]
pub(crate) struct Deploy {
    /// A component, an agent.toml, a folder with one, the name of an agent inside the program, a digest, or NAME@PEER for an
    /// agent of another village
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
    /// The agent; NAME@VILLAGE for one of another village, skill:NAME for whoever has a skill
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
    /// The sender's own number of this message: one that is not above its last is not handled; needs --from
    #[arg(long, value_name = "N", requires = "from", conflicts_with_all = ["fast", "stream"])]
    pub(crate) sequence: Option<u64>,
    /// The agent has it after so long, such as 10s, also if the village ends meanwhile; its id is shown at once
    #[arg(long, value_name = "TIME", conflicts_with_all = ["fast", "stream"])]
    pub(crate) after: Option<String>,
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

#[derive(Args)]
#[command(after_help = help::AUDIT)]
pub(crate) struct Audit {
    /// Only what this agent did, and what was done to it
    #[arg(long, value_name = "NAME")]
    pub(crate) agent: Option<String>,
    /// Entries after this number; the last ones, unless it is said
    #[arg(long, value_name = "N")]
    pub(crate) after: Option<u64>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) limit: usize,
    /// Walk the chain of hashes over all entries, and say whether it is whole
    #[arg(long, conflicts_with_all = ["agent", "after"])]
    pub(crate) verify: bool,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

#[derive(Args)]
#[command(after_help = help::DEAD_LETTERS)]
pub(crate) struct DeadLetters {
    /// Whose; everybody's, unless it is said
    pub(crate) agent: Option<String>,
    /// Put this one back into its mailbox; `all` for each
    #[arg(long, value_name = "ID", conflicts_with = "drop")]
    pub(crate) again: Option<String>,
    /// Throw this one away; `all` for each
    #[arg(long, value_name = "ID")]
    pub(crate) drop: Option<String>,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

#[derive(Args)]
#[command(after_help = help::BACKUP)]
pub(crate) struct Backup {
    /// A folder of the village's machine that is empty or not there
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

#[derive(Args)]
#[command(after_help = help::BACKUP)]
pub(crate) struct Restore {
    /// The backup
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// The data folder that it becomes; there must be nothing kept in it yet
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MemoryWish {
    /// The new version restores it, or there is no swap
    Carried,
    /// The new version restores it, or begins without
    CarriedOrCold,
    /// The new version begins without
    Cold,
}

#[derive(Args)]
#[command(after_help = help::SWAP)]
pub(crate) struct Swap {
    /// The agent
    pub(crate) agent: String,
    /// The new version: a component, an agent.toml, a folder with one, or the name of an agent inside the program
    #[arg(required_unless_present = "cancel")]
    pub(crate) file: Option<PathBuf>,
    /// So many messages it handles too, without effect, before it is trusted with any
    #[arg(long, value_name = "N")]
    pub(crate) shadow: Option<u32>,
    /// The part of senders whose messages it handles alone then, such as 10%
    #[arg(long, value_name = "PART")]
    pub(crate) canary: Option<String>,
    /// So many messages the canary is judged by; 1000, unless it is said
    #[arg(long = "for", value_name = "N")]
    pub(crate) window: Option<u32>,
    /// The part of messages that may go without a reply; 1%, unless it is said
    #[arg(long, value_name = "PART")]
    pub(crate) max_failures: Option<String>,
    /// What 99 of 100 turns may take
    #[arg(long, value_name = "TIME")]
    pub(crate) max_p99: Option<String>,
    /// Shadow and canary are over within this, or undone; an hour, unless it is said
    #[arg(long, value_name = "TIME")]
    pub(crate) within: Option<String>,
    /// What becomes of what the agent has in memory
    #[arg(long, value_enum)]
    pub(crate) memory: Option<MemoryWish>,
    /// It may lack a skill that the old one has
    #[arg(long)]
    pub(crate) fewer_skills: bool,
    /// Call off the swap that is under way
    #[arg(long, conflicts_with = "file")]
    pub(crate) cancel: bool,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

#[derive(Args)]
pub(crate) struct Rollback {
    /// The agent
    pub(crate) agent: String,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

#[derive(Args)]
pub(crate) struct Versions {
    /// The agent
    pub(crate) agent: String,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

#[derive(Args)]
#[command(after_help = help::DEV)]
pub(crate) struct Dev {
    /// A folder with an agent.toml, or one below it
    #[arg(value_name = "DIR", default_value = ".")]
    pub(crate) folder: PathBuf,
    /// Ask for this skill after each build
    #[arg(long, value_name = "NAME")]
    pub(crate) skill: Option<String>,
    /// With this: TEXT as it is, @FILE for what is in a file
    #[arg(long, value_name = "TEXT|@FILE", allow_negative_numbers = true)]
    pub(crate) input: Option<String>,
}
