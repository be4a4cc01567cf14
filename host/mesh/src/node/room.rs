//! Room for links: a peer has so many and no more, so for one that is needed now another is given up.
//!
//! Two that want to talk get a link of their own, in the place of one that rests, instead of having others hand on what they
//! say: nobody else gets to read it, and no third one has the work. While all links are at work, those who wait try again until
//! what they have to say expires.

use super::Node;
use super::links::Open;
use crate::event::{Event, Why};
use libp2p::PeerId;
use libp2p::swarm::ConnectionId;

/// Of all links the oldest third is given up last: over these the village stays one while the others come and go.
fn kept(most: usize) -> usize {
    most / 3
}

impl Node {
    /// Whether there is a place for a link that was just made; if need be, another is given up. Else it is closed again.
    pub(super) fn has_place(&mut self, peer: PeerId, id: ConnectionId) -> bool {
        let over = self.swarm.behaviour().gate.is_over();
        // A second connection with somebody takes the place of the first in a moment.
        if !over || self.links.has(&peer) || self.make_room() {
            return true;
        }
        self.swarm.behaviour_mut().gate.leave(&id);
        self.swarm.close_connection(id);
        self.turn_away(Some(peer), Why::Full);
        self.links.failed(peer, &self.settings.pace, &mut self.dice);
        false
    }

    /// Gives up the link that is missed least, if there is one that rests; whether there was.
    pub(super) fn make_room(&mut self) -> bool {
        let Some(peer) = self.missed_least() else { return false };
        self.swarm.behaviour_mut().gate.leave_all(&peer);
        self.links.open.remove(&peer);
        let _ = self.swarm.disconnect_peer_id(peer);
        self.tell(Event::Unlinked { peer });
        self.forget_own_calls(peer);
        true
    }

    /// The link of those at rest that was not used for the longest time: rather one that its other side can spare, and none of
    /// the oldest as long as there are others. What was made only now has not had the time to be of use.
    fn missed_least(&self) -> Option<PeerId> {
        let pace = &self.settings.pace;
        let mut open: Vec<(&PeerId, &Open)> = self.links.open.iter().collect();
        open.sort_by_key(|(_, open)| open.since());
        let old = kept(self.settings.connections);
        let rests = |peer: &PeerId, open: &Open| {
            let at_work = self.calls.has_for(peer) || self.asked.works_for(peer);
            !at_work && open.since().elapsed() >= pace.back_off
        };
        let resting = open.into_iter().enumerate().filter(|(_, (peer, open))| rests(peer, open));
        let least = resting.min_by_key(|(age, (peer, open))| {
            let long = open.used.elapsed() >= pace.hello;
            (*age < old, !long, long && !self.can_spare(peer), open.used)
        });
        least.map(|(_, (peer, _))| *peer)
    }

    /// Whether a peer has said that it has more links than it looks for.
    fn can_spare(&self, peer: &PeerId) -> bool {
        let news = self.links.heard.get(peer);
        news.is_some_and(|news| usize::from(news.links) > super::topology::wanted(news.most.into()))
    }
}
