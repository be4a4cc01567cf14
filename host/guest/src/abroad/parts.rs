//! Provisional parts of a reply that cross villages: sent on as they come, heard at most once, and lost where there is no
//! room, no allowance or no way for them. The reply stands without them.

use super::Abroad;
use super::wire::{self, PARTS, Parcel, Parts};
use crate::rate::Rate;
use crate::standing::Standing;
use agents::Answer;
use mesh::{Mesh, Message, PeerId};
use parking_lot::Mutex;
use runtime::{Chunk, Quota, clock};
use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;

/// Bytes of parts that are sent together, where more than one wait.
const TOGETHER: usize = 256 << 10;

/// What a part counts as beside its bytes.
const PART: usize = 64;

/// How long a few parts are tried: the reply waits behind them.
const TRY: Duration = Duration::from_secs(2);

/// Who hears the parts of replies, by the questions' ids.
#[derive(Default)]
pub(crate) struct Ears(Mutex<HashMap<String, Hearing>>);

struct Hearing {
    peer: PeerId,
    ear: Ear,
    /// The number of the next part: those before it were heard.
    next: u64,
}

/// Where parts of a reply go.
#[derive(Clone)]
pub(crate) struct Ear {
    pub(crate) chunks: UnboundedSender<Chunk>,
    /// What they count on until they are taken.
    pub(crate) memory: Arc<Quota>,
    /// What whoever hears them may exchange with other villages; none for somebody outside.
    pub(crate) rate: Option<Arc<Rate>>,
    pub(crate) ears: Arc<Ears>,
}

/// Somebody hears the parts of one reply, until this is dropped.
pub(super) struct Listening {
    ears: Arc<Ears>,
    id: String,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.ears.0.lock().remove(&self.id);
    }
}

impl Ear {
    /// Hears the parts of the reply to a question that a village is asked.
    pub(super) fn listen(&self, id: &str, peer: PeerId) -> Listening {
        let hearing = Hearing { peer, ear: self.clone(), next: 0 };
        self.ears.0.lock().insert(id.into(), hearing);
        Listening { ears: self.ears.clone(), id: id.into() }
    }
}

impl Abroad {
    /// Hands parts of a reply to whoever hears them.
    pub(super) fn hear(&self, from: PeerId, parts: Parts) -> Result<(), &'static str> {
        let mut ears = self.ears.0.lock();
        let hearing = ears.get_mut(&parts.id).filter(|hearing| hearing.peer == from);
        let hearing = hearing.ok_or("nobody listens")?;
        for (number, bytes) in (parts.first..).zip(parts.parts) {
            if number < hearing.next {
                continue;
            }
            hearing.next = number + 1;
            let size = (PART + bytes.len()) as u64;
            if let Some(rate) = &hearing.ear.rate {
                rate.spend(size, clock::now());
            }
            if let Ok(held) = hearing.ear.memory.hold(size) {
                hearing.ear.chunks.send(Chunk { bytes, held }).map_err(|_| "nobody listens")?;
            }
        }
        Ok(())
    }
}

/// Waits for an answer of this village, with the parts that come before it.
pub(super) async fn heard(
    mut chunks: UnboundedReceiver<Chunk>,
    answered: oneshot::Receiver<Answer>,
    mut hear: impl FnMut(Chunk),
) -> Result<Answer, oneshot::error::RecvError> {
    let mut answered = pin!(answered);
    let answer = loop {
        tokio::select! {
            biased;
            Some(chunk) = chunks.recv() => hear(chunk),
            answer = &mut answered => break answer,
        }
    };
    while let Ok(chunk) = chunks.try_recv() {
        hear(chunk);
    }
    answer
}

/// The way of parts to whoever asked.
pub(super) struct Way {
    pub(super) mesh: Mesh,
    pub(super) peer: PeerId,
    /// The question, as its asker knows it.
    pub(super) id: String,
    pub(super) standing: Arc<Standing>,
}

/// Sends the parts of a reply on as they come, until the answer is there.
pub(super) async fn send_on(
    way: &Way,
    mut chunks: UnboundedReceiver<Chunk>,
    answered: oneshot::Receiver<Answer>,
) -> Result<Answer, oneshot::error::RecvError> {
    let mut answered = pin!(answered);
    let mut next = Some(0);
    loop {
        tokio::select! {
            biased;
            Some(chunk) = chunks.recv() => next = way.send(next, chunk, &mut chunks).await,
            answer = &mut answered => {
                while let Ok(chunk) = chunks.try_recv() {
                    next = way.send(next, chunk, &mut chunks).await;
                }
                return answer;
            }
        }
    }
}

impl Way {
    /// Sends a part, and those that wait behind it. Answers the number of the next one; none if nobody hears it.
    async fn send(&self, first: Option<u64>, chunk: Chunk, more: &mut UnboundedReceiver<Chunk>) -> Option<u64> {
        let first = first?;
        let (mut bytes, mut held, mut parts) = (0, Vec::new(), Vec::new());
        let mut waiting = Some(chunk);
        while let Some(Chunk { bytes: part, held: counts }) = waiting.take() {
            bytes += PART + part.len();
            parts.push(self.standing.accounts.http.keys.redactor.bytes(&part).into_owned());
            held.push(counts);
            if bytes < TOGETHER {
                waiting = more.try_recv().ok();
            }
        }
        let next = first + parts.len() as u64;
        let taken = self.standing.accounts.mesh.take(bytes as u64, clock::now());
        let body = wire::encode(&Parcel::Parts(Parts { id: self.id.clone(), first, parts }));
        if taken.is_err() || body.len() > mesh::BODY_LIMIT {
            return Some(next);
        }
        let message = Message::new(PARTS, body).lasting(TRY);
        self.mesh.ask(self.peer, message).await.ok().map(|_| next)
    }
}
