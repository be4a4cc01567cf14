//! The commands by which villages decide together.

use super::running::Reach;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct Propose {
    /// What is to be decided: its first line is what it is about; - for the standard input
    pub(crate) text: String,
    /// Who votes, by ids or how they begin, with commas between them; all that are known, unless it is said
    #[arg(long, value_name = "PEERS", value_delimiter = ',')]
    pub(crate) electorate: Vec<String>,
    /// The part of them that has to say yes: above 0.5, at most 1
    #[arg(long, value_name = "PART", default_value_t = 0.8)]
    pub(crate) threshold: f64,
    /// How long voting lasts: 30 days at most
    #[arg(long = "for", value_name = "TIME", default_value = "1h")]
    pub(crate) life: String,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Choice {
    Yes,
    No,
}

#[derive(Args)]
pub(crate) struct Vote {
    /// The proposal, as `village mesh votes` shows it, or how that begins
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(crate) id: String,
    /// What this village says
    pub(crate) choice: Choice,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

#[derive(Args)]
pub(crate) struct Votes {
    /// One of them, with all that is known of it
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(crate) id: Option<String>,
    /// Show nothing but the proof that it was accepted, to be kept in a file
    #[arg(long, requires = "id", conflicts_with = "lies")]
    pub(crate) certificate: bool,
    /// Show nothing but the proofs that somebody has voted both ways, each on a line
    #[arg(long, requires = "id")]
    pub(crate) lies: bool,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

#[derive(Args)]
pub(crate) struct Verify {
    /// The file with the proof; - for the standard input
    pub(crate) file: PathBuf,
    /// The village that has to have decided: the whole id of its founder
    #[arg(long, value_name = "PEER")]
    pub(crate) founder: Option<String>,
    /// Those who had to vote, by their whole ids, with commas between them
    #[arg(long, value_name = "PEERS", value_delimiter = ',')]
    pub(crate) electorate: Vec<String>,
    /// The part of them that had to say yes, at least
    #[arg(long, value_name = "PART")]
    pub(crate) threshold: Option<f64>,
    /// A file with proofs of votes both ways, which count for nothing: each on a line
    #[arg(long, value_name = "FILE")]
    pub(crate) lies: Option<PathBuf>,
}
