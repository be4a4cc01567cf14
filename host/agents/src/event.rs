//! What the journal says: who did what, when, and what came of it.

use crate::agent::{Error, Receipt};
use crate::mail::{From, raw};
use runtime::Fault;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One entry of the journal. New kinds are added at the end: what was written stays readable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A message from outside was accepted.
    Accepted {
        /// The receiver.
        agent: String,
        /// The message.
        id: String,
        /// The sender.
        from: From,
        /// The skill that it asks for.
        skill: String,
        /// Bytes of its payload.
        bytes: u64,
    },
    /// A turn ended.
    Turn(Box<Entry>),
    /// What turns did that left nothing behind, together.
    Fast {
        /// Whose.
        agent: String,
        /// How many turns.
        turns: u64,
        /// How many of them failed.
        failed: u64,
        /// What they used together; of memory, the most at once.
        receipt: Used,
    },
    /// A message that was given up was put back into its mailbox, or thrown away.
    Dead {
        /// The receiver.
        agent: String,
        /// The message.
        id: String,
        /// Whether it is tried again.
        again: bool,
    },
    /// Something was done to an agent or to the whole village.
    Noted {
        /// What, in a word.
        what: String,
        /// To whom; empty if to the whole village.
        agent: String,
        /// Who did it.
        by: String,
        /// More, as JSON. Empty if there is nothing to add.
        details: String,
    },
}

/// A turn that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Whose.
    pub agent: String,
    /// The digest of the component that handled it.
    pub version: [u8; 32],
    /// The message.
    pub id: String,
    /// Its sender.
    pub from: From,
    /// The skill that it asked for.
    pub skill: String,
    /// Which try this was, from 1.
    pub attempt: u32,
    /// What came of it.
    pub outcome: Outcome,
    /// What it used.
    pub receipt: Used,
    /// What it did.
    pub did: Did,
    /// What it read, if that is kept.
    #[serde(with = "raw")]
    pub record: Vec<u8>,
}

/// What came of a turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It ended well, with a reply of so many bytes.
    Replied(u64),
    /// It failed.
    Failed {
        /// The word for why.
        kind: String,
        /// Why.
        reason: String,
        /// What becomes of the message.
        then: Then,
    },
}

/// What becomes of a message whose turn failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Then {
    /// It is tried again.
    Again,
    /// It was given up, and is among the dead letters.
    Dead,
    /// Whoever asked was told.
    Told,
}

/// What a turn did that lasts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Did {
    /// Keys of its state that it changed.
    pub wrote: u32,
    /// Messages that it told, by receiver and id.
    pub told: Vec<(String, String)>,
    /// Messages that it took back.
    pub recalled: u32,
    /// Agents that it created.
    pub born: Vec<String>,
    /// Agents that it let go.
    pub retired: Vec<String>,
    /// How many agents it asked.
    pub asked: u32,
}

impl Did {
    /// Whether nothing of it lasts.
    pub fn nothing(&self) -> bool {
        let Did { wrote, told, recalled, born, retired, asked: _ } = self;
        *wrote == 0 && told.is_empty() && *recalled == 0 && born.is_empty() && retired.is_empty()
    }
}

/// What turns used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// Microseconds.
    pub cpu: u64,
    /// Microseconds.
    pub gpu: u64,
    /// Microseconds.
    pub wall: u64,
    /// Bytes, the most at once.
    pub memory: u64,
}

impl Used {
    /// Counts one more turn.
    pub fn add(&mut self, receipt: &Receipt) {
        let Used { cpu, gpu, wall, memory } = Used::of(receipt);
        self.cpu += cpu;
        self.gpu += gpu;
        self.wall += wall;
        self.memory = self.memory.max(memory);
    }

    /// What one turn used.
    pub fn of(receipt: &Receipt) -> Used {
        let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let Receipt { cpu, gpu, wall, memory, tokens: _ } = receipt;
        Used { cpu: micros(*cpu), gpu: micros(*gpu), wall: micros(*wall), memory: *memory }
    }
}

/// The longest reason that is kept.
const REASON: usize = 1024;

impl Outcome {
    pub(crate) fn failed(error: &Error, then: Then) -> Outcome {
        Outcome::Failed { kind: error.kind().into(), reason: reason(error), then }
    }
}

/// Why a turn failed, at a length that can be kept.
pub(crate) fn reason(error: &Error) -> String {
    let mut reason = error.to_string();
    if let Some((cut, _)) = reason.char_indices().nth(REASON) {
        reason.truncate(cut);
    }
    reason
}

/// Whether trying again can't help.
pub(crate) fn is_final(error: &Error) -> bool {
    use runtime::FailureKind::{Internal, Invalid, Refused, Temporary, Unsupported};
    match error {
        Error::Failed(failure) => match failure.kind {
            Invalid | Unsupported | Refused => true,
            Temporary | Internal => false,
        },
        Error::Broke(Fault::Denied { .. }) => true,
        Error::Broke(_) | Error::NoRoom | Error::Store(_) => false,
    }
}
