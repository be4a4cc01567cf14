//! The way to an agent: those who have its door can send it messages, and learn what came of them.

use crate::agent::{Answer, Error};
use crate::live::{Handed, Work};
use runtime::{Chunk, Held, Message, Quota, Task};
use std::sync::Arc;
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

/// The way to an agent. It does not keep the agent alive.
#[derive(Clone)]
pub struct Door {
    work: mpsc::UnboundedSender<Work>,
    task: Arc<Task>,
    mailbox: Mailbox,
}

/// Room in a mailbox for one message.
#[derive(Debug)]
pub struct Place {
    pub(crate) message: Held,
    pub(crate) bytes: Held,
}

/// Where the answer to a message goes.
#[derive(Debug, Default)]
pub struct Desk {
    pub(crate) answer: Option<oneshot::Sender<Answer>>,
    pub(crate) chunks: Option<mpsc::UnboundedSender<Chunk>>,
    /// What a reply counts on from its arrival until it is taken.
    pub(crate) memory: Option<Arc<Quota>>,
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
    pub(crate) fn new(work: mpsc::UnboundedSender<Work>, task: Arc<Task>, mailbox: Mailbox) -> Door {
        Door { work, task, mailbox }
    }

    /// Room for a message, kept until it is sent or the place is dropped.
    pub fn reserve(&self, message: &Message) -> Result<Place, Refusal> {
        if self.task.ended() || self.task.stopping() {
            return Err(Refusal::Stopped);
        }
        let full = |what| Refusal::Full { what };
        let one = self.mailbox.messages.hold(1).map_err(|_| full("mailbox"))?;
        let bytes = self.mailbox.bytes.hold(size(message)).map_err(|_| full("mailbox-bytes"))?;
        Ok(Place { message: one, bytes })
    }

    /// Sends a message into a place that was kept for it.
    pub fn send(&self, place: Place, message: Message, desk: Desk) -> Result<(), Refusal> {
        self.put(Work::Handle(Box::new(Handed { message, place, desk })))
    }

    pub(crate) fn put(&self, work: Work) -> Result<(), Refusal> {
        self.work.send(work).map_err(|_| Refusal::Stopped)
    }
}
