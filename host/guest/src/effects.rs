//! What a turn will have done to others once it ends well: messages told, agents created and let go.

use crate::house::millis;
use crate::standing::{Child, Later, Standing};
use agents::{Desk, Door, Place};
use runtime::{Held, Message};
use std::sync::Arc;

/// What a turn will have done to others. Dropping it undoes all of it.
pub(crate) struct Effects {
    standing: Arc<Standing>,
    told: Vec<Told>,
    later: Vec<Later>,
    recalled: Vec<Later>,
    born: Vec<(String, Child)>,
    retired: Vec<String>,
}

/// A message that leaves when the turn ends well. Its place in the mailbox is kept for it.
pub(crate) struct Told {
    pub(crate) id: String,
    pub(crate) door: Door,
    pub(crate) place: Place,
    pub(crate) message: Message,
    pub(crate) _held: Held,
}

impl Effects {
    pub(crate) fn new(standing: Arc<Standing>) -> Effects {
        let (told, later, recalled, born, retired) = Default::default();
        Effects { standing, told, later, recalled, born, retired }
    }

    pub(crate) fn tell(&mut self, told: Told) {
        self.told.push(told);
    }

    pub(crate) fn tell_later(&mut self, later: Later) {
        self.later.push(later);
    }

    /// Takes back a message of this turn, or one of a turn before whose time has not come; answers whether there was one.
    pub(crate) fn cancel(&mut self, id: &str) -> bool {
        let before = self.told.len() + self.later.len();
        self.told.retain(|told| told.id != id);
        self.later.retain(|later| later.id != id);
        if self.told.len() + self.later.len() < before {
            return true;
        }
        let recalled = self.standing.recall(id);
        let there = recalled.is_some();
        self.recalled.extend(recalled);
        there
    }

    /// The way to an agent that this turn created.
    pub(crate) fn door(&self, address: &str) -> Option<Door> {
        self.born.iter().find(|(born, _)| born == address).map(|(_, child)| child.agent.door().clone())
    }

    pub(crate) fn bear(&mut self, address: String, child: Child) {
        self.born.push((address, child));
    }

    /// Lets a child go; answers whether there was one.
    pub(crate) fn retire(&mut self, address: &str) -> bool {
        let before = self.born.len();
        self.born.retain(|(born, _)| born != address);
        if self.born.len() < before {
            return true;
        }
        let there = self.standing.has_child(address) && !self.retired.iter().any(|retired| retired == address);
        if there {
            self.retired.push(address.into());
        }
        there
    }

    /// Whether the turn created such a child, and has not let it go.
    pub(crate) fn has_child(&self, address: &str) -> bool {
        self.door(address).is_some()
            || (self.standing.has_child(address) && !self.retired.iter().any(|retired| retired == address))
    }

    /// The turn has ended well.
    pub(crate) fn commit(mut self) {
        for address in self.retired.drain(..) {
            self.standing.retire(&address);
        }
        for (address, child) in self.born.drain(..) {
            self.standing.adopt(address, child);
        }
        for Told { door, place, mut message, .. } in self.told.drain(..) {
            message.accepted = millis();
            // A receiver that ended meanwhile is like one that never was.
            let _ = door.send(place, message, Desk::nobody());
        }
        for later in self.later.drain(..) {
            self.standing.post(later);
        }
        self.recalled.clear();
    }
}

impl Drop for Effects {
    fn drop(&mut self) {
        for later in self.recalled.drain(..) {
            self.standing.post(later);
        }
    }
}
