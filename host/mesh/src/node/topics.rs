//! Topics: what is published, who listens, and the hellos by which members find each other.

use super::Node;
use super::polls::VOTES;
use crate::directory::{CARDS_LIMIT, Card};
use crate::error::Error;
use crate::event::Why;
use crate::figures::Counters;
use crate::frame::{self, Frame, Id, LIFE_LIMIT, Priority, Signed, Trace};
use crate::key::Key;
use crate::mesh::OWN;
use crate::pass::Pass;
use crate::said::{Heard, Topic};
use libp2p::gossipsub::{self, IdentTopic, Message, MessageAcceptance, PublishError};
use libp2p::{Multiaddr, PeerId, Swarm};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, oneshot};

pub(super) struct Topics {
    listeners: HashMap<String, broadcast::Sender<Heard>>,
    /// What could not be handed on yet.
    waiting: Vec<Waiting>,
    hello: Instant,
}

struct Waiting {
    to: String,
    bytes: Vec<u8>,
    until: Instant,
    done: Option<oneshot::Sender<Result<(), Error>>>,
}

/// "I am here, and there, and this is what my agents can do."
#[derive(Serialize, Deserialize)]
struct Hello {
    pass: Pass,
    addresses: Vec<String>,
    cards: Vec<Card>,
    /// How many links it has, of how many that it may have.
    links: u16,
    most: u16,
}

pub(super) const HELLO: &str = "~hello";
/// The most bytes of a hello: a pass of the longest chain, eight addresses, and the cards.
const HELLO_LIMIT: usize = CARDS_LIMIT + (16 << 10);
/// Messages that one listener may be behind.
const BEHIND: usize = 256;
/// Topics that may be listened to, and published messages that may wait.
const TOPICS: usize = 1024;
const WAITING: usize = 64;

impl Topics {
    pub(super) fn new() -> Result<Topics, Error> {
        Ok(Topics { listeners: HashMap::new(), waiting: Vec::new(), hello: Instant::now() })
    }

    pub(super) fn begin(&mut self, swarm: &mut Swarm<crate::behaviour::Outer>) {
        let gossip = &mut swarm.behaviour_mut().gate.inner.gossip;
        for topic in [HELLO, VOTES] {
            gossip.subscribe(&IdentTopic::new(topic)).expect("nothing filters the topics");
        }
    }

    /// There is somebody new: it should not wait for long to know who is here.
    pub(super) fn hurry(&mut self) {
        self.hello = self.hello.min(Instant::now() + Duration::from_millis(100));
    }
}

impl Node {
    pub(super) fn subscribe(&mut self, topic: &str) -> Result<Topic, Error> {
        if let Some(listeners) = self.topics.listeners.get(topic) {
            return Ok(Topic(listeners.subscribe()));
        }
        if self.topics.listeners.len() >= TOPICS {
            return Err(Error::NoRoom { what: "the list of topics", limit: TOPICS });
        }
        let gossip = &mut self.swarm.behaviour_mut().gate.inner.gossip;
        gossip.subscribe(&IdentTopic::new(topic)).expect("nothing filters the topics");
        let (listeners, topic_end) = broadcast::channel(BEHIND);
        self.topics.listeners.insert(topic.into(), listeners);
        Ok(Topic(topic_end))
    }

    pub(super) fn publish(
        &mut self,
        frame: Frame,
        bytes: Vec<u8>,
        until: Instant,
        done: oneshot::Sender<Result<(), Error>>,
    ) {
        if self.topics.waiting.len() >= WAITING {
            return drop(done.send(Err(Error::Busy { after: self.settings.pace.look })));
        }
        let to = frame.to.clone();
        let bytes = Signed::encode(&self.keys, bytes);
        self.recent.keep(&bytes);
        self.deliver(self.own(), frame);
        if self.roster.members().next().is_none() {
            return drop(done.send(Ok(())));
        }
        self.topics.waiting.push(Waiting { to, bytes, until, done: Some(done) });
        self.hand_on();
    }

    /// Hands on what waits, as far as somebody is there to take it.
    fn hand_on(&mut self) {
        let now = Instant::now();
        for mut waiting in std::mem::take(&mut self.topics.waiting) {
            let gossip = &mut self.swarm.behaviour_mut().gate.inner.gossip;
            let outcome = gossip.publish(IdentTopic::new(waiting.to.clone()), waiting.bytes.clone());
            let outcome = match outcome {
                Ok(_) | Err(PublishError::Duplicate) => Ok(()),
                Err(PublishError::NoPeersSubscribedToTopic | PublishError::AllQueuesFull(_)) if waiting.until > now => {
                    self.topics.waiting.push(waiting);
                    continue;
                }
                Err(PublishError::NoPeersSubscribedToTopic | PublishError::AllQueuesFull(_)) => {
                    Counters::add(&self.counters.untold);
                    Err(Error::Expired { sent: false })
                }
                Err(error) => Err(Error::Refused { what: error.to_string() }),
            };
            if let Some(done) = waiting.done.take() {
                let _ = done.send(outcome);
            }
        }
    }

    pub(super) fn look_after_topics(&mut self) {
        let now = Instant::now();
        if self.topics.hello <= now {
            self.topics.hello = now + self.dice.about(self.settings.pace.hello);
            self.say_hello();
        }
        self.hand_on();
        let silent = self.topics.listeners.iter().filter(|(_, listeners)| listeners.receiver_count() == 0);
        let silent: Vec<String> = silent.map(|(topic, _)| topic.clone()).collect();
        for topic in silent {
            self.topics.listeners.remove(&topic);
            self.swarm.behaviour_mut().gate.inner.gossip.unsubscribe(&IdentTopic::new(topic));
        }
    }

    fn say_hello(&mut self) {
        let addresses = self.own_addresses().iter().take(8).map(Multiaddr::to_string).collect();
        let short = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
        let (links, most) = (short(self.swarm.behaviour().gate.taken()), short(self.settings.connections));
        let hello =
            Hello { links, most, pass: self.roster.pass().clone(), addresses, cards: self.directory.own().to_vec() };
        let signed = self.whisper(HELLO, frame::encode(&hello, Vec::new()));
        self.hellos.keep(self.own(), Instant::now(), &signed);
    }

    /// Tells all members something of the mesh's own: what was sent. It is said again later: that nobody hears it this time is
    /// no matter.
    pub(super) fn whisper(&mut self, topic: &str, body: Vec<u8>) -> Vec<u8> {
        let now = self.now();
        let frame = Frame {
            id: Id::new(),
            sender: self.own(),
            to: topic.into(),
            priority: Priority::High,
            sent: now,
            expires: now + 10_000,
            correlation: None,
            trace: Trace::default(),
            body,
        };
        let signed = Signed::encode(&self.keys, frame.encode());
        let _ = self.swarm.behaviour_mut().gate.inner.gossip.publish(IdentTopic::new(topic), signed.clone());
        signed
    }

    pub(super) fn on_gossip(&mut self, event: gossipsub::Event) {
        let gossipsub::Event::Message { propagation_source, message_id, message } = event else { return };
        self.links.received(&propagation_source, message.data.len());
        let fate = self.settings.weather.as_ref().map(|weather| weather.fate()).unwrap_or_default();
        let acceptance = match self.look_at_message(&message) {
            _ if fate.lost => MessageAcceptance::Ignore,
            Ok(frame) => {
                self.heard_published(frame, &message.data);
                MessageAcceptance::Accept
            }
            Err((source, why)) => {
                self.turn_away(source.or(Some(propagation_source)), why);
                match why {
                    // It may be good elsewhere.
                    Why::Stranger | Why::Expired | Why::Blocked | Why::Full | Why::Flooding => {
                        MessageAcceptance::Ignore
                    }
                    _ => {
                        // Honest ones pass on only what is good: it is the neighbour's own lie.
                        if self.asked.is_flood(propagation_source, message.data.len(), &self.settings.rate) {
                            self.ban(propagation_source);
                        }
                        MessageAcceptance::Reject
                    }
                }
            }
        };
        let gossip = &mut self.swarm.behaviour_mut().gate.inner.gossip;
        gossip.report_message_validation_result(&message_id, &propagation_source, acceptance);
    }

    fn heard_published(&mut self, frame: Frame, bytes: &[u8]) {
        if !frame.to.starts_with(OWN) && self.recent.keep(bytes) {
            self.deliver(frame.sender, frame);
        }
    }

    /// The frame, if it is good; else why not, and whose it is if that is certain.
    fn look_at_message(&mut self, message: &Message) -> Result<Frame, (Option<PeerId>, Why)> {
        let (frame, signed) = Signed::decode(&message.data).map_err(|error| (None, super::door::why(error)))?;
        if !signed || message.topic != IdentTopic::new(frame.to.clone()).hash() {
            return Err((None, Why::Forged));
        }
        let source = frame.sender.peer().ok_or((None, Why::Forged))?;
        // Charged only now: nobody can use up another's rate.
        if !self.asked.charge_published(source, message.data.len(), &self.settings.rate) {
            return Err((Some(source), Why::Flooding));
        }
        let checked = match frame.to.as_str() {
            HELLO => self.check_published(&frame).or_else(|why| if why == Why::Stranger { Ok(()) } else { Err(why) }),
            _ => self.check_published(&frame),
        };
        checked.map_err(|why| (Some(source), why))?;
        let heard = match frame.to.as_str() {
            HELLO => self.greeted(source, &frame, &message.data),
            VOTES => self.hear_vote(&frame),
            to if to.starts_with(OWN) => Err(Why::Malformed),
            _ => Ok(()),
        };
        heard.map_err(|why| (Some(source), why))?;
        Ok(frame)
    }

    /// Whether a published frame is in time, and a member's.
    pub(super) fn check_published(&self, frame: &Frame) -> Result<(), Why> {
        if self.roster.is_blocked(&frame.sender) {
            return Err(Why::Blocked);
        }
        self.check_time(frame)?;
        let known = self.roster.has(&frame.sender) || frame.sender == self.own();
        if known { Ok(()) } else { Err(Why::Stranger) }
    }

    /// Passes on what came in another way than by gossip.
    pub(super) fn pass_on(&mut self, topic: &str, bytes: Vec<u8>) {
        // Whoever is linked later asks for it.
        let _ = self.swarm.behaviour_mut().gate.inner.gossip.publish(IdentTopic::new(topic), bytes);
    }

    fn greeted(&mut self, source: PeerId, frame: &Frame, bytes: &[u8]) -> Result<(), Why> {
        let now = Instant::now();
        self.greet(source, frame, now)?;
        self.hellos.keep(frame.sender, now, bytes);
        Ok(())
    }

    /// A member has said hello, then.
    pub(super) fn greet(&mut self, source: PeerId, frame: &Frame, at: Instant) -> Result<(), Why> {
        let hello: Hello = frame::decode(&frame.body, HELLO_LIMIT).map_err(super::door::why)?;
        if hello.pass.holder() != frame.sender {
            return Err(Why::Forged);
        }
        self.admit(&hello.pass)?;
        let addresses: Vec<Multiaddr> = hello.addresses.iter().take(8).filter_map(|text| text.parse().ok()).collect();
        self.located(source, &addresses);
        self.links.heard(source, at, hello.links, hello.most);
        self.directory.hear(source, hello.cards, frame.sent, at).map_err(|_| Why::Malformed)
    }

    pub(super) fn deliver(&self, from: Key, frame: Frame) {
        if let (Some(listeners), Some(from)) = (self.topics.listeners.get(&frame.to), from.peer()) {
            // Those who have gone are looked after elsewhere.
            let _ = listeners.send(Heard { from, frame: Arc::new(frame) });
        }
    }
}

/// A published message lasts no longer than gossip remembers that it has seen it.
const _: () = assert!(LIFE_LIMIT.as_secs() <= 120);
