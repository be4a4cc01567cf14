//! The lines of one connection: the own one, which is opened for the first question, and the other side's.

use super::pipe::{Came, Pipe};
use super::{Answer, Answered, LINE, LINE_LIMIT, Question, STREAMS};
use crate::codec::{Held, is_oversized};
use crate::frame::{FRAME_LIMIT, LIFE_LIMIT};
use libp2p::StreamProtocol;
use libp2p::core::upgrade::ReadyUpgrade;
use libp2p::swarm::handler::{ConnectionEvent, FullyNegotiatedInbound, FullyNegotiatedOutbound};
use libp2p::swarm::{ConnectionHandler, ConnectionHandlerEvent, SubstreamProtocol};
use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc};

/// What the connection has to tell.
#[derive(Debug)]
pub(crate) enum FromHandler {
    Asked(Held, Answer),
    Answered(Question, Held),
    Failed(Question),
    Oversized,
}

pub(crate) struct Handler {
    questions: Arc<Semaphore>,
    answers: Arc<Semaphore>,
    own: Own,
    /// What waits for the own line.
    waiting: VecDeque<(Question, Vec<u8>)>,
    /// What was asked on it, and when.
    flying: HashMap<u32, (Question, Instant)>,
    last: u32,
    swept: Instant,
    /// The other side's line, its number, and what was asked on it and is to be answered.
    other: Option<Pipe>,
    line: u32,
    open: HashSet<u32>,
    answered: (mpsc::UnboundedSender<Answered>, mpsc::UnboundedReceiver<Answered>),
    events: VecDeque<FromHandler>,
}

/// How often what was never answered is looked for.
const SWEEP: Duration = Duration::from_secs(10);

enum Own {
    Closed,
    Opening,
    Open(Box<Pipe>),
}

impl Handler {
    pub(super) fn new(questions: Arc<Semaphore>, answers: Arc<Semaphore>) -> Handler {
        let (waiting, flying, open, events) = Default::default();
        Handler {
            questions,
            answers,
            own: Own::Closed,
            waiting,
            flying,
            last: 0,
            swept: Instant::now(),
            other: None,
            line: 0,
            open,
            answered: mpsc::unbounded_channel(),
            events,
        }
    }

    /// Asks what waits, reads what is answered.
    fn poll_own(&mut self, context: &mut Context<'_>) {
        let Own::Open(pipe) = &mut self.own else { return };
        let now = Instant::now();
        for (question, bytes) in self.waiting.drain(..) {
            self.last = self.last.wrapping_add(1);
            self.flying.insert(self.last, (question, now));
            pipe.push(self.last, Some(bytes));
        }
        if now.duration_since(self.swept) > SWEEP {
            self.swept = now;
            // Nobody waits any more for what is so old.
            self.flying.retain(|_, (question, since)| {
                let keep = now.duration_since(*since) <= LIFE_LIMIT;
                if !keep {
                    self.events.push_back(FromHandler::Failed(*question));
                }
                keep
            });
        }
        let ended = loop {
            match pipe.poll_read(context, |id| self.flying.contains_key(&id)) {
                Poll::Ready(Ok((id, came))) => {
                    let Some((question, _)) = self.flying.remove(&id) else { continue };
                    self.events.push_back(match came {
                        Came::Whole(held) => FromHandler::Answered(question, held),
                        Came::Crowded | Came::Nothing => FromHandler::Failed(question),
                    });
                }
                Poll::Ready(Err(error)) => break Some(error),
                Poll::Pending => break None,
            }
        };
        let wrote = match pipe.poll_write(context) {
            Poll::Ready(Err(error)) => Some(error),
            _ => None,
        };
        if let Some(error) = ended.or(wrote) {
            self.fail(&error);
        }
    }

    /// The own line has come to its end. The next question opens another one.
    fn fail(&mut self, error: &io::Error) {
        self.own = Own::Closed;
        if is_oversized(error) {
            self.events.push_back(FromHandler::Oversized);
        }
        self.events.extend(self.flying.drain().map(|(_, (question, _))| FromHandler::Failed(question)));
    }

    /// Reads what is asked, says what is answered.
    fn poll_other(&mut self, context: &mut Context<'_>) {
        while let Poll::Ready(Some((line, id, bytes))) = self.answered.1.poll_recv(context) {
            if line == self.line
                && self.open.remove(&id)
                && let Some(pipe) = &mut self.other
            {
                pipe.push(id, bytes);
            }
        }
        let Some(pipe) = &mut self.other else { return };
        let ended = loop {
            // Who asks too much at once is not heard until something is answered.
            if self.open.len() >= STREAMS {
                break None;
            }
            match pipe.poll_read(context, |id| !self.open.contains(&id)) {
                Poll::Ready(Ok((id, Came::Whole(held)))) => {
                    self.open.insert(id);
                    let answer = Answer { line: self.line, id, to: self.answered.0.clone() };
                    self.events.push_back(FromHandler::Asked(held, answer));
                }
                Poll::Ready(Ok((id, Came::Crowded))) => pipe.push(id, None),
                Poll::Ready(Ok((_, Came::Nothing))) => {}
                Poll::Ready(Err(error)) => break Some(error),
                Poll::Pending => break None,
            }
        };
        let wrote = match pipe.poll_write(context) {
            Poll::Ready(Err(error)) => Some(error),
            _ => None,
        };
        if let Some(error) = ended.or(wrote) {
            if is_oversized(&error) {
                self.events.push_back(FromHandler::Oversized);
            }
            self.other = None;
            self.open.clear();
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = (Question, Vec<u8>);
    type ToBehaviour = FromHandler;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(LINE), ())
    }

    fn on_behaviour_event(&mut self, event: Self::FromBehaviour) {
        self.waiting.push_back(event);
    }

    fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, (), Self::ToBehaviour>> {
        if self.events.is_empty() {
            self.poll_own(context);
            self.poll_other(context);
        }
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(event));
        }
        if let (Own::Closed, false) = (&self.own, self.waiting.is_empty()) {
            self.own = Own::Opening;
            let protocol = SubstreamProtocol::new(ReadyUpgrade::new(LINE), ());
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        Poll::Pending
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, .. }) => {
                // Another one takes the place of the one before, which the other side has given up.
                self.other = Some(Pipe::new(protocol, LINE_LIMIT, self.questions.clone()));
                self.line += 1;
                self.open.clear();
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol, .. }) => {
                let pipe = Pipe::new(protocol, FRAME_LIMIT, self.answers.clone());
                self.own = Own::Open(Box::new(pipe));
            }
            ConnectionEvent::DialUpgradeError(_) => {
                self.own = Own::Closed;
                self.events.extend(self.waiting.drain(..).map(|(question, _)| FromHandler::Failed(question)));
            }
            _ => {}
        }
    }
}
