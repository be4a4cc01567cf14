//! The agents that a host keeps by name: each is made when somebody first wants it, and may be let go meanwhile.

use crate::accounts::{Above, Parent};
use crate::agent::{Agent, Lasts};
use crate::grants::Grants;
use crate::host::{Error, Version};
use crate::house::House;
use crate::standing::Standing;
use crate::turns::Turns;
use agents::{Care, Door, Replicas, Retry};
use base::Budget;
use parking_lot::Mutex;
use runtime::Task;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Weak};

/// What an agent is made of when it is wanted.
#[derive(Clone)]
pub struct Enrolment {
    /// The version that handles its messages.
    pub version: Version,
    /// What it may use.
    pub budget: Budget,
    /// What it may reach.
    pub grants: Arc<Grants>,
    /// Whose budget it counts on as well.
    pub group: Option<Parent>,
    /// How often a message is tried.
    pub retry: Retry,
    /// Whether what its turns read is kept, so that they can be run again.
    pub record: bool,
    /// How it is looked after.
    pub care: Care,
    /// How many instances serve its mailbox: more than one only where there is a store.
    pub replicas: Replicas,
}

/// The agents that a host keeps by name.
#[derive(Default)]
pub(crate) struct Roll(Mutex<HashMap<String, Arc<Enrolled>>>);

/// One of them. What it is made of and whether it lives change together.
struct Enrolled(Mutex<Now>);

struct Now {
    enrolment: Enrolment,
    agent: Option<Arc<Agent>>,
    /// Its life before this one.
    before: Option<Arc<Task>>,
}

impl Roll {
    pub(crate) fn add(&self, name: &str, enrolment: Enrolment) -> Result<(), Error> {
        match self.0.lock().entry(name.into()) {
            Entry::Occupied(_) => Err(Error::Taken { name: name.into() }),
            Entry::Vacant(empty) => {
                let now = Now { enrolment, agent: None, before: None };
                empty.insert(Arc::new(Enrolled(Mutex::new(now))));
                Ok(())
            }
        }
    }

    /// Takes one off; answers whether it was there. It is stopped.
    pub(crate) fn remove(&self, name: &str) -> bool {
        let gone = self.0.lock().remove(name);
        gone.is_some()
    }

    /// Everybody is let go.
    pub(crate) fn clear(&self) {
        let all = std::mem::take(&mut *self.0.lock());
        drop(all);
    }

    /// Whether there is one of that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.lock().contains_key(name)
    }

    /// What one of that name may reach.
    pub(crate) fn grants(&self, name: &str) -> Option<Arc<Grants>> {
        let entry = self.find(name)?;
        let grants = entry.0.lock().enrolment.grants.clone();
        Some(grants)
    }

    fn find(&self, name: &str) -> Option<Arc<Enrolled>> {
        self.0.lock().get(name).cloned()
    }

    /// It, if it lives.
    pub(crate) fn awake(&self, name: &str) -> Option<Arc<Agent>> {
        self.find(name)?.0.lock().agent.clone()
    }

    /// The way to it and its standing, if it lives.
    pub(crate) fn present(&self, name: &str) -> Option<(Door, Weak<Standing>)> {
        let entry = self.find(name)?;
        let now = entry.0.lock();
        now.agent.as_ref().map(|agent| (agent.door().clone(), Arc::downgrade(&agent.standing)))
    }

    /// All that live.
    pub(crate) fn all_awake(&self) -> Vec<(String, Arc<Agent>)> {
        let all: Vec<_> = self.0.lock().iter().map(|(name, entry)| (name.clone(), entry.clone())).collect();
        all.into_iter().filter_map(|(name, entry)| Some((name, entry.0.lock().agent.clone()?))).collect()
    }

    /// Changes what it is made of from the next time on.
    pub(crate) fn change(&self, name: &str, change: impl FnOnce(&mut Enrolment)) -> bool {
        let entry = self.find(name);
        let there = entry.is_some();
        if let Some(entry) = entry {
            change(&mut entry.0.lock().enrolment);
        }
        there
    }

    /// Lets it go until it is wanted again; answers whether it lived.
    pub(crate) fn rest(&self, name: &str) -> bool {
        let Some(entry) = self.find(name) else { return false };
        let gone = {
            let mut now = entry.0.lock();
            let gone = now.agent.take();
            now.before = gone.as_ref().map(|agent| agent.task().clone());
            gone
        };
        gone.is_some()
    }

    /// It, made now if it does not live; none if there is none of that name.
    pub(crate) fn wake(&self, house: &Arc<House>, name: &str) -> Result<Option<Arc<Agent>>, Error> {
        let Some(entry) = self.find(name) else { return Ok(None) };
        let mut now = entry.0.lock();
        if let Some(agent) = now.agent.as_ref().filter(|agent| !agent.door().shut()) {
            return Ok(Some(agent.clone()));
        }
        let Enrolment { version, budget, grants, group, retry, record, care, replicas } = now.enrolment.clone();
        let before = now.agent.take().map(|agent| agent.task().clone()).or_else(|| now.before.take());
        let lasts = Lasts { turns: Turns { retry, record, care }, before, replicas };
        let above = group.as_ref().map_or(Above::Nobody, Above::Group);
        let agent = Agent::start(house, name.into(), &version, budget, grants, above, Some(lasts))?;
        if let Some(group) = &group {
            group.add(agent.task());
        }
        let agent = Arc::new(agent);
        now.agent = Some(agent.clone());
        drop(now);
        agent.recover();
        Ok(Some(agent))
    }

    /// The way to it, made now if need be.
    pub(crate) fn door(&self, house: &Arc<House>, name: &str) -> Result<Option<Door>, Error> {
        Ok(self.wake(house, name)?.map(|agent| agent.door().clone()))
    }
}
