//! What is said and heard through the handle: messages that go out, asks and published messages that come in.

use crate::error::Error;
use crate::frame::{BODY_LIMIT, Frame, Id, Priority, Reply, SKEW, Trace};
use crate::node::Answered;
use crate::timers;
use libp2p::PeerId;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, broadcast, mpsc};

/// What is to be said to a peer, or to all who listen.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Whom it is for at the peer, or the topic.
    pub to: String,
    /// What it says: at most [`BODY_LIMIT`] bytes.
    pub body: Vec<u8>,
    /// What goes first.
    pub priority: Priority,
    /// How long somebody wants it: at most [`LIFE_LIMIT`].
    pub life: Duration,
    /// The message that it has to do with.
    pub correlation: Option<Id>,
    /// What it belongs to.
    pub trace: Trace,
}

/// Something that another peer asks. Dropped unanswered, it is refused.
#[derive(Debug)]
pub struct Ask {
    /// Who asks: this is certain.
    pub from: PeerId,
    /// What it says.
    pub frame: Frame,
    pub(crate) done: Option<mpsc::UnboundedSender<Answered>>,
    /// Memory for the frame, free again when this is dropped.
    pub(crate) _memory: Option<OwnedSemaphorePermit>,
}

/// What other peers ask, in the order in which it came.
#[derive(Debug)]
pub struct Asks(mpsc::Receiver<Ask>);

/// The messages of one topic.
#[derive(Debug)]
pub struct Topic(pub(crate) broadcast::Receiver<Heard>);

/// A published message.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Who has published it: this is certain.
    pub from: PeerId,
    /// What it says.
    pub frame: Arc<Frame>,
}

impl Message {
    /// For this address or topic, normal, wanted for ten seconds.
    pub fn new(to: impl Into<String>, body: impl Into<Vec<u8>>) -> Message {
        let (priority, correlation, trace) = Default::default();
        Message { to: to.into(), body: body.into(), priority, life: Duration::from_secs(10), correlation, trace }
    }

    /// The same, wanted for so long.
    pub fn lasting(self, life: Duration) -> Message {
        Message { life, ..self }
    }

    /// The same, with this priority.
    pub fn with(self, priority: Priority) -> Message {
        Message { priority, ..self }
    }
}

impl Asks {
    pub(crate) fn new(inbox: mpsc::Receiver<Ask>) -> Asks {
        Asks(inbox)
    }

    /// The next that is still wanted; nothing when the mesh has stopped.
    pub async fn next(&mut self) -> Option<Ask> {
        loop {
            let ask = self.0.recv().await?;
            if ask.frame.expires + SKEW.as_millis() as u64 > timers::now() {
                return Some(ask);
            }
        }
    }
}

impl Ask {
    /// Answers.
    pub fn answer(mut self, body: impl Into<Vec<u8>>) -> Result<(), Error> {
        let body = body.into();
        if body.len() > BODY_LIMIT {
            let error = Error::TooLarge { bytes: body.len(), limit: BODY_LIMIT };
            self.end(Reply::Refused(error.to_string()));
            return Err(error);
        }
        self.end(Reply::Done(body));
        Ok(())
    }

    /// Says no, for good.
    pub fn refuse(mut self, what: &str) {
        self.end(Reply::Refused(what.chars().take(1024).collect()));
    }

    /// Has it asked once more, after a while. It counts as never handled.
    pub fn busy(mut self, after: Duration) {
        self.end(Reply::Busy(u32::try_from(after.as_millis()).unwrap_or(u32::MAX)));
    }

    fn end(&mut self, reply: Reply) {
        if let Some(done) = self.done.take() {
            let _ = done.send(Answered { key: (self.frame.sender, self.frame.id), reply });
        }
    }
}

impl Drop for Ask {
    fn drop(&mut self) {
        self.end(Reply::Refused("nobody answers here".into()));
    }
}

impl Topic {
    /// The next message, and how many were missed before it; nothing when the mesh has stopped.
    pub async fn next(&mut self) -> Option<(Heard, u64)> {
        let mut missed = 0;
        loop {
            match self.0.recv().await {
                Ok(heard) => return Some((heard, missed)),
                Err(broadcast::error::RecvError::Lagged(more)) => missed += more,
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}
