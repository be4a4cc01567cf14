//! The task that owns libp2p: it takes requests, looks after the links, and says what happens.

mod asked;
mod blobs;
mod calls;
mod door;
mod leaving;
mod links;
mod lookup;
mod own;
mod places;
mod polls;
mod present;
mod reach;
mod recent;
mod room;
mod topics;
mod topology;

use crate::behaviour::{self, InnerEvent, Outer, OuterEvent};
use crate::blobs::{Give, Want};
use crate::directory::{Card, Directory, Found, Present};
use crate::error::Error;
use crate::event::{Event, Why};
use crate::figures::{Counters, Link};
use crate::frame::{Frame, Id, Priority, Reply};
use crate::gate::Doors;
use crate::identity;
use crate::invitation::Invitation;
use crate::key::Key;
use crate::roster::{Member, Roster};
use crate::said::{Ask, Topic};
use crate::settings::Settings;
use crate::timers::{self, Dice, Timers};
use crate::votes::{Certificate, Draft, Matter, Tally};
use asked::{Asked, Late};
use blobs::Lending;
pub(crate) use blobs::{GIVE_LIMIT, WANT_LIMIT};
use calls::Calls;
use door::Entry;
use leaving::Leaving;
use libp2p::futures::StreamExt;
use libp2p::identity::Keypair;
use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, identify};
use links::Links;
use lookup::Sought;
use parking_lot::Mutex;
use places::Places;
use polls::Polls;
use present::Hellos;
use reach::Reach;
use recent::Recent;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, broadcast, mpsc, oneshot};
use tokio::task::JoinSet;
use topics::Topics;

/// What is asked of the node.
pub(crate) enum Command {
    Village(oneshot::Sender<Key>),
    Addresses(oneshot::Sender<Vec<Multiaddr>>),
    Members(oneshot::Sender<Vec<Member>>),
    Blocked(oneshot::Sender<Vec<PeerId>>),
    Links(oneshot::Sender<Vec<Link>>),
    Reachable(oneshot::Sender<Option<bool>>),
    Invite { uses: u32, life: Duration, done: oneshot::Sender<Result<Invitation, Error>> },
    Revoke { id: [u8; 16], done: oneshot::Sender<Result<(), Error>> },
    Join { invitation: Invitation, done: oneshot::Sender<Result<(), Error>> },
    Leave(oneshot::Sender<Result<usize, Error>>),
    Block { peer: PeerId, done: oneshot::Sender<Result<(), Error>> },
    Unblock { peer: PeerId, done: oneshot::Sender<Result<(), Error>> },
    Dial { address: Multiaddr, done: oneshot::Sender<Result<(), Error>> },
    Ask { outgoing: Outgoing, done: oneshot::Sender<Result<Vec<u8>, Error>> },
    Publish { frame: Frame, bytes: Vec<u8>, until: Instant, done: oneshot::Sender<Result<(), Error>> },
    Subscribe { topic: String, done: oneshot::Sender<Result<Topic, Error>> },
    Advertise { cards: Vec<Card>, done: oneshot::Sender<Result<(), Error>> },
    Find { skill: String, done: oneshot::Sender<Vec<Found>> },
    Present(oneshot::Sender<Vec<Present>>),
    Propose { draft: Draft, life: Duration, done: oneshot::Sender<Result<Matter, Error>> },
    Vote { matter: Matter, yes: bool, done: oneshot::Sender<Result<(), Error>> },
    Tallies(oneshot::Sender<Vec<Tally>>),
    Certificate { matter: Matter, done: oneshot::Sender<Option<Certificate>> },
    Want { peer: PeerId, want: Want, done: oneshot::Sender<Option<Give>> },
    Blame { peer: PeerId, why: Why },
    Stop(oneshot::Sender<()>),
}

/// A message that is to be sent.
pub(crate) struct Outgoing {
    pub(crate) to: PeerId,
    pub(crate) id: Id,
    pub(crate) priority: Priority,
    pub(crate) bytes: Vec<u8>,
    pub(crate) until: Instant,
    /// Given back when this is dropped.
    pub(crate) _room: Room,
}

/// The place in a queue and the memory that a message has.
pub(crate) struct Room {
    pub(crate) _place: OwnedSemaphorePermit,
    pub(crate) _memory: OwnedSemaphorePermit,
}

/// What this program says to what was asked.
pub(crate) struct Answered {
    pub(crate) key: (Key, Id),
    pub(crate) reply: Reply,
}

/// What is to be done later.
enum Due {
    Lobby(ConnectionId, PeerId),
    Retry(Id),
    Expire(Id),
    Part(PeerId),
    Arrive(Late),
    /// Nothing: it was held only so that the other side hears nothing.
    Silence(#[expect(dead_code, reason = "dropping it is what counts")] Late),
}

pub(crate) struct Node {
    swarm: Swarm<Outer>,
    keys: Keypair,
    settings: Settings,
    roster: Roster,
    doors: Arc<Mutex<Doors>>,
    counters: Arc<Counters>,
    events: broadcast::Sender<Event>,
    commands: mpsc::Receiver<Command>,
    timers: Timers<Due>,
    dice: Dice,
    links: Links,
    sought: Sought,
    entry: Entry,
    leaving: Option<Leaving>,
    calls: Calls,
    asked: Asked,
    topics: Topics,
    places: Places,
    reach: Reach,
    directory: Directory,
    polls: Polls,
    lending: Lending,
    recent: Recent,
    hellos: Hellos,
    /// Writing down what was learned, and when that was done last.
    keeping: JoinSet<Result<(), Error>>,
    kept: Instant,
}

impl Node {
    pub(crate) fn open(
        settings: Settings,
        commands: mpsc::Receiver<Command>,
        inbox: mpsc::Sender<Ask>,
        events: broadcast::Sender<Event>,
        counters: Arc<Counters>,
    ) -> Result<Node, Error> {
        let keys = identity::load(&settings.folder)?;
        let own = Key::of_pair(&keys).expect("the own key was checked");
        let roster = Roster::open(&settings.folder, own, settings.members)?;
        let doors = Arc::new(Mutex::new(Doors {
            members: roster.members().filter_map(|(key, _)| key.peer()).collect(),
            blocked: roster.blocked().filter_map(Key::peer).collect(),
            banned: HashMap::new(),
            weather: settings.weather.clone(),
            connections: settings.connections,
            lobby: settings.lobby,
        }));
        let mut swarm = behaviour::swarm(&keys, &settings, doors.clone())?;
        let places = Places::open(&mut swarm, &settings)?;
        let asked = Asked::new(inbox, &settings);
        let lending = Lending::new(settings.blobs.clone(), settings.blob_rate);
        let dice = Dice::new(settings.seed);
        let (timers, entry) = (Timers::new(), Entry::default());
        let (links, calls, topics) = (Links::new(), Calls::new(settings.flying), Topics::new()?);
        let mut node = Node {
            swarm,
            keys,
            settings,
            roster,
            doors,
            counters,
            events,
            commands,
            timers,
            dice,
            links,
            sought: Sought::default(),
            entry,
            leaving: None,
            calls,
            asked,
            topics,
            places,
            reach: Reach::new(),
            directory: Directory::default(),
            polls: Polls::new(),
            lending,
            recent: Recent::default(),
            hellos: Hellos::default(),
            keeping: JoinSet::new(),
            kept: Instant::now(),
        };
        node.topics.begin(&mut node.swarm);
        for peer in node.doors.lock().blocked.iter() {
            node.swarm.behaviour_mut().gate.inner.gossip.blacklist_peer(peer);
        }
        Ok(node)
    }

    pub(crate) fn own(&self) -> Key {
        self.roster.own()
    }

    pub(crate) async fn run(mut self) {
        let mut look = tokio::time::interval(self.settings.pace.look);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let stopped = loop {
            let due = tokio::time::Instant::from_std(self.timers.due());
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(Command::Stop(done)) => break Some(done),
                    Some(command) => self.command(command),
                    None => break None,
                },
                Some(answered) = self.asked.answered() => self.answer(answered),
                Some(read) = self.lending.read() => self.was_read(read),
                event = self.swarm.select_next_some() => self.on(event),
                _ = look.tick() => self.look(),
                () = tokio::time::sleep_until(due) => {}
            }
            while let Some(due) = self.timers.pop() {
                self.due(due);
            }
        };
        self.close().await;
        if let Some(done) = stopped {
            let _ = done.send(());
        }
    }

    /// Says good-bye, for a moment at most.
    async fn close(&mut self) {
        self.keep();
        self.places.close(&mut self.swarm);
        let peers: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let wait = tokio::time::sleep(Duration::from_millis(200));
        tokio::pin!(wait);
        while self.swarm.connected_peers().next().is_some() {
            tokio::select! {
                _ = self.swarm.select_next_some() => {}
                () = &mut wait => return,
            }
        }
    }

    fn command(&mut self, command: Command) {
        // Whoever does not wait for an answer any more does not want it.
        match command {
            Command::Village(done) => drop(done.send(self.roster.village())),
            Command::Addresses(done) => drop(done.send(self.own_addresses())),
            Command::Members(done) => {
                drop(done.send(self.roster.members().map(|(_, member)| member.clone()).collect()))
            }
            Command::Blocked(done) => drop(done.send(self.roster.blocked().filter_map(Key::peer).collect())),
            Command::Reachable(done) => drop(done.send(self.reachable())),
            Command::Links(done) => drop(done.send(self.links.figures())),
            Command::Invite { uses, life, done } => drop(done.send(self.invite(uses, life))),
            Command::Revoke { id, done } => drop(done.send(self.roster.revoke(&id))),
            Command::Join { invitation, done } => self.join(invitation, done),
            Command::Leave(done) => self.leave(done),
            Command::Block { peer, done } => drop(done.send(self.block(peer))),
            Command::Unblock { peer, done } => drop(done.send(self.unblock(peer))),
            Command::Dial { address, done } => drop(done.send(self.dial_address(address))),
            Command::Ask { outgoing, done } => self.call(outgoing, done),
            Command::Publish { frame, bytes, until, done } => self.publish(frame, bytes, until, done),
            Command::Subscribe { topic, done } => drop(done.send(self.subscribe(&topic))),
            Command::Advertise { cards, done } => drop(done.send(self.advertise(cards))),
            Command::Find { skill, done } => drop(done.send(self.find(&skill))),
            Command::Present(done) => drop(done.send(self.present())),
            Command::Propose { draft, life, done } => drop(done.send(self.propose(draft, life))),
            Command::Vote { matter, yes, done } => drop(done.send(self.vote(matter, yes))),
            Command::Tallies(done) => drop(done.send(self.tallies())),
            Command::Certificate { matter, done } => drop(done.send(self.certificate(&matter))),
            Command::Want { peer, want, done } => self.want(peer, want, done),
            Command::Blame { peer, why } => self.blame(peer, why),
            // The loop has seen it.
            Command::Stop(_) => {}
        }
    }

    fn due(&mut self, due: Due) {
        match due {
            Due::Lobby(connection, peer) => self.clear_lobby(connection, peer),
            Due::Retry(id) => self.retry(id),
            Due::Expire(id) => self.expire(id),
            Due::Part(peer) => self.part_from_left(peer),
            Due::Arrive(late) => self.take(late),
            Due::Silence(_) => {}
        }
    }

    fn on(&mut self, event: SwarmEvent<OuterEvent>) {
        match event {
            SwarmEvent::Behaviour(OuterEvent::Gate(event)) => self.on_inner(event),
            SwarmEvent::Behaviour(OuterEvent::Door(event)) => self.on_door(event),
            SwarmEvent::Behaviour(OuterEvent::Mdns(event)) => self.on_mdns(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.connected(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, .. } => self.disconnected(peer_id, connection_id),
            SwarmEvent::IncomingConnectionError { error, peer_id, .. } => self.incoming_failed(peer_id, error),
            SwarmEvent::OutgoingConnectionError { error, peer_id, connection_id, .. }
                if !self.reach_failed(connection_id, &error) =>
            {
                self.dial_failed(peer_id, &error);
            }
            SwarmEvent::ListenerClosed { listener_id, .. } => self.listener_closed(listener_id),
            SwarmEvent::NewListenAddr { address, listener_id } => {
                self.listener_opened(listener_id);
                if self.settings.relay.serve {
                    self.swarm.add_external_address(address.clone());
                }
                self.tell(Event::Listening { address });
            }
            _ => {}
        }
    }

    fn on_inner(&mut self, event: InnerEvent) {
        match event {
            InnerEvent::Lines(said) => self.on_line(said),
            InnerEvent::Calls(event) => self.on_call(event),
            InnerEvent::Blobs(event) => self.on_blob(event),
            InnerEvent::Gossip(event) => self.on_gossip(event),
            InnerEvent::Kad(event) => self.on_kad(event),
            InnerEvent::Relay(event) => self.on_relay(event),
            InnerEvent::Ping(event) => self.links.pinged(&event),
            InnerEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                let addresses: Vec<Multiaddr> = info.listen_addrs.into_iter().take(8).collect();
                self.located(peer_id, &addresses);
                self.reach.observe(peer_id, info.observed_addr);
            }
            _ => {}
        }
    }

    fn advertise(&mut self, cards: Vec<Card>) -> Result<(), Error> {
        self.directory.advertise(cards)?;
        self.topics.hurry();
        Ok(())
    }

    fn find(&mut self, skill: &str) -> Vec<Found> {
        let (own, long) = (self.swarm.local_peer_id(), self.links.long(&self.settings.pace));
        self.directory.find(skill, *own, long, |peer| self.links.latency(peer))
    }

    fn present(&self) -> Vec<Present> {
        let long = self.links.long(&self.settings.pace);
        self.directory.present(long, |peer| self.links.latency(peer))
    }

    /// Tells those who listen; that nobody does is fine.
    fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }

    fn turn_away(&self, peer: Option<PeerId>, why: Why) {
        self.counters.turn_away(why);
        self.tell(Event::TurnedAway { peer, why });
    }

    fn keep(&mut self) {
        if let Err(error) = self.roster.keep() {
            self.tell(Event::NotKept { what: error.to_string() });
        }
    }

    /// The time of day, as this peer's clock has it.
    fn now(&self) -> u64 {
        let ahead = self.settings.weather.as_ref().map_or(0, |weather| weather.ahead());
        timers::now().saturating_add_signed(ahead)
    }
}
