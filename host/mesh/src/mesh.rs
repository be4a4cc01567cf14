//! The handle: typed requests in, answers and events out. The task that owns libp2p is behind it.

use crate::blobs::BlobHash;
use crate::directory::{Card, Found, Present};
use crate::error::Error;
use crate::event::Event;
use crate::fetch::{self, Fetched};
use crate::figures::{Counters, Counts, Link};
use crate::frame::{BODY_LIMIT, Frame, Id, LIFE_LIMIT, NAME_LIMIT};
use crate::invitation::Invitation;
use crate::key::Key;
use crate::meter::Meter;
use crate::node::{Command, Node, Outgoing, Room};
use crate::roster::Member;
use crate::said::{Asks, Message, Topic};
use crate::settings::Settings;
use crate::timers;
use crate::votes::{Certificate, Draft, Matter, Tally};
use libp2p::{Multiaddr, PeerId};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc, oneshot};
use tokio::task::JoinHandle;

/// This peer in the mesh. Cheap to clone; it stops when [`Mesh::stop`] says so or the last clone is gone.
#[derive(Clone)]
pub struct Mesh {
    shared: Arc<Shared>,
}

struct Shared {
    own: Key,
    peer: PeerId,
    commands: mpsc::Sender<Command>,
    events: broadcast::Sender<Event>,
    counters: Arc<Counters>,
    /// Places in the queue for each peer, and bytes of all that is to be sent.
    places: Mutex<HashMap<PeerId, Arc<Semaphore>>>,
    memory: Arc<Semaphore>,
    waiting: usize,
    weather: Option<crate::fault::Weather>,
    /// Where blobs are, and those on their way; what is fetched is within the rate.
    blobs: PathBuf,
    parts: PathBuf,
    fetching: Mutex<HashSet<BlobHash>>,
    fetched: Meter,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// Events that one listener may be behind before it misses some.
const EVENTS: usize = 1024;
const COMMANDS: usize = 64;
/// How long the start waits for the places where this peer listens to be open.
const LISTEN: Duration = Duration::from_secs(2);
/// What begins so is the mesh's own.
pub(crate) const OWN: char = '~';

impl Mesh {
    /// Starts this peer: reads or makes its keys, listens, and looks for others.
    pub async fn start(settings: Settings) -> Result<(Mesh, Asks), Error> {
        settings.check()?;
        let (commands, requests) = mpsc::channel(COMMANDS);
        let (inbox, asks) = mpsc::channel(settings.inbox);
        let (events, _) = broadcast::channel(EVENTS);
        let counters = Arc::<Counters>::default();
        let (waiting, memory, weather) = (settings.waiting, settings.memory, settings.weather.clone());
        let (blobs, parts) = (settings.blobs.clone(), settings.folder.join("parts"));
        let (fetching, fetched) = (Mutex::default(), Meter::new(settings.blob_rate));
        let wanted = settings.listen.len();
        let mut listening = events.subscribe();
        let node = Node::open(settings, requests, inbox, events.clone(), counters.clone())?;
        let own = node.own();
        let task = Mutex::new(Some(tokio::spawn(node.run())));
        let memory = Arc::new(Semaphore::new(memory.min(Semaphore::MAX_PERMITS)));
        let peer = own.peer().expect("the own key is a key");
        let places = Mutex::default();
        let shared = Shared {
            own,
            peer,
            commands,
            events,
            counters,
            places,
            memory,
            waiting,
            weather,
            blobs,
            parts,
            fetching,
            fetched,
            task,
        };
        // An invitation says where this peer can be reached, so that has to be known.
        let heard = async {
            let mut found = 0;
            while found < wanted {
                match listening.recv().await {
                    Ok(Event::Listening { .. }) => found += 1,
                    Ok(_) => {}
                    Err(_) => return,
                }
            }
        };
        let _ = tokio::time::timeout(LISTEN, heard).await;
        Ok((Mesh { shared: Arc::new(shared) }, Asks::new(asks)))
    }

    /// This peer.
    pub fn peer(&self) -> PeerId {
        self.shared.peer
    }

    /// What happens from now on.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.shared.events.subscribe()
    }

    /// What was counted since the start.
    pub fn counts(&self) -> Counts {
        self.shared.counters.read()
    }

    /// The village: its founder.
    pub async fn village(&self) -> Result<Key, Error> {
        self.send(Command::Village).await
    }

    /// Where this peer can be reached.
    pub async fn addresses(&self) -> Result<Vec<Multiaddr>, Error> {
        self.send(Command::Addresses).await
    }

    /// Whether all who were asked of late could call this peer at one of its addresses; nothing if that is not known.
    pub async fn reachable(&self) -> Result<Option<bool>, Error> {
        self.send(Command::Reachable).await
    }

    /// The other members that are known.
    pub async fn members(&self) -> Result<Vec<Member>, Error> {
        self.send(Command::Members).await
    }

    /// The peers that are blocked here.
    pub async fn blocked(&self) -> Result<Vec<PeerId>, Error> {
        self.send(Command::Blocked).await
    }

    /// How the connections with members do.
    pub async fn links(&self) -> Result<Vec<Link>, Error> {
        self.send(Command::Links).await
    }

    /// Invites as many others as `uses` says, for so long.
    pub async fn invite(&self, uses: u32, life: Duration) -> Result<Invitation, Error> {
        if uses == 0 || life.is_zero() || life > Duration::from_secs(30 * 24 * 3600) {
            let what = "it has at least one use, and lasts 30 days at most".into();
            return Err(Error::Setting { setting: "invitation", what });
        }
        self.send(|done| Command::Invite { uses, life, done }).await?
    }

    /// Takes an invitation of this peer back. Who has joined with it stays a member.
    pub async fn revoke(&self, id: [u8; 16]) -> Result<(), Error> {
        self.send(|done| Command::Revoke { id, done }).await?
    }

    /// Joins the village that the invitation is for, through the one who has made it.
    pub async fn join(&self, invitation: &Invitation) -> Result<(), Error> {
        let invitation = invitation.clone();
        self.send(|done| Command::Join { invitation, done }).await?
    }

    /// Tells those with whom there is a link, who tell all others; then forgets the village and its members, and is alone again in
    /// one of its own. Answers how many were told.
    pub async fn leave(&self) -> Result<usize, Error> {
        self.send(Command::Leave).await?
    }

    /// Has nothing to do with this peer any more: closes connections, takes none, and passes nothing of it on.
    pub async fn block(&self, peer: PeerId) -> Result<(), Error> {
        self.send(|done| Command::Block { peer, done }).await?
    }

    /// Takes that back. It is a member again when it shows its pass.
    pub async fn unblock(&self, peer: PeerId) -> Result<(), Error> {
        self.send(|done| Command::Unblock { peer, done }).await?
    }

    /// Calls whoever is at this address.
    pub async fn dial(&self, address: Multiaddr) -> Result<(), Error> {
        self.send(|done| Command::Dial { address, done }).await?
    }

    /// Asks a member, and waits for the answer: until the message expires, it is tried again.
    ///
    /// However often it is sent, the other side handles it once. While too much waits for that peer, this waits too.
    pub async fn ask(&self, to: PeerId, message: Message) -> Result<Vec<u8>, Error> {
        let life = message.life;
        let frame = self.frame(message)?;
        let until = Instant::now() + life;
        let bytes = frame.encode();
        let room = tokio::time::timeout(life, self.room(to, bytes.len()));
        let room = room.await.map_err(|_| Error::Expired { sent: false })??;
        let outgoing = Outgoing { to, id: frame.id, priority: frame.priority, bytes, until, _room: room };
        self.send(|done| Command::Ask { outgoing, done }).await?
    }

    /// Says what the agents here can do, in the place of what was said before. Others know it a moment later.
    pub async fn advertise(&self, cards: Vec<Card>) -> Result<(), Error> {
        self.send(|done| Command::Advertise { cards, done }).await?
    }

    /// Who has this skill, the best first: those that were heard of lately, near and with little to do.
    pub async fn find(&self, skill: &str) -> Result<Vec<Found>, Error> {
        self.send(|done| Command::Find { skill: skill.into(), done }).await
    }

    /// The members that were heard of lately, and what their agents can do.
    pub async fn present(&self) -> Result<Vec<Present>, Error> {
        self.send(Command::Present).await
    }

    /// Asks the best of the others with this skill, and the next best if that one cannot be reached or refuses.
    ///
    /// `twice` says that it does no harm if two of them handle it: otherwise nobody else is asked once one may have done so.
    /// The message's `to` is replaced by the agent that is asked.
    pub async fn ask_any(&self, skill: &str, message: Message, twice: bool) -> Result<(Found, Vec<u8>), Error> {
        let until = Instant::now() + message.life;
        let mut found = self.find(skill).await?;
        found.retain(|found| found.peer != self.peer());
        let (count, mut last) = (found.len(), Error::NobodyHas { skill: skill.into() });
        for (n, found) in found.into_iter().enumerate() {
            // Time for each that is left, so that one that is dead does not use up all of it.
            let left = until.saturating_duration_since(Instant::now()) / (count - n) as u32;
            if left.is_zero() {
                break;
            }
            let one = Message { to: found.agent.clone(), life: left, ..message.clone() };
            match self.ask(found.peer, one).await {
                Ok(body) => return Ok((found, body)),
                Err(error @ Error::Expired { sent: true }) if !twice => return Err(error),
                Err(error @ (Error::Stopped | Error::TooLarge { .. })) => return Err(error),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Tells all who listen to a topic, this peer included. Done when at least one other has it, or there is no other.
    pub async fn publish(&self, message: Message) -> Result<(), Error> {
        let life = message.life;
        let frame = self.frame(message)?;
        let until = Instant::now() + life;
        let bytes = frame.encode();
        let memory = self.memory(bytes.len());
        let _memory = tokio::time::timeout(life, memory).await.map_err(|_| Error::Expired { sent: false })??;
        self.send(|done| Command::Publish { frame, bytes, until, done }).await?
    }

    /// Listens to a topic, until the answer is dropped.
    pub async fn subscribe(&self, topic: &str) -> Result<Topic, Error> {
        check_name(topic)?;
        self.send(|done| Command::Subscribe { topic: topic.into(), done }).await?
    }

    /// Proposes something to those who are to decide it, for so long. Its name is what they vote on.
    pub async fn propose(&self, draft: Draft, life: Duration) -> Result<Matter, Error> {
        self.send(|done| Command::Propose { draft, life, done }).await?
    }

    /// Votes on a proposal, once.
    pub async fn vote(&self, matter: Matter, yes: bool) -> Result<(), Error> {
        self.send(|done| Command::Vote { matter, yes, done }).await?
    }

    /// How the votes stand, as far as they are known here.
    pub async fn tallies(&self) -> Result<Vec<Tally>, Error> {
        self.send(Command::Tallies).await
    }

    /// Proof that a proposal was accepted, if it was, for an hour after voting has ended: who needs it longer keeps it.
    pub async fn certificate(&self, matter: Matter) -> Result<Option<Certificate>, Error> {
        self.send(|done| Command::Certificate { matter, done }).await
    }

    /// Fetches a blob into the folder of blobs: from these members, or if none are named from all that are there.
    ///
    /// Each chunk is verified before it is written. If this is broken off, the next time goes on with what has come.
    pub async fn fetch(&self, hash: BlobHash, from: &[PeerId]) -> Result<Fetched, Error> {
        self.fetch_within(hash, from, u64::MAX).await
    }

    /// The same, of a blob that has no more bytes than this: nothing is written of a larger one.
    pub async fn fetch_within(&self, hash: BlobHash, from: &[PeerId], most: u64) -> Result<Fetched, Error> {
        if !self.shared.fetching.lock().insert(hash) {
            return Err(Error::Busy { after: Duration::from_secs(1) });
        }
        let _one = Fetching { shared: &self.shared, hash };
        let mut sources = from.to_vec();
        if sources.is_empty() {
            sources = self.links().await?.into_iter().map(|link| link.peer).collect();
            for present in self.present().await? {
                if !sources.contains(&present.peer) {
                    sources.push(present.peer);
                }
            }
        }
        fetch::fetch(self, hash, sources, most, &self.shared.blobs, &self.shared.parts).await
    }

    /// What keeps fetching within its rate.
    pub(crate) fn fetched(&self) -> &Meter {
        &self.shared.fetched
    }

    pub(crate) async fn command(&self, command: Command) -> Result<(), Error> {
        self.shared.commands.send(command).await.map_err(|_| Error::Stopped)
    }

    /// Stops: closes all connections and writes down what was learned.
    pub async fn stop(&self) {
        let (done, stopped) = oneshot::channel();
        if self.shared.commands.send(Command::Stop(done)).await.is_ok() {
            let _ = stopped.await;
        }
        let task = self.shared.task.lock().take();
        if let Some(task) = task {
            let _ = task.await;
        }
    }

    async fn send<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Error> {
        let (done, answer) = oneshot::channel();
        self.shared.commands.send(command(done)).await.map_err(|_| Error::Stopped)?;
        answer.await.map_err(|_| Error::Stopped)
    }

    fn frame(&self, message: Message) -> Result<Frame, Error> {
        check_name(&message.to)?;
        if message.body.len() > BODY_LIMIT {
            return Err(Error::TooLarge { bytes: message.body.len(), limit: BODY_LIMIT });
        }
        if message.life.is_zero() || message.life > LIFE_LIMIT {
            let what = format!("it is more than 0 and at most {} s", LIFE_LIMIT.as_secs());
            return Err(Error::Setting { setting: "life", what });
        }
        let Message { to, body, priority, life, correlation, trace } = message;
        let ahead = self.shared.weather.as_ref().map_or(0, |weather| weather.ahead());
        let sent = timers::now().saturating_add_signed(ahead);
        let expires = sent + life.as_millis() as u64;
        Ok(Frame { id: Id::new(), sender: self.shared.own, to, priority, sent, expires, correlation, trace, body })
    }

    /// Waits for a place in the queue for a peer, and for memory.
    async fn room(&self, to: PeerId, bytes: usize) -> Result<Room, Error> {
        let places = {
            let mut all = self.shared.places.lock();
            // Peers for which nothing waits have all their places, and need no entry.
            if all.len() > 1024 {
                all.retain(|_, places| {
                    places.available_permits() < self.shared.waiting || Arc::strong_count(places) > 1
                });
            }
            all.entry(to).or_insert_with(|| Arc::new(Semaphore::new(self.shared.waiting))).clone()
        };
        let place = places.acquire_owned().await.map_err(|_| Error::Stopped)?;
        Ok(Room { _place: place, _memory: self.memory(bytes).await? })
    }

    async fn memory(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Error> {
        self.shared.memory.clone().acquire_many_owned(bytes as u32).await.map_err(|_| Error::Stopped)
    }
}

/// A blob on its way, until this is dropped: only one writes into its part.
struct Fetching<'a> {
    shared: &'a Shared,
    hash: BlobHash,
}

impl Drop for Fetching<'_> {
    fn drop(&mut self) {
        self.shared.fetching.lock().remove(&self.hash);
    }
}

fn check_name(name: &str) -> Result<(), Error> {
    if name.is_empty() || name.len() > NAME_LIMIT || name.starts_with(OWN) {
        let what = format!("`{name}`: an address or a topic has 1 to {NAME_LIMIT} bytes and does not begin with {OWN}");
        return Err(Error::Setting { setting: "to", what });
    }
    Ok(())
}
