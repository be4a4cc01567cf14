//! How one version takes over from another: what it has to show first, and within which bounds.

use base::{Digest, Part};
use runtime::{Message, Sender};
use std::time::Duration;

/// How a version takes over. Nothing in it is without a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// So many messages the new version handles too, without effect, before it is trusted with any. See [`MOST_SHADOWED`].
    pub shadow: u32,
    /// The part of senders whose messages it handles alone, before all are its own.
    pub canary: Part,
    /// So many messages the canary is judged by. See [`MOST_JUDGED`].
    pub window: u32,
    /// The part of those that may go without a reply, of shadowed messages as well.
    pub max_failures: Part,
    /// What 99 of 100 turns of the canary may take.
    pub max_p99: Duration,
    /// Shadow and canary together are over within this; what is not decided by then is undone. See [`LONGEST`].
    pub within: Duration,
    /// What becomes of the old version's memory.
    pub memory: Memory,
    /// Whether the new version may lack a skill that the old one has.
    pub fewer_skills: bool,
}

/// What becomes of an instance's memory when another version takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// The new version restores it, or there is no swap.
    Carried,
    /// The new version restores it, or begins without.
    CarriedOrCold,
    /// The new version begins without. The old one is not even asked for it.
    Cold,
}

/// The most messages that are shadowed.
pub const MOST_SHADOWED: u32 = 10_000;

/// The most messages that a canary is judged by.
pub const MOST_JUDGED: u32 = 100_000;

/// The longest that shadow and canary may take.
pub const LONGEST: Duration = Duration::from_secs(24 * 3600);

impl Default for Plan {
    /// At once, with all memory and all skills.
    fn default() -> Plan {
        Plan {
            shadow: 0,
            canary: Part::NONE,
            window: 1000,
            max_failures: Part::percent(1),
            max_p99: Duration::from_secs(30),
            within: Duration::from_secs(3600),
            memory: Memory::Carried,
            fewer_skills: false,
        }
    }
}

impl Plan {
    /// What is out of bounds in it, if anything is.
    pub(crate) fn excess(&self) -> Option<(&'static str, String)> {
        match () {
            () if self.shadow > MOST_SHADOWED => Some(("shadow", MOST_SHADOWED.to_string())),
            () if self.window == 0 || self.window > MOST_JUDGED => Some(("window", format!("1 to {MOST_JUDGED}"))),
            () if self.within > LONGEST => Some(("within", base::span_text(LONGEST))),
            () => None,
        }
    }
}

/// Whose messages a canary handles: the same senders for as long as it is on trial.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Senders {
    part: Part,
    salt: Digest,
}

impl Senders {
    /// Other senders for another version, so that not always the same ones have the trouble.
    pub(crate) fn new(part: Part, version: Digest) -> Senders {
        Senders { part, salt: version }
    }

    pub(crate) fn include(&self, message: &Message) -> bool {
        let (kind, name) = match &message.sender {
            Sender::Client(name) => (0, name),
            Sender::Agent(name) => (1, name),
            Sender::Timer(name) => (2, name),
            Sender::Topic(name) => (3, name),
        };
        let mut text = self.salt.as_bytes().to_vec();
        text.push(kind);
        text.extend_from_slice(name.as_bytes());
        let digest = Digest::of(&text);
        let [a, b, c, d, ..] = digest.as_bytes();
        let place = u64::from(u32::from_le_bytes([*a, *b, *c, *d]));
        // Where the sender lies in a whole of 2^32.
        place * 1_000_000 < u64::from(self.part.millionths()) << 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::{Payload, Priority};

    fn from(name: &str) -> Message {
        Message {
            id: String::new(),
            sender: Sender::Client(name.into()),
            skill: String::new(),
            payload: Payload { content_type: String::new(), body: Vec::new() },
            priority: Priority::Normal,
            attempt: 1,
            accepted: 0,
        }
    }

    fn share(senders: Senders) -> usize {
        (0..10_000).filter(|i| senders.include(&from(&format!("client {i}")))).count()
    }

    #[test]
    fn a_part_of_the_senders_is_that_part_and_stays_the_same() {
        let senders = Senders::new(Part::percent(10), Digest::of(b"a version"));
        assert!((900..1_100).contains(&share(senders)), "{}", share(senders));
        assert_eq!(share(Senders::new(Part::NONE, Digest::of(b""))), 0);
        assert_eq!(share(Senders::new(Part::ALL, Digest::of(b""))), 10_000);
        let again = Senders::new(Part::percent(10), Digest::of(b"a version"));
        assert!((0..1_000).all(|i| senders.include(&from(&i.to_string())) == again.include(&from(&i.to_string()))));
    }

    #[test]
    fn another_version_is_tried_on_other_senders() {
        let one = Senders::new(Part::percent(10), Digest::of(b"one"));
        let other = Senders::new(Part::percent(10), Digest::of(b"other"));
        let both = (0..10_000).filter(|i| {
            let message = from(&i.to_string());
            one.include(&message) && other.include(&message)
        });
        assert!(both.count() < 300);
    }

    #[test]
    fn a_plan_beyond_its_bounds_says_which() {
        let plan = Plan::default();
        assert_eq!(plan.excess(), None);
        assert_eq!(Plan { shadow: MOST_SHADOWED + 1, ..plan }.excess().map(|(what, _)| what), Some("shadow"));
        assert_eq!(Plan { window: 0, ..plan }.excess().map(|(what, _)| what), Some("window"));
        assert_eq!(Plan { window: MOST_JUDGED + 1, ..plan }.excess().map(|(what, _)| what), Some("window"));
        assert_eq!(Plan { within: LONGEST * 2, ..plan }.excess().map(|(what, _)| what), Some("within"));
    }
}
