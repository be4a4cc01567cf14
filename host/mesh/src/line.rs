//! Lines: what members ask each other in few words goes over one stream that stays open, for each connection one in each
//! direction. A stream for each question, as others have it, costs more than the question.

mod handler;
mod pipe;

use crate::codec::{Held, TOGETHER};
use crate::frame::FRAME_LIMIT;
use handler::{FromHandler, Handler};
use libp2p::core::transport::PortUse;
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::swarm::behaviour::ConnectionClosed;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm,
};
use libp2p::{PeerId, StreamProtocol};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::{Semaphore, mpsc};

/// What is spoken, by name and version.
const LINE: StreamProtocol = StreamProtocol::new("/village/line/1");
/// Before each piece of a frame: whose it is, how long the frame is, and how long the piece.
const HEAD: usize = 10;
/// The longest question that goes over a line, in one piece. A longer one has a stream of its own, where it waits for memory.
pub(crate) const LINE_LIMIT: usize = TOGETHER - HEAD;
/// Questions that one connection may have under way at once.
const STREAMS: usize = 256;

/// What is asked over a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Question(u64);

/// Where the answer to a question goes. Dropping it says that there is none.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Which line of the connection it was, and which question on it.
    line: u32,
    id: u32,
    to: mpsc::UnboundedSender<Answered>,
}

/// The answer to a question on a line.
type Answered = (u32, u32, Option<Vec<u8>>);

impl Answer {
    /// Whoever has gone asks again.
    pub(crate) fn send(mut self, bytes: Vec<u8>) {
        let _ = self.to.send((self.line, self.id, Some(bytes)));
        self.line = 0;
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if self.line > 0 {
            let _ = self.to.send((self.line, self.id, None));
        }
    }
}

/// What comes over lines.
#[derive(Debug)]
pub(crate) enum Said {
    /// Somebody asks.
    Asked { peer: PeerId, held: Held, answer: Answer },
    /// The answer.
    Answered { peer: PeerId, question: Question, held: Held },
    /// There will be none.
    Failed { peer: PeerId, question: Question },
    /// More was announced than may be sent.
    Oversized { peer: PeerId, connection: ConnectionId },
}

pub(crate) struct Lines {
    /// Memory for questions and for answers, of all connections.
    questions: Arc<Semaphore>,
    answers: Arc<Semaphore>,
    /// The connections with each peer, those that are not by way of another first.
    peers: HashMap<PeerId, Vec<ConnectionId>>,
    flying: HashMap<ConnectionId, HashSet<Question>>,
    last: u64,
    events: VecDeque<ToSwarm<Said, (Question, Vec<u8>)>>,
}

impl Lines {
    /// Out of so many bytes each for all questions and all answers that are read at once.
    pub(crate) fn new(memory: usize) -> Lines {
        let of = || Arc::new(Semaphore::new(memory.clamp(FRAME_LIMIT, Semaphore::MAX_PERMITS)));
        let (peers, flying, events) = Default::default();
        Lines { questions: of(), answers: of(), peers, flying, last: 0, events }
    }

    /// Asks a peer with which there is a connection.
    pub(crate) fn ask(&mut self, peer: PeerId, bytes: Vec<u8>) -> Question {
        self.last += 1;
        let question = Question(self.last);
        match self.peers.get(&peer).and_then(|all| all.first()) {
            Some(connection) => {
                self.flying.entry(*connection).or_default().insert(question);
                let handler = NotifyHandler::One(*connection);
                let event = (question, bytes);
                self.events.push_back(ToSwarm::NotifyHandler { peer_id: peer, handler, event });
            }
            None => self.say(Said::Failed { peer, question }),
        }
        question
    }

    fn say(&mut self, said: Said) {
        self.events.push_back(ToSwarm::GenerateEvent(said));
    }

    fn opened(&mut self, peer: PeerId, connection: ConnectionId, relayed: bool) {
        let all = self.peers.entry(peer).or_default();
        let at = if relayed { all.len() } else { 0 };
        all.insert(at, connection);
    }

    fn closed(&mut self, peer: PeerId, connection: ConnectionId) {
        if let Some(all) = self.peers.get_mut(&peer) {
            all.retain(|one| *one != connection);
            if all.is_empty() {
                self.peers.remove(&peer);
            }
        }
        for question in self.flying.remove(&connection).unwrap_or_default() {
            self.say(Said::Failed { peer, question });
        }
    }

    fn land(&mut self, connection: ConnectionId, question: Question) {
        if let Some(all) = self.flying.get_mut(&connection) {
            all.remove(&question);
        }
    }
}

impl NetworkBehaviour for Lines {
    type ConnectionHandler = Handler;
    type ToSwarm = Said;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::new(self.questions.clone(), self.answers.clone()))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::new(self.questions.clone(), self.answers.clone()))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(new) => {
                self.opened(new.peer_id, new.connection_id, new.endpoint.is_relayed());
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, connection_id, .. }) => {
                self.closed(peer_id, connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, connection: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {
            FromHandler::Asked(held, answer) => self.say(Said::Asked { peer, held, answer }),
            FromHandler::Answered(question, held) => {
                self.land(connection, question);
                self.say(Said::Answered { peer, question, held });
            }
            FromHandler::Failed(question) => {
                self.land(connection, question);
                self.say(Said::Failed { peer, question });
            }
            FromHandler::Oversized => self.say(Said::Oversized { peer, connection }),
        }
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Said, THandlerInEvent<Self>>> {
        // Whoever asks is in the task that polls this, and polls it again.
        self.events.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}
