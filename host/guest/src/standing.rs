//! One agent among others: its name, the agents that it created, and the messages that it sends later.

mod later;

use crate::accounts::{Above, Accounts};
use crate::agent::{Agent, Lasts};
use crate::grants::Grants;
use crate::host::Version;
use crate::house::{House, Taken, millis};
use crate::kin::TIE;
use crate::narrow;
use crate::turns::Turns;
use crate::waits::Waits;
use agents::kin::{BIRTHS, What};
use agents::{Books, Door, TIMERS, Timer};
use parking_lot::Mutex;
use runtime::Held;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use store::{Change, Table};
use tokio::task::AbortHandle;

pub(crate) use later::Later;
use later::Posted;

/// One agent among others. It outlives the agent's instances.
pub(crate) struct Standing {
    pub(crate) name: String,
    pub(crate) grants: Arc<Grants>,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) house: Arc<House>,
    /// Where its turns are kept; none if they go with the host.
    pub(crate) books: Option<Arc<Books>>,
    /// How its turns are tried, recorded and looked after; those of agents that it creates as well.
    turns: Mutex<Turns>,
    /// Whether others find it by its name.
    listed: AtomicBool,
    /// What its turn waits for.
    pub(crate) waits: Waits,
    /// What its ties to others count as.
    tied: Mutex<Option<Held>>,
    children: Mutex<HashMap<String, Child>>,
    posted: Mutex<HashMap<String, Posted>>,
}

/// An agent that another one created.
pub(crate) struct Child {
    pub(crate) agent: Agent,
    pub(crate) lifetime: Duration,
    /// It counts as one of its parent's.
    pub(crate) _one: Held,
    /// What it was asked for with.
    pub(crate) wanted: Wanted,
    /// Its place among its parent's: those that came later have a higher one.
    pub(crate) place: u64,
}

/// A child as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wanted {
    pub(crate) version: String,
    pub(crate) grants: String,
    pub(crate) budget: String,
}

/// A child that lives, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Born {
    pub(crate) wanted: Wanted,
    /// Unix milliseconds at which it is retired.
    pub(crate) until: u64,
}

/// The agents that agents created, by their address.
pub(crate) const CHILDREN: Table<String, Born> = Table::new("children");

/// Why a child could not be made.
pub(crate) enum Unborn {
    Narrow(narrow::Refused),
    /// No version of that digest is known here.
    Unknown(String),
    /// There are as many as may be.
    TooMany,
    Broken(crate::host::Error),
}

impl From<narrow::Refused> for Unborn {
    fn from(refused: narrow::Refused) -> Unborn {
        Unborn::Narrow(refused)
    }
}

impl Child {
    pub(crate) fn born(&self, now: u64) -> Born {
        let lifetime = u64::try_from(self.lifetime.as_millis()).unwrap_or(u64::MAX);
        Born { wanted: self.wanted.clone(), until: now.saturating_add(lifetime) }
    }
}

/// How often a message whose time has come is tried again while the receiver's mailbox is full.
const AGAIN: Duration = Duration::from_millis(100);

impl Standing {
    pub(crate) fn new(
        name: String,
        grants: Arc<Grants>,
        accounts: Arc<Accounts>,
        house: Arc<House>,
        (books, turns): (Option<Arc<Books>>, Turns),
    ) -> Arc<Standing> {
        let (children, posted, tied, waits) = Default::default();
        let (listed, turns) = (false.into(), Mutex::new(turns));
        house.spaces.attach(&name, &accounts.storage);
        Arc::new(Standing { name, grants, accounts, house, books, turns, listed, waits, tied, children, posted })
    }

    /// How its turns are tried, recorded and looked after.
    pub(crate) fn turns(&self) -> Turns {
        *self.turns.lock()
    }

    pub(crate) fn set_turns(&self, turns: Turns) {
        *self.turns.lock() = turns;
    }

    /// Whether it may send to the agent `name`: those it was granted, and those it created.
    pub(crate) fn reaches(&self, name: &str) -> bool {
        let own = || name.strip_prefix(self.name.as_str()).is_some_and(|rest| rest.starts_with('/'));
        self.grants.reaches(name) || (self.grants.spawn && own())
    }

    /// The address that a child of that name would have.
    pub(crate) fn address(&self, child: &str) -> String {
        format!("{}/{child}", self.name)
    }

    pub(crate) fn has_child(&self, address: &str) -> bool {
        self.children.lock().contains_key(address)
    }

    /// Takes in a child. It ends with its lifetime, or with this agent.
    pub(crate) fn adopt(self: &Arc<Standing>, address: String, child: Child) {
        if child.agent.list().is_err() {
            // Nobody but this agent gives such names, and it looked before.
            return;
        }
        let (parent, at, lifetime) = (Arc::downgrade(self), address.clone(), child.lifetime);
        let retire = self.house.io.spawn(async move {
            tokio::time::sleep(lifetime).await;
            if let Some(parent) = parent.upgrade() {
                parent.outlive(&at).await;
            }
        });
        child.agent.ends_with(retire.abort_handle());
        self.house.kin.join(&self.name, &address, child.place);
        let before = self.children.lock().insert(address, child);
        drop(before);
    }

    /// Lets a child go; answers whether there was one.
    pub(crate) fn retire(&self, address: &str) -> bool {
        let child = self.children.lock().remove(address);
        child.is_some()
    }

    /// Takes up again what is kept of this agent: its timers, and the agents that it created.
    pub(crate) fn recover(self: &Arc<Standing>) {
        let Some(books) = &self.books else { return };
        let read = books.store().read();
        for ((_, number), timer) in read.scan(TIMERS.under(&self.name), None, usize::MAX).unwrap_or_default() {
            let Timer { due, to, mail } = timer;
            let Ok(mut held) = self.accounts.memory.hold(0) else { return };
            held.force(mail.body.len() as u64);
            let message = mail.message();
            self.post(Later { id: message.id.clone(), number: Some(number), to, due, message, _held: held });
        }
        self.count_ties();
        let own = format!("{}/", self.name);
        for (address, born) in read.scan(CHILDREN.starting(&own), None, usize::MAX).unwrap_or_default() {
            if address[own.len()..].contains('/') {
                // Its parent takes it up.
                continue;
            }
            let lifetime = Duration::from_millis(born.until.saturating_sub(millis()));
            // One that can't be made stays in the store, and is tried again with its parent's next life.
            if let Ok(mut child) = self.raise(&address, born.wanted, lifetime) {
                child.place = read.get(&BIRTHS, &address).ok().flatten().unwrap_or(0);
                self.adopt(address, child);
            }
        }
    }

    /// Makes a child. Nobody can send to it before it is adopted.
    pub(crate) fn raise(&self, address: &str, wanted: Wanted, lifetime: Duration) -> Result<Child, Unborn> {
        let grants = narrow::grants(&self.grants, &wanted.grants)?;
        let own = *self.accounts.budget.lock();
        let budget = narrow::budget(&own, &wanted.budget)?;
        let version = self.house.version(&wanted.version).ok_or_else(|| Unborn::Unknown(wanted.version.clone()))?;
        let one = self.accounts.children.hold(1).map_err(|_| Unborn::TooMany)?;
        let above = Above::Agent(&self.accounts);
        let lasts =
            self.books.as_ref().map(|_| Lasts { turns: self.turns(), before: None, replicas: Default::default() });
        let (house, grants) = (&self.house, Arc::new(grants));
        let agent =
            Agent::start(house, address.into(), &version, budget, grants, above, lasts).map_err(Unborn::Broken)?;
        agent.recover();
        let place = self.books.as_ref().map_or_else(|| self.house.number(), |books| books.number());
        Ok(Child { agent, lifetime, _one: one, wanted, place })
    }

    /// Lets a child go whose time is over. What is kept of it goes first: else it would come back.
    async fn outlive(&self, address: &str) {
        if let Some(books) = &self.books {
            loop {
                let mut change = Change::new();
                self.house.forget(address, &mut change);
                let told = self.house.gone(address, &What::Removed, &mut change);
                match books.store().commit(change).await {
                    Ok(_) => {
                        told();
                        break;
                    }
                    Err(store::Error::Closed) => break,
                    Err(_) => tokio::time::sleep(AGAIN).await,
                }
            }
        }
        self.retire(address);
    }

    /// Another version has taken over: the agent is made of that from now on.
    pub(crate) fn serves(&self, version: &Version) {
        if self.books.is_some() {
            self.house.roll.change(&self.name, |enrolment| enrolment.version = version.clone());
        }
    }

    /// Lets others find it by its name.
    pub(crate) fn list(self: &Arc<Standing>, door: Door) -> Result<(), Taken> {
        self.house.list(&self.name, door, self)?;
        self.listed.store(true, Relaxed);
        Ok(())
    }

    /// This agent has ended: nobody finds it any more, and all that it created goes with it.
    pub(crate) fn end(&self) {
        self.house.spaces.detach(&self.name, &self.accounts.storage);
        let listed = self.listed.swap(false, Relaxed);
        if listed {
            self.house.unlist(&self.name);
        }
        let children = std::mem::take(&mut *self.children.lock());
        let posted = std::mem::take(&mut *self.posted.lock());
        drop((children, posted));
        if listed && self.books.is_none() {
            // It goes for good. What others keep of that is kept on its own.
            let mut change = Change::new();
            let told = self.house.gone(&self.name, &What::Removed, &mut change);
            match &self.house.books {
                Some(books) if !change.is_empty() => books.store().submit(change, move |_| told()),
                _ => told(),
            }
        }
    }

    /// Counts its ties to others as its memory, whatever there is left of that: they are there already.
    pub(crate) fn count_ties(&self) {
        let bytes = self.house.kin.made(&self.name) * TIE;
        let mut tied = self.tied.lock();
        if let (None, true) = (&*tied, bytes > 0) {
            *tied = self.accounts.memory.hold(0).ok();
        }
        if let Some(held) = &mut *tied {
            held.force(bytes);
        }
    }

    /// Has every child look again whether it may run.
    pub(crate) fn reconsider(&self) {
        for child in self.children.lock().values() {
            child.agent.reconsider();
        }
    }
}

/// Ends a task of the I/O threads with what it belongs to.
pub(crate) struct Ends(pub(crate) AbortHandle);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.abort();
    }
}
