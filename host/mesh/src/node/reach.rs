//! Whether this peer can be called from outside: some of those whom it has a link with are asked to call it, from another port
//! than that of the link, at the places that it believes to have. So it is known whether a wall is in between.

use super::Node;
use super::asked::Channel;
use super::calls::Done;
use crate::frame::{self, Reply};
use libp2p::multiaddr::Protocol;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError};
use libp2p::{Multiaddr, PeerId};
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

pub(super) struct Reach {
    /// Who was asked, and has not answered yet.
    asked: HashMap<PeerId, Instant>,
    said: HashMap<PeerId, (Instant, bool)>,
    /// How each sees this peer.
    observed: HashMap<PeerId, Multiaddr>,
    next: Instant,
    /// Calls that are made for others, and when one was made last for each.
    calls: HashMap<ConnectionId, Option<Channel>>,
    helped: HashMap<PeerId, Instant>,
}

pub(super) const REACH: &str = "~reach";
/// So many are asked, so often; what they say is believed for as long as three of these.
const ASKED: usize = 3;
const EVERY: Duration = Duration::from_secs(300);
/// How long an answer takes at most: a call that nothing comes of takes ten seconds.
const ANSWER: Duration = Duration::from_secs(25);
/// Calls that are made for others at once, and how often for one.
const AT_ONCE: usize = 4;
const PAUSE: Duration = Duration::from_secs(2);
const ADDRESSES: usize = 8;
const BODY: usize = 4 << 10;

impl Reach {
    pub(super) fn new() -> Reach {
        let (asked, said, observed, calls, helped) = Default::default();
        Reach { asked, said, observed, next: Instant::now(), calls, helped }
    }

    /// Somebody sees this peer there.
    pub(super) fn observe(&mut self, from: PeerId, address: Multiaddr) {
        self.observed.insert(from, address);
    }

    pub(super) fn forget(&mut self, peer: &PeerId) {
        self.observed.remove(peer);
        self.asked.remove(peer);
    }
}

impl Node {
    /// Whether all who were asked of late could call this peer; nothing if nobody has said.
    pub(super) fn reachable(&self) -> Option<bool> {
        if self.swarm.listeners().next().is_none() {
            return Some(false);
        }
        let lately = self.reach.said.values().filter(|(at, _)| at.elapsed() < EVERY * 3);
        lately.map(|(_, could)| *could).reduce(|all, could| all && could)
    }

    pub(super) fn look_after_reach(&mut self) {
        self.reach.asked.retain(|_, at| at.elapsed() < ANSWER);
        self.reach.said.retain(|_, (at, _)| at.elapsed() < EVERY * 3);
        self.reach.helped.retain(|_, at| at.elapsed() < PAUSE);
        if self.reach.next > Instant::now() {
            return;
        }
        let mut peers: Vec<PeerId> =
            self.links.direct().filter(|peer| self.reach.observed.contains_key(peer)).collect();
        if peers.is_empty() {
            return;
        }
        self.reach.next = Instant::now() + EVERY;
        self.dice.shuffle(&mut peers);
        for peer in peers.into_iter().take(ASKED) {
            let seen = self.reach.observed.get(&peer).cloned();
            let all = seen.into_iter().chain(self.swarm.listeners().cloned()).filter(|address| ip(address).is_some());
            let all: Vec<String> = all.take(ADDRESSES).map(|address| address.to_string()).collect();
            self.reach.asked.insert(peer, Instant::now());
            self.ask_own(peer, REACH, frame::encode(&all, Vec::new()), Done::Reach);
        }
    }

    /// One who was asked could call this peer, or could not.
    pub(super) fn learn_reach(&mut self, from: PeerId, bytes: &[u8]) {
        if self.reach.asked.remove(&from).is_some() && self.links.has(&from) {
            self.reach.said.insert(from, (Instant::now(), bytes == [1]));
        }
    }

    /// Asked to call a member. Only where its link comes from: nobody is to be called for somebody else.
    pub(super) fn answer_reach(&mut self, peer: PeerId, body: &[u8], channel: Option<Channel>) {
        let from = self.links.from(&peer).and_then(|address| ip(&address));
        let all: Vec<String> = frame::decode(body, BODY).unwrap_or_default();
        let all = all.iter().take(ADDRESSES).filter_map(|text| text.parse::<Multiaddr>().ok());
        let there: Vec<Multiaddr> = all.filter(|address| from.is_some() && ip(address) == from).collect();
        let busy = self.reach.calls.len() >= AT_ONCE || self.reach.helped.contains_key(&peer);
        if there.is_empty() || busy {
            return self.reply(channel, &Reply::Refused("it is not known here".into()).encode());
        }
        self.reach.helped.insert(peer, Instant::now());
        // From the port of the link it might get through a wall that lets in answers only.
        let call =
            DialOpts::peer_id(peer).condition(PeerCondition::Always).addresses(there).allocate_new_port().build();
        let id = call.connection_id();
        self.reach.calls.insert(id, channel);
        if let Err(error) = self.swarm.dial(call) {
            self.reach_failed(id, &error);
        }
    }

    /// Whether a connection was made only to see whether it can be.
    pub(super) fn reached(&mut self, peer: PeerId, id: ConnectionId, called: bool) -> bool {
        if let Some(channel) = self.reach.calls.remove(&id) {
            self.reply(channel, &Reply::Done(vec![1]).encode());
            self.swarm.behaviour_mut().gate.leave(&id);
            self.swarm.close_connection(id);
            return true;
        }
        let asked = !called && self.reach.asked.contains_key(&peer) && self.links.has(&peer);
        if asked {
            // The other side closes it.
            self.swarm.behaviour_mut().gate.leave(&id);
        }
        asked
    }

    /// Whether it was such a call that has failed.
    pub(super) fn reach_failed(&mut self, id: ConnectionId, error: &DialError) -> bool {
        let Some(channel) = self.reach.calls.remove(&id) else { return false };
        let reply = match error {
            DialError::Transport(_) | DialError::WrongPeerId { .. } => Reply::Done(vec![0]),
            // It says nothing of the way that there was no room for it here.
            _ => Reply::Refused("it could not be tried".into()),
        };
        self.reply(channel, &reply.encode());
        true
    }
}

/// The machine that an address leads to by itself.
fn ip(address: &Multiaddr) -> Option<IpAddr> {
    if address.iter().any(|part| part == Protocol::P2pCircuit) {
        return None;
    }
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    }
}
