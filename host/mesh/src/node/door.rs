//! At the door: showing passes and invitations, and looking at those of others.

use super::{Due, Node};
use crate::admission::{Door, OTHERS, Show};
use crate::codec::{Held, is_oversized};
use crate::error::Error;
use crate::event::{Event, Why};
use crate::frame::FrameError;
use crate::invitation::Invitation;
use crate::key::Key;
use crate::pass::Pass;
use crate::roster::Member;
use libp2p::request_response::{Event as Asked, Message, OutboundFailure, ResponseChannel};
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use std::collections::HashSet;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// What goes on at the door.
#[derive(Default)]
pub(super) struct Entry {
    joining: Option<Joining>,
    /// Connections that are closed as soon as the answer is out.
    closing: HashSet<ConnectionId>,
}

struct Joining {
    invitation: Invitation,
    peer: PeerId,
    until: Instant,
    done: oneshot::Sender<Result<(), Error>>,
}

/// How long joining may take: the inviter may be away for a moment.
const JOIN: Duration = Duration::from_secs(20);

impl Node {
    /// On a connection that this side has opened, it shows what it has.
    pub(super) fn show(&mut self, peer: PeerId) {
        let show = match &self.entry.joining {
            Some(joining) if joining.peer == peer => Show::Invitation(joining.invitation.clone()),
            _ => Show::Pass(self.roster.pass().clone()),
        };
        self.swarm.behaviour_mut().door.send_request(&peer, show.encode().into());
    }

    /// Whoever is still in the lobby when its time is up goes.
    pub(super) fn await_pass(&mut self, connection: ConnectionId, peer: PeerId) {
        self.timers.after(self.settings.pace.lobby, Due::Lobby(connection, peer));
    }

    pub(super) fn clear_lobby(&mut self, connection: ConnectionId, peer: PeerId) {
        if !self.swarm.behaviour().gate.is_full(&connection) && self.swarm.close_connection(connection) {
            let known = Key::of(&peer).is_some_and(|key| self.roster.has(&key));
            if !known {
                self.turn_away(Some(peer), Why::Stranger);
            }
        }
    }

    pub(super) fn on_door(&mut self, event: Asked<Held, Held>) {
        match event {
            Asked::Message { peer, connection_id, message: Message::Request { request, channel, .. } } => {
                if request.oversized {
                    self.turn_away(Some(peer), Why::Oversized);
                    self.swarm.close_connection(connection_id);
                } else {
                    self.look_at(peer, connection_id, &request.bytes, channel);
                }
            }
            Asked::Message { peer, connection_id, message: Message::Response { response, .. } } => {
                self.answered_at_door(peer, connection_id, &response.bytes);
            }
            Asked::ResponseSent { connection_id, .. } => {
                if self.entry.closing.remove(&connection_id) {
                    self.swarm.close_connection(connection_id);
                }
            }
            Asked::InboundFailure { connection_id, .. } => {
                self.entry.closing.remove(&connection_id);
            }
            Asked::OutboundFailure { peer, connection_id, error: OutboundFailure::Io(error), .. }
                if is_oversized(&error) =>
            {
                self.shut(peer, connection_id, Why::Oversized);
            }
            // The connection is gone, or the other side takes its time: the lobby has an end.
            Asked::OutboundFailure { .. } => {}
        }
    }

    fn look_at(&mut self, peer: PeerId, connection: ConnectionId, bytes: &[u8], channel: ResponseChannel<Held>) {
        let shown = Show::decode(bytes).map_err(why);
        let answer = match shown {
            Ok(Show::Pass(pass)) => self.look_at_pass(peer, connection, &pass),
            Ok(Show::Invitation(invitation)) => self.look_at_invitation(peer, &invitation),
            Err(why) => Err(why),
        };
        let door = answer.unwrap_or_else(|why| {
            self.turn_away(Some(peer), why);
            self.entry.closing.insert(connection);
            Door::Shut(why)
        });
        // Who has gone needs no answer.
        let _ = self.swarm.behaviour_mut().door.send_response(channel, door.encode().into());
    }

    fn look_at_pass(&mut self, peer: PeerId, connection: ConnectionId, pass: &Pass) -> Result<Door, Why> {
        // A pass is no secret: that it is the holder's who shows it, the connection proves.
        if Key::of(&peer) != Some(pass.holder()) {
            return Err(Why::Forged);
        }
        self.admit(pass)?;
        let anew = !self.swarm.behaviour().gate.is_full(&connection);
        Ok(Door::Open { pass: self.roster.pass().clone(), anew })
    }

    fn look_at_invitation(&mut self, peer: PeerId, invitation: &Invitation) -> Result<Door, Why> {
        let joiner = Key::of(&peer).ok_or(Why::Forged)?;
        let now = self.now();
        let yours = self.roster.redeem(&self.keys, invitation, joiner, now)?;
        self.admit(&yours)?;
        Ok(Door::Welcome { yours, mine: self.roster.pass().clone(), others: self.some_others(&joiner) })
    }

    /// A few members whom a new one can turn to, those that are linked first.
    fn some_others(&mut self, joiner: &Key) -> Vec<Member> {
        let mut others: Vec<(bool, Member)> = self
            .roster
            .members()
            .filter(|(key, member)| *key != joiner && !member.addresses.is_empty())
            .map(|(key, member)| (key.peer().is_some_and(|peer| self.links.has(&peer)), member.clone()))
            .collect();
        self.dice.shuffle(&mut others);
        others.sort_by_key(|(linked, _)| !linked);
        others.into_iter().take(OTHERS).map(|(_, member)| member).collect()
    }

    /// Takes in who has a good pass, and opens the gate for it.
    pub(super) fn admit(&mut self, pass: &Pass) -> Result<(), Why> {
        let new = self.roster.admit(pass)?;
        if let (true, Some(peer)) = (new, pass.holder().peer()) {
            self.doors.lock().members.insert(peer);
            self.links.forgive(&peer);
            self.tell(Event::Met { peer });
        }
        Ok(())
    }

    fn answered_at_door(&mut self, peer: PeerId, connection: ConnectionId, bytes: &[u8]) {
        let joining = self.entry.joining.as_ref().is_some_and(|joining| joining.peer == peer);
        let again = match Door::decode(bytes).map_err(why) {
            Ok(Door::Open { pass, anew }) if Key::of(&peer) == Some(pass.holder()) => match self.admit(&pass) {
                Ok(()) => anew || !self.swarm.behaviour().gate.is_full(&connection),
                Err(why) => return self.shut(peer, connection, why),
            },
            Ok(Door::Open { .. }) => return self.shut(peer, connection, Why::Forged),
            Ok(Door::Welcome { yours, mine, others }) if joining => {
                let outcome = self.welcomed(peer, yours, &mine);
                let good = outcome.is_ok();
                if good {
                    // Should the inviter have no room, another may.
                    self.learn_members(peer, others);
                    // Who forgets whom it has joined, because it ends before that is written down, would be alone for good.
                    self.keep();
                }
                self.joined(outcome);
                good
            }
            Ok(Door::Welcome { .. }) => return self.shut(peer, connection, Why::Malformed),
            Ok(Door::Shut(why)) => {
                // A full one may have room in a moment; and a stranger is one that has shown its old pass before it wanted to join.
                if joining && !matches!(why, Why::Full | Why::Stranger | Why::Left) {
                    self.joined(Err(Error::TurnedAway { why }));
                }
                self.links.failed(peer, &self.settings.pace, &mut self.dice);
                self.swarm.close_connection(connection);
                return;
            }
            Err(why) => return self.shut(peer, connection, why),
        };
        if again {
            // What members speak is offered when a connection is made, so it takes a new one.
            self.swarm.close_connection(connection);
            self.links.again(peer);
        }
    }

    fn welcomed(&mut self, peer: PeerId, yours: Pass, mine: &Pass) -> Result<(), Error> {
        let Some(joining) = &self.entry.joining else { return Ok(()) };
        let village = joining.invitation.village();
        let good = yours.is_of(&village) && yours.holder() == self.own() && mine.is_of(&village);
        if !good || Key::of(&peer) != Some(mine.holder()) {
            return Err(Error::TurnedAway { why: Why::Forged });
        }
        let places = joining.invitation.addresses();
        self.roster.join(yours)?;
        self.doors.lock().members.clear();
        self.begin_anew();
        self.admit(mine).map_err(|why| Error::TurnedAway { why })?;
        self.located(peer, &places);
        Ok(())
    }

    fn shut(&mut self, peer: PeerId, connection: ConnectionId, why: Why) {
        self.turn_away(Some(peer), why);
        self.links.failed(peer, &self.settings.pace, &mut self.dice);
        self.swarm.close_connection(connection);
    }

    pub(super) fn join(&mut self, invitation: Invitation, done: oneshot::Sender<Result<(), Error>>) {
        let members = self.roster.members().count();
        let refused = if members > 0 {
            Some(Error::NotAlone { members })
        } else if invitation.expires() <= self.now() {
            Some(Error::TurnedAway { why: Why::Invitation })
        } else if self.entry.joining.is_some() {
            Some(Error::Busy { after: Duration::from_secs(1) })
        } else {
            None
        };
        let peer = match (refused, invitation.inviter().peer()) {
            (Some(error), _) => return drop(done.send(Err(error))),
            (None, None) => return drop(done.send(Err(Error::BadInvitation { what: "its key is no key" }))),
            (None, Some(peer)) if invitation.inviter() == self.own() => {
                let _ = peer;
                return drop(done.send(Err(Error::BadInvitation { what: "it is this peer's own" })));
            }
            (None, Some(peer)) => peer,
        };
        self.links.hint(peer, invitation.addresses());
        self.entry.joining = Some(Joining { invitation, peer, until: Instant::now() + JOIN, done });
        if self.swarm.is_connected(&peer) {
            self.show(peer);
        } else {
            self.links.forgive(&peer);
            self.call_peer(peer);
        }
    }

    /// Tries again to reach the inviter, until it takes too long.
    pub(super) fn look_after_joining(&mut self) {
        let Some(joining) = &self.entry.joining else { return };
        if joining.until <= Instant::now() {
            return self.joined(Err(Error::Expired { sent: false }));
        }
        let peer = joining.peer;
        if joining.done.is_closed() {
            self.entry.joining = None;
        } else if !self.swarm.is_connected(&peer) {
            self.call_peer(peer);
        }
    }

    fn joined(&mut self, outcome: Result<(), Error>) {
        if let Some(joining) = self.entry.joining.take() {
            let _ = joining.done.send(outcome);
        }
    }

    pub(super) fn invite(&mut self, uses: u32, life: Duration) -> Result<Invitation, Error> {
        let now = self.now();
        let mut addresses: Vec<Multiaddr> = self.own_addresses();
        addresses.truncate(8);
        self.roster.invite(&self.keys, uses, now + life.as_millis() as u64, &addresses, now)
    }

    pub(super) fn block(&mut self, peer: PeerId) -> Result<(), Error> {
        let key = Key::of(&peer).ok_or(Error::Stranger { peer })?;
        self.roster.block(key)?;
        {
            let mut doors = self.doors.lock();
            doors.blocked.insert(peer);
            doors.members.remove(&peer);
        }
        self.swarm.behaviour_mut().gate.inner.gossip.blacklist_peer(&peer);
        self.part_from(peer);
        self.refuse_calls(peer, || Error::Blocked { peer });
        Ok(())
    }

    pub(super) fn unblock(&mut self, peer: PeerId) -> Result<(), Error> {
        let key = Key::of(&peer).ok_or(Error::Stranger { peer })?;
        self.roster.unblock(&key)?;
        self.doors.lock().blocked.remove(&peer);
        self.swarm.behaviour_mut().gate.inner.gossip.remove_blacklisted_peer(&peer);
        Ok(())
    }
}

pub(super) fn why(error: FrameError) -> Why {
    match error {
        FrameError::Version(_) => Why::Version,
        FrameError::Oversized => Why::Oversized,
        FrameError::Malformed => Why::Malformed,
    }
}
