//! Messages of somebody outside for agents of other villages, and for whoever has a skill.

use super::asking::{Asked, Elsewhere, Heard, Peers, ask_one, came_of};
use super::wire::{self, Word};
use super::{Abroad, Chain, Ear, Lost, Stay, seeking};
use crate::host::Host;
use agents::{Books, OUTBOX, Outgoing};
use mesh::PeerId;
use runtime::{Chunk, Message, Payload, Quota};
use std::time::Duration;
use store::Change;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

/// Why there is no reply.
#[derive(Debug, Clone)]
pub struct Unanswered {
    /// Why.
    pub error: Elsewhere,
    /// Whether it is certain that nobody has handled the message: another one may be asked.
    pub untouched: bool,
}

impl From<Elsewhere> for Unanswered {
    fn from(error: Elsewhere) -> Unanswered {
        Unanswered { error, untouched: true }
    }
}

impl From<Lost> for Unanswered {
    fn from(lost: Lost) -> Unanswered {
        Elsewhere::from(lost).into()
    }
}

/// Bytes of parts of a reply that wait for somebody outside to take them; what comes beyond is lost.
const UNHEARD: u64 = 16 << 20;

/// It is said what is the matter so long before nobody waits any more, and a tenth of the time at most.
const BEFORE: Duration = Duration::from_millis(50);

impl Host {
    /// Asks an agent of another village for somebody outside, and waits for the answer until `patience` is over. `parts`
    /// are given the provisional ones of the reply. Asked again with the same id it is the same question; nothing of one
    /// without an id is kept.
    pub async fn ask_elsewhere(
        &self,
        address: &str,
        message: Message,
        patience: Duration,
        parts: Option<UnboundedSender<Chunk>>,
    ) -> Result<Payload, Unanswered> {
        let house = self.house();
        let far = house.locate(address)?;
        too_large(&message)?;
        let Some(abroad) = &house.abroad else { return Err(Lost::Alone.into()) };
        let (again, until) = ((!message.id.is_empty()).then_some(true), Instant::now() + patience);
        let until = until - (patience / 10).min(BEFORE);
        let settle = Settle { abroad, peers: Peers::default(), id: message.id.clone() };
        let message = Message { id: if message.id.is_empty() { house.message() } else { message.id }, ..message };
        let (memory, ears) = (Quota::new(UNHEARD), abroad.ears.clone());
        let ear = parts.map(|chunks| Ear { chunks, memory, rate: None, ears });
        // Nobody asks whoever is outside.
        let chain = Chain::default();
        let asked = Asked { message, peers: settle.peers.clone(), chain, ear, again, until };
        let heard = ask_one(&abroad.mesh, &far, &asked, until).await;
        let untouched = match &heard {
            Heard::Never(_) => true,
            Heard::Word(Word::No(no)) => no.is_untouched(),
            Heard::Word(_) | Heard::Perhaps(_) => false,
        };
        came_of(heard).map_err(|error| Unanswered { error, untouched })
    }

    /// Who is known to have a skill, the best first: agents of this village by their names, others by their addresses.
    pub async fn skilled(&self, skill: &str) -> Result<Vec<String>, Elsewhere> {
        let abroad = self.house().abroad.as_ref().ok_or(Lost::Alone)?;
        match seeking::skilled(&abroad.mesh, skill).await? {
            none if none.is_empty() => Err(seeking::nobody(skill)),
            some => Ok(some),
        }
    }

    /// Keeps a message of somebody outside for an agent of another village, to which it is brought as soon as that can be
    /// reached. Answers its id.
    pub async fn tell_elsewhere(&self, address: &str, mut message: Message) -> Result<String, Elsewhere> {
        let house = self.house();
        let far = house.locate(address)?;
        too_large(&message)?;
        let (Some(abroad), Some(books)) = (&house.abroad, &house.books) else {
            return Err(Elsewhere::Unavailable("nothing is kept here".into()));
        };
        let number = books.number();
        message.id = format!("{number:x}");
        let going = Outgoing::new(&far.agent, &far.peer.to_string(), agents::Mail::of(&message));
        let stay = abroad.reserve(&going.mail.from.to_string(), going.mail.body.len() as u64, CLIENTS);
        let stay = stay.map_err(|what| Elsewhere::Limit { what: what.into(), after: None })?;
        self.put_out(abroad, books, going, number, stay).await?;
        Ok(message.id)
    }

    async fn put_out(
        &self,
        abroad: &Abroad,
        books: &Books,
        going: Outgoing,
        number: u64,
        stay: Stay,
    ) -> Result<(), Elsewhere> {
        debug_assert!(abroad.mesh.peer().to_string() != going.peer, "it is another village");
        let lane = going.lane();
        let mut change = Change::new();
        change.put(&OUTBOX, (&lane, number), &going);
        books.store().commit(change).await?;
        stay.keep();
        self.house().carry(lane);
        Ok(())
    }

    /// Has a message carried that was put back into the outbox.
    pub fn carry_again(&self, going: &Outgoing) {
        if let Some(abroad) = &self.house().abroad {
            abroad.count(going);
            self.house().carry(going.lane());
        }
    }

    /// Messages were taken out of the outbox: their senders have room for others.
    pub fn carry_no_more(&self, taken: &[Outgoing]) {
        if let Some(abroad) = &self.house().abroad {
            taken.iter().for_each(|going| abroad.give_back(going));
        }
    }

    /// Answers what another village says or asks.
    pub async fn received(&self, ask: mesh::Ask) {
        self.house().received(ask).await;
    }

    /// The id of a village that only one begins with so, for messages to people.
    pub fn village_of(&self, address: &str) -> Option<PeerId> {
        self.house().locate(address).ok().map(|far| far.peer)
    }
}

/// Has those who were asked told that the question will not be asked again, also where whoever asked has gone.
struct Settle<'a> {
    abroad: &'a Abroad,
    peers: Peers,
    /// Empty if nothing of it is kept.
    id: String,
}

impl Drop for Settle<'_> {
    fn drop(&mut self) {
        if !self.id.is_empty() {
            self.abroad.settle(&self.peers, &self.id);
        }
    }
}

/// So many messages, and bytes of them, of one client may be on their way to other villages.
const CLIENTS: (u64, u64) = (10_000, 64 << 20);

fn too_large(message: &Message) -> Result<(), Elsewhere> {
    match wire::size(message) > wire::LARGEST {
        true => {
            let most = base::Size::bytes(wire::LARGEST as u64);
            Err(Elsewhere::Invalid(format!("a message to another village has at most {most}")))
        }
        false => Ok(()),
    }
}
