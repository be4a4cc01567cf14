//! What is known of an agent, and of the village.

use crate::replicas::Scale;
use base::{Budget, Size};
use guest::Usage;
use serde::{Deserialize, Serialize};

/// What an agent is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is there, with its accounts.
    Awake,
    /// It is made when a message comes for it.
    Asleep,
    /// It takes no messages until it is started.
    Stopped,
    /// It could not be made the last time; a message tries again.
    Failed,
}

impl State {
    /// All there are.
    pub const ALL: [State; 4] = [State::Awake, State::Asleep, State::Stopped, State::Failed];

    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            State::Awake => "awake",
            State::Asleep => "asleep",
            State::Stopped => "stopped",
            State::Failed => "failed",
        }
    }
}

/// Whether an agent's turns go well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// The last turn did not break, or there was none.
    Well,
    /// The last turn broke.
    Broke,
    /// Three turns and more broke one after the other.
    Failing,
}

impl Health {
    /// After so many turns that broke one after the other.
    pub(crate) fn after(broke: u64) -> Health {
        match broke {
            0 => Health::Well,
            1 | 2 => Health::Broke,
            _ => Health::Failing,
        }
    }

    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Health::Well => "well",
            Health::Broke => "broke",
            Health::Failing => "failing",
        }
    }
}

/// One field of a budget, as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// The field.
    pub field: String,
    /// What is used of it now, as it would be written.
    pub used: String,
    /// Its limit, as it would be written.
    pub limit: String,
    /// The same as numbers, in the smallest unit: millionths of a core, microseconds, bytes, messages.
    pub used_units: u64,
    /// See above.
    pub limit_units: u64,
}

impl From<Usage> for Used {
    fn from(usage: Usage) -> Used {
        let Usage { field, used, limit, used_units, limit_units } = usage;
        Used { field: field.into(), used, limit, used_units, limit_units }
    }
}

/// A budget of which nothing is used but `stored` bytes of storage: that of an agent that isn't there.
pub(crate) fn unused(budget: &Budget, stored: u64) -> Vec<Used> {
    let micros = |span: std::time::Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    let fields = budget.fields().into_iter().map(|(field, limit)| {
        let (used, limit_units) = match field {
            "cpu" => ("0.0%", budget.cpu.millionths().into()),
            "gpu" => ("0.0%", budget.gpu.millionths().into()),
            "burst" => ("0ms", micros(budget.burst)),
            "deadline" => ("0ms", micros(budget.deadline)),
            "memory" => ("0B", budget.memory.get()),
            "storage" => ("0B", budget.storage.get()),
            "mailbox-bytes" => ("0B", budget.mailbox_bytes.get()),
            "log" => ("0B/s", budget.log.get()),
            "mesh" => ("0B/s", budget.mesh.get()),
            "mailbox" => ("0", budget.mailbox.into()),
            "children" => ("0", budget.children.into()),
            "messages" => ("0/s", budget.messages.into()),
            "http" => ("0/s", budget.http.into()),
            "tokens" => ("0/min", budget.tokens.into()),
            field => unreachable!("`{field}` is one of the budget's fields"),
        };
        let (used, used_units) = match field {
            "storage" => (Size::bytes(stored).to_string(), stored),
            _ => (used.into(), 0),
        };
        Used { field: field.into(), used, limit, used_units, limit_units }
    });
    fields.collect()
}

/// What came of the messages that were sent to an agent from outside since the village is up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sends {
    /// Answered.
    pub answered: u64,
    /// The agent said no.
    pub failed: u64,
    /// The turn broke.
    pub broke: u64,
    /// Not accepted.
    pub refused: u64,
}

/// What is known of an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Details {
    /// Its name.
    pub name: String,
    /// What it is doing.
    pub state: State,
    /// Whether its turns go well.
    pub health: Health,
    /// How often a turn of its broke since it was made.
    pub faults: u64,
    /// For how many milliseconds it is still left alone, having broken too often; 0 if it isn't.
    pub left_alone_ms: u64,
    /// Its component.
    pub digest: String,
    /// The group that it shares a budget with.
    pub group: Option<String>,
    /// What it may reach.
    pub grants: Vec<String>,
    /// When it was deployed, in Unix milliseconds.
    pub deployed: u64,
    /// Messages that wait for it.
    pub queue: u64,
    /// What came of messages from outside.
    pub sends: Sends,
    /// CPU time that it used since it was made, in milliseconds.
    pub cpu_ms: f64,
    /// Time of the graphics processor.
    pub gpu_ms: f64,
    /// Every field of its budget, with what is used of it.
    pub budget: Vec<Used>,
    /// How its turns are tried, recorded and looked after: every field of `[turns]`.
    pub turns: Vec<(String, String)>,
    /// How many instances serve its mailbox.
    pub replicas: Scale,
    /// Why it could not be made, or why its last turn broke.
    pub problem: Option<String>,
}

/// A group, and what its agents use together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupFigures {
    /// Its name.
    pub name: String,
    /// The group that it is in.
    pub within: Option<String>,
    /// Agents that are deployed into it.
    pub agents: u64,
    /// What they may use of CPU together, and how far they may run ahead; and what of memory.
    pub limits: Vec<(String, String)>,
    /// CPU time that they used, in milliseconds.
    pub cpu_ms: f64,
    /// Bytes that they hold.
    pub memory: u64,
}

/// How swaps ended since the village is up, and for how long they kept messages waiting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swaps {
    /// The new version took over.
    pub live: u64,
    /// It did not fit.
    pub refused: u64,
    /// The old version went on, or took over again.
    pub back: u64,
    /// Microseconds, of the last one.
    pub last_pause_us: u64,
    /// Microseconds, the most.
    pub most_pause_us: u64,
}

impl Swaps {
    /// One has ended.
    pub(crate) fn ended(&mut self, step: &str, pause: Option<u64>) {
        match step {
            "live" => self.live += 1,
            "refused" => self.refused += 1,
            _ => self.back += 1,
        }
        if let Some(pause) = pause {
            self.last_pause_us = pause;
            self.most_pause_us = self.most_pause_us.max(pause);
        }
    }
}

/// Messages that were given up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dead {
    /// Those that are kept, for somebody to try them again or to throw them away.
    pub kept: u64,
    /// All since the village is up.
    pub given_up: u64,
}

/// What agents asked and told each other since the village is up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Talk {
    /// Questions that were handed over.
    pub asked: u64,
    /// Questions that were not accepted.
    pub asks_refused: u64,
    /// Messages that left when their turn ended well.
    pub told: u64,
    /// Messages that were not accepted.
    pub tells_refused: u64,
}

impl From<guest::Talk> for Talk {
    fn from(talk: guest::Talk) -> Talk {
        let guest::Talk { asked, asks_refused, told, tells_refused } = talk;
        Talk { asked, asks_refused, told, tells_refused }
    }
}

/// The village as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// The program's version.
    pub version: String,
    /// For how long it is up, in milliseconds.
    pub up_ms: u64,
    /// Whether it is stopping.
    pub stopping: bool,
    /// Agents by what they are doing.
    pub agents: Vec<(State, u64)>,
    /// Agents that may be awake at once.
    pub capacity: u64,
    /// Messages from outside that are being handled or wait.
    pub under_way: u64,
    /// What came of all messages from outside.
    pub sends: Sends,
    /// How swaps ended.
    pub swaps: Swaps,
    /// Entries of the journal that are not cut off.
    pub journal: u64,
    /// Messages that were given up.
    pub dead_letters: Dead,
    /// What agents asked and told each other.
    pub talk: Talk,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_there_with_its_limit() {
        let all = unused(&Budget::default(), 0);
        let names: Vec<_> = all.iter().map(|used| used.field.as_str()).collect();
        assert_eq!(names, base::BUDGET_FIELDS);
        assert!(all.iter().all(|used| used.used_units == 0 && (used.limit_units > 0 || used.field == "children")));
        let stored = unused(&Budget::default(), 2048);
        let storage = stored.iter().find(|used| used.field == "storage").expect("it is a field");
        assert_eq!((storage.used.as_str(), storage.used_units), ("2KiB", 2048));
    }

    #[test]
    fn health_is_of_the_last_turns() {
        let words = [0, 1, 2, 3, 9].map(|broke| Health::after(broke).word());
        assert_eq!(words, ["well", "broke", "broke", "failing", "failing"]);
    }
}
