//! `village:agent/supervision`: being told when other agents break, and falling with them.

use super::bindings::village::agent::supervision::*;
use super::{Error, limit};
use crate::ctx::Ctx;
use crate::kin::TIE;
use agents::kin::Tie;

type Answer<T> = wasmtime::Result<Result<T, Error>>;

impl Host for Ctx {
    fn monitor(&mut self, address: String) -> Answer<()> {
        Ok(self.tie(Tie::Monitor, address))
    }

    fn demonitor(&mut self, address: String) -> Answer<bool> {
        Ok(self.untie(Tie::Monitor, address))
    }

    fn link(&mut self, address: String) -> Answer<()> {
        Ok(self.tie(Tie::Link, address))
    }

    fn unlink(&mut self, address: String) -> Answer<bool> {
        Ok(self.untie(Tie::Link, address))
    }
}

impl Ctx {
    /// Whether it may be tied to `to`.
    fn may_tie(&self, to: &str) -> Result<(), Error> {
        self.covers(to)?;
        match to == self.standing.name {
            true => Err(Error::Invalid("`address`: an agent has no ties to itself".into())),
            false => Ok(()),
        }
    }

    fn tie(&mut self, tie: Tie, to: String) -> Result<(), Error> {
        self.may_tie(&to)?;
        if self.tape.is_playing() {
            return Ok(());
        }
        match tie {
            Tie::Monitor if self.standing.house.knows(&to) => {}
            Tie::Monitor => drop(self.door(&to)?),
            Tie::Link => self.consents(&to)?,
        }
        let held = self.accounts.memory.hold(TIE).map_err(|_| limit("memory", None))?;
        self.effects().tie(tie, to, held);
        Ok(())
    }

    /// Whether the other side of a link may be tied to this agent. Whoever may only be sent to is not to be broken.
    fn consents(&mut self, to: &str) -> Result<(), Error> {
        let name = self.standing.name.clone();
        if to.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('/')) {
            // What it created is its own.
            return match self.standing.house.knows(to) {
                true => Ok(()),
                false => self.door(to).map(drop),
            };
        }
        let mut reached = self.standing.house.reached(to, &name);
        if reached.is_none() {
            drop(self.door(to)?);
            reached = self.standing.house.reached(to, &name);
        }
        match reached {
            Some(true) => Ok(()),
            Some(false) => Err(Error::Denied(format!(
                "a link binds both, and no grant `agents` of `{to}` covers `{name}`: add it under [grants] in its agent.toml"
            ))),
            None => Err(Error::NotFound(format!("there is no agent `{to}`"))),
        }
    }

    fn untie(&mut self, tie: Tie, to: String) -> Result<bool, Error> {
        self.may_tie(&to)?;
        match self.tape.is_playing() {
            true => Ok(true),
            false => Ok(self.effects().untie(tie, to)),
        }
    }
}
