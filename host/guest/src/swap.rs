//! Swapping an agent's version: what the new one runs on while the old one serves.
//!
//! A version that is about to take over has a second allowance, of the same size as the agent's own; what it does apart
//! from the agent has accounts, state and a standing of its own, and reaches nobody.

use crate::accounts::{Above, Accounts};
use crate::agent::{Agent, explained};
use crate::ctx::Ctx;
use crate::grants::Grants;
use crate::host::{Error, Version};
use crate::redact::redacted;
use crate::standing::Standing;
use crate::turns::Turns;
use agents::Retry;
use agents::swap::{Apart, Known, Plan, Side, Stage, Swap};
use std::sync::Arc;

impl Agent {
    /// Begins to let another version take over. Its steps are told as they come; it goes on if nobody listens.
    ///
    /// The agent keeps its name, its mailbox, its state, its budget and its grants. Refused without any effect while
    /// another swap is under way, if the agent runs that version, and if the host has no room for a second instance.
    pub fn swap(&self, version: &Version, plan: Plan) -> Result<Swap, Error> {
        self.alone()?;
        let io = self.standing.house.io.clone();
        self.versions.swap(&version.0, plan, &io, |version| self.stage(version))
    }

    /// Begins to let the version that served before take over again, with this one's memory if it restores that.
    pub fn rollback(&self) -> Result<Swap, Error> {
        self.alone()?;
        let io = self.standing.house.io.clone();
        self.versions.roll_back(None, &io, |version| self.stage(version))
    }

    /// The same with a version that this agent ran once, for who knows more of its past than its present life does.
    pub fn rollback_to(&self, version: &Version) -> Result<Swap, Error> {
        self.alone()?;
        let io = self.standing.house.io.clone();
        self.versions.roll_back(Some(&version.0), &io, |version| self.stage(version))
    }

    /// Has the swap that is under way end, with the old version serving, unless it is too late for that. Answers whether
    /// there is one.
    pub fn cancel_swap(&self) -> bool {
        self.versions.cancel()
    }

    /// Its versions, the newest first: the one to come, the one that serves, and those that served before.
    pub fn versions(&self) -> Vec<Known> {
        self.versions.list()
    }

    /// The version that serves.
    pub fn version(&self) -> Version {
        Version(self.versions.live())
    }

    /// Refuses where several instances would have to change at once.
    fn alone(&self) -> Result<(), Error> {
        if self.inner.is_many() { Err(Error::Many) } else { Ok(()) }
    }

    /// What a version needs to take over.
    fn stage(&self, version: Arc<runtime::Version<Ctx>>) -> Result<Stage<Ctx>, Error> {
        let (standing, accounts) = (&self.standing, &self.standing.accounts);
        // Either version runs in it before the new one does.
        let room = version.room().or(self.versions.live().room());
        let place = self.row.add(standing.house.seats.clone().take(room)?);
        let apart = self.apart()?;
        let limit = accounts.memory.limit();
        let memory = accounts.memory.sibling(limit);
        *self.second.lock() = Arc::downgrade(&memory);
        let (behind, this) = (standing.clone(), Version(version.clone()));
        let data = move |memory: &_| Ctx::new(behind.clone(), this.clone(), memory, None);
        let (explaining, cleaning) = (accounts.clone(), accounts.clone());
        let (enrolled, serving) = (standing.clone(), Version(version.clone()));
        Ok(Stage {
            side: Side::new(version, memory, Arc::new(data), Box::new(place)),
            apart,
            transit: accounts.memory.sibling(limit),
            account: accounts.memory.clone(),
            explain: Box::new(move |fault| explained(&explaining, fault)),
            clean: Box::new(move |text| cleaning.http.keys.redactor.clean(text)),
            serves: Box::new(move || enrolled.serves(&serving)),
        })
    }

    /// What versions of it run on apart from it.
    fn apart(&self) -> Result<Apart<Ctx>, Error> {
        let (house, agent) = (&self.standing.house, self.standing.accounts.clone());
        let grants = rehearsed(&self.standing.grants);
        let accounts = Accounts::new(self.budget(), &grants, Above::Apart(&agent), house, None)?;
        let name = self.standing.name.clone();
        let standing = Standing::new(
            name,
            Arc::new(grants),
            accounts.clone(),
            house.clone(),
            (None, Turns { retry: Retry::NEVER, ..Turns::default() }),
        );
        let (copied, counted, explaining, cleaning) =
            (accounts.clone(), accounts.clone(), accounts.clone(), accounts.clone());
        Ok(Apart {
            cpu: accounts.cpu.clone(),
            data: Box::new(move |version| {
                Ctx::new(standing.clone(), Version(version.clone()), &standing.accounts.memory, None)
            }),
            copy: Arc::new(move || {
                copied.state.copy(&agent.state).map_err(|refused| refused.fault(copied.memory.limit()))
            }),
            reached: Box::new(move || counted.wanted()),
            explain: Box::new(move |fault| explained(&explaining, fault)),
            card: Box::new(move |card| redacted(card, &cleaning.http.keys.redactor)),
        })
    }
}

/// The same grants, but for changing files: that could not be undone.
fn rehearsed(grants: &Grants) -> Grants {
    let mut grants = grants.clone();
    for folder in &mut grants.files {
        folder.writable = false;
    }
    grants
}
