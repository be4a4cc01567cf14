//! The way to an agent: those who have its door can send it messages, and learn what came of them.

use crate::agent::{Answer, Error};
use crate::blow::{Blow, Blows};
use crate::books::Books;
use crate::care::Pulse;
use crate::event::Event;
use crate::fresh::Fresh;
use crate::live::{Handed, Work};
use crate::mail::{From, MAIL, Mail};
use crate::settle::millis;
use runtime::{Chunk, Held, Message, Quota, Task};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use store::Change;
use tokio::sync::{mpsc, oneshot};

/// Why a message was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// As many messages wait as may, or as many bytes of them.
    #[error("the agent's mailbox is full (`{what}`)")]
    Full {
        /// The field of its budget that says how many.
        what: &'static str,
    },
    /// The agent has stopped.
    #[error("the agent has stopped")]
    Stopped,
}

/// How much may wait for an agent. Both are counted in the same way; one counts messages, the other their bytes.
#[derive(Debug, Clone)]
pub struct Mailbox {
    /// Messages.
    pub messages: Arc<Quota>,
    /// Bytes of messages.
    pub bytes: Arc<Quota>,
}

/// Is told when a message is kept, or why it can't be.
pub type Accepted = Box<dyn FnOnce(Result<(), store::Error>) + Send>;

/// The way to an agent. It does not keep the agent alive.
#[derive(Clone)]
pub struct Door {
    work: mpsc::UnboundedSender<Work>,
    task: Arc<Task>,
    mailbox: Mailbox,
    pulse: Arc<Pulse>,
    blows: Arc<Blows>,
}

/// Room in a mailbox for one message.
#[derive(Debug)]
pub struct Place {
    /// None for one that is in its turn, or that was kept when there was more room.
    pub(crate) message: Option<Held>,
    pub(crate) _bytes: Option<Held>,
}

/// What is kept of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Nothing: it goes with the host.
    Memory,
    /// It waits in the store, under this number.
    Kept(u64),
    /// It is an agent's question. The reply is kept until the turn that asked is done.
    Ask {
        /// Of receiver, skill and payload.
        question: [u8; 32],
        /// Whether the turn that asks is not tried for the first time, so that there may be a reply already.
        again: bool,
    },
}

/// Where the answer to a message goes.
#[derive(Debug, Default)]
pub struct Desk {
    pub(crate) answer: Option<oneshot::Sender<Answer>>,
    pub(crate) chunks: Option<mpsc::UnboundedSender<Chunk>>,
    /// What a reply counts on from its arrival until it is taken.
    pub(crate) memory: Option<Arc<Quota>>,
    /// Somebody outside is told what comes of it, for as long as they have the other half of this.
    waits: Option<Weak<()>>,
}

impl Desk {
    /// Nobody waits for the answer.
    pub fn nobody() -> Desk {
        Desk::default()
    }

    /// Somebody outside waits for the answer.
    pub fn caller() -> (Desk, oneshot::Receiver<Answer>) {
        let (answer, answered) = oneshot::channel();
        (Desk { answer: Some(answer), ..Desk::default() }, answered)
    }

    /// Somebody waits for chunks as well.
    pub fn listener() -> (Desk, oneshot::Receiver<Answer>, mpsc::UnboundedReceiver<Chunk>) {
        let (desk, answered) = Desk::caller();
        let (chunks, emitted) = mpsc::unbounded_channel();
        (Desk { chunks: Some(chunks), ..desk }, answered, emitted)
    }

    /// The reply counts as memory of whoever asked, until they take it.
    pub fn on(self, memory: Arc<Quota>) -> Desk {
        Desk { memory: Some(memory), ..self }
    }

    /// Whoever keeps `waiting` is told what comes of it.
    pub fn tells(self, waiting: Weak<()>) -> Desk {
        Desk { waits: Some(waiting), ..self }
    }

    /// Whether somebody outside is told now.
    pub(crate) fn tells_somebody(&self) -> bool {
        self.waits.as_ref().is_some_and(|waiting| waiting.strong_count() > 0)
    }

    /// Whether nobody waits for the answer.
    pub(crate) fn is_nobody(&self) -> bool {
        self.answer.is_none()
    }

    /// Hands over the answer. Nobody may be waiting for it any more.
    pub(crate) fn deliver(self, mut answer: Answer) {
        if let (Some(memory), Ok(reply)) = (&self.memory, &answer.outcome) {
            let size = (reply.payload.body.len() + reply.payload.content_type.len()) as u64;
            match memory.hold(size) {
                Ok(held) => answer.held = Some(held),
                Err(_) => answer.outcome = Err(Error::NoRoom),
            }
        }
        if let Some(waiting) = self.answer {
            drop(waiting.send(answer));
        }
    }
}

/// What a message takes in a mailbox beside its text and payload.
const MESSAGE: u64 = 256;

pub(crate) fn size(message: &Message) -> u64 {
    let payload = &message.payload;
    MESSAGE + (message.id.len() + message.skill.len() + payload.content_type.len() + payload.body.len()) as u64
}

impl Door {
    pub(crate) fn new(
        work: mpsc::UnboundedSender<Work>,
        task: Arc<Task>,
        mailbox: Mailbox,
        pulse: Arc<Pulse>,
        blows: Arc<Blows>,
    ) -> Door {
        Door { work, task, mailbox, pulse, blows }
    }

    /// Has the agent begin anew because of another one: its instance goes before anything else is handled, and a turn under
    /// way ends.
    pub fn strike(&self, blow: Blow) {
        self.blows.add(blow);
        // One that has nothing to do sees to it now; one that has ended need not.
        let _ = self.put(Work::Struck);
        self.task.reconsider();
    }

    /// Room for a message, kept until it is sent or the place is dropped.
    pub fn reserve(&self, message: &Message) -> Result<Place, Refusal> {
        if self.shut() {
            return Err(Refusal::Stopped);
        }
        let full = |what| Refusal::Full { what };
        let one = self.mailbox.messages.hold(1).map_err(|_| full("mailbox"))?;
        let bytes = self.mailbox.bytes.hold(size(message)).map_err(|_| full("mailbox-bytes"))?;
        Ok(Place { message: Some(one), _bytes: Some(bytes) })
    }

    /// Sends a message into a place that was kept for it.
    pub fn send(&self, place: Place, message: Message, desk: Desk, origin: Origin) -> Result<(), Refusal> {
        let again = matches!(origin, Origin::Ask { again: true, .. });
        self.put(Work::Handle(Box::new(Handed { message, place, desk, origin, again, fresh: None })))
    }

    /// Keeps a message from outside for the agent `to`, which this is the door of, and sends it when it is kept. `kept` is
    /// told then, before anything can come of it. `more` adds what is to be kept with it, by its number and its id.
    pub fn post(
        &self,
        books: &Arc<Books>,
        to: &str,
        message: Message,
        desk: Desk,
        more: impl FnOnce(&Message, u64, &mut Change),
        kept: Accepted,
    ) -> Result<String, Refusal> {
        let (number, message, place, mut change) = self.accept(books, to, message)?;
        let (id, door) = (message.id.clone(), self.clone());
        change.put(&MAIL, (to, number), &Mail::of(&message));
        more(&message, number, &mut change);
        books.store().submit(change, move |done| {
            let done = done.map(drop);
            let good = done.is_ok();
            kept(done);
            if good {
                // An agent that has ended finds it in the store when it begins again.
                let _ = door.send(place, message, desk, Origin::Kept(number));
            }
        });
        Ok(id)
    }

    /// The same for somebody who waits for what comes of it, and to whom it says little that it is kept: an agent that has
    /// nothing else to do handles it at once, and if that is soon done, message and outcome are kept together.
    pub fn call(
        &self,
        books: &Arc<Books>,
        to: &str,
        message: Message,
        desk: Desk,
        more: impl FnOnce(&Message, u64, &mut Change),
        kept: Accepted,
    ) -> Result<String, Refusal> {
        if self.mailbox.messages.used() > 0 || self.pulse.busy.load(Relaxed) {
            return self.post(books, to, message, desk, more, kept);
        }
        let (number, message, place, mut change) = self.accept(books, to, message)?;
        more(&message, number, &mut change);
        let id = message.id.clone();
        let mail = Mail::of(&message);
        let fresh = Some(Fresh::new(books, change, (to.into(), number), mail, kept));
        let handed = Handed { message, place, desk, origin: Origin::Kept(number), again: false, fresh };
        self.put(Work::Handle(Box::new(handed)))?;
        Ok(id)
    }

    /// Gives a message its number and its place; answers the change with which it is accepted, without the message itself.
    fn accept(&self, books: &Books, to: &str, mut message: Message) -> Result<(u64, Message, Place, Change), Refusal> {
        let number = books.number();
        message.id = format!("{number:x}");
        let place = self.reserve(&message)?;
        let mut change = Change::new();
        let (id, bytes) = (message.id.clone(), message.payload.body.len() as u64);
        let (from, skill) = (From::of(&message.sender), message.skill.clone());
        change.record(millis(), &Event::Accepted { agent: to.into(), id, from, skill, bytes });
        Ok((number, message, place, change))
    }

    /// Puts a message that is kept into the mailbox of `to`, which this is the door of, if it still waits.
    pub fn again(&self, books: &Books, to: &str, number: u64) {
        let read = books.store().read().get(&MAIL, (to, number));
        if let Ok(Some(mail)) = read {
            let place = Place { message: None, _bytes: None };
            // Whoever begins again finds it there.
            let _ = self.send(place, mail.message(), Desk::nobody(), Origin::Kept(number));
        }
    }

    /// How many messages wait, and how many may.
    pub fn waiting(&self) -> (u64, u64) {
        (self.mailbox.messages.used(), self.mailbox.messages.limit())
    }

    /// Whether nobody is behind it any more.
    pub fn shut(&self) -> bool {
        self.task.ended() || self.task.stopping()
    }

    pub(crate) fn put(&self, work: Work) -> Result<(), Refusal> {
        self.work.send(work).map_err(|_| Refusal::Stopped)
    }
}
