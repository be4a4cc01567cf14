//! The directory: what the agents of the village can do, as their peers have said it last. Each peer has all of it.

use crate::error::Error;
use libp2p::PeerId;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

/// What one agent can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Its name, by which it is asked.
    pub agent: String,
    /// Its version.
    pub version: String,
    /// Its skills.
    pub skills: Vec<String>,
    /// How much of what it can do is taken, in percent.
    pub load: u8,
}

/// An agent with a skill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it is.
    pub peer: PeerId,
    /// Its name.
    pub agent: String,
    /// Its version.
    pub version: String,
    /// All its skills.
    pub skills: Vec<String>,
    /// How much of what it can do is taken, in percent.
    pub load: u8,
    /// How long ago its peer has said so.
    pub age: Duration,
    /// The way there and back, if there is a link that was measured. Nothing at all if it is here.
    pub latency: Option<Duration>,
}

/// A peer that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    /// The peer.
    pub peer: PeerId,
    /// How long ago something was heard of it.
    pub age: Duration,
    /// The way there and back, if there is a link that was measured.
    pub latency: Option<Duration>,
    /// What its agents can do.
    pub cards: Vec<Card>,
}

#[derive(Debug, Default)]
pub(crate) struct Directory {
    own: Vec<Card>,
    others: HashMap<PeerId, Entry>,
}

#[derive(Debug)]
struct Entry {
    cards: Vec<Card>,
    heard: Instant,
    /// When its peer has said it, by that peer's clock: what is older comes too late.
    sent: u64,
}

/// The most bytes of all cards of one peer: of names and skills, with something for each.
pub(crate) const CARDS_LIMIT: usize = 64 << 10;
/// How far one is that has no link yet: it takes a moment to make one.
const UNLINKED: Duration = Duration::from_millis(100);

impl Directory {
    pub(crate) fn own(&self) -> &[Card] {
        &self.own
    }

    pub(crate) fn advertise(&mut self, cards: Vec<Card>) -> Result<(), Error> {
        check(&cards)?;
        self.own = cards;
        Ok(())
    }

    /// A peer has said what its agents can do; it was heard then.
    pub(crate) fn hear(&mut self, peer: PeerId, cards: Vec<Card>, sent: u64, heard: Instant) -> Result<(), Error> {
        check(&cards)?;
        match self.others.get_mut(&peer) {
            Some(entry) if entry.sent >= sent => {}
            _ => drop(self.others.insert(peer, Entry { cards, heard, sent })),
        }
        Ok(())
    }

    pub(crate) fn forget(&mut self, peer: &PeerId) {
        self.others.remove(peer);
    }

    /// Those with this skill of whom something was heard within `long`, the best first.
    pub(crate) fn find(
        &mut self,
        skill: &str,
        own: PeerId,
        long: Duration,
        latency: impl Fn(&PeerId) -> Option<Duration>,
    ) -> Vec<Found> {
        let has = |card: &&Card| card.skills.iter().any(|each| each == skill);
        let found = |peer: PeerId, card: &Card, age: Duration, latency: Option<Duration>| Found {
            peer,
            agent: card.agent.clone(),
            version: card.version.clone(),
            skills: card.skills.clone(),
            load: card.load,
            age,
            latency,
        };
        let here = self.own.iter().filter(has).map(|card| found(own, card, Duration::ZERO, Some(Duration::ZERO)));
        let mut all: Vec<Found> = here.collect();
        for (peer, entry) in &self.others {
            let age = entry.heard.elapsed();
            if age <= long {
                let cards = entry.cards.iter().filter(has);
                all.extend(cards.map(|card| found(*peer, card, age, latency(peer))));
            }
        }
        all.sort_by_key(cost);
        all
    }

    /// Those of whom something was heard within `long`.
    pub(crate) fn present(&self, long: Duration, latency: impl Fn(&PeerId) -> Option<Duration>) -> Vec<Present> {
        let fresh = self.others.iter().filter(|(_, entry)| entry.heard.elapsed() <= long);
        let present = fresh.map(|(peer, entry)| Present {
            peer: *peer,
            age: entry.heard.elapsed(),
            latency: latency(peer),
            cards: entry.cards.clone(),
        });
        present.collect()
    }
}

/// How long an answer will take, about: who has twice as much to do as another takes longer than its way.
fn cost(found: &Found) -> Duration {
    let way = found.latency.unwrap_or(UNLINKED) + Duration::from_millis(1);
    // At full load everything waits behind all else: ten times as long.
    let full = f64::from(found.load.min(100)) / 100.0;
    way.mul_f64(1.0 + 9.0 * full * full) + Duration::from_millis(1).mul_f64(full * 50.0)
}

fn check(cards: &[Card]) -> Result<(), Error> {
    let bytes: usize = cards
        .iter()
        .map(|card| {
            card.agent.len() + card.version.len() + card.skills.iter().map(|skill| skill.len() + 4).sum::<usize>() + 8
        })
        .sum();
    if bytes > CARDS_LIMIT {
        return Err(Error::NoRoom { what: "what a peer says of its agents (bytes)", limit: CARDS_LIMIT });
    }
    let mut names = HashSet::new();
    match cards.iter().find(|card| card.agent.is_empty() || card.load > 100 || !names.insert(&card.agent)) {
        None => Ok(()),
        Some(card) => Err(Error::Setting {
            setting: "card",
            what: format!("`{}`: an agent has a name of its own, and a load of at most 100 percent", card.agent),
        }),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    fn card(agent: &str, load: u8) -> Card {
        Card { agent: agent.into(), version: "1".into(), skills: vec!["translate".into()], load }
    }

    #[test]
    fn the_near_and_idle_come_before_the_far_and_busy() {
        let mut directory = Directory::default();
        let peers: Vec<PeerId> = (0..4).map(|_| PeerId::random()).collect();
        directory.hear(peers[0], vec![card("far", 0)], 1, Instant::now()).unwrap();
        directory.hear(peers[1], vec![card("near", 0), card("busy", 90)], 1, Instant::now()).unwrap();
        directory.hear(peers[2], vec![card("unlinked", 0)], 1, Instant::now()).unwrap();
        let latency = |peer: &PeerId| match peers.iter().position(|each| each == peer) {
            Some(0) => Some(Duration::from_millis(40)),
            Some(1) => Some(Duration::from_millis(2)),
            _ => None,
        };
        let names = |directory: &mut Directory| -> Vec<String> {
            directory.find("translate", peers[3], LONG, latency).into_iter().map(|found| found.agent).collect()
        };
        assert_eq!(names(&mut directory), ["near", "far", "busy", "unlinked"]);
        directory.advertise(vec![card("here", 10)]).unwrap();
        assert_eq!(names(&mut directory)[..2], ["near", "here"]);
        assert!(directory.find("sing", peers[3], LONG, latency).is_empty());
    }

    #[test]
    fn what_is_old_is_not_offered_and_what_comes_late_changes_nothing() {
        let mut directory = Directory::default();
        let (peer, own) = (PeerId::random(), PeerId::random());
        directory.hear(peer, vec![card("new", 0)], 5, Instant::now()).unwrap();
        directory.hear(peer, vec![card("old", 0)], 4, Instant::now()).unwrap();
        let found = directory.find("translate", own, LONG, |_| None);
        assert_eq!(found.iter().map(|found| found.agent.as_str()).collect::<Vec<_>>(), ["new"]);
        directory.others.get_mut(&peer).unwrap().heard = Instant::now().checked_sub(LONG * 2).unwrap();
        assert!(directory.find("translate", own, LONG, |_| None).is_empty());
        assert!(directory.present(LONG, |_| None).is_empty());
    }

    #[test]
    fn cards_that_are_too_many_or_make_no_sense_are_refused() {
        let mut directory = Directory::default();
        let many = |count: usize| (0..count).map(|n| card(&format!("agent-{n:04}"), 0)).collect::<Vec<_>>();
        assert!(directory.advertise(many(2000)).is_ok());
        assert!(matches!(directory.advertise(many(3000)), Err(Error::NoRoom { .. })));
        assert!(matches!(directory.advertise(vec![card("a", 101)]), Err(Error::Setting { .. })));
        assert!(matches!(directory.advertise(vec![card("a", 1), card("a", 2)]), Err(Error::Setting { .. })));
        assert!(directory.hear(PeerId::random(), many(3000), 1, Instant::now()).is_err());
    }
}
