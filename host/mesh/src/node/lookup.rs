//! Where others are: on the local network they call out (mDNS); of a member whom none of its known places leads to the others are
//! asked, nearer and nearer to it (Kademlia). Hellos say the same without being asked; this is for when they do not come.

use super::Node;
use crate::key::Key;
use libp2p::kad::{self, GetClosestPeersError, GetClosestPeersOk, QueryResult};
use libp2p::multiaddr::Protocol;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::{Multiaddr, PeerId, mdns};
use std::collections::{HashMap, HashSet};

/// Members that are looked for at once.
const AT_ONCE: usize = 8;

/// So many places at which somebody else was met are remembered of one member, and of so many members.
const MISTAKEN: usize = 64;

/// Those that are looked for.
#[derive(Default)]
pub(super) struct Sought {
    asked: HashSet<PeerId>,
    /// Places at which somebody else was met, or this peer itself, than the one who is said to be there: of two machines each
    /// is at 127.0.0.1.
    mistaken: HashMap<PeerId, Vec<Multiaddr>>,
}

impl Sought {
    pub(super) fn is_mistaken(&self, peer: &PeerId) -> bool {
        self.mistaken.contains_key(peer)
    }

    /// Those of these places where the peer may be.
    pub(super) fn likely(&self, peer: &PeerId, mut places: Vec<Multiaddr>) -> Vec<Multiaddr> {
        if let Some(mistaken) = self.mistaken.get(peer) {
            places.retain(|place| !mistaken.contains(&without_peer(place, peer)));
        }
        places
    }

    /// The peer was met.
    pub(super) fn met(&mut self, peer: &PeerId) {
        self.mistaken.remove(peer);
    }
}

impl Node {
    /// A member can be reached there.
    pub(super) fn located(&mut self, peer: PeerId, addresses: &[Multiaddr]) {
        let Some(key) = Key::of(&peer) else { return };
        let bare: Vec<Multiaddr> = addresses.iter().map(|address| without_peer(address, &peer)).collect();
        self.roster.locate(&key, &bare);
        let kad = &mut self.swarm.behaviour_mut().gate.inner.kad;
        for address in bare {
            kad.add_address(&peer, address);
        }
    }

    /// Somebody else was met there; whether that is news. The first who answers ends a call to all places of a peer, so that one
    /// at which another is closer by than the peer has to be left out.
    pub(super) fn mistook(&mut self, peer: PeerId, place: &Multiaddr) -> bool {
        let place = without_peer(place, &peer);
        self.swarm.behaviour_mut().gate.inner.kad.remove_address(&peer, &place);
        let all = &mut self.sought.mistaken;
        if all.len() >= MISTAKEN && !all.contains_key(&peer) {
            all.clear();
        }
        let places = all.entry(peer).or_default();
        let news = !places.contains(&place) && places.len() < MISTAKEN;
        if news {
            places.push(place);
        }
        news
    }

    /// Somebody for whom something waits can be reached at places that were not known before. A call to where it was before may be
    /// on its way into nothing, and takes long to fail.
    pub(super) fn call_at_new(&mut self, peer: PeerId, before: &[Multiaddr]) {
        if self.links.has(&peer) || !self.calls.has_for(&peer) || self.is_cut(&peer) {
            return;
        }
        let new: Vec<Multiaddr> =
            self.roster.addresses(&peer).into_iter().filter(|address| !before.contains(address)).collect();
        let new = self.sought.likely(&peer, new);
        if !new.is_empty() {
            let there = DialOpts::peer_id(peer).condition(PeerCondition::Disconnected).addresses(new);
            // What comes of it is told.
            let _ = self.swarm.dial(there.build());
        }
    }

    pub(super) fn on_mdns(&mut self, event: mdns::Event) {
        let mdns::Event::Discovered(found) = event else { return };
        for (peer, address) in found {
            let news = self.links.hint(peer, vec![address.clone()]);
            let alone = self.roster.members().next().is_none();
            let known = Key::of(&peer).is_some_and(|key| self.roster.has(&key));
            let room = self.swarm.behaviour().gate.taken() < self.wanted();
            // Somebody unknown may be a new member; a peer that is alone has nothing to show to it.
            if !room || self.is_cut(&peer) || (!known && alone) {
                continue;
            }
            if news && *self.swarm.local_peer_id() < peer && !self.swarm.is_connected(&peer) {
                // A call to where it was before may be on its way into nothing, and takes long to fail. Only one of the
                // two calls at once: calls that meet are one connection in which both speak first.
                let there = DialOpts::peer_id(peer).condition(PeerCondition::Disconnected).addresses(vec![address]);
                let _ = self.swarm.dial(there.build());
            } else {
                self.call_peer(peer);
            }
        }
    }

    /// Asks the others where a member is.
    pub(super) fn seek(&mut self, peer: PeerId) {
        let member = Key::of(&peer).is_some_and(|key| self.roster.has(&key));
        let somebody_else = self.links.open.keys().any(|each| *each != peer);
        if member && somebody_else && self.sought.asked.len() < AT_ONCE && self.sought.asked.insert(peer) {
            self.swarm.behaviour_mut().gate.inner.kad.get_closest_peers(peer);
        }
    }

    pub(super) fn on_kad(&mut self, event: kad::Event) {
        let kad::Event::OutboundQueryProgressed { result: QueryResult::GetClosestPeers(result), step, .. } = event
        else {
            return;
        };
        let (key, found) = match result {
            Ok(GetClosestPeersOk { key, peers }) => (key, peers),
            Err(GetClosestPeersError::Timeout { key, peers }) => (key, peers),
        };
        let Ok(peer) = PeerId::from_bytes(&key) else { return };
        if step.last {
            self.sought.asked.remove(&peer);
        }
        let places: Vec<Multiaddr> =
            found.into_iter().filter(|info| info.peer_id == peer).flat_map(|info| info.addrs).collect();
        // Another's word only: it is tried, and who answers there proves who it is.
        if self.links.hint(peer, places) && !self.links.has(&peer) {
            self.links.forgive(&peer);
            self.call_peer(peer);
        }
    }
}

/// The same address without the peer at its end: that is named beside it.
fn without_peer(address: &Multiaddr, peer: &PeerId) -> Multiaddr {
    let mut bare = address.clone();
    if bare.iter().last() == Some(Protocol::P2p(*peer)) {
        bare.pop();
    }
    bare
}
