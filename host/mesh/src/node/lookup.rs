//! Where a member is whom none of its known places leads to: the others are asked, nearer and nearer to it (Kademlia). Hellos say
//! the same without being asked; this is for when they do not come, or not yet.

use super::Node;
use crate::key::Key;
use libp2p::kad::{self, GetClosestPeersError, GetClosestPeersOk, QueryResult};
use libp2p::{Multiaddr, PeerId};
use std::collections::HashSet;

/// Members that are looked for at once.
const AT_ONCE: usize = 8;

/// Those that are looked for.
#[derive(Default)]
pub(super) struct Sought(HashSet<PeerId>);

impl Node {
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
