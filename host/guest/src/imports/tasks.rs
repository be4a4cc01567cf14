//! `village:agent/tasks`: creating helpers. The rest is shut until tasks (host/tasks) fills it.

use super::bindings::village::agent::tasks::*;
use super::{Error, denied, limit, shut};
use crate::accounts::Above;
use crate::agent::Agent;
use crate::ctx::Ctx;
use crate::host::{Error as Broken, Version};
use crate::narrow::{self, Refused};
use crate::standing::Child as Helper;
use runtime::Fault;
use std::time::Duration;

const ROOM: &str = "tasks (host/tasks)";

type Answer<T> = wasmtime::Result<Result<T, Error>>;

/// Addresses are no longer, so that helpers of helpers end somewhere.
const LONGEST: usize = 256;

impl Host for Ctx {
    fn submit(&mut self, _spec: Spec) -> Answer<String> {
        shut("tasks", ROOM)
    }

    fn status(&mut self, _id: String) -> Answer<Progress> {
        shut("tasks", ROOM)
    }

    fn report(&mut self, _percent: u32) -> Answer<()> {
        shut("tasks", ROOM)
    }

    fn withdraw(&mut self, _id: String) -> Answer<bool> {
        shut("tasks", ROOM)
    }

    fn spawn(&mut self, child: Child) -> Answer<String> {
        Ok(self.create(child))
    }

    fn retire(&mut self, address: String) -> Answer<bool> {
        match self.grants.spawn {
            true => Ok(Ok(self.effects().retire(&address))),
            false => Ok(Err(denied("spawn"))),
        }
    }

    fn team(&mut self, _skills: Vec<String>, _size: u32, _deadline: u64) -> Answer<Vec<String>> {
        shut("team", ROOM)
    }
}

impl Ctx {
    fn create(&mut self, child: Child) -> Result<String, Error> {
        if !self.grants.spawn {
            return Err(denied("spawn"));
        }
        if self.accounts.out_of_reach() {
            return Err(super::out_of_reach());
        }
        let address = self.free_address(&child.name)?;
        if child.lifetime == 0 {
            return Err(Error::Invalid("`lifetime` must be above nothing".into()));
        }
        let grants = narrow::grants(&self.grants, &child.grants).map_err(refused)?;
        let own = *self.accounts.budget.lock();
        let budget = narrow::budget(&own, &child.budget).map_err(refused)?;
        let version = self.version(&child.version)?;
        let one = self.accounts.children.hold(1).map_err(|_| limit("children", None))?;
        let above = Above::Agent(&self.accounts);
        let agent = Agent::start(&self.standing.house, address.clone(), &version, budget, grants, above);
        let agent = agent.map_err(|error| match error {
            Broken::Broke(Fault::Memory { .. }) => limit("memory", None),
            error => Error::Unavailable(error.to_string()),
        })?;
        let lifetime = Duration::from_millis(child.lifetime);
        self.effects().bear(address.clone(), Helper { agent, lifetime, _one: one });
        Ok(address)
    }

    fn free_address(&mut self, name: &str) -> Result<String, Error> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let address = self.standing.address(name);
        if !(1..=64).contains(&name.len()) || !name.bytes().all(good) || address.len() > LONGEST {
            return Err(Error::Invalid(format!("`name`: `{name}` must be 1 to 64 letters, digits and hyphens")));
        }
        match self.effects().has_child(&address) {
            true => Err(Error::Conflict(format!("there is a helper `{address}` already"))),
            false => Ok(address),
        }
    }

    fn version(&self, digest: &str) -> Result<Version, Error> {
        match digest {
            "" => Ok(self.version.clone()),
            digest => {
                let found = self.standing.house.version(digest);
                found.ok_or_else(|| Error::NotFound(format!("no agent here runs the version `{digest}`")))
            }
        }
    }
}

fn refused(refused: Refused) -> Error {
    match refused {
        Refused::Invalid(text) => Error::Invalid(text),
        Refused::Wider(text) => Error::Denied(format!("an agent hands on no more than it has: {text}")),
    }
}
