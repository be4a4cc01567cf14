//! What goes to and comes from other villages, as it is kept: messages until the other village has them, and the numbers of
//! those that were accepted here until their sender will not send them again.

use crate::event::Event;
use crate::graves::Graves;
use crate::mail::{DEAD, Dead, From, Mail};
use crate::settle::millis;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use store::{Change, Read, Table};

/// Messages on their way to other villages, by who sends them to whom and by their numbers.
pub const OUTBOX: Table<(String, u64), Outgoing> = Table::new("outbox");

/// Messages of other villages that were accepted, by whose they are and by their numbers there; until when they are known, in
/// Unix milliseconds.
pub const ARRIVED: Table<(String, u64), u64> = Table::new("arrived");

/// Who follows which topic, and since when, in Unix milliseconds.
pub const TOPICS: Table<(String, String), u64> = Table::new("topics");

/// How long a message is tried to be brought to another village.
pub const OUTBOX_LIFE: Duration = Duration::from_secs(7 * 86_400);

/// A message on its way to another village.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outgoing {
    /// The agent there; or the topic, as `topic/NAME`, of one that is published.
    pub to: String,
    /// The other village; empty if it is published.
    pub peer: String,
    /// What.
    pub mail: Mail,
    /// Until when it is tried, in Unix milliseconds.
    pub until: u64,
}

impl Outgoing {
    /// A message that is on its way from now on.
    pub fn new(to: &str, peer: &str, mail: Mail) -> Outgoing {
        let until = millis() + OUTBOX_LIFE.as_millis() as u64;
        Outgoing { to: to.into(), peer: peer.into(), mail, until }
    }

    /// What keeps its order: messages of one sender to one receiver.
    pub fn lane(&self) -> String {
        lane(&self.mail.from, &self.to, &self.peer)
    }

    /// Whom it is for, as its sender wrote it.
    pub fn address(&self) -> String {
        match self.peer.as_str() {
            "" => self.to.clone(),
            peer => format!("{}@{peer}", self.to),
        }
    }

    /// The same again, from the dead letter that it has become; none if that was of this village.
    pub fn again(address: &str, mail: Mail) -> Option<Outgoing> {
        let mail = Mail { attempt: 1, due: 0, ..mail };
        match address.rsplit_once('@') {
            Some((to, peer)) => Some(Outgoing::new(to, peer, mail)),
            None if address.starts_with("topic/") => Some(Outgoing::new(address, "", mail)),
            None => None,
        }
    }

    /// Adds to a change that it will not get there: it becomes a dead letter of its sender's village.
    pub fn give_up(&self, number: u64, kind: &str, reason: &str, read: &Read, change: &mut Change) {
        let (lane, address) = (self.lane(), self.address());
        change.delete(&OUTBOX, (&lane, number));
        // Those that can't be counted now are counted with the next.
        drop(Graves::default().dig(read, &address, self.mail.body.len() as u64, change));
        let (kind, reason) = (kind.to_string(), reason.to_string());
        let details = format!("{{\"id\":\"{}\",\"kind\":\"{kind}\"}}", self.mail.id);
        change.put(&DEAD, (&address, number), &Dead { mail: self.mail.clone(), when: millis(), kind, reason });
        let (what, by) = ("not-delivered".into(), "village".into());
        change.record(millis(), &Event::Noted { what, agent: address, by, details });
    }
}

/// What keeps its order: messages of one sender to one receiver.
pub fn lane(from: &From, to: &str, peer: &str) -> String {
    format!("{from}>{to}@{peer}")
}
