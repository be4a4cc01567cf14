//! How a model is chosen, and what models cost.

use crate::pattern::Pattern;
use base::{Part, Size};
use std::fmt;
use std::str::FromStr;

/// What a model is chosen by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// The cheapest of those that do about as well as the best.
    Cost,
    /// The fastest of those that do about as well as the best.
    Speed,
    /// Nothing leaves this machine, as if every prompt were private.
    Privacy,
    /// The one that does best.
    Quality,
    /// Cheap and fast, of those that do as well as the best.
    #[default]
    Balanced,
}

impl FromStr for Policy {
    type Err = String;

    fn from_str(text: &str) -> Result<Policy, String> {
        Ok(match text {
            "cost" => Policy::Cost,
            "speed" => Policy::Speed,
            "privacy" => Policy::Privacy,
            "quality" => Policy::Quality,
            "balanced" => Policy::Balanced,
            other => return Err(format!("there is no policy `{other}`: cost, speed, privacy, quality, balanced")),
        })
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Policy::Cost => "cost",
            Policy::Speed => "speed",
            Policy::Privacy => "privacy",
            Policy::Quality => "quality",
            Policy::Balanced => "balanced",
        })
    }
}

/// What a token costs, in billionths of whatever is paid with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Price {
    /// One that is read.
    pub read: u64,
    /// One that is written.
    pub write: u64,
}

/// What the models of a back end cost and are worth, by patterns of their names, the nearest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Terms {
    /// Prices.
    pub prices: Vec<(String, Price)>,
    /// How often they are thought to do, of a hundred, before any agent has said a word.
    pub quality: Vec<(String, u32)>,
}

impl Terms {
    /// What a model costs, if that is said.
    pub fn price(&self, model: &str) -> Option<Price> {
        find(&self.prices, model)
    }

    /// How often a model is thought to do, if that is said.
    pub fn quality(&self, model: &str) -> Option<u32> {
        find(&self.quality, model)
    }
}

fn find<T: Copy>(all: &[(String, T)], model: &str) -> Option<T> {
    all.iter().find(|(pattern, _)| super::matches(pattern, model)).map(|(_, found)| *found)
}

/// How one is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routing {
    /// By what, where the request does not say.
    pub policy: Policy,
    /// Bytes of answers that are kept to be given again. None are if it is nothing.
    pub cache: Size,
    /// Whether a second model is asked when the first is slow.
    pub hedge: bool,
    /// Models that answer now and then what was answered already.
    pub shadow: Option<Pattern>,
    /// How often.
    pub shadow_part: Part,
}

impl Default for Routing {
    fn default() -> Routing {
        let (cache, shadow_part) = (Size::mib(16), Part::percent(5));
        Routing { policy: Policy::Balanced, cache, hedge: true, shadow: None, shadow_part }
    }
}
