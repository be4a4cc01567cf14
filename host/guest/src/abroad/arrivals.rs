//! What comes from other villages: messages, kept once; and word of what need not be known any more.

use super::wire::{self, Asking, No, PARTS, Parcel, RINGED, SETTLED, Settled, Tell, Verdict, Word};
use super::{Abroad, peer_of};
use crate::house::{House, millis};
use crate::standing::Standing;
use agents::{ARRIVED, Books, Door, OUTBOX_LIFE, REPLIES, Refusal};
use mesh::{Ask, PeerId};
use runtime::{Message, clock};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use store::Change;
use tokio::sync::oneshot;

/// How long a number is known after its message can't come again, and how long after its sender has said so: something
/// of before may still be under way.
const AFTER: Duration = Duration::from_secs(86_400);
const SAID: Duration = Duration::from_secs(10);

/// So many numbers are remembered that others have said will not come again.
const MOST_SAID: usize = 1_000_000;

/// So many replies to questions of other villages are kept, and so many bytes of them. The oldest go first.
const MOST_REPLIES: usize = 100_000;
const REPLY_BYTES: usize = 64 << 20;

/// When a message may come again that has no place now.
const FULL: u32 = 100;
const ASLEEP: u32 = 1_000;

/// The same while too many of its village are known.
const CROWDED: u32 = 10_000;

impl House {
    /// Answers what another village says or asks.
    pub(crate) async fn received(self: &Arc<House>, ask: Ask) {
        let Some(abroad) = &self.abroad else { return ask.refuse("nobody here hears other villages") };
        let parcel = match wire::decode::<Parcel>(&ask.frame.body) {
            Ok(parcel) => parcel,
            Err(why) => return ask.refuse(why),
        };
        let (from, to) = (ask.from, ask.frame.to.clone());
        match parcel {
            Parcel::Told { salt, told } => {
                let verdicts = self.take_in(abroad, from, &to, salt, told).await;
                // What is not heard is asked again.
                drop(ask.answer(wire::encode(&Word::Told(verdicts))));
            }
            Parcel::Question(question) => {
                self.questioned(abroad, &to, Asking { question, chain: Vec::new(), hears: false }, ask);
            }
            Parcel::Asking(asking) => self.questioned(abroad, &to, asking, ask),
            Parcel::Parts(parts) if to == PARTS => done(ask, abroad.hear(from, parts)),
            Parcel::Ringed(ring) if to == RINGED => done(ask, self.ringed(abroad, &from, &ring)),
            Parcel::Settled(settled) if to == SETTLED => {
                self.let_go(abroad, from, settled).await;
                drop(ask.answer(wire::encode(&Word::Done)));
            }
            Parcel::Settled(_) | Parcel::Published { .. } | Parcel::Parts(_) | Parcel::Ringed(_) => {
                ask.refuse("this is not said so")
            }
        }
    }

    /// Why an agent does not take messages of other villages, if it doesn't.
    pub(super) fn shut_abroad(&self, name: &str) -> Option<No> {
        let grants = match self.standing(name) {
            Some(standing) => Some(standing.grants.clone()),
            None => self.roll.grants(name),
        };
        let public = match (grants, name.split_once('/')) {
            (Some(grants), _) => Some(grants.public),
            // What an agent created may have to be made first, and is no more open than that.
            (None, Some((parent, _))) => self.roll.grants(parent).map(|grants| grants.public),
            (None, None) => None,
        };
        match public {
            Some(true) => None,
            Some(false) => {
                Some(No::Denied(format!("`{name}` takes no messages of other villages: it has no grant `public`")))
            }
            None => Some(No::NotFound(format!("there is no agent `{name}` in that village"))),
        }
    }

    /// The way to an agent that takes messages of other villages.
    pub(super) fn open_door(self: &Arc<House>, name: &str) -> Result<(Door, Arc<Standing>), No> {
        if let Some(no) = self.shut_abroad(name) {
            return Err(no);
        }
        let door = self.door(name).map_err(|_| No::Unavailable(format!("`{name}` can't be started just now")))?;
        // Looked at again: what it created may have fewer grants.
        match (door, self.standing(name), self.shut_abroad(name)) {
            (_, _, Some(no)) => Err(no),
            (Some(door), Some(standing), None) => Ok((door, standing)),
            // It is being stopped or started this moment: what is told it comes again.
            _ if self.roll.grants(name).is_some() => {
                Err(No::Unavailable(format!("`{name}` can't be started just now")))
            }
            _ => Err(No::NotFound(format!("there is no agent `{name}` in that village"))),
        }
    }

    /// Keeps messages that another village's agent has told one of this, each once.
    async fn take_in(
        self: &Arc<House>,
        abroad: &Abroad,
        peer: PeerId,
        to: &str,
        salt: u64,
        told: Vec<Tell>,
    ) -> Vec<Verdict> {
        let whose = format!("{peer}/{salt:x}");
        let known = |number: u64| match &self.books {
            Some(books) => books.store().read().contains(&ARRIVED, (&whose, number)),
            None => Ok(false),
        };
        let (mut verdicts, mut new) = (Vec::new(), Vec::new());
        for tell in told {
            match tell.number.map_or(Ok(false), known) {
                // Those that are new come after all that are known: they come in their order.
                Ok(true) if new.is_empty() => verdicts.push(Verdict::Kept),
                Ok(true) => break,
                Ok(false) => new.push(tell),
                Err(_) => break,
            }
        }
        if new.is_empty() {
            if verdicts.is_empty() {
                verdicts.push(Verdict::Later(ASLEEP));
            }
            return verdicts;
        }
        if abroad.is_full(peer_of(&whose)) {
            verdicts.push(Verdict::Later(CROWDED));
            return verdicts;
        }
        let (door, standing) = match self.open_door(to) {
            Ok(open) => open,
            Err(No::Unavailable(_)) => {
                verdicts.push(Verdict::Later(ASLEEP));
                return verdicts;
            }
            Err(no) => {
                verdicts.extend(new.iter().map(|_| refused(&no)));
                return verdicts;
            }
        };
        match self.books.clone() {
            Some(books) if standing.books.is_some() => {
                self.keep(&books, (&door, &standing), &peer, whose, new, &mut verdicts).await;
            }
            _ => in_memory(&door, &standing, &peer, new, &mut verdicts),
        }
        verdicts
    }

    async fn keep(
        &self,
        books: &Arc<Books>,
        (door, standing): (&Door, &Arc<Standing>),
        peer: &PeerId,
        whose: String,
        new: Vec<Tell>,
        verdicts: &mut Vec<Verdict>,
    ) {
        let (messages, numbers, mut last) = admitted(standing, peer, new, verdicts);
        let forget = |until: u64| until.min(millis() + OUTBOX_LIFE.as_millis() as u64) + AFTER.as_millis() as u64;
        let more = |at: usize, change: &mut Change| {
            if let Some((number, until)) = numbers[at] {
                let key = (whose.as_str(), number);
                // The same may have come on another way just now.
                change.guard(&ARRIVED, key, None).put(&ARRIVED, key, &forget(until));
            }
        };
        let (tell, kept) = oneshot::channel();
        let (count, refusal) =
            door.receive(books, &standing.name, messages, more, Box::new(move |done| drop(tell.send(done))));
        match kept.await {
            Ok(Ok(())) => {
                let known = numbers[..count].iter().filter(|number| number.is_some()).count() as u64;
                if let Some(abroad) = &self.abroad {
                    abroad.know(&peer.to_string(), known);
                }
                verdicts.extend((0..count).map(|_| Verdict::Kept));
            }
            // Nothing of it was kept; it comes again.
            _ => last = Some(Verdict::Later(FULL)),
        }
        if refusal.is_some() {
            last = Some(Verdict::Later(FULL));
        }
        verdicts.extend(last);
    }

    /// A village will not send these again.
    async fn let_go(self: &Arc<House>, abroad: &Abroad, peer: PeerId, settled: Settled) {
        let whose = format!("{peer}/{:x}", settled.salt);
        {
            let mut forgotten = abroad.forgotten.lock();
            let room = MOST_SAID.saturating_sub(forgotten.len());
            let at = Instant::now() + SAID;
            forgotten.extend(settled.numbers.into_iter().take(room).map(|number| (at, whose.clone(), number)));
        }
        let Some(books) = &self.books else { return };
        let mut change = Change::new();
        for id in settled.asks.iter().filter(|id| super::answering::is_id(id)) {
            let id = super::answering::known_as(&peer, id);
            match abroad.asked.lock().get_mut(&id) {
                Some(under_way) => under_way.settled = true,
                None => drop(change.delete(&REPLIES, &id)),
            }
        }
        if !change.is_empty() {
            drop(books.store().commit(change).await);
        }
    }
}

fn done(ask: Ask, what: Result<(), &'static str>) {
    match what {
        Ok(()) => drop(ask.answer(wire::encode(&Word::Done))),
        Err(why) => ask.refuse(why),
    }
}

/// Messages with what each is known by, where it is, and until when it may come again.
type Admitted = (Vec<Message>, Vec<Option<(u64, u64)>>, Option<Verdict>);

/// Those that the receiver's budget has room for; and what is said of the next one.
fn admitted(standing: &Standing, peer: &PeerId, new: Vec<Tell>, verdicts: &mut Vec<Verdict>) -> Admitted {
    let (mut messages, mut numbers) = (Vec::new(), Vec::new());
    for tell in new {
        let bytes = tell.letter.size() as u64;
        let number = tell.number.map(|number| (number, tell.until));
        let Some(message) = tell.letter.message(String::new(), peer, millis()) else {
            if messages.is_empty() {
                verdicts.push(Verdict::Refused { kind: "forged".into(), reason: "its sender can't be so".into() });
                continue;
            }
            return (messages, numbers, None);
        };
        if let Err(exceeded) = standing.accounts.mesh.take(bytes, clock::now()) {
            let last = match exceeded.after {
                Some(after) => Verdict::Later(u32::try_from(after / 1_000_000 + 1).unwrap_or(u32::MAX)),
                None if messages.is_empty() => {
                    let reason = "it is larger than the receiver's budget `mesh`".into();
                    Verdict::Refused { kind: "too-large".into(), reason }
                }
                None => return (messages, numbers, None),
            };
            return (messages, numbers, Some(last));
        }
        messages.push(message);
        numbers.push(number);
    }
    (messages, numbers, None)
}

/// The same for an agent of which nothing is kept.
fn in_memory(door: &Door, standing: &Standing, peer: &PeerId, new: Vec<Tell>, verdicts: &mut Vec<Verdict>) {
    let (messages, _, last) = admitted(standing, peer, new, verdicts);
    for mut message in messages {
        message.id = standing.house.message();
        let sent = door
            .reserve(&message)
            .and_then(|place| door.send(place, message, agents::Desk::nobody(), agents::Origin::Memory));
        match sent {
            Ok(()) => verdicts.push(Verdict::Kept),
            Err(Refusal::Full { .. } | Refusal::Stopped) => return verdicts.push(Verdict::Later(FULL)),
        }
    }
    verdicts.extend(last);
}

fn refused(no: &No) -> Verdict {
    let (kind, reason) = match no {
        No::Denied(reason) => ("denied", reason.clone()),
        No::NotFound(reason) => ("unknown-agent", reason.clone()),
        no => ("refused", format!("{no:?}")),
    };
    Verdict::Refused { kind: kind.into(), reason }
}

/// Forgets what others have said will not come again; and, if `sweep`, all that is known for too long.
pub(super) async fn forget(house: &Weak<House>, sweep: bool) {
    let Some(house) = house.upgrade() else { return };
    let (Some(abroad), Some(books)) = (&house.abroad, house.books.clone()) else { return };
    let (mut change, mut gone) = (Change::new(), Vec::new());
    {
        let mut forgotten = abroad.forgotten.lock();
        let now = Instant::now();
        while forgotten.front().is_some_and(|(at, ..)| *at <= now) && gone.len() < 4_096 {
            let Some((_, whose, number)) = forgotten.pop_front() else { break };
            gone.push((whose, number));
        }
    }
    let read = books.store().read();
    gone.retain(|(whose, number)| read.contains(&ARRIVED, (whose, *number)).unwrap_or(false));
    if sweep {
        let now = millis();
        let old = read.scan(ARRIVED.all(), None, usize::MAX).unwrap_or_default();
        gone.extend(old.into_iter().filter(|(_, until)| *until < now).map(|(key, _)| key));
        old_replies(&read, now, &mut change);
    }
    drop(read);
    for (whose, number) in &gone {
        change.delete(&ARRIVED, (whose, *number));
    }
    if change.is_empty() {
        return;
    }
    // What can't be let go now goes when its time is over.
    if books.store().commit(change).await.is_ok() {
        let mut known = abroad.known.lock();
        for (whose, _) in &gone {
            if let Some(count) = known.get_mut(peer_of(whose)) {
                *count = count.saturating_sub(1);
            }
        }
    }
}

/// Replies to other villages that nobody will want any more, or that are too many.
fn old_replies(read: &store::Read, now: u64, change: &mut Change) {
    let all = read.scan(REPLIES.all(), None, usize::MAX).unwrap_or_default();
    let mut abroad: Vec<_> = all.into_iter().filter(|(id, _)| id.starts_with('@')).collect();
    abroad.sort_by_key(|(_, reply)| reply.when);
    let (mut count, mut bytes) = (abroad.len(), abroad.iter().map(|(_, reply)| reply.body.len()).sum::<usize>());
    let old = now.saturating_sub((OUTBOX_LIFE + AFTER).as_millis() as u64);
    for (id, reply) in abroad {
        if reply.when >= old && count <= MOST_REPLIES && bytes <= REPLY_BYTES {
            break;
        }
        change.delete(&REPLIES, &id);
        (count, bytes) = (count - 1, bytes - reply.body.len());
    }
}
