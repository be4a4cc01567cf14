//! Questions of other villages: each is handled once, however often it is asked, and its reply kept until its turn is done.

use super::Abroad;
use super::chains;
use super::parts::{Way, send_on};
use super::wire::{self, Asking, No, Question, Word};
use crate::house::{House, millis};
use crate::redact::Redactor;
use crate::standing::Standing;
use agents::{Answer, Desk, Origin, REPLIES, Refusal};
use mesh::{Ask, Mesh, PeerId};
use runtime::{Chunk, clock};
use std::sync::{Arc, Weak};
use store::Change;
use tokio::sync::{mpsc, oneshot};

/// A question that an agent is at.
#[derive(Default)]
pub(super) struct UnderWay {
    /// Those who asked it again meanwhile.
    others: Vec<Ask>,
    /// Whether nobody will ask it again: its reply need not be kept.
    pub(super) settled: bool,
}

/// An id is no longer than this.
const ID: usize = 512;

/// Whether a question can be known by it.
pub(super) fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= ID && !id.contains(char::is_control)
}

/// What a question of another village is known by here. Whose it is comes first and is certain: nobody asks in another's name,
/// and what a turn of this village lets go when it ends, which begins with its own id, is none of these.
pub(super) fn known_as(peer: &mesh::PeerId, id: &str) -> String {
    format!("@{peer}/{id}")
}

impl House {
    /// Has an agent of this village answer a question.
    pub(super) fn questioned(self: &Arc<House>, abroad: &Abroad, to: &str, asking: Asking, ask: Ask) {
        let Asking { question, chain, hears } = asking;
        let (peer, kept, asked_as) = (ask.from, question.kept, question.id.clone());
        if !is_id(&question.id) {
            return ask.refuse("a question has another id than this");
        }
        let id = known_as(&peer, &question.id);
        if kept {
            let mut asked = abroad.asked.lock();
            if let Some(under_way) = asked.get_mut(&id) {
                under_way.others.push(ask);
                return;
            }
            asked.insert(id.clone(), UnderWay::default());
        }
        // Whatever it says of others, the last of them is its own.
        let noted = match chains::is_of(&chain, &peer) {
            true => {
                self.closes(&chain, to);
                self.note_chain(&id, &chain.into())
            }
            false => None,
        };
        let begun = self.begin(to, question, &id, &peer);
        let mesh = abroad.mesh.clone();
        let house = Arc::downgrade(self);
        let over = async move {
            let word = match begun {
                Ok(begun) => begun.answer(hears.then_some((mesh, peer, asked_as))).await,
                Err(no) => Word::No(no),
            };
            drop(noted);
            let under_way = if kept { taken(&house, &id) } else { UnderWay::default() };
            let bytes = wire::encode(&word);
            for ask in under_way.others.into_iter().chain([ask]) {
                // Who hears nothing asks again.
                drop(ask.answer(bytes.clone()));
            }
            if under_way.settled {
                forget(&house, &id).await;
            }
        };
        abroad.spawn(self, over);
    }

    fn begin(self: &Arc<House>, to: &str, question: Question, id: &str, peer: &mesh::PeerId) -> Result<Begun, No> {
        let (door, standing) = self.open_door(to)?;
        let (kept, bytes) = (question.kept, question.letter.size() as u64);
        let message = question.letter.message(id.into(), peer, millis());
        let message = message.ok_or_else(|| No::Denied("its sender can't be so".into()))?;
        let taken = standing.accounts.mesh.take(bytes, clock::now());
        taken.map_err(|exceeded| No::Limit("mesh".into(), exceeded.after.map(|after| after / 1_000_000 + 1)))?;
        let origin = match kept {
            // It may have been here before this host was.
            true => Origin::Ask { question: agents::question(to, &message), again: true },
            false => Origin::Memory,
        };
        let full = |refusal| match refusal {
            Refusal::Full { what } => No::Limit(what.into(), None),
            Refusal::Stopped => No::NotFound(format!("the agent `{to}` has ended")),
        };
        let place = door.reserve(&message).map_err(full)?;
        let (desk, answered, chunks) = Desk::listener();
        door.send(place, message, desk, origin).map_err(full)?;
        Ok(Begun { answered, chunks, standing })
    }
}

/// A question that an agent has in its mailbox.
struct Begun {
    answered: oneshot::Receiver<Answer>,
    chunks: mpsc::UnboundedReceiver<Chunk>,
    standing: Arc<Standing>,
}

impl Begun {
    /// Waits for the answer. `heard` is by whom parts of it are heard before, and what of.
    async fn answer(self, heard: Option<(Mesh, PeerId, String)>) -> Word {
        let Begun { answered, chunks, standing } = self;
        let answer = match heard {
            Some((mesh, peer, id)) => {
                send_on(&Way { mesh, peer, id, standing: standing.clone() }, chunks, answered).await
            }
            None => {
                drop(chunks);
                answered.await
            }
        };
        let Ok(answer) = answer else {
            return Word::No(No::Unavailable("the other agent ended before it answered".into()));
        };
        let word = said(answer, &standing.accounts.http.keys.redactor);
        if let Word::Reply { content_type, body } = &word {
            standing.accounts.mesh.spend((wire::OVERHEAD + content_type.len() + body.len()) as u64, clock::now());
        }
        word
    }
}

fn taken(house: &Weak<House>, id: &str) -> UnderWay {
    let house = house.upgrade();
    let asked =
        house.as_ref().and_then(|house| house.abroad.as_ref()).and_then(|abroad| abroad.asked.lock().remove(id));
    asked.unwrap_or_default()
}

/// The reply came after it was said that nobody wants it.
async fn forget(house: &Weak<House>, id: &str) {
    let books = house.upgrade().and_then(|house| house.books.clone());
    if let Some(books) = books {
        let mut change = Change::new();
        change.delete(&REPLIES, id);
        // What can't be let go now goes when its time is over.
        drop(books.store().commit(change).await);
    }
}

/// What another village is told of an answer: no secret of this one, and not how a turn broke.
fn said(answer: Answer, redactor: &Redactor) -> Word {
    match answer.outcome {
        Ok(mut reply) => {
            redactor.clean(&mut reply.payload.content_type);
            let body = redactor.bytes(&reply.payload.body).into_owned();
            if body.len() > wire::LARGEST {
                let size = base::Size::bytes(body.len() as u64);
                return Word::No(No::Unavailable(format!("the reply is too large to go to another village: {size}")));
            }
            Word::Reply { content_type: reply.payload.content_type, body }
        }
        Err(agents::Error::Failed(mut failure)) => {
            redactor.clean(&mut failure.message);
            redactor.clean(&mut failure.details);
            let kind = wire::failure_number(failure.kind);
            Word::No(No::Failed { kind, message: failure.message, details: failure.details })
        }
        Err(agents::Error::Broke(fault)) => Word::No(No::Broke(fault.kind().into())),
        Err(agents::Error::NoRoom) => Word::No(No::Unavailable("there was no memory left for the reply".into())),
        Err(agents::Error::Store(_)) => {
            Word::No(No::Unavailable("what the other agent did could not be kept, so it did not happen".into()))
        }
    }
}
