//! What is to be seen of the village, without changing anything.

use crate::error::Error;
use crate::figures::{Dead, Details, Figures, GroupFigures, Sends, State, Used, unused};
use crate::registry::Registration;
use crate::resident::{Resident, Spoken};
use crate::ring::Since;
use crate::village::Village;
use agents::DEAD;
use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::watch;

/// So many agents are listed at once.
const PAGE: usize = 1_000;

impl Village {
    /// Agents in the order of their names, those after `after`, at most `most` and at most a thousand.
    pub fn list(&self, after: &str, most: usize) -> Result<Vec<Details>, Error> {
        let rows = self.registry().rows(after, most.min(PAGE))?;
        // One that is being removed may have a row and nothing else, for a moment.
        let found = rows.iter().filter_map(|row| Some((self.resident(&row.name).ok()?, row)));
        found.map(|(resident, row)| self.seen(&resident, row)).collect()
    }

    /// What is known of one agent.
    pub fn details(&self, name: &str) -> Result<Details, Error> {
        let resident = self.resident(name)?;
        self.seen(&resident, &self.row(name)?)
    }

    /// What an agent logged since a number: the first lines, or with `newest` the last.
    pub fn log(&self, name: &str, id: u64, most: usize, newest: bool) -> Result<Since<Spoken>, Error> {
        let resident = self.resident(name)?;
        if let Some(agent) = self.present(name) {
            resident.collect(&agent);
        }
        Ok(resident.log(id, most, newest))
    }

    /// Tells when lines of an agent's log are there that somebody asked for.
    pub fn spoke(&self, name: &str) -> Result<watch::Receiver<u64>, Error> {
        Ok(self.resident(name)?.spoke())
    }

    /// Agents that are there, with what they use: for measuring, without those that sleep.
    pub fn awake_now(&self) -> Vec<Details> {
        let here = self.host().all_awake().into_iter();
        here.filter_map(|(name, _)| self.details(&name).ok()).collect()
    }

    /// The village as a whole.
    pub fn figures(&self) -> Figures {
        let mut states: HashMap<State, u64> = HashMap::new();
        let mut sends = Sends::default();
        for resident in self.residents() {
            *states.entry(resident.state(self.present(&resident.name).is_some())).or_default() += 1;
            let Sends { answered, failed, broke, refused } = resident.sends();
            sends.answered += answered;
            sends.failed += failed;
            sends.broke += broke;
            sends.refused += refused;
        }
        Figures {
            version: env!("CARGO_PKG_VERSION").into(),
            up_ms: u64::try_from(self.begun().elapsed().as_millis()).unwrap_or(u64::MAX),
            stopping: self.stopping().load(Relaxed),
            agents: State::ALL.map(|state| (state, states.get(&state).copied().unwrap_or(0))).to_vec(),
            capacity: self.host().capacity().into(),
            under_way: *self.under_way().borrow(),
            sends,
            swaps: *self.swaps().lock(),
            journal: self.entries().unwrap_or(0),
            dead_letters: Dead {
                kept: self.books().store().read().count(DEAD.all()).unwrap_or(0),
                given_up: self.books().given_up(),
            },
            talk: self.host().talk().into(),
        }
    }

    /// Entries of the journal that are not cut off.
    fn entries(&self) -> Result<u64, store::Error> {
        let read = self.books().store().read();
        Ok(read.head()?.seq - read.anchor()?.seq)
    }

    fn seen(&self, resident: &Resident, row: &Registration) -> Result<Details, Error> {
        let agent = self.present(&row.name);
        let budget: Vec<Used> = match &agent {
            Some(agent) => agent.usage().into_iter().map(Used::from).collect(),
            None => unused(&row.budget()?, self.host().stored(&row.name)?),
        };
        let queue = budget.iter().find(|used| used.field == "mailbox").map_or(0, |used| used.used_units);
        Ok(Details {
            name: row.name.clone(),
            state: resident.state(agent.is_some()),
            health: resident.health(),
            faults: agent.as_ref().map_or(0, |agent| agent.faults()),
            left_alone_ms: agent
                .as_ref()
                .and_then(|agent| agent.left_alone())
                .map_or(0, |left| left.as_millis() as u64),
            digest: row.digest.clone(),
            group: row.group.clone(),
            grants: row.grants.clone(),
            deployed: row.deployed,
            queue,
            sends: resident.sends(),
            cpu_ms: agent.as_ref().map_or(0.0, |agent| millis(agent.cpu())),
            gpu_ms: agent.as_ref().map_or(0.0, |agent| millis(agent.gpu())),
            budget,
            turns: crate::turns::shown(&self.registry().turns(&row.name)?),
            replicas: self.scale_of(&row.name)?,
            problem: resident.problem(),
        })
    }

    /// The groups, with what their agents use together.
    pub fn group_figures(&self) -> Result<Vec<GroupFigures>, Error> {
        let mut members: HashMap<String, u64> = HashMap::new();
        let mut after = String::new();
        loop {
            let rows = self.registry().rows(&after, PAGE)?;
            let Some(last) = rows.last() else { break };
            after.clone_from(&last.name);
            rows.into_iter().filter_map(|row| row.group).for_each(|group| *members.entry(group).or_default() += 1);
        }
        let groups = self.groups().iter().map(|(name, grouped)| {
            let budget = *grouped.budget.lock();
            let limits = [
                ("cpu", budget.cpu.to_string()),
                ("burst", base::span_text(budget.burst)),
                ("memory", budget.memory.to_string()),
            ];
            GroupFigures {
                name: name.clone(),
                within: grouped.within.clone(),
                agents: members.get(name).copied().unwrap_or(0),
                limits: limits.map(|(field, limit)| (field.to_string(), limit)).to_vec(),
                cpu_ms: millis(grouped.group.cpu()),
                memory: grouped.group.memory(),
            }
        });
        Ok(groups.collect())
    }
}

/// Milliseconds, to the microsecond.
fn millis(span: Duration) -> f64 {
    span.as_micros() as f64 / 1e3
}
