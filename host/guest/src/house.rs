//! What the agents of one host share: where they run, how many may live, and who is where by name.

use crate::abroad::Abroad;
use crate::compute::Compute;
use crate::ctx::Ctx;
use crate::host::{Error, Version};
use crate::kin;
use crate::network::Network;
use crate::roll::Roll;
use crate::spaces::{Embedder, Spaces};
use crate::standing::{CHILDREN, Standing};
use crate::state::{STATE, TOTALS, WORKSPACE};
use crate::talk::Counts;
use agents::kin::{BIRTHS, Kin};
use agents::{ANSWERS, Books, DEAD, Desk, Door, KEYS, MAIL, Origin, Place, SEQUENCES, TIMERS, TOPICS};
use base::Digest;
use mesh::Mesh;
use model::Router;
use parking_lot::Mutex;
use runtime::{Fault, Message, Room, Spawner};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use store::Change;
use tokio::runtime::Handle;

/// What the agents of one host share.
pub(crate) struct House {
    pub(crate) spawner: Spawner,
    /// Timers wait here.
    pub(crate) io: Handle,
    pub(crate) seats: Arc<Seats>,
    /// Where the host computes for them.
    pub(crate) compute: Arc<Compute>,
    /// What they reach the web through.
    pub(crate) network: Arc<Network>,
    /// Who answers prompts; none if no back end is named.
    pub(crate) models: Option<Arc<Router>>,
    /// What lasts; none if everything goes with this host.
    pub(crate) books: Option<Arc<Books>>,
    /// Other villages; none if this one is alone.
    pub(crate) abroad: Option<Abroad>,
    /// What agents remember together.
    pub(crate) spaces: Arc<Spaces>,
    pub(crate) roll: Roll,
    /// Who falls with whom, and who is told.
    pub(crate) kin: Kin,
    /// What they asked and told each other.
    pub(crate) talk: Counts,
    listed: Mutex<HashMap<String, Listed>>,
    versions: Mutex<HashMap<Digest, Weak<runtime::Version<Ctx>>>>,
    numbers: AtomicU64,
    born: u64,
}

/// What a host has for its agents, beside the threads that they run on.
pub(crate) struct Means {
    pub(crate) compute: Arc<Compute>,
    pub(crate) network: Arc<Network>,
    pub(crate) models: Option<Arc<Router>>,
    /// The model that makes vectors of what agents remember.
    pub(crate) embedder: Option<String>,
    pub(crate) books: Option<Arc<Books>>,
    pub(crate) mesh: Option<Mesh>,
}

/// An agent that others find by its name.
struct Listed {
    door: Door,
    standing: Weak<Standing>,
}

/// There is an agent of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken;

/// How often somebody looks who has nothing to do.
const IDLERS: Duration = Duration::from_millis(500);

impl House {
    pub(crate) fn new(spawner: Spawner, io: Handle, room: Room, means: Means) -> Arc<House> {
        let Means { compute, network, models, embedder, books, mesh } = means;
        let embedder =
            models.as_ref().zip(embedder).and_then(|(models, name)| Embedder::new(models.clone(), &name, io.clone()));
        let spaces = Spaces::new(books.clone(), embedder, io.clone());
        let seats = Arc::new(Seats { left: Mutex::new(room), all: room });
        let kin = books.as_deref().map(kin::load).unwrap_or_default();
        let abroad = mesh.map(|mesh| Abroad::new(mesh, books.as_deref()));
        let (listed, versions) = (Mutex::default(), Mutex::default());
        Arc::new(House {
            spawner,
            io,
            seats,
            compute,
            network,
            models,
            books,
            abroad,
            spaces,
            roll: Roll::default(),
            kin,
            talk: Counts::default(),
            listed,
            versions,
            numbers: AtomicU64::new(1),
            born: millis(),
        })
    }

    /// A number that nothing else here has.
    pub(crate) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Relaxed)
    }

    /// An id for a message. No other host will have given it, unless it was made within the same millisecond.
    pub(crate) fn message(&self) -> String {
        format!("{:x}-{}", self.born, self.number())
    }

    /// The way to the agent `name`, which is made now if it has to be.
    pub(crate) fn door(self: &Arc<House>, name: &str) -> Result<Option<Door>, Error> {
        let open = self.listed_door(name);
        match open {
            Some(door) => Ok(Some(door)),
            None => match (self.roll.door(self, name)?, name.split_once('/')) {
                // What an agent created begins with it.
                (None, Some((parent, _))) if self.roll.wake(self, parent)?.is_some() => Ok(self.listed_door(name)),
                (door, _) => Ok(door),
            },
        }
    }

    /// Puts a message that is kept, and that met a closed door, into its receiver's mailbox.
    pub(crate) fn again(self: &Arc<House>, name: &str, number: u64) {
        if let (Ok(Some(door)), Some(books)) = (self.door(name), &self.books) {
            door.again(books, name, number);
        }
    }

    fn listed_door(&self, name: &str) -> Option<Door> {
        self.listed.lock().get(name).map(|listed| listed.door.clone())
    }

    /// The way to an agent that others find by its name now, and its standing.
    pub(crate) fn listed(&self, name: &str) -> Option<(Door, Weak<Standing>)> {
        let listed = self.listed.lock().get(name).map(|listed| (listed.door.clone(), listed.standing.clone()));
        listed.or_else(|| self.roll.present(name))
    }

    /// Whether the agent `name` may send to `other`; none if it has to be made to know that.
    pub(crate) fn reached(&self, name: &str, other: &str) -> Option<bool> {
        match self.standing(name) {
            Some(standing) => Some(standing.reaches(other)),
            None => self.roll.grants(name).map(|grants| {
                let own = other.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'));
                grants.reaches(other) || (grants.spawn && own)
            }),
        }
    }

    /// Whether there is an agent of that name, awake or not.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.listed.lock().contains_key(name)
            || self.roll.has(name)
            || self.books.as_ref().is_some_and(|books| books.store().read().contains(&CHILDREN, name).unwrap_or(false))
    }

    /// The standing of an agent that others find by its name now.
    pub(crate) fn standing(&self, name: &str) -> Option<Arc<Standing>> {
        let (_, standing) = self.listed(name)?;
        standing.upgrade()
    }

    pub(crate) fn list(&self, name: &str, door: Door, standing: &Arc<Standing>) -> Result<(), Taken> {
        match self.listed.lock().entry(name.into()) {
            std::collections::hash_map::Entry::Occupied(_) => Err(Taken),
            std::collections::hash_map::Entry::Vacant(empty) => {
                empty.insert(Listed { door, standing: Arc::downgrade(standing) });
                Ok(())
            }
        }
    }

    pub(crate) fn unlist(&self, name: &str) {
        let door = self.listed.lock().remove(name);
        // Dropped without the lock: what it leads to may go with it.
        drop(door);
    }

    /// Puts a message that is kept into its receiver's mailbox. If nobody is there, it is found when somebody is.
    pub(crate) fn hand_over(&self, door: &Door, place: Place, message: Message, to: &str, number: u64) {
        let origin = Origin::Kept(number);
        if door.send(place, message, Desk::nobody(), origin).is_err()
            && let Some(books) = &self.books
        {
            books.stray(to, number);
        }
    }

    /// Has messages that met a closed door find their way, for as long as this host is there.
    pub(crate) fn look_after_strays(self: &Arc<House>) {
        let Some(mut strays) = self.books.as_ref().and_then(|books| books.strays()) else { return };
        let house = Arc::downgrade(self);
        self.io.spawn(async move {
            while let Some((name, number)) = strays.recv().await {
                let Some(house) = house.upgrade() else { return };
                house.again(&name, number);
            }
        });
    }

    /// Has agents put their instances away that have nothing to do, for as long as this host is there.
    pub(crate) fn look_after_idlers(self: &Arc<House>) {
        let house = Arc::downgrade(self);
        self.io.spawn(async move {
            loop {
                tokio::time::sleep(IDLERS).await;
                let Some(house) = house.upgrade() else { return };
                house.spaces.rest();
                for (_, agent) in house.roll.all_awake() {
                    agent.rest_if_idle();
                }
            }
        });
    }

    /// Adds to `change` that nothing is kept of an agent any more.
    pub(crate) fn forget(&self, agent: &str, change: &mut Change) {
        let Some(books) = &self.books else { return };
        // What it created goes with it, and what that created.
        let own = books.store().read().scan(CHILDREN.starting(&format!("{agent}/")), None, usize::MAX);
        let own = own.unwrap_or_default().into_iter().map(|(address, _)| address);
        for name in own.chain([agent.to_string()]) {
            let name = name.as_str();
            change.delete(&CHILDREN, name).delete(&TOTALS, name).delete(&BIRTHS, name);
            change.clear(STATE.under(name)).clear(WORKSPACE.under(name));
            change.clear(MAIL.under(name)).clear(TIMERS.under(name)).clear(DEAD.under(name));
            change
                .clear(TOPICS.under(name))
                .clear(KEYS.under(name))
                .clear(ANSWERS.under(name))
                .clear(SEQUENCES.under(name));
        }
    }

    /// Remembers a version for as long as somebody has it.
    pub(crate) fn note(&self, version: &Version) {
        let mut versions = self.versions.lock();
        if versions.len() == versions.capacity() {
            versions.retain(|_, version| version.strong_count() > 0);
        }
        versions.insert(version.digest(), Arc::downgrade(&version.0));
    }

    /// A version that somebody has.
    pub(crate) fn version(&self, digest: &str) -> Option<Version> {
        let versions = self.versions.lock();
        let found = versions.iter().find(|(known, _)| known.to_string() == digest)?;
        found.1.upgrade().map(Version)
    }
}

/// The present as Unix milliseconds.
pub(crate) fn millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// How much room there is for agents that live at once. Beyond that the engine would have no slot for an instance.
pub(crate) struct Seats {
    left: Mutex<Room>,
    all: Room,
}

/// The right to one instance.
pub(crate) struct Seat {
    seats: Arc<Seats>,
    taken: Room,
}

impl Seats {
    /// How many agents may live at once.
    pub(crate) fn all(&self) -> u32 {
        self.all.slots
    }

    pub(crate) fn take(self: Arc<Seats>, room: Room) -> Result<Seat, Fault> {
        let mut left = self.left.lock();
        match left.less(room) {
            Some(less) => *left = less,
            None if left.slots == 0 => {
                let what = format!("this host has room for {} agents, and all are taken", self.all.slots);
                return Err(Fault::Refused { what });
            }
            None => {
                let what = "this agent has more memories or tables than this host has room for now".into();
                return Err(Fault::Refused { what });
            }
        }
        drop(left);
        Ok(Seat { seats: self, taken: room })
    }
}

/// The seats of one agent: one for each version that may have an instance. They are free as soon as the agent ends,
/// whoever still holds one of its versions.
#[derive(Default)]
pub(crate) struct Row {
    seats: Mutex<HashMap<u64, Seat>>,
    numbers: AtomicU64,
}

/// One of them.
pub(crate) struct Chair {
    row: Arc<Row>,
    number: u64,
}

impl Row {
    /// Adds a seat, until the chair is dropped or the agent ends.
    pub(crate) fn add(self: &Arc<Row>, seat: Seat) -> Chair {
        let number = self.numbers.fetch_add(1, Relaxed);
        self.seats.lock().insert(number, seat);
        Chair { row: self.clone(), number }
    }

    /// The agent has ended.
    pub(crate) fn clear(&self) {
        let seats = std::mem::take(&mut *self.seats.lock());
        drop(seats);
    }
}

impl Drop for Chair {
    fn drop(&mut self) {
        let seat = self.row.seats.lock().remove(&self.number);
        drop(seat);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut left = self.seats.left.lock();
        *left = left.and(self.taken);
    }
}
