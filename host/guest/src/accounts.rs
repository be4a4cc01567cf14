//! One agent's accounts: what its budget is charged with, and read back from.

use crate::grants::Grants;
use crate::log::Log;
use crate::network::{Keys, Network};
use crate::outgoing::Web;
use crate::state::State;
use base::{BUDGET_FIELDS, Budget, Group};
use parking_lot::Mutex;
use runtime::{Cpu, Fault, Full, Quota, Task};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Everything that one agent is charged on. It outlives the agent's instances.
pub(crate) struct Accounts {
    pub(crate) budget: Mutex<Budget>,
    pub(crate) cpu: Arc<Cpu>,
    pub(crate) memory: Arc<Quota>,
    pub(crate) storage: Arc<Quota>,
    pub(crate) files: Files,
    pub(crate) log: Log,
    pub(crate) http: Web,
    pub(crate) state: State,
    /// CPU used by a time not long ago, for the share that is used now.
    sample: Mutex<Sample>,
}

/// What an agent has added to the folders that it was granted.
pub(crate) struct Files {
    storage: Arc<Quota>,
    /// Bytes of the storage that are files.
    added: Mutex<u64>,
}

impl Files {
    pub(crate) fn grow(&self, bytes: u64) -> Result<(), Full> {
        let mut added = self.added.lock();
        self.storage.take(bytes)?;
        *added += bytes;
        Ok(())
    }

    /// Gives back, but no more than was added: deleting what was there before earns nothing.
    pub(crate) fn shrink(&self, bytes: u64) {
        let mut added = self.added.lock();
        let bytes = bytes.min(*added);
        *added -= bytes;
        self.storage.give(bytes);
    }
}

#[derive(Clone, Copy)]
struct Sample {
    time: u64,
    used: u64,
    /// Millionths of a core in the second before.
    share: u64,
}

/// What agents of a group are charged on together.
#[derive(Debug, Clone)]
pub struct Parent {
    cpu: Arc<Cpu>,
    memory: Arc<Quota>,
    members: Arc<Members>,
}

/// Who is charged on a group, also through groups within it.
#[derive(Default)]
struct Members {
    tasks: Mutex<Vec<Weak<Task>>>,
    within: Option<Arc<Members>>,
}

impl Members {
    fn add(&self, task: &Arc<Task>) {
        let mut tasks = self.tasks.lock();
        if tasks.len() == tasks.capacity() {
            tasks.retain(|task| task.strong_count() > 0);
        }
        tasks.push(Arc::downgrade(task));
        drop(tasks);
        if let Some(group) = &self.within {
            group.add(task);
        }
    }
}

impl std::fmt::Debug for Members {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Members").finish_non_exhaustive()
    }
}

impl Parent {
    /// A group, within another if there is one.
    pub(crate) fn new(group: &Group, within: Option<&Parent>) -> Parent {
        let bytes = group.memory.get();
        let (cpu, memory) = match within {
            Some(parent) => (parent.cpu.child(group.cpu, group.burst), parent.memory.child(bytes)),
            None => (Cpu::new(group.cpu, group.burst), Quota::new(bytes)),
        };
        let members = Members { tasks: Mutex::default(), within: within.map(|parent| parent.members.clone()) };
        Parent { cpu, memory, members: Arc::new(members) }
    }

    /// Notes an agent that is charged on it.
    pub(crate) fn add(&self, task: &Arc<Task>) {
        self.members.add(task);
    }

    /// CPU time that its agents used.
    pub fn cpu(&self) -> Duration {
        Duration::from_nanos(self.cpu.used())
    }

    /// Bytes that its agents hold.
    pub fn memory(&self) -> u64 {
        self.memory.used()
    }

    /// Changes what they may use, while they run.
    pub fn set_budget(&self, group: &Group) {
        self.cpu.set(group.cpu, group.burst);
        self.memory.set_limit(group.memory.get());
        // Whoever waits for the old share looks again at once.
        let tasks = self.members.tasks.lock().clone();
        for task in tasks.iter().filter_map(Weak::upgrade) {
            task.reconsider();
        }
    }
}

/// One field of a budget, as it stands.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Usage {
    /// The field.
    pub field: &'static str,
    /// What is used of it now, as it would be written.
    pub used: String,
    /// Its limit, as it would be written.
    pub limit: String,
    /// The same as numbers, in the smallest unit: millionths of a core, microseconds, bytes, requests.
    pub used_units: u64,
    /// See above.
    pub limit_units: u64,
}

impl Accounts {
    pub(crate) fn new(
        budget: Budget,
        grants: &Grants,
        parent: Option<&Parent>,
        (network, keys): (&Arc<Network>, Keys),
    ) -> Result<Arc<Accounts>, Fault> {
        let bytes = budget.memory.get();
        let (cpu, memory) = match parent {
            Some(parent) => (parent.cpu.child(budget.cpu, budget.burst), parent.memory.child(bytes)),
            None => (Cpu::new(budget.cpu, budget.burst), Quota::new(bytes)),
        };
        let storage = Quota::new(budget.storage.get());
        let full = |_: Full| Fault::Memory { limit: bytes, frames: Vec::new() };
        Ok(Arc::new(Accounts {
            log: Log::new(budget.log.get(), grants.log, memory.clone(), keys.redactor.clone()).map_err(full)?,
            http: Web::new(budget.http.into(), network.clone(), keys),
            state: State::new(&storage, &memory).map_err(full)?,
            files: Files { storage: storage.clone(), added: Mutex::new(0) },
            budget: Mutex::new(budget),
            cpu,
            memory,
            storage,
            sample: Mutex::new(Sample { time: runtime::clock::now(), used: 0, share: 0 }),
        }))
    }

    /// Changes what the agent may use, from now on.
    pub(crate) fn set(&self, budget: Budget) {
        self.cpu.set(budget.cpu, budget.burst);
        self.memory.set_limit(budget.memory.get());
        self.storage.set_limit(budget.storage.get());
        self.log.rate().set_limit(budget.log.get());
        self.http.rate.set_limit(budget.http.into());
        *self.budget.lock() = budget;
    }

    /// Every field with what is used of it; `turn` is how long the turn under way has lasted.
    pub(crate) fn usage(&self, turn: Duration) -> [Usage; BUDGET_FIELDS.len()] {
        let budget = *self.budget.lock();
        let [cpu, burst, deadline, memory, storage, log, http] = budget.fields();
        let micros = |nanos: u64| nanos / 1_000;
        let share = self.share();
        let ahead = micros(self.cpu.ahead());
        let now = runtime::clock::now();
        let logged = budget.log.get().saturating_sub(self.log.rate().left(now));
        let asked = u64::from(budget.http).saturating_sub(self.http.rate.left(now));
        let field = |(field, limit): (&'static str, String), used: String, used_units: u64, limit_units: u64| Usage {
            field,
            used,
            limit,
            used_units,
            limit_units,
        };
        let span = |micros: u64| base::span_text(Duration::from_micros(micros));
        let size = |bytes: u64| base::Size::bytes(bytes).to_string();
        let turn = turn.as_micros() as u64;
        [
            field(cpu, format!("{:.1}%", share as f64 / 1e4), share, u64::from(budget.cpu.millionths())),
            field(burst, span(ahead), ahead, budget.burst.as_micros() as u64),
            field(deadline, span(turn), turn, budget.deadline.as_micros() as u64),
            field(memory, size(self.memory.used()), self.memory.used(), budget.memory.get()),
            field(storage, size(self.storage.used()), self.storage.used(), budget.storage.get()),
            field(log, format!("{}/s", size(logged)), logged, budget.log.get()),
            field(http, format!("{asked}/s"), asked, budget.http.into()),
        ]
    }

    /// Millionths of a core used over the last second or so.
    fn share(&self) -> u64 {
        const SECOND: u64 = 1_000_000_000;
        let (now, used) = (runtime::clock::now(), self.cpu.used());
        let mut sample = self.sample.lock();
        let passed = now.saturating_sub(sample.time);
        if passed >= SECOND {
            let share = u128::from(used - sample.used) * 1_000_000 / u128::from(passed);
            *sample = Sample { time: now, used, share: share as u64 };
        }
        sample.share
    }
}
