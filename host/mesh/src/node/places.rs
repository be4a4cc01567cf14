//! Where this peer listens: itself, and through others who take its calls for it. What it does for others in the same way is
//! counted, so that no link on which that stands is given up.

use super::Node;
use super::links::{circuit, is_near};
use crate::behaviour::Outer;
use crate::error::Error;
use crate::port;
use crate::settings::Settings;
use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId, Swarm, relay};
use std::collections::{HashMap, HashSet};
use std::time::Instant;

pub(super) struct Places {
    listeners: Vec<ListenerId>,
    /// Through whom it listens or has asked to, and since when it does not.
    circuits: HashMap<ListenerId, Circuit>,
    lost: Vec<(Instant, Multiaddr)>,
    /// Who can be reached through this one, and how many talk through it with whom.
    hosted: HashSet<PeerId>,
    joined: HashMap<(PeerId, PeerId), usize>,
}

struct Circuit {
    through: Multiaddr,
    since: Instant,
    open: bool,
}

/// Who has not said yes to taking calls within so many of the first back-offs is asked anew.
const PATIENCE: u32 = 40;
/// After so many of the first back-offs one through whom it cannot listen is asked again.
const AGAIN: u32 = 8;

impl Places {
    pub(super) fn open(swarm: &mut Swarm<Outer>, settings: &Settings) -> Result<Places, Error> {
        let mut places = Places {
            listeners: Vec::new(),
            circuits: HashMap::new(),
            lost: Vec::new(),
            hosted: HashSet::new(),
            joined: HashMap::new(),
        };
        port::check_free(&settings.listen)?;
        for address in &settings.listen {
            places.listeners.push(listen(swarm, address)?);
        }
        for through in &settings.relay.through {
            let listener = listen(swarm, &circuit(through))?;
            places.circuits.insert(listener, Circuit::new(through.clone()));
        }
        Ok(places)
    }

    pub(super) fn close(&mut self, swarm: &mut Swarm<Outer>) {
        for listener in self.listeners.drain(..).chain(self.circuits.drain().map(|(listener, _)| listener)) {
            swarm.remove_listener(listener);
        }
        self.lost.clear();
    }

    /// Whether somebody is reached over the link with this peer, or this peer itself over that.
    pub(super) fn stand_on(&self, peer: &PeerId) -> bool {
        self.hosted.contains(peer)
            || self.joined.keys().any(|(one, other)| one == peer || other == peer)
            || self.circuits.values().any(|circuit| circuit.is_through(peer))
    }
}

impl Circuit {
    fn new(through: Multiaddr) -> Circuit {
        Circuit { through, since: Instant::now(), open: false }
    }

    fn is_through(&self, peer: &PeerId) -> bool {
        leads_to(&self.through, peer)
    }
}

fn leads_to(address: &Multiaddr, peer: &PeerId) -> bool {
    address.iter().any(|part| part == Protocol::P2p(*peer))
}

fn listen(swarm: &mut Swarm<Outer>, address: &Multiaddr) -> Result<ListenerId, Error> {
    let bad = |error| Error::Setting { setting: "listen", what: format!("{address}: {}", cause(&error)) };
    swarm.listen_on(address.clone()).map_err(bad)
}

/// What is behind an error, in its own words: some of those around it have none.
fn cause(error: &dyn std::error::Error) -> String {
    let mut last = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let text = inner.to_string();
        if !text.trim().is_empty() {
            last = text;
        }
        source = inner.source();
    }
    last
}

impl Node {
    /// Nobody takes calls there any more.
    pub(super) fn listener_closed(&mut self, listener: ListenerId) {
        if let Some(circuit) = self.places.circuits.remove(&listener) {
            self.places.lost.push((Instant::now(), circuit.through));
        }
    }

    /// Calls are taken there.
    pub(super) fn listener_opened(&mut self, listener: ListenerId) {
        if let Some(circuit) = self.places.circuits.get_mut(&listener) {
            circuit.open = true;
        }
    }

    /// There is a link with a member: if it is to take calls for this one, it is asked to now. It may have been asked before it
    /// knew this one, and then never answers.
    pub(super) fn listen_through(&mut self, peer: &PeerId) {
        self.ask_anew(|circuit| circuit.is_through(peer));
        let lost = std::mem::take(&mut self.places.lost);
        let (now, later): (Vec<_>, Vec<_>) = lost.into_iter().partition(|(_, through)| leads_to(through, peer));
        self.places.lost = later;
        now.into_iter().for_each(|(_, through)| self.begin_circuit(through));
    }

    fn ask_anew(&mut self, which: impl Fn(&Circuit) -> bool) {
        let stale = self.places.circuits.iter().filter(|(_, circuit)| !circuit.open && which(circuit));
        let stale: Vec<ListenerId> = stale.map(|(listener, _)| *listener).collect();
        for listener in stale {
            self.swarm.remove_listener(listener);
            if let Some(circuit) = self.places.circuits.remove(&listener) {
                self.begin_circuit(circuit.through);
            }
        }
    }

    fn begin_circuit(&mut self, through: Multiaddr) {
        match listen(&mut self.swarm, &circuit(&through)) {
            Ok(listener) => drop(self.places.circuits.insert(listener, Circuit::new(through))),
            Err(_) => self.places.lost.push((Instant::now(), through)),
        }
    }

    /// Those who take calls for this one may have been away.
    pub(super) fn look_after_places(&mut self) {
        let wait = self.settings.pace.back_off * AGAIN;
        let due = |lost: &(Instant, Multiaddr)| lost.0.elapsed() >= wait;
        let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.places.lost).into_iter().partition(due);
        self.places.lost = later;
        due.into_iter().for_each(|(_, through)| self.begin_circuit(through));
        let patience = self.settings.pace.back_off * PATIENCE;
        self.ask_anew(|circuit| circuit.since.elapsed() >= patience);
    }

    /// Something was done for others who cannot be called.
    pub(super) fn on_relay(&mut self, event: relay::Event) {
        match event {
            relay::Event::ReservationReqAccepted { src_peer_id, .. } => drop(self.places.hosted.insert(src_peer_id)),
            relay::Event::ReservationClosed { src_peer_id } | relay::Event::ReservationTimedOut { src_peer_id } => {
                self.places.hosted.remove(&src_peer_id);
            }
            relay::Event::CircuitReqAccepted { src_peer_id, dst_peer_id } => {
                *self.places.joined.entry((src_peer_id, dst_peer_id)).or_default() += 1;
            }
            relay::Event::CircuitClosed { src_peer_id, dst_peer_id, .. } => {
                if let Some(count) = self.places.joined.get_mut(&(src_peer_id, dst_peer_id)) {
                    *count -= 1;
                    if *count == 0 {
                        self.places.joined.remove(&(src_peer_id, dst_peer_id));
                    }
                }
            }
            _ => {}
        }
    }

    /// Where this peer can be reached, the places best reached from afar first.
    pub(super) fn own_addresses(&self) -> Vec<Multiaddr> {
        let mut seen = HashSet::new();
        let all = self.swarm.external_addresses().chain(self.swarm.listeners()).cloned();
        let mut all: Vec<Multiaddr> = all.filter(|address| seen.insert(address.clone())).collect();
        all.sort_by_key(is_near);
        all
    }
}
