//! One agent among others: its name, the agents that it created, and the messages that it sends later.

use crate::accounts::Accounts;
use crate::agent::Agent;
use crate::grants::Grants;
use crate::house::{House, Taken, millis};
use agents::{Desk, Door, Refusal};
use parking_lot::Mutex;
use runtime::{Held, Message};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::task::AbortHandle;

/// One agent among others. It outlives the agent's instances.
pub(crate) struct Standing {
    pub(crate) name: String,
    pub(crate) grants: Arc<Grants>,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) house: Arc<House>,
    /// Whether others find it by its name.
    listed: AtomicBool,
    children: Mutex<HashMap<String, Child>>,
    posted: Mutex<HashMap<String, Posted>>,
}

/// An agent that another one created.
pub(crate) struct Child {
    pub(crate) agent: Agent,
    pub(crate) lifetime: Duration,
    /// It counts as one of its parent's.
    pub(crate) _one: Held,
}

/// A message that is sent at some time. Until then it counts as memory of its sender.
pub(crate) struct Later {
    pub(crate) id: String,
    pub(crate) to: String,
    /// Unix milliseconds.
    pub(crate) due: u64,
    pub(crate) message: Message,
    pub(crate) _held: Held,
}

/// A message whose timer runs.
struct Posted {
    later: Later,
    _timer: Ends,
}

/// How often a message whose time has come is tried again while the receiver's mailbox is full.
const AGAIN: Duration = Duration::from_millis(100);

impl Standing {
    pub(crate) fn new(name: String, grants: Arc<Grants>, accounts: Arc<Accounts>, house: Arc<House>) -> Arc<Standing> {
        let (children, posted) = (Mutex::default(), Mutex::default());
        Arc::new(Standing { name, grants, accounts, house, listed: false.into(), children, posted })
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
                parent.retire(&at);
            }
        });
        child.agent.ends_with(retire.abort_handle());
        let before = self.children.lock().insert(address, child);
        drop(before);
    }

    /// Lets a child go; answers whether there was one.
    pub(crate) fn retire(&self, address: &str) -> bool {
        let child = self.children.lock().remove(address);
        child.is_some()
    }

    /// Lets others find it by its name.
    pub(crate) fn list(&self, door: Door) -> Result<(), Taken> {
        self.house.list(&self.name, door)?;
        self.listed.store(true, Relaxed);
        Ok(())
    }

    /// This agent has ended: nobody finds it any more, and all that it created goes with it.
    pub(crate) fn end(&self) {
        if self.listed.swap(false, Relaxed) {
            self.house.unlist(&self.name);
        }
        let children = std::mem::take(&mut *self.children.lock());
        let posted = std::mem::take(&mut *self.posted.lock());
        drop((children, posted));
    }

    /// Has every child look again whether it may run.
    pub(crate) fn reconsider(&self) {
        for child in self.children.lock().values() {
            child.agent.reconsider();
        }
    }

    /// Sends a message when its time comes.
    pub(crate) fn post(self: &Arc<Standing>, later: Later) {
        let (from, id, due) = (Arc::downgrade(self), later.id.clone(), later.due);
        let key = id.clone();
        // Locked before the timer can look.
        let mut posted = self.posted.lock();
        let timer = self.house.io.spawn(async move {
            tokio::time::sleep(Duration::from_millis(due.saturating_sub(millis()))).await;
            while still_full(&from, &id) {
                tokio::time::sleep(AGAIN).await;
            }
        });
        posted.insert(key, Posted { later, _timer: Ends(timer.abort_handle()) });
    }

    /// Takes back a message that was not sent yet.
    pub(crate) fn recall(&self, id: &str) -> Option<Later> {
        let posted = self.posted.lock().remove(id);
        posted.map(|posted| posted.later)
    }
}

/// Sends a message whose time has come; answers whether the receiver had no room for it.
fn still_full(from: &Weak<Standing>, id: &str) -> bool {
    let Some(from) = from.upgrade() else { return false };
    let mut posted = from.posted.lock();
    // It may have been taken back.
    let Some(Posted { later, .. }) = posted.get(id) else { return false };
    let place = match from.house.door(&later.to) {
        Some(door) => door.reserve(&later.message).map(|place| (door, place)),
        None => Err(Refusal::Stopped),
    };
    if matches!(place, Err(Refusal::Full { .. })) {
        return true;
    }
    let sent = posted.remove(id);
    drop(posted);
    if let (Ok((door, place)), Some(Posted { later, _timer })) = (place, sent) {
        let mut message = later.message;
        message.accepted = millis();
        // A receiver that ended meanwhile is like one that never was.
        let _ = door.send(place, message, Desk::nobody());
    }
    false
}

/// Ends a task of the I/O threads with what it belongs to.
pub(crate) struct Ends(pub(crate) AbortHandle);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.abort();
    }
}
