//! Messages that their senders know by a key, or number one after the other: what is kept of them, so that one that is sent
//! again, also after a restart, is known to have been there.

use crate::agent::Error;
use crate::books::Books;
use crate::settle::millis;
use runtime::{Failure, FailureKind, Reply};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use store::{Change, Table};

/// A message with a key, by its receiver and the key.
pub const KEYS: Table<(String, String), Keyed> = Table::new("keys");

/// What came of it, by the same.
pub const ANSWERS: Table<(String, String), Answered> = Table::new("key-answers");

/// The last number of a sender that counts its messages, by the receiver and the sender.
pub const SEQUENCES: Table<(String, String), Counted> = Table::new("sequences");

/// A message with a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keyed {
    /// Of all that it says: another one of the same key is not the same message.
    pub said: [u8; 32],
    /// What it is known by.
    pub id: String,
    /// What it waits under.
    pub number: u64,
    /// When it was accepted, in Unix milliseconds.
    pub when: u64,
    /// Bytes of what came of it, once that is known.
    pub bytes: Option<u64>,
}

/// What came of a message with a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answered {
    /// A reply.
    Reply {
        /// What its body is.
        content_type: String,
        /// The body.
        #[serde(with = "crate::mail::raw")]
        body: Vec<u8>,
    },
    /// The agent said no.
    Failed {
        /// The word for why, and the same for people.
        kind: String,
        /// See above.
        message: String,
        /// More.
        details: String,
    },
    /// The turn broke, at its last try.
    Broke {
        /// The word for why.
        kind: String,
        /// The same for people.
        reason: String,
    },
}

/// The last number of a sender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// It.
    pub last: u64,
    /// The message that had it.
    pub id: String,
    /// When it was accepted, in Unix milliseconds.
    pub when: u64,
}

/// Messages with keys whose end is still to come, by what they wait under.
pub(crate) type Open = HashMap<u64, (String, String, Keyed)>;

impl Books {
    /// Adds to the change that accepts a message that it has a key.
    pub fn keyed(&self, agent: &str, key: &str, keyed: Keyed, change: &mut Change) {
        // Two with one key at once: the second one is not accepted.
        change.guard(&KEYS, (agent, key), None).put(&KEYS, (agent, key), &keyed);
        self.open_keys().lock().insert(keyed.number, (agent.into(), key.into(), keyed));
    }

    /// Nothing came of the change that accepts a message.
    pub fn unkeyed(&self, number: u64) {
        self.open_keys().lock().remove(&number);
    }

    /// Adds to the change that ends a message what came of it, if it has a key.
    pub(crate) fn ended(&self, number: u64, outcome: Result<&Reply, &Error>, change: &mut Change) {
        let open = self.open_keys().lock();
        let Some((agent, key, keyed)) = open.get(&number) else { return };
        let answer = Answered::of(outcome);
        let bytes = Some(answer.bytes());
        change.put(&KEYS, (agent, key), &Keyed { bytes, ..keyed.clone() });
        change.put(&ANSWERS, (agent, key), &answer);
    }

    /// Finds those whose end is still to come.
    pub(crate) fn find_open(store: &store::Store) -> Result<Open, store::Error> {
        let all = store.read().scan(KEYS.all(), None, usize::MAX)?;
        let open = all.into_iter().filter(|(_, keyed)| keyed.bytes.is_none());
        Ok(open.map(|((agent, key), keyed)| (keyed.number, (agent, key, keyed))).collect())
    }

    /// Adds to a change that what is older than so many milliseconds is not known any more; and of what is left, that no
    /// more than `most` messages are, and no more than `bytes` of what came of them. Answers how many it lets go.
    pub fn forget_keys(&self, age: u64, most: usize, bytes: u64, change: &mut Change) -> Result<usize, store::Error> {
        let read = self.store().read();
        let mut all = read.scan(KEYS.all(), None, usize::MAX)?;
        all.sort_by_key(|(_, keyed)| keyed.when);
        let (old, mut left) = (millis().saturating_sub(age), all.len());
        let mut sum: u64 = all.iter().filter_map(|(_, keyed)| keyed.bytes).sum();
        let mut gone = 0;
        for ((agent, key), keyed) in &all {
            if keyed.when >= old && left <= most && sum <= bytes {
                break;
            }
            change.delete(&KEYS, (agent, key)).delete(&ANSWERS, (agent, key));
            (left, sum) = (left - 1, sum.saturating_sub(keyed.bytes.unwrap_or(0)));
            self.open_keys().lock().remove(&keyed.number);
            gone += 1;
        }
        Ok(gone)
    }

    /// The same for the numbers of senders.
    pub fn forget_sequences(&self, age: u64, most: usize, change: &mut Change) -> Result<usize, store::Error> {
        let mut all = self.store().read().scan(SEQUENCES.all(), None, usize::MAX)?;
        all.sort_by_key(|(_, counted)| counted.when);
        let (old, excess) = (millis().saturating_sub(age), all.len().saturating_sub(most));
        let mut gone = 0;
        for (at, ((agent, sender), counted)) in all.iter().enumerate() {
            if at >= excess && counted.when >= old {
                break;
            }
            change.delete(&SEQUENCES, (agent, sender));
            gone += 1;
        }
        Ok(gone)
    }
}

impl Answered {
    fn of(outcome: Result<&Reply, &Error>) -> Answered {
        match outcome {
            Ok(reply) => {
                Answered::Reply { content_type: reply.payload.content_type.clone(), body: reply.payload.body.clone() }
            }
            Err(Error::Failed(failure)) => Answered::Failed {
                kind: Error::Failed(failure.clone()).kind().into(),
                message: failure.message.clone(),
                details: failure.details.clone(),
            },
            Err(error) => Answered::Broke { kind: error.kind().into(), reason: crate::event::reason(error) },
        }
    }

    /// What it counts as.
    fn bytes(&self) -> u64 {
        let size = match self {
            Answered::Reply { content_type, body } => content_type.len() + body.len(),
            Answered::Failed { kind, message, details } => kind.len() + message.len() + details.len(),
            Answered::Broke { kind, reason } => kind.len() + reason.len(),
        };
        size as u64 + 256
    }

    /// The same as an answer: a reply, or why there is none. Of a turn that broke only the words are left.
    pub fn outcome(self) -> Result<Reply, Failure> {
        let internal = |message| Failure { kind: FailureKind::Internal, message, details: String::new() };
        match self {
            Answered::Reply { content_type, body } => Ok(Reply { payload: runtime::Payload { content_type, body } }),
            Answered::Failed { kind, message, details } => {
                let kind = match kind.as_str() {
                    "invalid" => FailureKind::Invalid,
                    "unsupported" => FailureKind::Unsupported,
                    "refused" => FailureKind::Refused,
                    "temporary" => FailureKind::Temporary,
                    _ => FailureKind::Internal,
                };
                Err(Failure { kind, message, details })
            }
            Answered::Broke { kind, reason } => Err(internal(format!("its last try broke ({kind}): {reason}"))),
        }
    }
}
