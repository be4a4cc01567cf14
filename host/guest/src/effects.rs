//! What a turn will have done to others once it ends well: messages told, agents created and let go.

use crate::abroad::{Peers, Stay, followers};
use crate::house::millis;
use crate::kin;
use crate::standing::{CHILDREN, Child, Later, Standing};
use crate::tape::Bytes;
use agents::kin::{BIRTHS, Tie, What};
use agents::{Desk, Did, Door, MAIL, Mail, OUTBOX, Origin, Outgoing, Place, TIMERS, TOPICS, Timer};
use runtime::{Held, Message};
use std::sync::Arc;
use store::Change;

/// What a turn will have done to others. Dropping it undoes all of it.
pub(crate) struct Effects {
    standing: Arc<Standing>,
    told: Vec<Told>,
    later: Vec<Later>,
    recalled: Vec<Later>,
    born: Vec<(String, Child)>,
    retired: Vec<String>,
    /// Ties that are made, with what they count as, and those that are undone; in order.
    ties: Vec<(Tie, String, Option<Held>)>,
    /// Who is told that those it let go are there no more.
    farewells: Vec<agents::Told>,
    /// In a turn that is run again: what it would have told.
    pub(crate) pretended: Vec<(String, String, Bytes)>,
    /// Topics that it follows from the next turn on, and those that it does not any more; in order.
    followed: Vec<(String, bool)>,
    /// Questions that it asked in other villages, which need not keep the replies once it is over.
    pub(crate) elsewhere: Vec<(Peers, String)>,
    /// What it says of answers that it got of models.
    pub(crate) judged: Vec<(String, u32)>,
    /// How many agents the turn has asked.
    pub(crate) asked: u32,
}

/// A message that leaves when the turn ends well. Its place in the mailbox is kept for it.
pub(crate) struct Told {
    pub(crate) id: String,
    /// Where there is a store: what the message is kept under.
    pub(crate) number: Option<u64>,
    pub(crate) to: String,
    pub(crate) way: Way,
    pub(crate) message: Message,
    pub(crate) _held: Held,
}

/// How a message gets to its receiver.
pub(crate) enum Way {
    /// It has a place in that one's mailbox.
    Door(Door, Place),
    /// It has one in the outbox; the receiver is in another village, or it is published.
    Outbox(Outgoing, Stay),
}

impl Effects {
    pub(crate) fn new(standing: Arc<Standing>) -> Effects {
        let (told, later, recalled, born, retired, ties) = Default::default();
        let (farewells, pretended, followed, elsewhere, judged) = Default::default();
        Effects {
            standing,
            told,
            later,
            recalled,
            born,
            retired,
            ties,
            farewells,
            pretended,
            followed,
            elsewhere,
            judged,
            asked: 0,
        }
    }

    /// Makes a tie, which counts as `held` until the turn has ended.
    pub(crate) fn tie(&mut self, tie: Tie, to: String, held: Held) {
        self.ties.push((tie, to, Some(held)));
    }

    /// Undoes one; answers whether there was one.
    pub(crate) fn untie(&mut self, tie: Tie, to: String) -> bool {
        let last = self.ties.iter().rev().find(|(known, other, _)| *known == tie && *other == to);
        let there = match last {
            Some((_, _, made)) => made.is_some(),
            None => self.standing.house.kin.has(&tie, &self.standing.name, &to),
        };
        if there {
            self.ties.push((tie, to, None));
        }
        there
    }

    pub(crate) fn tell(&mut self, told: Told) {
        self.told.push(told);
    }

    /// Follows a topic from the next turn on, or does so no more; answers whether that is something new.
    pub(crate) fn follow(&mut self, topic: &str, follows: bool) -> bool {
        let last = self.followed.iter().rev().find(|(known, _)| known == topic).map(|(_, follows)| *follows);
        let own = &self.standing.name;
        let now = last.unwrap_or_else(|| followers(&self.standing.house, topic).contains(own));
        if now != follows {
            self.followed.push((topic.into(), follows));
        }
        now != follows
    }

    /// How many topics it will follow.
    pub(crate) fn topics(&self) -> usize {
        let new = self.followed.iter().filter(|(_, follows)| *follows).count();
        self.standing.house.topics_of(&self.standing.name) + new
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

    /// Adds it to what is to be kept; answers what it is.
    pub(crate) fn record(&mut self, change: &mut Change) -> Did {
        let own = &self.standing.name;
        for told in &mut self.told {
            let Some(number) = told.number else { continue };
            told.message.accepted = millis();
            match &mut told.way {
                Way::Door(..) => drop(change.put(&MAIL, (&told.to, number), &Mail::of(&told.message))),
                Way::Outbox(going, _) => {
                    going.mail.accepted = told.message.accepted;
                    change.put(&OUTBOX, (&going.lane(), number), going);
                }
            }
        }
        for later in &self.later {
            let Some(number) = later.number else { continue };
            let timer = Timer { due: later.due, to: later.to.clone(), mail: Mail::of(&later.message) };
            change.put(&TIMERS, (own, number), &timer);
        }
        for number in self.recalled.iter().filter_map(|later| later.number) {
            change.delete(&TIMERS, (own, number));
        }
        for (address, child) in &self.born {
            change.put(&CHILDREN, address, &child.born(millis())).put(&BIRTHS, address, &child.place);
        }
        self.farewells.clear();
        for address in &self.retired {
            self.standing.house.forget(address, change);
            self.farewells.push(self.standing.house.gone(address, &What::Removed, change));
        }
        self.record_ties(change);
        for (topic, follows) in &self.followed {
            match follows {
                true => change.put(&TOPICS, (own, topic), &millis()),
                false => change.delete(&TOPICS, (own, topic)),
            };
        }
        let now = self.told.iter().map(|told| (told.to.clone(), told.id.clone()));
        let later = self.later.iter().map(|later| (later.to.clone(), later.id.clone()));
        Did {
            wrote: 0,
            told: now.chain(later).collect(),
            recalled: self.recalled.len() as u32,
            born: self.born.iter().map(|(address, _)| address.clone()).collect(),
            retired: self.retired.clone(),
            asked: self.asked,
        }
    }

    /// What it told, in order: to whom, the skill, what.
    pub(crate) fn told(&self) -> Vec<(String, String, Bytes)> {
        let parts =
            |to: &String, message: &Message| (to.clone(), message.skill.clone(), Bytes(message.payload.body.clone()));
        let now = self.told.iter().map(|told| parts(&told.to, &told.message));
        let later = self.later.iter().map(|later| parts(&later.to, &later.message));
        now.chain(later).chain(self.pretended.iter().cloned()).collect()
    }

    /// The turn has ended well.
    pub(crate) fn commit(mut self) {
        for address in self.retired.drain(..) {
            self.standing.retire(&address);
        }
        for (address, child) in self.born.drain(..) {
            self.standing.adopt(address, child);
        }
        // Those that are created now can be tied, and those that were let go no more.
        self.commit_ties();
        self.farewells.drain(..).for_each(|farewell| farewell());
        self.standing.house.talk.told(self.told.len() + self.later.len());
        for (topic, follows) in self.followed.drain(..) {
            match follows {
                true => self.standing.house.follow(&self.standing.name, &topic),
                false => self.standing.house.leave_topic(&self.standing.name, &topic),
            }
        }
        if let Some(models) = &self.standing.house.models {
            for (model, score) in self.judged.drain(..) {
                // An answer that was forgotten meanwhile can't be judged any more.
                let _ = models.feedback(&self.standing.name, &model, score);
            }
        }
        if let Some(abroad) = &self.standing.house.abroad {
            self.elsewhere.drain(..).for_each(|(peers, id)| abroad.settle(&peers, &id));
        }
        for Told { way, mut message, number, to, .. } in self.told.drain(..) {
            let (door, place) = match way {
                Way::Door(door, place) => (door, place),
                Way::Outbox(going, stay) => {
                    match number {
                        Some(_) => {
                            stay.keep();
                            self.standing.house.carry(going.lane());
                        }
                        None => self.standing.house.carry_once(going),
                    }
                    continue;
                }
            };
            match number {
                Some(number) => self.standing.house.hand_over(&door, place, message, &to, number),
                None => {
                    message.accepted = millis();
                    // A receiver that ended meanwhile is like one that never was.
                    let _ = door.send(place, message, Desk::nobody(), Origin::Memory);
                }
            }
        }
        for later in self.later.drain(..) {
            self.standing.post(later);
        }
        self.recalled.clear();
    }
}

impl Effects {
    fn record_ties(&self, change: &mut Change) {
        if self.standing.books.is_none() {
            return;
        }
        let own = &self.standing.name;
        for (tie, to, made) in &self.ties {
            match made {
                Some(_) => kin::keep(tie, own, to, change),
                None => kin::lose(tie, own, to, change),
            }
            kin::note(kin::word(tie, made.is_some()), own, own, &serde_json::json!({ "agent": to }), change);
        }
    }

    fn commit_ties(&mut self) {
        let (own, all) = (&self.standing.name, &self.standing.house.kin);
        let changed = !self.ties.is_empty();
        for (tie, to, made) in self.ties.drain(..) {
            match made {
                Some(_) => all.tie(&tie, own, &to),
                None => all.untie(&tie, own, &to),
            }
        }
        if changed {
            self.standing.count_ties();
        }
    }
}

impl Drop for Effects {
    fn drop(&mut self) {
        for later in self.recalled.drain(..) {
            self.standing.post(later);
        }
    }
}
