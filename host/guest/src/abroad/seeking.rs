//! Questions to whoever has a skill: the best is asked, and the next if it is certain that the one before did not handle it.

use super::asking::{ALONE, Asked, Came, Elsewhere, Heard, ask_one, came_of};
use super::parts::heard;
use super::wire::{No, Word};
use super::{Abroad, Far};
use crate::house::{House, millis};
use agents::{Answer, Desk, Origin, REPLIES, Recorded, Refusal};
use mesh::{Found, Mesh};
use std::sync::Arc;
use std::time::Duration;
use store::Change;
use tokio::time::Instant;

/// What the address of whoever has a skill begins with.
pub const SKILL: &str = "skill:";

/// Asks the best, and the next if that one can't.
pub(super) async fn ask(house: Arc<House>, skill: &str, asked: Asked) -> Came {
    let Some(abroad) = &house.abroad else { return Err(Elsewhere::Unavailable(ALONE.into())) };
    // A turn that is tried again asks whom it asked before: that one may have handled it.
    if asked.again == Some(true)
        && let Some(address) = chosen(&house, &asked)
    {
        return came_of(ask_at(&house, abroad, &address, &asked, asked.until).await);
    }
    let mut addresses = skilled(&abroad.mesh, skill).await?;
    let asker = match &asked.message.sender {
        runtime::Sender::Agent(name) => name.clone(),
        _ => String::new(),
    };
    // Whoever waits for itself waits for ever.
    addresses.retain(|address| *address != asker);
    let (count, mut last) = (addresses.len(), nobody(skill));
    for (n, address) in addresses.into_iter().enumerate() {
        let left = asked.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        choose(&house, &asked, &address).await?;
        // Time for each that is left, so that one that is gone does not use up all of it.
        let until = Instant::now() + left / (count - n) as u32;
        match ask_at(&house, abroad, &address, &asked, until).await {
            Heard::Never(error) => last = error,
            Heard::Word(Word::No(no)) if no.is_untouched() => last = no.into(),
            heard => return came_of(heard),
        }
    }
    choose(&house, &asked, "").await?;
    Err(last)
}

/// Who is known to have a skill, the best first: agents of this village by their names, others by their addresses.
pub(super) async fn skilled(mesh: &Mesh, skill: &str) -> Result<Vec<String>, Elsewhere> {
    let found = mesh.find(skill).await.map_err(|error| Elsewhere::Unavailable(error.to_string()))?;
    let own = mesh.peer();
    let address = |found: Found| match found.peer == own {
        true => found.agent,
        false => Far { agent: found.agent, peer: found.peer }.address(),
    };
    Ok(found.into_iter().map(address).collect())
}

/// What is said when there is none.
pub(super) fn nobody(skill: &str) -> Elsewhere {
    Elsewhere::NotFound(format!("nobody that is known has the skill `{skill}`"))
}

async fn ask_at(house: &Arc<House>, abroad: &Abroad, address: &str, asked: &Asked, until: Instant) -> Heard {
    if address.contains('@') {
        return match abroad.locate(address) {
            Ok(far) => ask_one(&abroad.mesh, &far, asked, until).await,
            Err(lost) => Heard::Never(lost.into()),
        };
    }
    match tokio::time::timeout_at(until, ask_here(house, address, asked)).await {
        Ok(heard) => heard,
        Err(_) => Heard::Perhaps(Elsewhere::Timeout("the other agent took too long".into())),
    }
}

/// Asks an agent of this village.
async fn ask_here(house: &Arc<House>, name: &str, asked: &Asked) -> Heard {
    let gone = || Heard::Never(Elsewhere::NotFound(format!("there is no agent `{name}`")));
    let message = asked.message.clone();
    let door = match house.door(name) {
        Ok(Some(door)) => door,
        Ok(None) => return gone(),
        Err(error) => return Heard::Never(Elsewhere::Unavailable(error.to_string())),
    };
    let origin = match asked.again {
        Some(again) => Origin::Ask { question: agents::question(name, &message), again },
        None => Origin::Memory,
    };
    let place = match door.reserve(&message) {
        Ok(place) => place,
        Err(Refusal::Full { what }) => return Heard::Never(Elsewhere::Limit { what: what.into(), after: None }),
        Err(Refusal::Stopped) => return gone(),
    };
    let (desk, answered, chunks) = Desk::listener();
    let _noted = house.note_chain(&message.id, &asked.chain);
    house.closes(&asked.chain, name);
    if door.send(place, message, desk, origin).is_err() {
        return gone();
    }
    let hear = |chunk| {
        if let Some(ear) = &asked.ear {
            // Whoever asked may have given up.
            drop(ear.chunks.send(chunk));
        }
    };
    let Ok(Answer { outcome, .. }) = heard(chunks, answered, hear).await else {
        return Heard::Perhaps(Elsewhere::Unavailable("the other agent ended before it answered".into()));
    };
    Heard::Word(match outcome {
        Ok(reply) => Word::Reply { content_type: reply.payload.content_type, body: reply.payload.body },
        Err(agents::Error::Failed(failure)) => Word::No(No::Failed {
            kind: super::wire::failure_number(failure.kind),
            message: failure.message,
            details: failure.details,
        }),
        Err(agents::Error::Broke(fault)) => Word::No(No::Broke(fault.kind().into())),
        Err(agents::Error::NoRoom | agents::Error::Store(_)) => {
            Word::No(No::Unavailable("what the other agent did could not be kept, so it did not happen".into()))
        }
    })
}

/// What is kept of whom a question was sent to: with the replies of the turn that asks, and for as long.
fn key(asked: &Asked) -> String {
    format!("{}.to", asked.message.id)
}

fn question(asked: &Asked) -> [u8; 32] {
    agents::question("", &asked.message)
}

fn chosen(house: &House, asked: &Asked) -> Option<String> {
    let recorded = house.books.as_ref()?.store().read().get(&REPLIES, &key(asked)).ok()??;
    let address = String::from_utf8(recorded.body).ok()?;
    (recorded.question == question(asked) && !address.is_empty()).then_some(address)
}

/// Keeps whom it is sent to, before it is.
async fn choose(house: &House, asked: &Asked, address: &str) -> Result<(), Elsewhere> {
    let (Some(_), Some(books)) = (asked.again, &house.books) else { return Ok(()) };
    let body = address.as_bytes().to_vec();
    let recorded = Recorded { question: question(asked), content_type: String::new(), body, when: millis() };
    let mut change = Change::new();
    change.put(&REPLIES, &key(asked), &recorded);
    let kept = tokio::time::timeout(CHOOSING, books.store().commit(change)).await;
    kept.map_err(|_| Elsewhere::Unavailable("the store takes too long".into()))?.map(drop).map_err(Elsewhere::from)
}

const CHOOSING: Duration = Duration::from_secs(30);
