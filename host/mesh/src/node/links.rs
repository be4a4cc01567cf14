//! Links with members: enough of them, not too many, found again when they break.

use super::Node;
use crate::error::Error;
use crate::event::{Event, Why};
use crate::figures::{Link, Traffic};
use crate::gate::Denied;
use crate::key::Key;
use crate::settings::Pace;
use crate::timers::Dice;
use libp2p::core::ConnectedPoint;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError, ListenError};
use libp2p::{Multiaddr, PeerId, ping};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The links there are, and those that are tried.
pub(super) struct Links {
    pub(super) open: HashMap<PeerId, Open>,
    pub(super) tries: HashMap<PeerId, Try>,
    /// Where somebody may be who is no member yet.
    hints: HashMap<PeerId, Vec<Multiaddr>>,
    pub(super) heard: HashMap<PeerId, News>,
    /// Whom to call as soon as the old connection is gone.
    again: Vec<PeerId>,
    /// When each was asked last what this peer may have missed.
    pub(super) caught_up: HashMap<PeerId, Instant>,
    /// When a link was given up for one that may be lost.
    pub(super) parted: Instant,
    pub(super) bootstrapped: Option<Instant>,
}

pub(super) struct Open {
    link: Link,
    connections: Vec<Connection>,
    pub(super) used: Instant,
    /// Whether it is to be asked what this peer may have missed.
    pub(super) behind: bool,
}

pub(super) struct Connection {
    id: ConnectionId,
    address: Multiaddr,
    called: bool,
    relayed: bool,
}

#[derive(Clone, Copy)]
pub(super) struct Try {
    pub(super) fails: u32,
    at: Instant,
    next: Instant,
}

/// What a peer has said of itself last.
pub(super) struct News {
    pub(super) at: Instant,
    pub(super) links: u16,
    pub(super) most: u16,
}

/// Who has something to say waits no longer than so many of the first back-offs.
const HASTE: u32 = 4;
/// The most hints: they come from the local network, where anybody can say anything.
const HINTS: usize = 256;
/// Somebody of whom nothing was heard for so many hellos may be in another part of a village that fell apart.
const UNHEARD: u32 = 4;

impl Links {
    pub(super) fn new() -> Links {
        let (open, tries, hints, heard, caught_up) = Default::default();
        let parted = Instant::now();
        Links { open, tries, hints, heard, again: Vec::new(), caught_up, parted, bootstrapped: None }
    }

    pub(super) fn figures(&self) -> Vec<Link> {
        self.open.values().map(|open| open.link.clone()).collect()
    }

    pub(super) fn has(&self, peer: &PeerId) -> bool {
        self.open.contains_key(peer)
    }

    pub(super) fn latency(&self, peer: &PeerId) -> Option<Duration> {
        self.open.get(peer)?.link.latency
    }

    /// After how long without a hello a peer is taken to be elsewhere.
    pub(super) fn long(&self, pace: &Pace) -> Duration {
        pace.hello * UNHEARD
    }

    pub(super) fn pinged(&mut self, event: &ping::Event) {
        if let Some(open) = self.open.get_mut(&event.peer) {
            open.link.pinged(event.result.as_ref().ok().copied());
        }
    }

    pub(super) fn sent(&mut self, peer: &PeerId, bytes: usize) {
        if let Some(open) = self.open.get_mut(peer) {
            open.link.sent.add(bytes);
            open.used = Instant::now();
        }
    }

    pub(super) fn received(&mut self, peer: &PeerId, bytes: usize) {
        if let Some(open) = self.open.get_mut(peer) {
            open.link.received.add(bytes);
        }
    }

    /// Those to whom the way leads through nobody else.
    pub(super) fn direct(&self) -> impl Iterator<Item = PeerId> {
        let direct = |open: &Open| open.connections.iter().any(|connection| !connection.relayed);
        self.open.iter().filter(move |(_, open)| direct(open)).map(|(peer, _)| *peer)
    }

    /// Where the other side of a link is.
    pub(super) fn from(&self, peer: &PeerId) -> Option<Multiaddr> {
        Some(self.open.get(peer)?.link.address.clone())
    }

    /// Not all that its other side has said was of use yet.
    pub(super) fn fell_behind(&mut self, peer: &PeerId) {
        if let Some(open) = self.open.get_mut(peer) {
            open.behind = true;
        }
    }

    /// Something was asked over it.
    pub(super) fn used(&mut self, peer: &PeerId) {
        if let Some(open) = self.open.get_mut(peer) {
            open.used = Instant::now();
        }
    }

    /// Something that this peer itself has said was heard, then: it has so many links, of so many that it may have.
    pub(super) fn heard(&mut self, peer: PeerId, at: Instant, links: u16, most: u16) {
        if self.heard.get(&peer).is_none_or(|news| news.at < at) {
            self.heard.insert(peer, News { at, links, most });
            // Whoever says something can be reached again.
            if self.tries.get(&peer).is_some_and(|tried| tried.at < at) {
                self.tries.remove(&peer);
            }
        }
    }

    /// Whether something was heard of a peer lately.
    pub(super) fn is_near(&self, peer: &PeerId, pace: &Pace) -> bool {
        self.heard.get(peer).is_some_and(|news| news.at.elapsed() <= self.long(pace))
    }

    /// Its failures are forgotten: there is news of it.
    pub(super) fn forgive(&mut self, peer: &PeerId) {
        self.tries.remove(peer);
    }

    /// What was heard of it, and where it might be.
    pub(super) fn forget(&mut self, peer: &PeerId) {
        self.heard.remove(peer);
        self.caught_up.remove(peer);
        self.hints.remove(peer);
    }

    pub(super) fn again(&mut self, peer: PeerId) {
        self.forgive(&peer);
        self.again.push(peer);
    }

    /// Answers whether that is news.
    pub(super) fn hint(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) -> bool {
        let mut news = false;
        if self.hints.len() < HINTS || self.hints.contains_key(&peer) {
            let known = self.hints.entry(peer).or_default();
            for address in addresses {
                if !known.contains(&address) && known.len() < 8 {
                    known.push(address);
                    news = true;
                }
            }
        }
        news
    }

    pub(super) fn failed(&mut self, peer: PeerId, pace: &Pace, dice: &mut Dice) {
        let fails = self.tries.get(&peer).map_or(0, |tried| tried.fails);
        let wait = pace.back_off.saturating_mul(1 << fails.min(16)).min(pace.back_off_most);
        let at = Instant::now();
        self.tries.insert(peer, Try { fails: fails.saturating_add(1), at, next: at + dice.about(wait) });
    }

    pub(super) fn may_try(&self, peer: &PeerId) -> bool {
        self.tries.get(peer).is_none_or(|tried| tried.next <= Instant::now())
    }

    /// The same of one for whom something waits.
    fn may_hurry(&self, peer: &PeerId, pace: &Pace) -> bool {
        self.may_try(peer) || self.tries.get(peer).is_none_or(|tried| tried.at.elapsed() >= pace.back_off * HASTE)
    }
}

impl Open {
    pub(super) fn since(&self) -> Instant {
        self.link.since
    }
}

impl Node {
    pub(super) fn connected(&mut self, peer: PeerId, id: ConnectionId, endpoint: &ConnectedPoint) {
        if self.reached(peer, id, endpoint.is_dialer()) {
            return;
        }
        if endpoint.is_dialer() {
            self.show(peer);
        }
        if !self.swarm.behaviour().gate.is_full(&id) {
            return self.await_pass(id, peer);
        }
        if !self.has_place(peer, id) {
            return;
        }
        let address = endpoint.get_remote_address().clone();
        let (called, relayed) = (endpoint.is_dialer(), endpoint.is_relayed());
        let connection = Connection { id, address: address.clone(), called, relayed };
        let (own, first) = (self.own(), !self.links.has(&peer));
        let now = Instant::now();
        let link = Link {
            peer,
            address: address.clone(),
            called,
            since: now,
            latency: None,
            pings: 0,
            lost: 0,
            sent: Traffic::default(),
            received: Traffic::default(),
        };
        let open =
            self.links.open.entry(peer).or_insert(Open { link, connections: Vec::new(), used: now, behind: true });
        open.connections.push(connection);
        if let Some(double) = double(&open.connections, &own, &peer) {
            self.swarm.behaviour_mut().gate.leave(&double);
            self.swarm.close_connection(double);
        }
        if called && !relayed {
            self.located(peer, &[address]);
        }
        if first {
            self.sought.met(&peer);
            self.tell(Event::Linked { peer });
            if !self.links.is_near(&peer, &self.settings.pace) {
                self.topics.hurry();
            }
            self.look_after_news();
            self.listen_through(&peer);
        }
        self.pump(peer);
    }

    pub(super) fn disconnected(&mut self, peer: PeerId, id: ConnectionId) {
        if let Some(open) = self.links.open.get_mut(&peer) {
            open.connections.retain(|connection| connection.id != id);
            if let Some(left) = open.connections.first() {
                (open.link.address, open.link.called) = (left.address.clone(), left.called);
            } else {
                let lived = open.since().elapsed();
                let called = open.link.called;
                self.links.open.remove(&peer);
                if called && lived < self.settings.pace.back_off {
                    // It had no room.
                    self.links.failed(peer, &self.settings.pace, &mut self.dice);
                } else {
                    self.links.forgive(&peer);
                }
                self.reach.forget(&peer);
                self.tell(Event::Unlinked { peer });
                self.forget_own_calls(peer);
            }
        }
        // What waits for a peer whose link was given up waited for the end of that one.
        self.pump(peer);
        if let Some(at) = self.links.again.iter().position(|each| *each == peer) {
            self.links.again.swap_remove(at);
            self.call_peer(peer);
        }
    }

    pub(super) fn incoming_failed(&mut self, peer: Option<PeerId>, error: ListenError) {
        let ListenError::Denied { cause } = error else { return };
        let Ok(Denied(Some(why))) = cause.downcast::<Denied>() else { return };
        self.turn_away(peer, why);
    }

    pub(super) fn dial_failed(&mut self, peer: Option<PeerId>, error: &DialError) {
        if let DialError::WrongPeerId { obtained, .. } = error {
            self.turn_away(Some(*obtained), Why::WrongPeer);
        }
        let Some(peer) = peer else { return };
        if matches!(error, DialError::DialPeerConditionFalse(_)) {
            return;
        }
        if let DialError::WrongPeerId { address, .. } | DialError::LocalPeerId { address } = error
            && self.mistook(peer, address)
        {
            return self.dial_peer(peer);
        }
        if matches!(error, DialError::NoAddresses | DialError::Transport(_)) {
            self.seek(peer);
        }
        self.links.failed(peer, &self.settings.pace, &mut self.dice);
    }

    /// Calls a peer, unless it has just failed.
    pub(super) fn call_peer(&mut self, peer: PeerId) {
        if self.links.may_try(&peer) && !self.is_cut(&peer) {
            self.dial_peer(peer);
        }
    }

    fn dial_peer(&mut self, peer: PeerId) {
        let mut addresses = self.roster.addresses(&peer);
        addresses.extend(self.links.hints.get(&peer).into_iter().flatten().cloned());
        let options = DialOpts::peer_id(peer)
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .addresses(self.sought.likely(&peer, addresses));
        // Others of libp2p know places, too, and not which of them are wrong.
        let options = match self.sought.is_mistaken(&peer) {
            true => options,
            false => options.extend_addresses_through_behaviour(),
        };
        if let Err(error) = self.swarm.dial(options.build()) {
            self.dial_failed(Some(peer), &error);
        }
    }

    /// Has a link with this member made, if there is none: something waits for it.
    pub(super) fn want_link(&mut self, peer: PeerId) {
        let may = self.links.may_hurry(&peer, &self.settings.pace) && !self.is_cut(&peer);
        if !may || self.swarm.is_connected(&peer) {
            return;
        }
        // While all links are at work it is tried again, from moment to moment.
        if self.swarm.behaviour().gate.taken() < self.settings.connections || self.make_room() {
            self.dial_peer(peer);
        }
    }

    pub(super) fn dial_address(&mut self, address: Multiaddr) -> Result<(), Error> {
        let what = |error: DialError| Error::Setting { setting: "address", what: format!("{address}: {error}") };
        self.swarm.dial(address.clone()).map_err(what)
    }

    pub(super) fn part_from(&mut self, peer: PeerId) {
        let _ = self.swarm.disconnect_peer_id(peer);
        self.forget_news(&peer);
    }

    pub(super) fn part_from_all(&mut self) {
        let peers: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        peers.into_iter().for_each(|peer| self.part_from(peer));
    }

    /// Who floods is kept out for a while.
    pub(super) fn ban(&mut self, peer: PeerId) {
        // What was on its way when it was dropped is no new offence.
        if self.doors.lock().banned.insert(peer, Instant::now() + self.settings.rate.ban).is_some() {
            return;
        }
        self.turn_away(Some(peer), Why::Flooding);
        self.tell(Event::Dropped { peer });
        let _ = self.swarm.disconnect_peer_id(peer);
    }
}

/// Of two connections with one peer, both sides close the same: the relayed one, else that which the greater one has opened,
/// else the newer.
fn double(connections: &[Connection], own: &Key, peer: &PeerId) -> Option<ConnectionId> {
    let [first, second] = connections else { return None };
    let first_goes = match (first.relayed, second.relayed) {
        (true, false) => true,
        (false, true) => false,
        _ if first.called != second.called => {
            let own_is_greater = Key::of(peer).is_some_and(|peer| *own > peer);
            first.called == own_is_greater
        }
        _ => false,
    };
    Some(if first_goes { first.id } else { second.id })
}

/// Where one listens to be reached through another.
pub(super) fn circuit(through: &Multiaddr) -> Multiaddr {
    through.clone().with(Protocol::P2pCircuit)
}

/// Whether an address leads nowhere from another machine.
pub(super) fn is_near(address: &Multiaddr) -> bool {
    address.iter().next().is_some_and(|first| match first {
        Protocol::Ip4(ip) => ip.is_loopback(),
        Protocol::Ip6(ip) => ip.is_loopback(),
        _ => false,
    })
}
