//! The messages that waited in the store when a life began, and whoever comes for what came of them.

use crate::agent::{Answer, Lasting};
use crate::door::{Desk, Origin};
use crate::live::{Handed, Life};
use runtime::clock;
use std::collections::{HashMap, HashSet};

/// The messages that waited in the store when this life began. They may come through the door as well.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) numbers: HashSet<u64>,
    /// None of them is above.
    pub(crate) last: u64,
    /// What came of those that were handled before they came through the door, with whoever waits for that.
    pub(crate) answers: HashMap<u64, Answer>,
    /// Who waits for what comes of those that a replica handles now.
    pub(crate) desks: HashMap<u64, Desk>,
    /// Until when somebody may still come through the door with one of them.
    pub(crate) until: u64,
}

impl Found {
    /// Whether a message that comes through the door was found before.
    pub(crate) fn has(&self, origin: Origin) -> bool {
        match origin {
            Origin::Kept(number) if number <= self.last => self.numbers.contains(&number),
            // Numbers that are above were given later, so that no more of those that were found will come.
            _ => false,
        }
    }
}

impl<T: Lasting> Life<T> {
    /// A message that was found in the store comes through the door as well, with whoever waits for what comes of it.
    pub(crate) fn found_again(&mut self, handed: Handed) {
        let Origin::Kept(number) = handed.origin else { return };
        if let Some(waiting) = self.queue.find(number) {
            (waiting.desk, waiting.place) = (handed.desk, handed.place);
            return;
        }
        let out = self.crew.as_ref().is_some_and(|crew| crew.has(number));
        let mut found = self.shared.found.lock();
        let answer = found.answers.remove(&number);
        match answer {
            Some(answer) => {
                drop(found);
                handed.desk.deliver(answer);
            }
            None if out => drop(found.desks.insert(number, handed.desk)),
            None => {}
        }
    }

    /// Hands over an answer, or keeps it for a moment where whoever waits for it has still to come.
    pub(crate) fn deliver(&mut self, desk: Desk, origin: Origin, answer: Answer) {
        let mut found = self.shared.found.lock();
        match origin {
            Origin::Kept(number) if found.has(origin) && desk.is_nobody() => {
                if let Some(desk) = found.desks.remove(&number) {
                    drop(found);
                    desk.deliver(answer);
                } else if clock::now() < found.until {
                    found.answers.insert(number, answer);
                } else {
                    found.answers.clear();
                }
            }
            _ => {
                drop(found);
                desk.deliver(answer);
            }
        }
    }
}
