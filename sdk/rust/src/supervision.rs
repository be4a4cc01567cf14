//! Being told when other agents break, and falling with them. Grant: `agents`, by name; helpers of this agent's own need none.
//!
//! Ties take effect when this turn commits, and last as the agent does. What becomes of an agent that is monitored arrives as a
//! message for the skill `down`, which [`Down::of`] reads.
//!
//! ```
//! use village::supervision::{self, Down, Reason};
//! use village::{Error, Failure, Message, agent, state};
//! # use village::{Payload, test};
//!
//! #[derive(Default)]
//! struct Watcher;
//!
//! #[agent(name = "watcher")]
//! impl Watcher {
//!     #[skill]
//!     fn watch(&mut self, address: String) -> Result<(), Failure> {
//!         Ok(supervision::monitor(&address)?)
//!     }
//!
//!     #[skill]
//!     fn down(&mut self, message: Message) -> Result<(), Failure> {
//!         let down = Down::of(&message).ok_or_else(|| Failure::refused("only the village says that"))?;
//!         if down.reason == Reason::Broke {
//!             state::set(&format!("broken/{}", down.agent), &down.kind)?;
//!         }
//!         Ok(())
//!     }
//! }
//! # let host = test::Host::new().with_agent("worker", |_| Payload::default()).with_state();
//! # host.enter(|| {
//! #     assert_eq!(supervision::monitor("worker"), Ok(()));
//! #     assert!(matches!(supervision::monitor("other"), Err(Error::Denied(_))));
//! #     assert_eq!((supervision::demonitor("worker"), supervision::demonitor("worker")), (Ok(true), Ok(false)));
//! #     assert_eq!((supervision::link("worker"), supervision::unlink("worker")), (Ok(()), Ok(true)));
//! # });
//! ```

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::agent::{Message, Sender};
use crate::imports::supervision as host;
use crate::types::Error;

/// What became of another agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Down {
    /// Of whom.
    pub agent: String,
    /// What.
    pub reason: Reason,
    /// How it broke: `trap`, `memory`, `deadline`, `family`… Empty if it did not.
    pub kind: String,
    /// Because of which other agent. Empty if of none.
    pub with: String,
    /// For how many milliseconds it is left alone. 0 if it isn't.
    pub millis: u64,
    /// When, in Unix milliseconds.
    pub at: u64,
}

/// What became of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A turn of its broke.
    Broke,
    /// It began anew because another one broke.
    Fell,
    /// It broke too often, and is left alone for a while.
    LeftAlone,
    /// Helpers of this agent's own broke too often, and all are left alone for a while.
    GaveUp,
    /// It was stopped.
    Stopped,
    /// It is there no more.
    Removed,
    /// Something that this version of the SDK has no word for.
    Other(String),
}

impl Down {
    /// What a message says that the village sent; none if it says nothing of the kind, or if anybody else sent it.
    pub fn of(message: &Message) -> Option<Down> {
        match &message.sender {
            Sender::Timer(name) if name == "supervision" => message.payload.read().ok(),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Down {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Down, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Down;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("what became of an agent")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Down, A::Error> {
                let (mut agent, mut reason, mut kind, mut with) = Default::default();
                let (mut millis, mut at) = (0, 0);
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "agent" => agent = map.next_value()?,
                        "reason" => reason = map.next_value()?,
                        "kind" => kind = map.next_value()?,
                        "with" => with = map.next_value()?,
                        "millis" => millis = map.next_value()?,
                        "at" => at = map.next_value()?,
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(Down { agent, reason: Reason::of(reason), kind, with, millis, at })
            }
        }

        from.deserialize_map(Fields)
    }
}

impl Reason {
    fn of(word: String) -> Reason {
        match word.as_str() {
            "broke" => Reason::Broke,
            "fell" => Reason::Fell,
            "left-alone" => Reason::LeftAlone,
            "gave-up" => Reason::GaveUp,
            "stopped" => Reason::Stopped,
            "removed" => Reason::Removed,
            _ => Reason::Other(word),
        }
    }
}

/// Has this agent told what becomes of another one. Fails with `denied` without a grant for the address, `not-found` if no such
/// agent is known, `invalid` for its own address, and `limit` (`memory`).
pub fn monitor(address: &str) -> Result<(), Error> {
    host::monitor(address)
}

/// Ends that; answers whether there was a monitor.
pub fn demonitor(address: &str) -> Result<bool, Error> {
    host::demonitor(address)
}

/// Links this agent with another one: when either breaks, the memory of the other goes too, and so on through its links. It
/// binds both, so both must be granted to reach each other: `denied` otherwise. Fails as [`monitor`] does.
pub fn link(address: &str) -> Result<(), Error> {
    host::link(address)
}

/// Ends that, from either side; answers whether there was a link.
pub fn unlink(address: &str) -> Result<bool, Error> {
    host::unlink(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Payload, Priority};

    fn message(sender: Sender, body: &str) -> Message {
        let payload = Payload::bytes(body);
        let (id, skill) = ("1".to_owned(), "down".to_owned());
        Message { id, sender, skill, payload, priority: Priority::High, attempt: 1, accepted: 0 }
    }

    #[test]
    fn what_the_village_says_is_read_and_what_others_say_is_not() {
        let body = r#"{"agent":"a","reason":"left-alone","kind":"","with":"b","millis":5,"at":7,"more":[1]}"#;
        let down = Down::of(&message(Sender::Timer("supervision".to_owned()), body)).expect("the village says so");
        assert_eq!((down.agent.as_str(), down.reason, down.with.as_str()), ("a", Reason::LeftAlone, "b"));
        assert_eq!((down.millis, down.at), (5, 7));
        for other in [Sender::Timer(String::new()), Sender::Agent("supervision".to_owned())] {
            assert_eq!(Down::of(&message(other, body)), None);
        }
        let sender = || Sender::Timer("supervision".to_owned());
        assert_eq!(Down::of(&message(sender(), "no")), None);
        let later = Down::of(&message(sender(), r#"{"agent":"a","reason":"moved"}"#)).expect("it can be read");
        assert_eq!(later.reason, Reason::Other("moved".to_owned()));
    }
}
