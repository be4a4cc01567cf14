//! The gate: what members speak is offered to members only. All others get an encrypted connection without anything behind
//! it, and here all connections are counted.

use crate::Why;
use crate::fault::Weather;
use libp2p::PeerId;
use libp2p::core::transport::PortUse;
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::swarm::derive_prelude::Either;
use libp2p::swarm::{
    ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler, THandler,
    THandlerInEvent, THandlerOutEvent, ToSwarm, behaviour::ConnectionEstablished, dummy,
};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

/// Who may come in. One lock for all of it, never held while anything waits.
#[derive(Debug)]
pub(crate) struct Doors {
    pub(crate) members: HashSet<PeerId>,
    pub(crate) blocked: HashSet<PeerId>,
    pub(crate) banned: HashMap<PeerId, Instant>,
    pub(crate) weather: Option<Weather>,
    /// The most connections with members, and with others.
    pub(crate) connections: usize,
    pub(crate) lobby: usize,
}

/// Connections that are not encrypted yet: an honest one takes less than a second.
const PENDING: usize = 64;
/// Connections above the most that there may be, for the moment in which a link takes another's place.
const SWAPS: usize = 4;
/// Two that call each other at the same moment have two connections for a moment.
const PER_PEER: usize = 2;

/// Why a connection was not taken.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{}", .0.map_or("there is no way".to_string(), |why| why.to_string()))]
pub(crate) struct Denied(pub(crate) Option<Why>);

pub(crate) struct Gate<B> {
    pub(crate) inner: B,
    doors: Arc<Mutex<Doors>>,
    /// Connections with members, and with others.
    full: HashMap<ConnectionId, PeerId>,
    /// Those with members that are about to be closed: their places are free.
    leaving: HashSet<ConnectionId>,
    lobby: HashSet<ConnectionId>,
    pending_in: HashSet<ConnectionId>,
    pending_out: HashSet<ConnectionId>,
}

impl<B> Gate<B> {
    pub(crate) fn new(inner: B, doors: Arc<Mutex<Doors>>) -> Gate<B> {
        let (leaving, lobby, pending_in, pending_out) = Default::default();
        Gate { inner, doors, full: HashMap::new(), leaving, lobby, pending_in, pending_out }
    }

    /// Whether all that members speak is spoken on this connection.
    pub(crate) fn is_full(&self, id: &ConnectionId) -> bool {
        self.full.contains_key(id)
    }

    /// How many connections with members there are, those under way included.
    pub(crate) fn taken(&self) -> usize {
        self.staying() + self.pending_out.len()
    }

    /// Whether there are more connections with members than there may be.
    pub(crate) fn is_over(&self) -> bool {
        self.staying() > self.doors.lock().connections
    }

    /// This connection is about to be closed.
    pub(crate) fn leave(&mut self, id: &ConnectionId) {
        if self.full.contains_key(id) {
            self.leaving.insert(*id);
        }
    }

    /// All connections with this peer are.
    pub(crate) fn leave_all(&mut self, peer: &PeerId) {
        self.leaving.extend(self.full.iter().filter(|(_, each)| *each == peer).map(|(id, _)| *id));
    }

    fn staying(&self) -> usize {
        self.full.len() - self.leaving.len()
    }

    fn to(&self, peer: &PeerId) -> usize {
        self.full.values().filter(|each| *each == peer).count()
    }

    fn enter(&mut self, id: ConnectionId, peer: PeerId) -> Result<bool, Denied> {
        let doors = self.doors.lock();
        doors.check(&peer)?;
        if doors.members.contains(&peer) {
            if self.full.len() >= doors.connections + SWAPS || self.to(&peer) >= PER_PEER {
                return Err(Denied(Some(Why::Full)));
            }
            self.full.insert(id, peer);
            Ok(true)
        } else if self.lobby.len() >= doors.lobby {
            Err(Denied(Some(Why::Full)))
        } else {
            self.lobby.insert(id);
            Ok(false)
        }
    }

    fn forget(&mut self, id: &ConnectionId) {
        self.pending_in.remove(id);
        self.pending_out.remove(id);
        self.full.remove(id);
        self.leaving.remove(id);
        self.lobby.remove(id);
    }
}

impl Doors {
    fn check(&self, peer: &PeerId) -> Result<(), Denied> {
        if self.weather.as_ref().is_some_and(|weather| weather.is_cut(peer)) {
            return Err(Denied(None));
        }
        if self.blocked.contains(peer) {
            return Err(Denied(Some(Why::Blocked)));
        }
        if self.banned.get(peer).is_some_and(|until| *until > Instant::now()) {
            return Err(Denied(Some(Why::Banned)));
        }
        Ok(())
    }
}

impl<B: NetworkBehaviour> NetworkBehaviour for Gate<B> {
    type ConnectionHandler = Either<THandler<B>, dummy::ConnectionHandler>;
    type ToSwarm = B::ToSwarm;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        if self.pending_in.len() >= PENDING {
            return Err(ConnectionDenied::new(Denied(Some(Why::Full))));
        }
        self.inner.handle_pending_inbound_connection(id, local, remote)?;
        self.pending_in.insert(id);
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.pending_in.remove(&id);
        match self.enter(id, peer).map_err(ConnectionDenied::new)? {
            true => self.inner.handle_established_inbound_connection(id, peer, local, remote).map(Either::Left),
            false => Ok(Either::Right(dummy::ConnectionHandler)),
        }
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        let full = {
            let doors = self.doors.lock();
            if let Some(peer) = &peer {
                doors.check(peer).map_err(ConnectionDenied::new)?;
            }
            self.taken() >= doors.connections
        };
        if full {
            return Err(ConnectionDenied::new(Denied(Some(Why::Full))));
        }
        let more = self.inner.handle_pending_outbound_connection(id, peer, addresses, role)?;
        self.pending_out.insert(id);
        Ok(more)
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.pending_out.remove(&id);
        match self.enter(id, peer).map_err(ConnectionDenied::new)? {
            true => self.inner.handle_established_outbound_connection(id, peer, address, role, port).map(Either::Left),
            false => Ok(Either::Right(dummy::ConnectionHandler)),
        }
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(new) => {
                if self.is_full(&new.connection_id) {
                    // Of the others, those in the lobby do not exist for the inner ones.
                    let other_established = self.to(&new.peer_id).saturating_sub(1);
                    let new = ConnectionEstablished { other_established, ..new };
                    self.inner.on_swarm_event(FromSwarm::ConnectionEstablished(new));
                }
            }
            FromSwarm::ConnectionClosed(old) => {
                let was_full = self.is_full(&old.connection_id);
                self.forget(&old.connection_id);
                if was_full {
                    let remaining_established = self.to(&old.peer_id);
                    let old = ConnectionClosed { remaining_established, ..old };
                    self.inner.on_swarm_event(FromSwarm::ConnectionClosed(old));
                }
            }
            FromSwarm::AddressChange(change) if !self.is_full(&change.connection_id) => {}
            other => {
                match &other {
                    FromSwarm::DialFailure(failure) => self.forget(&failure.connection_id),
                    FromSwarm::ListenFailure(failure) => self.forget(&failure.connection_id),
                    _ => {}
                }
                self.inner.on_swarm_event(other);
            }
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, id: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {
            Either::Left(event) => self.inner.on_connection_handler_event(peer, id, event),
            Either::Right(never) => match never {},
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        loop {
            let Poll::Ready(event) = self.inner.poll(context) else { return Poll::Pending };
            return Poll::Ready(match event {
                // To a connection in the lobby nothing of this can be said, so "any" must not be one of those.
                ToSwarm::NotifyHandler { peer_id, handler: NotifyHandler::Any, event } => {
                    let Some((id, _)) = self.full.iter().find(|(_, each)| **each == peer_id) else { continue };
                    let handler = NotifyHandler::One(*id);
                    ToSwarm::NotifyHandler { peer_id, handler, event: Either::Left(event) }
                }
                ToSwarm::NotifyHandler { handler: NotifyHandler::One(id), .. } if !self.is_full(&id) => continue,
                other => other.map_in(Either::Left),
            });
        }
    }
}
