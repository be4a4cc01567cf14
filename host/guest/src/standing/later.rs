//! Messages that an agent sends later, and those that others are to hand it later.

use super::{AGAIN, Ends, Standing};
use crate::house::millis;
use agents::{Desk, Door, Event, MAIL, Mail, OUTBOX, Origin, Outgoing, Place, Refusal, TIMERS, Timer};
use runtime::{Held, Message};
use std::sync::{Arc, Weak};
use std::time::Duration;
use store::Change;

/// A message that is sent at some time. Until then it counts as memory of its sender.
pub(crate) struct Later {
    pub(crate) id: String,
    /// Where there is a store: what it is kept under.
    pub(crate) number: Option<u64>,
    pub(crate) to: String,
    /// Unix milliseconds.
    pub(crate) due: u64,
    pub(crate) message: Message,
    pub(crate) _held: Held,
}

impl Later {
    /// Adds it to a change, with its acceptance: one from outside, for the agent itself.
    pub(crate) fn keep(&self, own: &str, change: &mut Change) {
        let Some(number) = self.number else { return };
        let timer = Timer { due: self.due, to: self.to.clone(), mail: Mail::of(&self.message) };
        change.put(&TIMERS, (own, number), &timer);
        let message = &self.message;
        let accepted = Event::Accepted {
            agent: self.to.clone(),
            id: self.id.clone(),
            from: agents::From::of(&message.sender),
            skill: message.skill.clone(),
            bytes: message.payload.body.len() as u64,
        };
        change.record(millis(), &accepted);
    }
}

/// What a message that is sent later counts as beside its payload.
const LATER: u64 = 256;

/// A message whose timer runs.
pub(super) struct Posted {
    later: Later,
    _timer: Ends,
}

impl Standing {
    /// A message from outside that this agent is to have at some time; none if there is no memory for it.
    pub(crate) fn later(&self, message: Message, number: u64, due: u64) -> Option<Later> {
        let _held = self.accounts.memory.hold(LATER + message.payload.body.len() as u64).ok()?;
        let (id, to, number) = (message.id.clone(), self.name.clone(), Some(number));
        Some(Later { id, number, to, due, message, _held })
    }

    /// Sends a message when its time comes.
    pub(crate) fn post(self: &Arc<Standing>, later: Later) {
        let (from, id, due) = (Arc::downgrade(self), later.id.clone(), later.due);
        let key = id.clone();
        // Locked before the timer can look.
        let mut posted = self.posted.lock();
        let timer = self.house.io.spawn(async move {
            tokio::time::sleep(Duration::from_millis(due.saturating_sub(millis()))).await;
            while still_full(&from, &id) {
                tokio::time::sleep(AGAIN).await;
            }
        });
        posted.insert(key, Posted { later, _timer: Ends(timer.abort_handle()) });
    }

    /// Takes back a message that was not sent yet.
    pub(crate) fn recall(&self, id: &str) -> Option<Later> {
        let posted = self.posted.lock().remove(id);
        posted.map(|posted| posted.later)
    }
}

/// Sends a message whose time has come; answers whether the receiver had no room for it.
fn still_full(from: &Weak<Standing>, id: &str) -> bool {
    let Some(from) = from.upgrade() else { return false };
    let mut posted = from.posted.lock();
    // It may have been taken back.
    let Some(Posted { later, .. }) = posted.get(id) else { return false };
    if later.to.contains('@') {
        let sent = posted.remove(id);
        drop(posted);
        if let Some(Posted { later, _timer }) = sent {
            from.send_abroad(later);
        }
        return false;
    }
    let place = match from.house.door(&later.to) {
        Ok(Some(door)) => door.reserve(&later.message).map(|place| (door, place)),
        Ok(None) => Err(Refusal::Stopped),
        // This host has no room for it now.
        Err(_) => return true,
    };
    if matches!(place, Err(Refusal::Full { .. })) {
        return true;
    }
    let sent = posted.remove(id);
    drop(posted);
    if let Some(Posted { later, _timer }) = sent {
        from.send(later, place.ok());
    }
    false
}

impl Standing {
    /// Sends a message whose time has come. A receiver that ended meanwhile is like one that never was.
    fn send(&self, later: Later, place: Option<(Door, Place)>) {
        let Later { to, mut message, number, _held, .. } = later;
        message.accepted = millis();
        let (Some(number), Some(books)) = (number, &self.books) else {
            if let Some((door, place)) = place {
                let _ = door.send(place, message, Desk::nobody(), Origin::Memory);
            }
            return;
        };
        let mut change = Change::new();
        let key = (self.name.as_str(), number);
        change.require(&TIMERS, key).delete(&TIMERS, key);
        if place.is_some() {
            change.put(&MAIL, (&to, number), &Mail::of(&message));
        }
        let house = self.house.clone();
        books.store().submit(change, move |done| {
            // What could not be kept is still among the timers, and goes when this host starts again.
            if let (Ok(_), Some((door, place))) = (done, place) {
                house.hand_over(&door, place, message, &to, number);
            }
            drop(_held);
        });
    }
}

impl Standing {
    /// Sends a message whose time has come to another village.
    fn send_abroad(&self, later: Later) {
        let Later { to, mut message, number, _held, .. } = later;
        message.accepted = millis();
        let Some(going) = Outgoing::again(&to, Mail::of(&message)) else { return };
        let (Some(number), Some(books)) = (number, &self.books) else { return self.house.carry_once(going) };
        let mut change = Change::new();
        let (key, lane) = ((self.name.as_str(), number), going.lane());
        change.require(&TIMERS, key).delete(&TIMERS, key).put(&OUTBOX, (&lane, number), &going);
        let house = self.house.clone();
        books.store().submit(change, move |done| {
            // What could not be kept is still among the timers, and goes when this host starts again.
            if done.is_ok()
                && let Some(abroad) = &house.abroad
            {
                abroad.count(&going);
                house.carry(lane);
            }
            drop(_held);
        });
    }
}
