//! Other villages: which there are, what is on its way to them, and what waits there for an end here.

mod answering;
mod arrivals;
mod asking;
mod chains;
mod courier;
mod outside;
mod parts;
mod seeking;
mod topics;
pub(crate) mod wire;

pub use asking::Elsewhere;
pub(crate) use asking::{Asked, Peers, Whom, ask};
pub(crate) use chains::{Chain, Noted};
pub use outside::Unanswered;
pub(crate) use parts::Ear;
pub use seeking::SKILL;
pub(crate) use topics::followers;
pub use wire::ADDRESSES;
pub(crate) use wire::LARGEST;

use crate::house::House;
use agents::{ARRIVED, Books, OUTBOX, Outgoing, TOPICS};
use mesh::{Event, Mesh, PeerId};
use parking_lot::{Mutex, RwLock};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;
use wire::Settled;

/// What a host has of other villages.
pub(crate) struct Abroad {
    pub(crate) mesh: Mesh,
    /// What this host's numbers are told apart from another's by.
    salt: u64,
    /// The other villages; none before they were first looked at.
    members: Arc<RwLock<Option<Vec<PeerId>>>>,
    /// Those lanes of the outbox that somebody carries.
    lanes: Mutex<HashSet<String>>,
    /// Messages and bytes in the outbox, by who sends them.
    waiting: Arc<Mutex<HashMap<String, (u64, u64)>>>,
    /// What others need not know any more, until they were told.
    settled: Mutex<HashMap<PeerId, Settled>>,
    /// What others have said so of, until it is forgotten.
    forgotten: Mutex<VecDeque<(Instant, String, u64)>>,
    /// How many messages of each village are known here, and how many may be.
    known: Mutex<HashMap<String, u64>>,
    most_known: AtomicU64,
    /// Questions under way here, by id.
    asked: Mutex<HashMap<String, answering::UnderWay>>,
    /// Who waits for the answers to questions of other villages.
    chains: chains::Chains,
    /// Who hears parts of replies.
    pub(crate) ears: Arc<parts::Ears>,
    /// Who follows which topic.
    pub(crate) topics: Mutex<HashMap<String, topics::Followed>>,
    /// What runs for it. It ends with it.
    tasks: Mutex<JoinSet<()>>,
}

/// An agent of another village.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Far {
    pub(crate) agent: String,
    pub(crate) peer: PeerId,
}

/// Why an address leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lost {
    /// It is none.
    Bad(String),
    /// There is no such village, or not one alone.
    Nobody(String),
    /// There is no mesh.
    Alone,
}

/// A place in the outbox: given back when it is dropped, unless the message is kept there.
pub(crate) struct Stay {
    all: Arc<Mutex<HashMap<String, (u64, u64)>>>,
    from: String,
    bytes: u64,
}

impl Stay {
    /// The message is in the outbox now.
    pub(crate) fn keep(mut self) {
        self.from.clear();
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        if !self.from.is_empty() {
            give_back(&self.all, &self.from, 1, self.bytes);
        }
    }
}

fn give_back(all: &Mutex<HashMap<String, (u64, u64)>>, from: &str, messages: u64, bytes: u64) {
    let mut all = all.lock();
    if let Some(waiting) = all.get_mut(from) {
        *waiting = (waiting.0.saturating_sub(messages), waiting.1.saturating_sub(bytes));
        if waiting.0 == 0 {
            all.remove(from);
        }
    }
}

/// How often the other villages are looked at, beside when one is met.
const LOOK: Duration = Duration::from_secs(5);

/// How often others are told what they need not know, and what they have said so of is forgotten.
const TIDY: Duration = Duration::from_secs(1);

/// How often what is known for too long goes.
const SWEEP: Duration = Duration::from_secs(600);

impl Abroad {
    pub(crate) fn new(mesh: Mesh, books: Option<&Books>) -> Abroad {
        let salt = books.map_or(0, Books::salt);
        let (members, lanes, waiting, settled) = Default::default();
        let (forgotten, known, asked, topics, tasks) = Default::default();
        let (chains, ears) = Default::default();
        let most_known = AtomicU64::new(MOST_KNOWN);
        Abroad {
            mesh,
            salt,
            members,
            lanes,
            waiting,
            settled,
            forgotten,
            known,
            most_known,
            asked,
            chains,
            ears,
            topics,
            tasks,
        }
    }

    /// Whom an address leads to: `agent@peer`, where the peer is a whole id or what only one of them begins with.
    pub(crate) fn locate(&self, address: &str) -> Result<Far, Lost> {
        let (agent, peer) = address.rsplit_once('@').unwrap_or((address, ""));
        let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'/');
        if agent.is_empty() || peer.is_empty() || address.len() > 256 || !agent.bytes().all(good) {
            return Err(Lost::Bad(format!("`{address}` is no address: write NAME, or NAME@VILLAGE")));
        }
        let far = |peer| Ok(Far { agent: agent.into(), peer });
        let members = self.members.read();
        if let Ok(peer) = peer.parse::<PeerId>() {
            if peer == self.mesh.peer() {
                return Err(Lost::Bad(format!("`{address}` is in this village: leave out what follows the name")));
            }
            return match &*members {
                Some(members) if !members.contains(&peer) => {
                    Err(Lost::Nobody(format!("no village `{peer}` is known here")))
                }
                _ => far(peer),
            };
        }
        let all = members.as_deref().unwrap_or_default();
        let mut found = all.iter().filter(|member| mesh::may_be(&member.to_base58(), peer));
        match (found.next(), found.next()) {
            (Some(one), None) => far(*one),
            (None, _) => Err(Lost::Nobody(format!("no village that begins with `{peer}` is known here"))),
            (Some(_), Some(_)) => Err(Lost::Nobody(format!("several villages begin with `{peer}`: write more of it"))),
        }
    }

    /// A place in the outbox for a message of this sender, of whom so many and so many bytes may wait there.
    pub(crate) fn reserve(&self, from: &str, bytes: u64, most: (u64, u64)) -> Result<Stay, &'static str> {
        let mut all = self.waiting.lock();
        let waiting = all.entry(from.into()).or_default();
        let next = (waiting.0 + 1, waiting.1 + bytes);
        if next.0 > most.0 || next.1 > most.1 {
            let full = if next.0 > most.0 { "mailbox" } else { "mailbox-bytes" };
            if waiting.0 == 0 {
                all.remove(from);
            }
            return Err(full);
        }
        *waiting = next;
        Ok(Stay { all: self.waiting.clone(), from: from.into(), bytes })
    }

    /// Has the villages told, in a while, that a question will not be asked again.
    pub(crate) fn settle(&self, peers: &Peers, id: &str) {
        let mut all = self.settled.lock();
        for peer in std::mem::take(&mut *peers.lock()) {
            let settled = all.entry(peer).or_default();
            // Those beyond are kept there until their time is over.
            if settled.asks.len() < MOST_SETTLED {
                settled.asks.push(id.into());
            }
        }
    }

    /// So many messages of each village are known here from now on.
    pub(crate) fn bound(&self, most: u64) {
        self.most_known.store(most, Relaxed);
    }

    /// Whether no more messages of a village can be known here.
    fn is_full(&self, peer: &str) -> bool {
        self.known.lock().get(peer).is_some_and(|known| *known >= self.most_known.load(Relaxed))
    }

    /// So many more are.
    fn know(&self, peer: &str, more: u64) {
        *self.known.lock().entry(peer.into()).or_default() += more;
    }

    /// Counts a message that is in the outbox.
    pub(crate) fn count(&self, going: &Outgoing) {
        let mut all = self.waiting.lock();
        let waiting = all.entry(going.mail.from.to_string()).or_default();
        *waiting = (waiting.0 + 1, waiting.1 + going.mail.body.len() as u64);
    }

    /// One is not there any more.
    fn give_back(&self, going: &Outgoing) {
        give_back(&self.waiting, &going.mail.from.to_string(), 1, going.mail.body.len() as u64);
    }

    fn spawn(&self, house: &House, work: impl Future<Output = ()> + Send + 'static) -> tokio::task::AbortHandle {
        let mut tasks = self.tasks.lock();
        while tasks.try_join_next().is_some() {}
        tasks.spawn_on(work, &house.io)
    }
}

/// So many messages of one village are known at once, unless it is said; until it says that it will not send them again, it
/// has to wait.
const MOST_KNOWN: u64 = 1_000_000;

/// So many that are settled are remembered for each village until it is told.
const MOST_SETTLED: usize = 100_000;

impl House {
    /// Takes up what is on its way to other villages, and looks after it for as long as this host is there.
    pub(crate) fn look_abroad(self: &Arc<House>) {
        let Some(abroad) = &self.abroad else { return };
        let (mesh, members, mut events) = (abroad.mesh.clone(), abroad.members.clone(), abroad.mesh.events());
        abroad.spawn(self, async move {
            loop {
                if let Ok(all) = mesh.members().await {
                    *members.write() = Some(all.iter().filter_map(|member| member.pass.holder().peer()).collect());
                }
                let met =
                    async { while !matches!(events.recv().await, Ok(Event::Met { .. }) | Err(RecvError::Closed)) {} };
                // Either way it is looked at again.
                let _ = tokio::time::timeout(LOOK, met).await;
            }
        });
        if let Some(books) = &self.books {
            self.take_up(abroad, books);
            let house = Arc::downgrade(self);
            abroad.spawn(self, async move {
                // At once: a host may never be there for so long.
                let mut sweep = Instant::now();
                loop {
                    tokio::time::sleep(TIDY).await;
                    courier::tell_settled(&house).await;
                    let due = Instant::now() >= sweep;
                    arrivals::forget(&house, due).await;
                    if due {
                        sweep = Instant::now() + SWEEP;
                    }
                }
            });
        }
    }

    /// What is kept from before: messages on their way, numbers that are known, topics that are followed.
    fn take_up(self: &Arc<House>, abroad: &Abroad, books: &Books) {
        let read = books.store().read();
        // What can't be read is as if it were not there: the store says so itself when it is opened.
        let mut lanes = HashSet::new();
        for ((lane, _), going) in read.scan(OUTBOX.all(), None, usize::MAX).unwrap_or_default() {
            abroad.count(&going);
            lanes.insert(lane);
        }
        for ((whose, _), _) in read.scan(ARRIVED.all(), None, usize::MAX).unwrap_or_default() {
            abroad.know(peer_of(&whose), 1);
        }
        for ((agent, topic), _) in read.scan(TOPICS.all(), None, usize::MAX).unwrap_or_default() {
            self.follow(&agent, &topic);
        }
        lanes.into_iter().for_each(|lane| self.carry(lane));
    }
}

/// Whose a number is that is known.
fn peer_of(whose: &str) -> &str {
    whose.split_once('/').map_or(whose, |(peer, _)| peer)
}
