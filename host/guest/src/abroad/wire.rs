//! What villages say to each other of their agents' messages. The first byte is the version of what follows.

use agents::{From, raw};
use runtime::{Failure, FailureKind, Message, Payload, Priority, Sender};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

const VERSION: u8 = 1;

/// Where a village is told what it need not know any more. No agent has such a name.
pub(crate) const SETTLED: &str = "village:settled";

/// Where it is told parts of a reply that is on its way, and of a ring of asks.
pub(crate) const PARTS: &str = "village:parts";
pub(crate) const RINGED: &str = "village:ring";

/// The addresses of a host itself, beside those of its agents.
pub const ADDRESSES: [&str; 3] = [SETTLED, PARTS, RINGED];

/// The most bytes of what one message says, with something for all around it.
pub(crate) const LARGEST: usize = mesh::BODY_LIMIT - (16 << 10);

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Parcel {
    /// Messages of one sender for one agent, in order. Each is answered by a [`Verdict`].
    Told {
        /// Of the store that the numbers are of: another one may give the same.
        salt: u64,
        told: Vec<Tell>,
    },
    Question(Question),
    Settled(Settled),
    /// What all who follow a topic hear.
    Published {
        salt: u64,
        number: Option<u64>,
        content_type: String,
        #[serde(with = "raw")]
        body: Vec<u8>,
    },
    Asking(Asking),
    Parts(Parts),
    /// Agents by their addresses, each waiting for the next one and the last for the first.
    Ringed(Vec<String>),
}

/// A question, and more of its asker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asking {
    pub(crate) question: Question,
    /// Agents by their addresses, each waiting for the next one and the last for the answer.
    pub(crate) chain: Vec<String>,
    /// Whether somebody hears parts of the reply.
    pub(crate) hears: bool,
}

/// Provisional parts of a reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Parts {
    /// The question.
    pub(crate) id: String,
    /// The number of the first of them; the reply's first part has 0.
    pub(crate) first: u64,
    pub(crate) parts: Vec<Vec<u8>>,
}

/// A message that was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tell {
    /// What it is known by; none if it is sent once at most.
    pub(crate) number: Option<u64>,
    /// Until when it may come again, in Unix milliseconds.
    pub(crate) until: u64,
    pub(crate) letter: Letter,
}

/// A message whose sender waits for the reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Question {
    /// The same each time it is asked.
    pub(crate) id: String,
    /// Whether the reply is kept, as it may be asked again.
    pub(crate) kept: bool,
    pub(crate) letter: Letter,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Letter {
    pub(crate) from: From,
    pub(crate) skill: String,
    pub(crate) content_type: String,
    #[serde(with = "raw")]
    pub(crate) body: Vec<u8>,
    pub(crate) priority: u8,
}

/// What will not be sent or asked again: messages by their numbers, questions by their ids.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settled {
    pub(crate) salt: u64,
    pub(crate) numbers: Vec<u64>,
    pub(crate) asks: Vec<String>,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Word {
    /// For each message, in order; those that are missing were not looked at.
    Told(Vec<Verdict>),
    Reply {
        content_type: String,
        #[serde(with = "raw")]
        body: Vec<u8>,
    },
    No(No),
    Done,
}

/// What becomes of a message that was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Verdict {
    /// It is kept here.
    Kept,
    /// It may be kept after so many milliseconds.
    Later(u32),
    /// It will not be.
    Refused { kind: String, reason: String },
}

/// Why there is no reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum No {
    /// It was not handled.
    NotFound(String),
    Denied(String),
    Limit(String, Option<u64>),
    /// It was, or may have been.
    Failed {
        kind: u8,
        message: String,
        details: String,
    },
    Broke(String),
    Unavailable(String),
}

impl No {
    /// Whether it is certain that nothing was handled.
    pub(crate) fn is_untouched(&self) -> bool {
        matches!(self, No::NotFound(_) | No::Denied(_) | No::Limit(..))
    }
}

pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    // Of plain data, so it can be written.
    postcard::to_extend(value, vec![VERSION]).unwrap_or_default()
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, &'static str> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => postcard::from_bytes(rest).map_err(|_| "it can't be read"),
        Some(_) => Err("it is of a version that is not known here"),
        None => Err("it is empty"),
    }
}

impl Letter {
    pub(crate) fn of(message: &Message) -> Letter {
        let agents::Mail { from, skill, content_type, body, priority, .. } = agents::Mail::of(message);
        Letter { from, skill, content_type, body, priority }
    }

    /// As the receiver is shown it: its sender is of another village. None if no agent and no client says so.
    pub(crate) fn message(self, id: String, peer: &mesh::PeerId, accepted: u64) -> Option<Message> {
        let named = |name: &str| !name.is_empty() && name.len() <= 256 && !name.contains(['@', '>', '\0']);
        let sender = match self.from {
            From::Agent(name) if named(&name) => Sender::Agent(format!("{name}@{peer}")),
            From::Client(name) if name.is_empty() => Sender::Client(peer.to_string()),
            From::Client(name) if named(&name) => Sender::Client(format!("{name}@{peer}")),
            _ => return None,
        };
        let priority = match self.priority {
            0 => Priority::Low,
            1 => Priority::Normal,
            2 => Priority::High,
            _ => Priority::Urgent,
        };
        let payload = Payload { content_type: self.content_type, body: self.body };
        Some(Message { id, sender, skill: self.skill, payload, priority, attempt: 1, accepted })
    }

    pub(crate) fn size(&self) -> usize {
        OVERHEAD + self.skill.len() + self.content_type.len() + self.body.len()
    }
}

/// What a message counts as beside what it says.
pub(crate) const OVERHEAD: usize = 256;

/// What a message counts as that goes to another village.
pub(crate) fn size(message: &Message) -> usize {
    OVERHEAD + message.skill.len() + message.payload.content_type.len() + message.payload.body.len()
}

pub(crate) fn failure_number(kind: FailureKind) -> u8 {
    match kind {
        FailureKind::Invalid => 0,
        FailureKind::Unsupported => 1,
        FailureKind::Refused => 2,
        FailureKind::Temporary => 3,
        FailureKind::Internal => 4,
    }
}

pub(crate) fn failure(kind: u8, message: String, details: String) -> Failure {
    let kind = match kind {
        0 => FailureKind::Invalid,
        1 => FailureKind::Unsupported,
        2 => FailureKind::Refused,
        3 => FailureKind::Temporary,
        _ => FailureKind::Internal,
    };
    Failure { kind, message, details }
}

/// How the mesh calls a priority.
pub(crate) fn urgency(priority: Priority) -> mesh::Priority {
    match priority {
        Priority::Low => mesh::Priority::Low,
        Priority::Normal => mesh::Priority::Normal,
        Priority::High => mesh::Priority::High,
        Priority::Urgent => mesh::Priority::Urgent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(from: From) -> Letter {
        Letter { from, skill: "note".into(), content_type: "text/plain".into(), body: b"x".to_vec(), priority: 3 }
    }

    #[test]
    fn what_was_said_in_version_1_is_read_for_ever() {
        let told = Tell { number: Some(7), until: 9, letter: letter(From::Agent("ada".into())) };
        let parcel = Parcel::Told { salt: 5, told: vec![told] };
        let bytes = encode(&parcel);
        let golden: &[u8] = &[
            1, 0, 5, 1, 1, 7, 9, 1, 3, b'a', b'd', b'a', 4, b'n', b'o', b't', b'e', 10, b't', b'e', b'x', b't', b'/',
            b'p', b'l', b'a', b'i', b'n', 1, b'x', 3,
        ];
        assert_eq!(bytes, golden);
        assert_eq!(decode::<Parcel>(golden), Ok(parcel));
        let word = Word::Told(vec![Verdict::Kept, Verdict::Later(50)]);
        assert_eq!(encode(&word), [1, 0, 2, 0, 1, 50]);
        assert_eq!(decode::<Word>(&[1, 0, 2, 0, 1, 50]), Ok(word));
        assert_eq!(decode::<Word>(&[2, 0]), Err("it is of a version that is not known here"));
        assert!(decode::<Word>(&[1, 99]).is_err() && decode::<Word>(&[]).is_err());
    }

    #[test]
    fn what_was_asked_with_more_of_its_asker_is_read_for_ever() {
        let question = Question { id: "5.1".into(), kept: true, letter: letter(From::Agent("ada".into())) };
        let parcel = Parcel::Asking(Asking { question, chain: vec!["a@b".into()], hears: true });
        let golden: &[u8] = &[
            1, 4, 3, b'5', b'.', b'1', 1, 1, 3, b'a', b'd', b'a', 4, b'n', b'o', b't', b'e', 10, b't', b'e', b'x',
            b't', b'/', b'p', b'l', b'a', b'i', b'n', 1, b'x', 3, 1, 3, b'a', b'@', b'b', 1,
        ];
        assert_eq!(encode(&parcel), golden);
        assert_eq!(decode::<Parcel>(golden), Ok(parcel));
        let parts = Parcel::Parts(Parts { id: "5".into(), first: 2, parts: vec![vec![7, 8], Vec::new()] });
        assert_eq!(encode(&parts), [1, 5, 1, b'5', 2, 2, 2, 7, 8, 0]);
        assert_eq!(decode::<Parcel>(&encode(&parts)), Ok(parts));
        assert_eq!(encode(&Parcel::Ringed(vec!["a".into()])), [1, 6, 1, 1, b'a']);
    }

    #[test]
    fn nobody_of_another_village_passes_as_one_of_this() {
        let peer = mesh::PeerId::random();
        let sender = |from| letter(from).message(String::new(), &peer, 0).map(|message| From::of(&message.sender));
        assert_eq!(sender(From::Agent("ada".into())), Some(From::Agent(format!("ada@{peer}"))));
        assert_eq!(sender(From::Client(String::new())), Some(From::Client(peer.to_string())));
        for forged in [
            From::Agent(String::new()),
            From::Agent("ada@elsewhere".into()),
            From::Timer("supervision".into()),
            From::Timer(String::new()),
            From::Topic("prices".into()),
        ] {
            assert_eq!(sender(forged.clone()), None, "{forged:?}");
        }
    }
}
