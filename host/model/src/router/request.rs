//! What the router is asked, what it answers, and what it counts.

use super::Policy;
use crate::pattern::Grant;
use crate::prompt::{Completion, Prompt};
use std::time::Duration;
use tokio::time::Instant;

/// What an agent asks for, and what it may have.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Who asks.
    pub agent: &'a str,
    /// What.
    pub prompt: &'a Prompt,
    /// The models that it may use.
    pub grant: &'a Grant,
    /// How one is chosen; otherwise as it is configured.
    pub policy: Option<Policy>,
    /// When the answer must be there.
    pub until: Instant,
    /// What it may use.
    pub allowance: Allowance,
}

/// Tokens that may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// So many, read and written together.
    pub tokens: u64,
    /// When there are more.
    pub retry_after: Option<Duration>,
}

/// An answer, and what it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The answer.
    pub completion: Completion,
    /// Whether it was given before: nothing was used for it now.
    pub cached: bool,
    /// What it cost, in billionths.
    pub cost: u64,
    /// Calls that were made for it.
    pub calls: u32,
}

/// What was counted of one model at one back end.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// The back end.
    pub backend: String,
    /// As agents call it.
    pub model: String,
    /// Calls, and how many of them failed.
    pub calls: u64,
    /// Those that failed.
    pub failures: u64,
    /// Tokens read.
    pub tokens_in: u64,
    /// Tokens written.
    pub tokens_out: u64,
    /// What they cost, in billionths.
    pub cost: u64,
    /// Until the first token: the median, and all but five of a hundred. None before the first answer.
    pub first: Option<(Duration, Duration)>,
    /// Whether it failed, and rests.
    pub rests: bool,
}

/// What was counted of all calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Answers given again.
    pub cached: u64,
    /// Bytes of answers that are kept.
    pub held: u64,
    /// Second calls that were made because the first was slow.
    pub hedged: u64,
    /// Calls that somebody else took over.
    pub failovers: u64,
    /// Shadow calls that were answered, and how many of those said the same.
    pub shadows: u64,
    /// Those that said the same.
    pub agreed: u64,
}
