//! What carries messages of the outbox to other villages, each lane in its order, until they are kept there.

use super::Abroad;
use super::wire::{self, Letter, Parcel, SETTLED, Settled, Tell, Verdict, Word};
use crate::house::{House, millis};
use agents::{Books, OUTBOX, Outgoing};
use mesh::{Mesh, Message, PeerId};
use runtime::Priority;
use std::sync::{Arc, Weak};
use std::time::Duration;
use store::Change;

/// Messages, and bytes of them, that are carried at once.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 256 << 10;

/// How long one try may take. A peer that is away is tried again at once when that is over.
const TRY: Duration = Duration::from_secs(20);

/// How long it rests after a try that failed: twice as long each time.
const REST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(30);

type Rows = Vec<(u64, Outgoing)>;

/// What came of carrying a few messages.
enum Carried {
    /// The first of them are settled, one way or the other.
    Settled(Vec<Verdict>),
    /// Nothing is known; try again after so long at least.
    Nothing(Duration),
}

impl House {
    /// Has somebody carry what is in a lane of the outbox.
    pub(crate) fn carry(self: &Arc<House>, lane: String) {
        let Some(abroad) = &self.abroad else { return };
        if abroad.lanes.lock().insert(lane.clone()) {
            let house = Arc::downgrade(self);
            abroad.spawn(self, carry(house, lane));
        }
    }

    /// Sends a message once, at most: of an agent of which nothing is kept.
    pub(crate) fn carry_once(self: &Arc<House>, going: Outgoing) {
        let Some(abroad) = &self.abroad else { return };
        let (mesh, salt) = (abroad.mesh.clone(), abroad.salt);
        abroad.spawn(self, async move {
            let told = [(None, &going)];
            // Nobody waits for what comes of it.
            match going.peer.parse::<PeerId>() {
                Ok(peer) => drop(bring(&mesh, peer, salt, &told).await),
                Err(_) => drop(publish(&mesh, salt, None, &going).await),
            }
        });
    }
}

async fn carry(house: Weak<House>, lane: String) {
    let mut rest = REST;
    loop {
        let (mesh, salt, rows) = match load(&house, &lane) {
            Some(Ok(few)) => few,
            // What can't be read now may be a little later.
            Some(Err(_)) => {
                tokio::time::sleep(LONGEST).await;
                continue;
            }
            None => return,
        };
        let (live, expired): (Rows, Rows) = rows.into_iter().partition(|(_, going)| going.until > millis());
        let mut carried = Carried::Settled(Vec::new());
        if let Some((number, first)) = live.first() {
            carried = match first.peer.parse::<PeerId>() {
                Ok(peer) => {
                    let told: Vec<_> = live.iter().map(|(number, going)| (Some(*number), going)).collect();
                    bring(&mesh, peer, salt, &told).await
                }
                Err(_) => publish(&mesh, salt, Some(*number), first).await,
            };
        }
        drop(mesh);
        let (verdicts, mut wait) = match carried {
            Carried::Settled(verdicts) => (verdicts, Duration::ZERO),
            Carried::Nothing(least) => (Vec::new(), least.max(rest)),
        };
        let later = verdicts.iter().find_map(|verdict| match verdict {
            Verdict::Later(millis) => Some(Duration::from_millis((*millis).into())),
            _ => None,
        });
        let some = !expired.is_empty() || verdicts.iter().any(|verdict| !matches!(verdict, Verdict::Later(_)));
        if some && !settle(&house, &live, &verdicts, &expired).await {
            wait = rest;
        }
        if let Some(later) = later {
            wait = later.max(rest);
        }
        rest = if some { REST } else { (rest * 2).min(LONGEST) };
        if !wait.is_zero() {
            tokio::time::sleep(wait.min(LONGEST)).await;
        }
    }
}

/// The next few messages of a lane; none if there are no more, or the host has gone.
fn load(house: &Weak<House>, lane: &str) -> Option<Result<(Mesh, u64, Rows), store::Error>> {
    let house = house.upgrade()?;
    let (abroad, books) = (house.abroad.as_ref()?, house.books.as_ref()?);
    let read = || books.store().read().scan(OUTBOX.under(lane), None, BATCH);
    let mut rows = match read() {
        Ok(rows) => rows,
        Err(error) => return Some(Err(error)),
    };
    if rows.is_empty() {
        // Whoever puts one in now has it carried by another; one that came just before is found now.
        abroad.lanes.lock().remove(lane);
        rows = read().unwrap_or_default();
        if rows.is_empty() || !abroad.lanes.lock().insert(lane.into()) {
            return None;
        }
    }
    let mut bytes = 0;
    let mut few = Vec::new();
    for ((_, number), going) in rows {
        bytes += going.mail.body.len() + wire::OVERHEAD;
        if bytes > BATCH_BYTES && !few.is_empty() {
            break;
        }
        few.push((number, going));
    }
    Some(Ok((abroad.mesh.clone(), abroad.salt, few)))
}

/// Brings messages of one lane to the other village.
async fn bring(mesh: &Mesh, peer: PeerId, salt: u64, rows: &[(Option<u64>, &Outgoing)]) -> Carried {
    let tell = |(number, going): &(Option<u64>, &Outgoing)| Tell {
        number: *number,
        until: going.until,
        letter: Letter::of(&going.mail.clone().message()),
    };
    let told: Vec<Tell> = rows.iter().map(tell).collect();
    let Some((_, first)) = rows.first() else { return Carried::Settled(Vec::new()) };
    let body = wire::encode(&Parcel::Told { salt, told });
    let urgency = wire::urgency(first.mail.clone().message().priority);
    let message = Message::new(first.to.as_str(), body).lasting(TRY).with(urgency);
    match mesh.ask(peer, message).await {
        Ok(bytes) => match wire::decode(&bytes) {
            Ok(Word::Told(verdicts)) if !verdicts.is_empty() && verdicts.len() <= rows.len() => {
                Carried::Settled(verdicts)
            }
            // It does not speak as villages do now; perhaps after its next start.
            _ => Carried::Nothing(LONGEST),
        },
        Err(mesh::Error::TooLarge { bytes, .. }) => {
            let reason = format!("{bytes} bytes are more than a message to another village may have");
            Carried::Settled(vec![Verdict::Refused { kind: "too-large".into(), reason }])
        }
        Err(mesh::Error::Expired { .. }) => Carried::Nothing(Duration::ZERO),
        Err(mesh::Error::Busy { after }) => Carried::Nothing(after),
        Err(_) => Carried::Nothing(Duration::from_millis(500)),
    }
}

async fn publish(mesh: &Mesh, salt: u64, number: Option<u64>, going: &Outgoing) -> Carried {
    let (content_type, body) = (going.mail.content_type.clone(), going.mail.body.clone());
    let body = wire::encode(&Parcel::Published { salt, number, content_type, body });
    match mesh.publish(Message::new(going.to.as_str(), body).lasting(TRY)).await {
        Ok(()) => Carried::Settled(vec![Verdict::Kept]),
        Err(mesh::Error::TooLarge { bytes, .. }) => {
            let reason = format!("{bytes} bytes are more than may be published");
            Carried::Settled(vec![Verdict::Refused { kind: "too-large".into(), reason }])
        }
        Err(_) => Carried::Nothing(Duration::ZERO),
    }
}

/// Keeps what came of some messages; answers whether that could be kept.
async fn settle(house: &Weak<House>, live: &Rows, verdicts: &[Verdict], expired: &Rows) -> bool {
    let Some(house) = house.upgrade() else { return false };
    let (Some(abroad), Some(books)) = (&house.abroad, house.books.clone()) else { return false };
    let (mut change, mut gone) = (Change::new(), Vec::new());
    let read = books.store().read();
    for ((number, going), verdict) in live.iter().zip(verdicts) {
        // What somebody took out meanwhile must not come back as a dead letter.
        change.require(&OUTBOX, (&going.lane(), *number));
        match verdict {
            Verdict::Kept => drop(change.delete(&OUTBOX, (&going.lane(), *number))),
            Verdict::Later(_) => break,
            Verdict::Refused { kind, reason } => going.give_up(*number, &short(kind), reason, &read, &mut change),
        }
        gone.push((*number, going));
    }
    for (number, going) in expired {
        change.require(&OUTBOX, (&going.lane(), *number));
        let reason = "the other village could not be reached, or did not take it, for too long";
        going.give_up(*number, "expired", reason, &read, &mut change);
        gone.push((*number, going));
    }
    drop(read);
    let kept = books.store().commit(change).await.is_ok();
    if kept {
        abroad.settled_rows(&books, &gone);
    }
    kept
}

/// A word that is a word.
fn short(kind: &str) -> String {
    kind.chars().filter(|each| each.is_ascii_alphanumeric() || *each == '-').take(32).collect()
}

impl Abroad {
    /// They are in the outbox no more, and will never be sent again.
    fn settled_rows(&self, books: &Books, gone: &[(u64, &Outgoing)]) {
        for (number, going) in gone {
            self.give_back(going);
            if let Ok(peer) = going.peer.parse::<PeerId>() {
                let mut settled = self.settled.lock();
                let settled = settled.entry(peer).or_default();
                settled.salt = books.salt();
                if settled.numbers.len() < super::MOST_SETTLED {
                    settled.numbers.push(*number);
                }
            }
        }
    }
}

/// So many of them are told at once.
const TOLD: usize = 4_096;

fn take_settled(house: &Weak<House>, peer: &PeerId) -> Settled {
    let taken = house.upgrade().and_then(|house| {
        let mut all = house.abroad.as_ref()?.settled.lock();
        let settled = all.get_mut(peer)?;
        let few = |count: usize| count.min(TOLD);
        let numbers = settled.numbers.drain(..few(settled.numbers.len())).collect();
        let asks = settled.asks.drain(..few(settled.asks.len())).collect();
        let taken = Settled { salt: settled.salt, numbers, asks };
        if settled.numbers.is_empty() && settled.asks.is_empty() {
            all.remove(peer);
        }
        Some(taken)
    });
    taken.unwrap_or_default()
}

/// Tells others what they need not know any more. What is not heard is kept there until its time is over.
pub(super) async fn tell_settled(house: &Weak<House>) {
    let peers: Vec<PeerId> = match house.upgrade() {
        Some(house) => {
            house.abroad.iter().flat_map(|abroad| abroad.settled.lock().keys().copied().collect::<Vec<_>>()).collect()
        }
        None => return,
    };
    for peer in peers {
        let Some(mesh) = house.upgrade().and_then(|house| Some(house.abroad.as_ref()?.mesh.clone())) else { return };
        // One that can't be reached now would hold up the others.
        if !mesh.links().await.is_ok_and(|links| links.iter().any(|link| link.peer == peer)) {
            continue;
        }
        let settled = take_settled(house, &peer);
        let body = wire::encode(&Parcel::Settled(settled.clone()));
        let message = Message::new(SETTLED, body).lasting(Duration::from_secs(2)).with(wire::urgency(Priority::Low));
        if mesh.ask(peer, message).await.is_err()
            && let Some(house) = house.upgrade()
            && let Some(abroad) = &house.abroad
        {
            let mut all = abroad.settled.lock();
            let back = all.entry(peer).or_default();
            back.salt = settled.salt.max(back.salt);
            back.numbers.extend(settled.numbers);
            back.asks.extend(settled.asks);
            back.numbers.truncate(super::MOST_SETTLED);
            back.asks.truncate(super::MOST_SETTLED);
        }
    }
}
