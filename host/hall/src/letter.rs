//! A message from outside, and what came of it.

use base::Digest;
use guest::{Failed, Message, Payload, Priority, Receipt, Sender};

/// A message from outside.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Who sends it, as the agent is told. Empty if nobody was named.
    pub from: String,
    /// The skill that is asked for. Empty if none was named.
    pub skill: String,
    /// What it says.
    pub payload: Payload,
    /// Which messages go first.
    pub priority: Priority,
    /// Whether nothing of it is kept: it is handled at most once, and is lost if the village ends before that.
    pub fast: bool,
    /// A second message to the agent with the same key is not handled: it gets the first one's answer.
    pub key: Option<String>,
    /// The sender's own number of this message to the agent: one that is not above the last is not accepted.
    pub sequence: Option<u64>,
    /// When the agent is to have it, in Unix milliseconds: at once, unless it is said.
    pub due: Option<u64>,
}

impl Letter {
    /// For a skill, with what it is given.
    pub fn new(skill: impl Into<String>, payload: Payload) -> Letter {
        let (from, skill, priority) = (String::new(), skill.into(), Priority::Normal);
        Letter { from, skill, payload, priority, fast: false, key: None, sequence: None, due: None }
    }

    /// What must be the same for two messages to be one.
    pub(crate) fn digest(&self) -> Digest {
        let Letter { from, skill, payload, priority, fast: _, key: _, sequence: _, due } = self;
        let mut bytes = Vec::with_capacity(payload.body.len() + 64);
        for part in [from.as_bytes(), skill.as_bytes(), payload.content_type.as_bytes(), &payload.body] {
            bytes.extend((part.len() as u64).to_le_bytes());
            bytes.extend(part);
        }
        bytes.push(*priority as u8);
        if due.is_some() {
            // When it was to come is not said again to the millisecond.
            bytes.push(1);
        }
        Digest::of(&bytes)
    }

    pub(crate) fn message(self, id: String, accepted: u64) -> Message {
        let Letter { from, skill, payload, priority, fast: _, key: _, sequence: _, due: _ } = self;
        Message { id, sender: Sender::Client(from), skill, payload, priority, attempt: 1, accepted }
    }
}

/// What came of a message.
#[derive(Debug, Clone)]
pub struct Came {
    /// The message's id.
    pub id: String,
    /// The reply's payload, or why there is none.
    pub outcome: Result<Payload, Failed>,
    /// What the turn used.
    pub receipt: Receipt,
    /// Whether this is the answer to an earlier message of the same key.
    pub repeated: bool,
}
