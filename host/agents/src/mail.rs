//! Messages as they are kept: those that wait, those that are sent later, those that were given up, and the replies that
//! were given to a turn under way.

use runtime::{Message, Payload, Priority, Reply, Sender};
use serde::{Deserialize, Serialize};
use store::Table;

/// A message that waits, by its receiver and its number. Numbers only grow.
pub const MAIL: Table<(String, u64), Mail> = Table::new("mail");

/// A message that is sent later, by its sender and its number.
pub const TIMERS: Table<(String, u64), Timer> = Table::new("timers");

/// A message that was given up, by its receiver and its number.
pub const DEAD: Table<(String, u64), Dead> = Table::new("dead");

/// What a turn was answered to an ask, by the id of the asking message. They go when the turn that asked is done.
pub const REPLIES: Table<String, Recorded> = Table::new("replies");

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// The same each time it is tried.
    pub id: String,
    /// Who sent it.
    pub from: From,
    /// The skill that it asks for.
    pub skill: String,
    /// What its body is.
    pub content_type: String,
    /// The payload.
    #[serde(with = "raw")]
    pub body: Vec<u8>,
    /// From 0, the least urgent, to 3.
    pub priority: u8,
    /// Which try is next, from 1.
    pub attempt: u32,
    /// Unix milliseconds.
    pub accepted: u64,
    /// Unix milliseconds before which it is not tried.
    pub due: u64,
}

/// Who sent a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum From {
    /// Someone outside.
    Client(String),
    /// An agent.
    Agent(String),
    /// A timer of the receiver's own.
    Timer(String),
    /// A published message.
    Topic(String),
}

/// A message that is sent later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timer {
    /// Unix milliseconds.
    pub due: u64,
    /// To whom.
    pub to: String,
    /// What.
    pub mail: Mail,
}

/// A message that was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dead {
    /// It.
    pub mail: Mail,
    /// Unix milliseconds at which it was given up.
    pub when: u64,
    /// The word for why the last try failed.
    pub kind: String,
    /// Why it failed.
    pub reason: String,
}

/// What a turn was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// Of receiver, skill and payload: another question has another answer.
    pub question: [u8; 32],
    /// What the reply's body is.
    pub content_type: String,
    /// The reply.
    #[serde(with = "raw")]
    pub body: Vec<u8>,
    /// Unix milliseconds.
    pub when: u64,
}

impl Mail {
    /// A message, to be kept.
    pub fn of(message: &Message) -> Mail {
        Mail {
            id: message.id.clone(),
            from: From::of(&message.sender),
            skill: message.skill.clone(),
            content_type: message.payload.content_type.clone(),
            body: message.payload.body.clone(),
            priority: match message.priority {
                Priority::Low => 0,
                Priority::Normal => 1,
                Priority::High => 2,
                Priority::Urgent => 3,
            },
            attempt: message.attempt,
            accepted: message.accepted,
            due: 0,
        }
    }

    /// The message that was kept.
    pub fn message(self) -> Message {
        Message {
            id: self.id,
            sender: self.from.sender(),
            skill: self.skill,
            payload: Payload { content_type: self.content_type, body: self.body },
            priority: match self.priority {
                0 => Priority::Low,
                1 => Priority::Normal,
                2 => Priority::High,
                _ => Priority::Urgent,
            },
            attempt: self.attempt,
            accepted: self.accepted,
        }
    }
}

impl From {
    /// Whoever it is, to be kept.
    pub fn of(sender: &Sender) -> From {
        match sender {
            Sender::Client(name) => From::Client(name.clone()),
            Sender::Agent(name) => From::Agent(name.clone()),
            Sender::Timer(name) => From::Timer(name.clone()),
            Sender::Topic(name) => From::Topic(name.clone()),
        }
    }

    fn sender(self) -> Sender {
        match self {
            From::Client(name) => Sender::Client(name),
            From::Agent(name) => Sender::Agent(name),
            From::Timer(name) => Sender::Timer(name),
            From::Topic(name) => Sender::Topic(name),
        }
    }
}

impl std::fmt::Display for From {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            From::Client(name) if name.is_empty() => f.write_str("client"),
            From::Client(name) => write!(f, "client:{name}"),
            From::Agent(name) => write!(f, "agent:{name}"),
            From::Timer(_) => f.write_str("timer"),
            From::Topic(name) => write!(f, "topic:{name}"),
        }
    }
}

impl Recorded {
    /// The reply to `question`, if this is one.
    pub(crate) fn reply(self, question: &[u8; 32]) -> Option<Reply> {
        let payload = Payload { content_type: self.content_type, body: self.body };
        (self.question == *question).then_some(Reply { payload })
    }
}

/// Bytes as one piece; a list would be written number by number.
pub mod raw {
    use serde::de::{Error, Visitor};
    use serde::{Deserializer, Serializer};
    use std::fmt;

    /// Writes them.
    pub fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    /// Reads them.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        struct Bytes;

        impl Visitor<'_> for Bytes {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }

            fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
                Ok(bytes)
            }
        }

        from.deserialize_byte_buf(Bytes)
    }
}
