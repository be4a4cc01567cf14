//! Who waits for whom across villages. A question carries those who wait for its answer; where it comes to one of them, they
//! wait in a ring, and each is told so whose deadline strikes or whose ask takes too long.

use super::Abroad;
use super::wire::{self, Parcel, RINGED};
use crate::house::House;
use crate::waits::{self, Ring};
use mesh::{Message, PeerId};
use parking_lot::Mutex;
use runtime::Priority;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Agents by their addresses, each waiting for the next one.
pub(crate) type Chain = Arc<[String]>;

/// A chain is no longer: of a longer one the last are known.
const LONGEST: usize = 32;

/// How long the villages of a ring are tried to be told of it.
const TELLING: Duration = Duration::from_secs(5);

/// Who waits for the answers to messages that agents are asked here, by the messages' ids.
#[derive(Default)]
pub(crate) struct Chains(Mutex<HashMap<String, Chain>>);

/// A chain that is known for as long as this is there.
pub(crate) struct Noted {
    /// Questions may be under way when the host has to go.
    house: Weak<House>,
    id: String,
}

impl Drop for Noted {
    fn drop(&mut self) {
        if let Some(abroad) = self.house.upgrade().as_ref().and_then(|house| house.abroad.as_ref()) {
            abroad.chains.0.lock().remove(&self.id);
        }
    }
}

impl House {
    /// Who waits for the answer to a message that was asked.
    pub(crate) fn chain(&self, id: &str) -> Option<Chain> {
        self.abroad.as_ref()?.chains.0.lock().get(id).cloned()
    }

    /// Has it known who waits for an answer.
    pub(crate) fn note_chain(self: &Arc<House>, id: &str, chain: &Chain) -> Option<Noted> {
        let abroad = self.abroad.as_ref()?;
        abroad.chains.0.lock().insert(id.into(), chain.clone());
        Some(Noted { house: Arc::downgrade(self), id: id.into() })
    }

    /// A chain with an agent of this village after it.
    pub(crate) fn longer(&self, chain: Option<&Chain>, agent: &str) -> Chain {
        let all = chain.map_or(&[][..], |chain| chain);
        let own = self.abroad.as_ref().map(|abroad| address(agent, &abroad.mesh.peer()));
        let kept = all.len().saturating_sub(LONGEST - 1);
        all[kept..].iter().cloned().chain(own).collect()
    }

    /// An agent of this village is asked by the last of a chain: if that makes a ring, all in it are told.
    pub(crate) fn closes(self: &Arc<House>, chain: &[String], to: &str) {
        let Some(abroad) = &self.abroad else { return };
        let own = abroad.mesh.peer();
        let Some(ring) = self.ring_of(&own, chain, to) else { return };
        self.tell_ring(&own, &ring);
        let peers: BTreeSet<PeerId> = ring.iter().filter_map(|one| parted(one)).map(|(_, peer)| peer).collect();
        let body = wire::encode(&Parcel::Ringed(ring));
        for peer in peers.into_iter().filter(|peer| *peer != own) {
            let mesh = abroad.mesh.clone();
            let message = Message::new(RINGED, body.clone()).lasting(TELLING).with(wire::urgency(Priority::Low));
            // Who does not hear it says less when its time is up.
            abroad.spawn(self, async move { drop(mesh.ask(peer, message).await) });
        }
    }

    /// The ring that a chain makes which comes to `to`, by addresses: the shortest.
    fn ring_of(&self, own: &PeerId, chain: &[String], to: &str) -> Option<Vec<String>> {
        chain.iter().enumerate().rev().find_map(|(at, one)| {
            let (agent, peer) = parted(one)?;
            // Those before it wait for it here: the asked one, and whom that waits for.
            let path = if peer == *own { waits::path(self, agent, to)? } else { return None };
            let here = path[1..].iter().map(|name| address(name, own));
            Some(here.chain(chain[at..].iter().cloned()).collect())
        })
    }

    /// Another village has found a ring.
    pub(super) fn ringed(&self, abroad: &Abroad, from: &PeerId, ring: &[String]) -> Result<(), &'static str> {
        let good = |one: &String| one.len() <= 256 && parted(one).is_some();
        if !(2..=2 * LONGEST).contains(&ring.len()) || !ring.iter().all(good) {
            return Err("this is no ring");
        }
        if !ring.iter().any(|one| parted(one).is_some_and(|(_, peer)| peer == *from)) {
            return Err("its own agents are not in it");
        }
        self.tell_ring(&abroad.mesh.peer(), ring);
        Ok(())
    }

    /// Has all agents of this village that are in a ring know of it.
    fn tell_ring(&self, own: &PeerId, ring: &[String]) {
        let written = |one: &String| match parted(one) {
            Some((agent, peer)) if peer == *own => agent.to_string(),
            _ => one.clone(),
        };
        let shown = |one: &String| match parted(one) {
            Some((agent, peer)) if peer == *own => agent.to_string(),
            Some((agent, peer)) => format!("{agent}@{}", mesh::short(&peer.to_base58())),
            None => one.clone(),
        };
        for (at, one) in ring.iter().enumerate() {
            let Some((agent, _)) = parted(one).filter(|(_, peer)| peer == own) else { continue };
            if let Some(standing) = self.standing(agent) {
                let names: Ring = ring[at..].iter().chain(&ring[..at]).map(shown).collect();
                standing.waits.tell(&written(&ring[(at + 1) % ring.len()]), &names);
            }
        }
    }
}

/// Whether a village may say that these wait: not too many, and the last of them is its own.
pub(super) fn is_of(chain: &[String], peer: &PeerId) -> bool {
    let own = |last: &String| parted(last).is_some_and(|(_, of)| of == *peer);
    chain.len() <= LONGEST && chain.iter().all(|one| one.len() <= 256) && chain.last().is_some_and(own)
}

fn address(agent: &str, peer: &PeerId) -> String {
    format!("{agent}@{peer}")
}

/// The two parts of an address, if it is one.
fn parted(address: &str) -> Option<(&str, PeerId)> {
    let (agent, peer) = address.split_once('@')?;
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'/');
    let peer = peer.parse().ok()?;
    (!agent.is_empty() && agent.bytes().all(good)).then_some((agent, peer))
}
