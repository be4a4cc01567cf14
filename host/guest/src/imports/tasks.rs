//! `village:agent/tasks`: creating helpers. The rest is shut until tasks (host/tasks) fills it.

use super::bindings::village::agent::tasks::*;
use super::{Error, denied, limit, shut};
use crate::ctx::Ctx;
use crate::host::Error as Broken;
use crate::narrow::Refused;
use crate::standing::{Unborn, Wanted};
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
        let address = self.free_address(&child.name)?;
        if child.lifetime == 0 {
            return Err(Error::Invalid("`lifetime` must be above nothing".into()));
        }
        let wanted = Wanted { version: child.version, grants: child.grants, budget: child.budget };
        let lifetime = Duration::from_millis(child.lifetime);
        let helper = self.standing.raise(&address, wanted, lifetime).map_err(unborn)?;
        self.effects().bear(address.clone(), helper);
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
}

fn unborn(unborn: Unborn) -> Error {
    match unborn {
        Unborn::Narrow(Refused::Invalid(text)) => Error::Invalid(text),
        Unborn::Narrow(Refused::Wider(text)) => Error::Denied(format!("an agent hands on no more than it has: {text}")),
        Unborn::Unknown(digest) => Error::NotFound(format!("no agent here runs the version `{digest}`")),
        Unborn::TooMany => limit("children", None),
        Unborn::Broken(Broken::Broke(Fault::Memory { .. })) => limit("memory", None),
        Unborn::Broken(error) => Error::Unavailable(error.to_string()),
    }
}
