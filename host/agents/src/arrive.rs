//! Messages that come from elsewhere, several at once: kept in one change with what they are known by.

use crate::books::Books;
use crate::door::{Accepted, Desk, Door, Origin, Place, Refusal};
use crate::event::Event;
use crate::mail::{From, MAIL, Mail};
use crate::settle::millis;
use runtime::Message;
use store::Change;

impl Door {
    /// Keeps messages for the agent `to`, which this is the door of, and sends them when they are kept: in their order, as
    /// many as have a place. `kept` is told then. Answers how many those are, and why the next one has no place. `more` adds
    /// what is to be kept with each, by its position.
    pub fn receive(
        &self,
        books: &Books,
        to: &str,
        messages: Vec<Message>,
        mut more: impl FnMut(usize, &mut Change),
        kept: Accepted,
    ) -> (usize, Option<Refusal>) {
        let (mut change, mut taken, mut refusal) = (Change::new(), Vec::<(u64, Message, Place)>::new(), None);
        for (at, mut message) in messages.into_iter().enumerate() {
            let number = books.number();
            message.id = format!("{number:x}");
            let place = match self.reserve(&message) {
                Ok(place) => place,
                Err(refused) => {
                    refusal = Some(refused);
                    break;
                }
            };
            let (id, bytes) = (message.id.clone(), message.payload.body.len() as u64);
            let (from, skill) = (From::of(&message.sender), message.skill.clone());
            change.record(millis(), &Event::Accepted { agent: to.into(), id, from, skill, bytes });
            change.put(&MAIL, (to, number), &Mail::of(&message));
            more(at, &mut change);
            taken.push((number, message, place));
        }
        let (count, door) = (taken.len(), self.clone());
        if count == 0 {
            kept(Ok(()));
            return (0, refusal);
        }
        books.store().submit(change, move |done| {
            let done = done.map(drop);
            let good = done.is_ok();
            if good {
                for (number, message, place) in taken {
                    // An agent that has ended finds it in the store when it begins again.
                    let _ = door.send(place, message, Desk::nobody(), Origin::Kept(number));
                }
            }
            kept(done);
        });
        (count, refusal)
    }
}
