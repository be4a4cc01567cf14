//! What this peer asks of others: queues by priority, so many under way, tried again until it expires.

use super::{Due, Node, Outgoing};
use crate::codec::{Held, is_oversized};
use crate::error::Error;
use crate::event::Why;
use crate::figures::Counters;
use crate::frame::{Id, Priority, Reply};
use crate::key::Key;
use libp2p::PeerId;
use libp2p::request_response::{Event, Message, OutboundFailure, OutboundRequestId};
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

pub(super) struct Calls {
    all: HashMap<Id, Call>,
    queues: HashMap<PeerId, Queue>,
    flying: HashMap<OutboundRequestId, Id>,
    most: usize,
}

struct Call {
    outgoing: Outgoing,
    tries: u32,
    sent: bool,
    flying: Option<OutboundRequestId>,
    done: Done,
}

pub(super) enum Done {
    Caller(oneshot::Sender<Result<Vec<u8>, Error>>),
    /// The mesh itself has asked for the members that another knows.
    Roster,
    /// It has asked for what was published lately.
    Recent,
    /// It has asked who is there.
    Present,
}

#[derive(Default)]
struct Queue {
    waiting: [VecDeque<Id>; Priority::ALL.len()],
    flying: usize,
}

/// After how long a message is sent once more, at first and at most.
const AGAIN: Duration = Duration::from_millis(25);
const AGAIN_MOST: Duration = Duration::from_secs(2);

impl Calls {
    pub(super) fn new(most: usize) -> Calls {
        Calls { all: HashMap::new(), queues: HashMap::new(), flying: HashMap::new(), most }
    }

    /// Whether something is on its way to this peer, or waits for it.
    pub(super) fn has_for(&self, peer: &PeerId) -> bool {
        self.queues.contains_key(peer)
    }

    fn queue(&mut self, id: Id) -> Option<PeerId> {
        let outgoing = &self.all.get(&id)?.outgoing;
        let queue = self.queues.entry(outgoing.to).or_default();
        queue.waiting[outgoing.priority as usize].push_back(id);
        Some(outgoing.to)
    }

    /// The next that may be sent to this peer.
    fn next(&mut self, peer: &PeerId) -> Option<Id> {
        let queue = self.queues.get_mut(peer)?;
        if queue.flying >= self.most {
            return None;
        }
        loop {
            // Those that have expired meanwhile are only skipped.
            let id = queue.waiting.iter_mut().find_map(VecDeque::pop_front);
            match id {
                Some(id) if self.all.contains_key(&id) => return Some(id),
                Some(_) => {}
                None => {
                    if queue.flying == 0 {
                        self.queues.remove(peer);
                    }
                    return None;
                }
            }
        }
    }

    /// It is not under way any more, whatever came of it.
    fn land(&mut self, request: &OutboundRequestId) -> Option<Id> {
        let id = self.flying.remove(request)?;
        if let Some(call) = self.all.get_mut(&id) {
            call.flying = None;
            if let Some(queue) = self.queues.get_mut(&call.outgoing.to) {
                queue.flying -= 1;
            }
        }
        Some(id)
    }
}

impl Node {
    pub(super) fn call(&mut self, outgoing: Outgoing, done: oneshot::Sender<Result<Vec<u8>, Error>>) {
        let peer = outgoing.to;
        let refused = match Key::named(&peer) {
            Some(key) if self.roster.is_blocked(&key) => Some(Error::Blocked { peer }),
            Some(key) if self.roster.has(&key) => None,
            _ => Some(Error::Stranger { peer }),
        };
        match refused {
            Some(error) => drop(done.send(Err(error))),
            None => self.begin(outgoing, Done::Caller(done)),
        }
    }

    pub(super) fn begin(&mut self, outgoing: Outgoing, done: Done) {
        let (id, peer) = (outgoing.id, outgoing.to);
        let left = outgoing.until.saturating_duration_since(Instant::now());
        self.timers.after(left, Due::Expire(id));
        self.calls.all.insert(id, Call { outgoing, tries: 0, sent: false, flying: None, done });
        self.calls.queue(id);
        self.pump(peer);
    }

    /// Sends what waits for a peer, as much as may be under way.
    pub(super) fn pump(&mut self, peer: PeerId) {
        if !self.links.has(&peer) {
            if self.calls.has_for(&peer) {
                self.want_link(peer);
            }
            return;
        }
        while let Some(id) = self.calls.next(&peer) {
            let Some(call) = self.calls.all.get_mut(&id) else { continue };
            if matches!(&call.done, Done::Caller(done) if done.is_closed()) {
                self.calls.all.remove(&id);
                continue;
            }
            let bytes = call.outgoing.bytes.clone();
            self.links.sent(&peer, bytes.len());
            let request = self.swarm.behaviour_mut().gate.inner.calls.send_request(&peer, bytes.into());
            call.sent = true;
            call.flying = Some(request);
            self.calls.flying.insert(request, id);
            if let Some(queue) = self.calls.queues.get_mut(&peer) {
                queue.flying += 1;
            }
        }
    }

    pub(super) fn look_after_calls(&mut self) {
        let peers: Vec<PeerId> = self.calls.queues.keys().copied().collect();
        for peer in peers {
            self.pump(peer);
        }
    }

    pub(super) fn on_call(&mut self, event: Event<Held, Held>) {
        match event {
            Event::Message { peer, connection_id, message: Message::Request { request, channel, .. } } => {
                if request.oversized {
                    self.turn_away(Some(peer), Why::Oversized);
                    self.swarm.close_connection(connection_id);
                } else {
                    self.arrived(peer, request, channel);
                }
            }
            Event::Message { peer, message: Message::Response { request_id, response }, .. } => {
                self.links.received(&peer, response.bytes.len());
                if let Some(id) = self.calls.land(&request_id) {
                    self.replied(id, &response.bytes);
                }
                self.pump(peer);
            }
            Event::OutboundFailure { peer, connection_id, request_id, error } => {
                if matches!(&error, OutboundFailure::Io(error) if is_oversized(error)) {
                    self.turn_away(Some(peer), Why::Oversized);
                    self.swarm.close_connection(connection_id);
                }
                if let Some(id) = self.calls.land(&request_id) {
                    self.later(id, None);
                }
                self.pump(peer);
            }
            Event::InboundFailure { .. } | Event::ResponseSent { .. } => {}
        }
    }

    fn replied(&mut self, id: Id, bytes: &[u8]) {
        match Reply::decode(bytes) {
            Ok(Reply::Done(body)) => self.end(id, Ok(body)),
            Ok(Reply::Busy(after)) => self.later(id, Some(Duration::from_millis(after.into()))),
            Ok(Reply::Refused(what)) => self.end(id, Err(Error::Refused { what })),
            Ok(Reply::Away(why)) => self.end(id, Err(Error::TurnedAway { why })),
            Err(error) => {
                let peer = self.calls.all.get(&id).map(|call| call.outgoing.to);
                self.turn_away(peer, super::door::why(error));
                self.end(id, Err(Error::Refused { what: format!("its answer is none: {error}") }));
            }
        }
    }

    /// Sends it once more after a while.
    fn later(&mut self, id: Id, wait: Option<Duration>) {
        let Some(call) = self.calls.all.get_mut(&id) else { return };
        let back_off = AGAIN.saturating_mul(1 << call.tries.min(10)).min(AGAIN_MOST);
        call.tries += 1;
        let wait = self.dice.about(wait.unwrap_or_default().max(back_off));
        Counters::add(&self.counters.retries);
        self.timers.after(wait, Due::Retry(id));
    }

    pub(super) fn retry(&mut self, id: Id) {
        if let Some(peer) = self.calls.queue(id) {
            self.pump(peer);
        }
    }

    pub(super) fn expire(&mut self, id: Id) {
        let Some(call) = self.calls.all.get(&id) else { return };
        let (sent, peer) = (call.sent, call.outgoing.to);
        if let Some(request) = call.flying {
            self.calls.land(&request);
        }
        self.end(id, Err(Error::Expired { sent }));
        self.pump(peer);
    }

    fn end(&mut self, id: Id, outcome: Result<Vec<u8>, Error>) {
        let Some(call) = self.calls.all.remove(&id) else { return };
        match call.done {
            Done::Caller(done) => drop(done.send(outcome)),
            // What fails is asked of the next one that gets a link.
            Done::Roster => drop(outcome.map(|bytes| self.learn_roster(call.outgoing.to, &bytes))),
            Done::Recent => drop(outcome.map(|bytes| self.learn_recent(call.outgoing.to, &bytes))),
            Done::Present => drop(outcome.map(|bytes| self.learn_present(call.outgoing.to, &bytes))),
        }
    }

    /// What the mesh itself has asked of a peer is asked anew when there is a link again: it is no reason to make one.
    pub(super) fn forget_own_calls(&mut self, peer: PeerId) {
        let own = |call: &Call| call.outgoing.to == peer && !matches!(call.done, Done::Caller(_));
        let ids: Vec<Id> = self.calls.all.iter().filter(|(_, call)| own(call)).map(|(id, _)| *id).collect();
        for id in ids {
            if let Some(request) = self.calls.all.get(&id).and_then(|call| call.flying) {
                self.calls.land(&request);
            }
            self.calls.all.remove(&id);
        }
        let Calls { all, queues, .. } = &mut self.calls;
        if let Some(queue) = queues.get_mut(&peer) {
            queue.waiting.iter_mut().for_each(|ids| ids.retain(|id| all.contains_key(id)));
            if queue.flying == 0 && queue.waiting.iter().all(VecDeque::is_empty) {
                queues.remove(&peer);
            }
        }
    }

    /// Nothing that waits for this peer will be sent.
    pub(super) fn refuse_calls(&mut self, peer: PeerId) {
        let all = self.calls.all.iter().filter(|(_, call)| call.outgoing.to == peer);
        let ids: Vec<Id> = all.map(|(id, _)| *id).collect();
        for id in ids {
            if let Some(request) = self.calls.all.get(&id).and_then(|call| call.flying) {
                self.calls.land(&request);
            }
            self.end(id, Err(Error::Blocked { peer }));
        }
    }
}
