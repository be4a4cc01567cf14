//! Questions to other villages: asked again until there is an answer, as long as whoever asks waits.

use super::wire::{self, Asking, Letter, No, Parcel, Question, Word};
use super::{Chain, Ear, Far, Lost, seeking};
use crate::house::House;
use mesh::{Mesh, PeerId};
use parking_lot::Mutex;
use runtime::{Message, Payload};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Whom a question is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whom {
    One(Far),
    /// Whoever has a skill.
    Any(String),
}

/// The villages that were asked a question: those that may keep a reply to it.
pub(crate) type Peers = Arc<Mutex<Vec<PeerId>>>;

/// A question that is asked: dropping it gives the answer up.
pub(crate) struct Asked {
    pub(crate) message: Message,
    /// Who was asked is added to these.
    pub(crate) peers: Peers,
    /// Who waits for the answer: the asker, and those that wait for it.
    pub(crate) chain: Chain,
    /// Where parts of the reply go, if somebody hears them.
    pub(crate) ear: Option<Ear>,
    /// Whether the turn that asks may have asked before; none if nothing of it is kept.
    pub(crate) again: Option<bool>,
    /// When nobody waits for the answer any more.
    pub(crate) until: Instant,
}

/// What came of it: a reply, or why there is none.
pub(crate) type Came = Result<Payload, Elsewhere>;

/// Why nothing came of a message to another village.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Elsewhere {
    /// There is no such agent, or no such village.
    #[error("{0}")]
    NotFound(String),
    /// The agent takes no messages of other villages.
    #[error("{0}")]
    Denied(String),
    /// An allowance there is used up.
    #[error("an allowance of the other agent is used up (`{what}`)")]
    Limit {
        /// Which.
        what: String,
        /// After how many milliseconds there may be more.
        after: Option<u64>,
    },
    /// It can't be sent.
    #[error("{0}")]
    Invalid(String),
    /// There was no answer in time.
    #[error("{0}")]
    Timeout(String),
    /// It can't be had now.
    #[error("{0}")]
    Unavailable(String),
    /// The other agent said no.
    #[error("{}", if .0.message.is_empty() { "the other agent did not say why" } else { &.0.message })]
    Failed(runtime::Failure),
    /// The other agent's turn broke.
    #[error("the other agent's turn broke off ({0})")]
    Broke(String),
    /// What is kept here can't be read or written.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl From<No> for Elsewhere {
    fn from(no: No) -> Elsewhere {
        match no {
            No::NotFound(text) => Elsewhere::NotFound(text),
            No::Denied(text) => Elsewhere::Denied(text),
            No::Limit(what, after) => Elsewhere::Limit { what, after },
            No::Failed { kind, message, details } => Elsewhere::Failed(wire::failure(kind, message, details)),
            No::Broke(kind) => Elsewhere::Broke(kind),
            No::Unavailable(text) => Elsewhere::Unavailable(text),
        }
    }
}

impl From<Lost> for Elsewhere {
    fn from(lost: Lost) -> Elsewhere {
        match lost {
            Lost::Bad(text) => Elsewhere::Invalid(text),
            Lost::Nobody(text) => Elsewhere::NotFound(text),
            Lost::Alone => Elsewhere::Unavailable(ALONE.into()),
        }
    }
}

/// What is said where there is no mesh.
pub(super) const ALONE: &str = "this village is alone: it has no mesh";

/// One try takes no longer than this; the question stays the same.
const TRY: Duration = Duration::from_secs(30);

/// How long it rests where the other side did not say.
const REST: Duration = Duration::from_millis(100);

/// What came of asking one agent.
pub(super) enum Heard {
    Word(Word),
    /// It is certain that it was not handled.
    Never(Elsewhere),
    /// It may have been.
    Perhaps(Elsewhere),
}

/// Asks; the answer comes through the receiver.
pub(crate) fn ask(house: &Arc<House>, whom: Whom, asked: Asked) -> (oneshot::Receiver<Came>, tokio::task::AbortHandle) {
    let (done, came) = oneshot::channel();
    let (house, io) = (house.clone(), house.io.clone());
    let mesh = house.abroad.as_ref().map(|abroad| abroad.mesh.clone());
    let handle = io.spawn(async move {
        let answer = match (mesh, whom) {
            (None, _) => Err(Lost::Alone.into()),
            (Some(mesh), Whom::One(far)) => {
                // Not held while it waits: it may take long, and the host may have to go.
                drop(house);
                came_of(ask_one(&mesh, &far, &asked, asked.until).await)
            }
            (Some(_), Whom::Any(skill)) => seeking::ask(house, &skill, asked).await,
        };
        // Whoever asked may have given up.
        drop(done.send(answer));
    });
    (came, handle.abort_handle())
}

/// What whoever asked is told.
pub(super) fn came_of(heard: Heard) -> Came {
    match heard {
        Heard::Word(Word::Reply { content_type, body }) => Ok(Payload { content_type, body }),
        Heard::Word(Word::No(no)) => Err(no.into()),
        Heard::Word(_) => Err(Elsewhere::Unavailable("the other village answered something else".into())),
        Heard::Never(error) | Heard::Perhaps(error) => Err(error),
    }
}

/// Asks one agent until there is an answer, but no longer than `until`.
pub(super) async fn ask_one(mesh: &Mesh, far: &Far, asked: &Asked, until: Instant) -> Heard {
    let (kept, letter) = (asked.again.is_some(), Letter::of(&asked.message));
    asked.peers.lock().push(far.peer);
    let question = Question { id: asked.message.id.clone(), kept, letter };
    let _listening = asked.ear.as_ref().map(|ear| ear.listen(&question.id, far.peer));
    let asking = Asking { question, chain: asked.chain.to_vec(), hears: asked.ear.is_some() };
    let body = wire::encode(&Parcel::Asking(asking));
    let mut sent = false;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left < Duration::from_millis(1) {
            return out_of_time(far, sent);
        }
        let message = mesh::Message::new(far.agent.as_str(), body.clone())
            .lasting(left.min(TRY))
            .with(wire::urgency(asked.message.priority));
        let rest = match mesh.ask(far.peer, message).await {
            Ok(bytes) => match wire::decode(&bytes) {
                Ok(word) => return Heard::Word(word),
                Err(why) => {
                    return Heard::Perhaps(Elsewhere::Unavailable(format!("what the other village answered: {why}")));
                }
            },
            Err(mesh::Error::Expired { sent: now }) => {
                sent |= now;
                match sent && !kept {
                    // It can't be asked again: it could be handled twice.
                    true => return out_of_time(far, sent),
                    false => Duration::ZERO,
                }
            }
            Err(mesh::Error::Busy { after }) => after,
            Err(mesh::Error::Refused { .. }) if kept => {
                // Said of a village that stopped in the midst of it, too.
                sent = true;
                REST
            }
            Err(error) => return wrong(error, sent),
        };
        tokio::time::sleep(rest.min(until.saturating_duration_since(Instant::now()))).await;
    }
}

fn out_of_time(far: &Far, sent: bool) -> Heard {
    match sent {
        true => Heard::Perhaps(Elsewhere::Timeout("the other agent took too long".into())),
        false => Heard::Never(Elsewhere::Unavailable(format!("the village of `{}` can't be reached", far.address()))),
    }
}

fn wrong(error: mesh::Error, sent: bool) -> Heard {
    let text = error.to_string();
    let error = match error {
        mesh::Error::Stranger { .. } => Elsewhere::NotFound(text),
        mesh::Error::Blocked { .. } | mesh::Error::TurnedAway { .. } => Elsewhere::Denied(text),
        mesh::Error::TooLarge { .. } | mesh::Error::Setting { .. } => Elsewhere::Invalid(text),
        mesh::Error::Refused { .. } => return Heard::Perhaps(Elsewhere::Unavailable(text)),
        _ => Elsewhere::Unavailable(text),
    };
    if sent { Heard::Perhaps(error) } else { Heard::Never(error) }
}

impl Far {
    /// As an agent would write it.
    pub(crate) fn address(&self) -> String {
        format!("{}@{}", self.agent, self.peer)
    }
}

impl House {
    /// Whom an address leads to.
    pub(crate) fn locate(&self, address: &str) -> Result<Far, Lost> {
        self.abroad.as_ref().ok_or(Lost::Alone)?.locate(address)
    }
}
