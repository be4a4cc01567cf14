//! Where others are: on the local network they call out (mDNS); of a member whom none of its known places leads to the others are
//! asked, nearer and nearer to it (Kademlia). Hellos say the same without being asked; this is for when they do not come.

use super::Node;
use crate::key::Key;
use libp2p::kad::{self, GetClosestPeersError, GetClosestPeersOk, QueryResult};
use libp2p::multiaddr::Protocol;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::{Multiaddr, PeerId, mdns};
use std::collections::HashSet;

/// Members that are looked for at once.
const AT_ONCE: usize = 8;

/// Those that are looked for.
#[derive(Default)]
pub(super) struct Sought(HashSet<PeerId>);

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

    /// Somebody for whom something waits can be reached at places that were not known before. A call to where it was before may be
    /// on its way into nothing, and takes long to fail.
    pub(super) fn call_at_new(&mut self, peer: PeerId, before: &[Multiaddr]) {
        if self.links.has(&peer) || !self.calls.has_for(&peer) || self.is_cut(&peer) {
            return;
        }
        let new: Vec<Multiaddr> =
            self.roster.addresses(&peer).into_iter().filter(|address| !before.contains(address)).collect();
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
        if member && somebody_else && self.sought.0.len() < AT_ONCE && self.sought.0.insert(peer) {
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
            self.sought.0.remove(&peer);
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
