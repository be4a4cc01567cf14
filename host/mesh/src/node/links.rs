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
use libp2p::{Multiaddr, PeerId, mdns, ping};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The links there are, and those that are tried.
pub(super) struct Links {
    open: HashMap<PeerId, Open>,
    tries: HashMap<PeerId, Try>,
    /// Where somebody may be who is no member yet.
    hints: HashMap<PeerId, Vec<Multiaddr>>,
    heard: HashMap<PeerId, Instant>,
    /// Whom to call as soon as the old connection is gone.
    again: Vec<PeerId>,
    evicted: Instant,
    /// When a link was given up for one that may be lost.
    parted: Instant,
    bootstrapped: Option<Instant>,
}

struct Open {
    link: Link,
    connections: Vec<Connection>,
    used: Instant,
}

#[derive(Clone, Copy)]
struct Connection {
    id: ConnectionId,
    called: bool,
    relayed: bool,
}

#[derive(Clone, Copy)]
struct Try {
    fails: u32,
    next: Instant,
}

/// The most hints: they come from the local network, where anybody can say anything.
const HINTS: usize = 256;
/// A link that was used within so many hellos is not closed for another's sake.
const IN_USE: u32 = 2;
/// Somebody of whom nothing was heard for so many hellos may be in another part of a village that fell apart.
const UNHEARD: u32 = 4;

impl Links {
    pub(super) fn new() -> Links {
        let evicted = Instant::now();
        let (open, tries, hints, heard) = Default::default();
        Links { open, tries, hints, heard, again: Vec::new(), evicted, parted: evicted, bootstrapped: None }
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

    /// Something was asked over it.
    pub(super) fn used(&mut self, peer: &PeerId) {
        if let Some(open) = self.open.get_mut(peer) {
            open.used = Instant::now();
        }
    }

    /// Something that this peer itself has said was heard.
    pub(super) fn heard(&mut self, peer: PeerId) {
        self.heard.insert(peer, Instant::now());
    }

    /// Its failures are forgotten: there is news of it.
    pub(super) fn forgive(&mut self, peer: &PeerId) {
        self.tries.remove(peer);
    }

    pub(super) fn again(&mut self, peer: PeerId) {
        self.forgive(&peer);
        self.again.push(peer);
    }

    pub(super) fn hint(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        if self.hints.len() < HINTS || self.hints.contains_key(&peer) {
            let known = self.hints.entry(peer).or_default();
            for address in addresses {
                if !known.contains(&address) && known.len() < 8 {
                    known.push(address);
                }
            }
        }
    }

    pub(super) fn failed(&mut self, peer: PeerId, pace: &Pace, dice: &mut Dice) {
        let fails = self.tries.get(&peer).map_or(0, |tried| tried.fails);
        let wait = pace.back_off.saturating_mul(1 << fails.min(16)).min(pace.back_off_most);
        let next = Instant::now() + dice.about(wait);
        self.tries.insert(peer, Try { fails: fails.saturating_add(1), next });
    }

    fn may_try(&self, peer: &PeerId) -> bool {
        self.tries.get(peer).is_none_or(|tried| tried.next <= Instant::now())
    }

    /// The link that was not used for longest, if it is idle.
    fn idlest(&self, long: Duration, busy: impl Fn(&PeerId) -> bool) -> Option<PeerId> {
        let idle = self.open.iter().filter(|(peer, open)| open.used.elapsed() > long && !busy(peer));
        idle.min_by_key(|(_, open)| open.used).map(|(peer, _)| *peer)
    }
}

impl Node {
    pub(super) fn connected(&mut self, peer: PeerId, id: ConnectionId, endpoint: &ConnectedPoint) {
        if endpoint.is_dialer() {
            self.show(peer);
        }
        if !self.swarm.behaviour().gate.is_full(&id) {
            return self.await_pass(id, peer);
        }
        self.links.forgive(&peer);
        let address = endpoint.get_remote_address().clone();
        let connection = Connection { id, called: endpoint.is_dialer(), relayed: endpoint.is_relayed() };
        let (own, first) = (self.own(), !self.links.has(&peer));
        let now = Instant::now();
        let link = Link {
            peer,
            address: address.clone(),
            called: connection.called,
            since: now,
            latency: None,
            pings: 0,
            lost: 0,
            sent: Traffic::default(),
            received: Traffic::default(),
        };
        let open = self.links.open.entry(peer).or_insert(Open { link, connections: Vec::new(), used: now });
        open.connections.push(connection);
        if let Some(double) = double(&open.connections, &own, &peer) {
            self.swarm.close_connection(double);
        }
        if connection.called && !connection.relayed {
            self.located(peer, &[address]);
        }
        if first {
            self.tell(Event::Linked { peer });
            self.topics.hurry();
            self.ask_roster(peer);
        }
        self.pump(peer);
    }

    pub(super) fn disconnected(&mut self, peer: PeerId, id: ConnectionId) {
        if let Some(open) = self.links.open.get_mut(&peer) {
            open.connections.retain(|connection| connection.id != id);
            if open.connections.is_empty() {
                self.links.open.remove(&peer);
                self.tell(Event::Unlinked { peer });
            }
        }
        if let Some(at) = self.links.again.iter().position(|each| *each == peer) {
            self.links.again.swap_remove(at);
            self.call_peer(peer);
        }
    }

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

    pub(super) fn incoming_failed(&mut self, peer: Option<PeerId>, error: ListenError) {
        let ListenError::Denied { cause } = error else { return };
        let Ok(Denied(Some(why))) = cause.downcast::<Denied>() else { return };
        self.turn_away(peer, why);
        let member = peer.and_then(|peer| Key::of(&peer)).is_some_and(|key| self.roster.has(&key));
        if why == Why::Full && member {
            // It will call again, and find room then.
            self.make_room();
        }
    }

    pub(super) fn dial_failed(&mut self, peer: Option<PeerId>, error: &DialError) {
        if let DialError::WrongPeerId { obtained, .. } = error {
            self.turn_away(Some(*obtained), Why::WrongPeer);
        }
        let Some(peer) = peer else { return };
        if matches!(error, DialError::DialPeerConditionFalse(_)) {
            return;
        }
        if matches!(error, DialError::NoAddresses) && self.links.open.len() > 1 {
            // Others may know where it is; what they say is used by the next call.
            self.swarm.behaviour_mut().gate.inner.kad.get_closest_peers(peer);
        }
        self.links.failed(peer, &self.settings.pace, &mut self.dice);
    }

    /// Calls a peer, unless it has just failed.
    pub(super) fn call_peer(&mut self, peer: PeerId) {
        if !self.links.may_try(&peer) || self.is_cut(&peer) {
            return;
        }
        let mut addresses = self.roster.addresses(&peer);
        addresses.extend(self.links.hints.get(&peer).into_iter().flatten().cloned());
        let options = DialOpts::peer_id(peer)
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .addresses(addresses)
            .extend_addresses_through_behaviour()
            .build();
        if let Err(error) = self.swarm.dial(options) {
            self.dial_failed(Some(peer), &error);
        }
    }

    /// Has a link with this member made, if there is none.
    pub(super) fn want_link(&mut self, peer: PeerId) {
        if !self.links.has(&peer) && self.links.may_try(&peer) {
            if self.swarm.behaviour().gate.taken() >= self.settings.connections {
                self.make_room();
            }
            self.call_peer(peer);
        }
    }

    pub(super) fn dial_address(&mut self, address: Multiaddr) -> Result<(), Error> {
        let what = |error: DialError| Error::Setting { setting: "address", what: format!("{address}: {error}") };
        self.swarm.dial(address.clone()).map_err(what)
    }

    /// Closes the link over which nothing was asked for longest, now and then.
    fn make_room(&mut self) {
        if self.links.evicted.elapsed() < self.settings.pace.back_off * 4 {
            return;
        }
        if let Some(peer) = self.links.idlest(self.settings.pace.hello * IN_USE, |peer| self.calls.has_for(peer)) {
            self.links.evicted = Instant::now();
            let _ = self.swarm.disconnect_peer_id(peer);
        }
    }

    pub(super) fn part_from(&mut self, peer: PeerId) {
        let _ = self.swarm.disconnect_peer_id(peer);
        self.swarm.behaviour_mut().gate.inner.kad.remove_peer(&peer);
        self.links.heard.remove(&peer);
        self.directory.forget(&peer);
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

    pub(super) fn on_mdns(&mut self, event: mdns::Event) {
        let mdns::Event::Discovered(found) = event else { return };
        for (peer, address) in found {
            self.links.hint(peer, vec![address]);
            let alone = self.roster.members().next().is_none();
            let known = Key::of(&peer).is_some_and(|key| self.roster.has(&key));
            let room = self.swarm.behaviour().gate.taken() < self.wanted();
            // Somebody unknown may be a new member; a peer that is alone has nothing to show to it.
            if room && (known || !alone) {
                self.call_peer(peer);
            }
        }
    }

    /// As many links as it looks for by itself: the rest is for those who call, and for talks with others.
    fn wanted(&self) -> usize {
        (self.settings.connections * 6).div_ceil(10)
    }

    fn is_cut(&self, peer: &PeerId) -> bool {
        self.settings.weather.as_ref().is_some_and(|weather| weather.is_cut(peer))
    }

    /// What is to be done every moment.
    pub(super) fn look(&mut self) {
        self.keep();
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
        self.look_after_polls();
        self.asked.forget();
    }

    fn look_for_links(&mut self) {
        let members: Vec<PeerId> = self.roster.members().filter_map(|(key, _)| key.peer()).collect();
        let mut free: Vec<PeerId> =
            members.into_iter().filter(|peer| !self.links.has(peer) && self.links.may_try(peer)).collect();
        self.dice.shuffle(&mut free);
        let taken = self.swarm.behaviour().gate.taken();
        let missing = self.wanted().saturating_sub(taken);
        for peer in free.iter().take(missing) {
            self.call_peer(*peer);
        }
        if missing == 0 {
            self.look_for_lost(&free);
        }
        self.bootstrap();
    }

    /// Of whom nothing is heard may be in another part of a village that fell apart, or that never was one: such parts can be
    /// so closely linked that nobody in them has room for a link to the other.
    fn look_for_lost(&mut self, free: &[PeerId]) {
        let long = self.links.long(&self.settings.pace);
        let is_lost = |peer: &&PeerId| self.links.heard.get(*peer).is_none_or(|at| at.elapsed() > long);
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

/// The same address without the peer at its end: that is named beside it.
fn without_peer(address: &Multiaddr, peer: &PeerId) -> Multiaddr {
    let mut bare = address.clone();
    if bare.iter().last() == Some(Protocol::P2p(*peer)) {
        bare.pop();
    }
    bare
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
