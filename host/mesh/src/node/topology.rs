//! Topology: enough links, spread over the village, room for those who have none, and parts that fell apart brought together.

use super::Node;
use crate::event::Event;
use libp2p::PeerId;
use std::time::{Duration, Instant};

/// How often what was learned of others is written down. What this peer has promised is written at once.
const KEEP: Duration = Duration::from_secs(5);

/// As many links as a peer looks for by itself: the rest is for those who call, and for talks with others.
pub(super) fn wanted(most: usize) -> usize {
    (most * 6).div_ceil(10)
}

impl Node {
    pub(super) fn wanted(&self) -> usize {
        wanted(self.settings.connections)
    }

    pub(super) fn is_cut(&self, peer: &PeerId) -> bool {
        self.settings.weather.as_ref().is_some_and(|weather| weather.is_cut(peer))
    }

    /// What is to be done every moment.
    pub(super) fn look(&mut self) {
        self.keep_now_and_then();
        let now = Instant::now();
        self.doors.lock().banned.retain(|_, until| *until > now);
        let cut: Vec<PeerId> = self.links.open.keys().filter(|peer| self.is_cut(peer)).copied().collect();
        for peer in cut {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        self.look_after_joining();
        self.look_for_links();
        self.look_after_calls();
        self.look_after_topics();
        self.look_after_news();
        self.look_after_polls();
        self.asked.forget();
    }

    /// Where members are is news all the time, and to write it down takes the disk a while.
    fn keep_now_and_then(&mut self) {
        if self.keeping.is_empty() && self.kept.elapsed() > KEEP {
            self.kept = Instant::now();
            if let Some(write) = self.roster.keep_later() {
                self.keeping.spawn_blocking(write);
            }
        }
        if let Some(Ok(Err(error))) = self.keeping.try_join_next() {
            self.roster.not_kept();
            self.tell(Event::NotKept { what: error.to_string() });
        }
    }

    fn look_for_links(&mut self) {
        let members: Vec<PeerId> = self.roster.members().filter_map(|(key, _)| key.peer()).collect();
        let mut free: Vec<PeerId> =
            members.into_iter().filter(|peer| !self.links.has(peer) && self.links.may_try(peer)).collect();
        self.dice.shuffle(&mut free);
        let taken = self.swarm.behaviour().gate.taken();
        let missing = self.wanted().saturating_sub(taken);
        // Those that have said that they have room, then those of whom nothing is known. Whoever is full is called only by
        // one who has no link at all: otherwise all would push each other out for ever.
        free.sort_by_key(|peer| self.has_room(peer).map_or(1, |room| if room { 0 } else { 2 }));
        let alone = self.links.open.is_empty();
        let calls = free.iter().filter(|peer| alone || self.has_room(peer) != Some(false));
        let calls: Vec<PeerId> = calls.take(missing).copied().collect();
        for peer in calls {
            self.call_peer(peer);
        }
        if missing == 0 {
            self.look_for_lost(&free);
        }
        self.bootstrap();
    }

    /// Whether a peer has room for another link, as far as it has said so lately.
    fn has_room(&self, peer: &PeerId) -> Option<bool> {
        let news = self.links.heard.get(peer)?;
        (news.at.elapsed() <= self.links.long(&self.settings.pace)).then_some(news.links < news.most)
    }

    /// Of whom nothing is heard may be in another part of a village that fell apart, or that never was one: such parts can be
    /// so closely linked that nobody in them has room for a link to the other.
    fn look_for_lost(&mut self, free: &[PeerId]) {
        let long = self.links.long(&self.settings.pace);
        let is_lost = |peer: &&PeerId| self.links.heard.get(*peer).is_none_or(|news| news.at.elapsed() > long);
        let Some(lost) = free.iter().find(is_lost).copied() else { return };
        if self.swarm.behaviour().gate.taken() >= self.settings.connections {
            // For one that is away for good, links are given up ever less often.
            let fails = self.links.tries.get(&lost).map_or(0, |tried| tried.fails as usize);
            if self.links.parted.elapsed() < long || self.dice.below(fails + 1) > 0 {
                return;
            }
            self.links.parted = Instant::now();
            self.make_room();
        }
        self.call_peer(lost);
    }

    /// With nobody to talk to, those are called who should always be there.
    fn bootstrap(&mut self) {
        let again = self.settings.pace.back_off * 8;
        let due = self.links.bootstrapped.is_none_or(|at| at.elapsed() > again);
        if !self.links.open.is_empty() || !due {
            return;
        }
        self.links.bootstrapped = Some(Instant::now());
        for address in self.settings.bootstrap.clone() {
            // It is tried again; what is wrong with it is told by whoever has set it up.
            let _ = self.swarm.dial(address);
        }
    }
}
