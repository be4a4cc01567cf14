//! One agent's accounts: what its budget is charged with, and read back from.

use crate::compute::Works;
use crate::grants::Grants;
use crate::host::Error;
use crate::house::House;
use crate::log::Log;
use crate::outgoing::Web;
use crate::rate::Rate;
use crate::state::{Shelf, State};
use crate::tokens::Tokens;
use agents::Mailbox;
use base::{Budget, Group};
use parking_lot::Mutex;
use runtime::{Cpu, Fault, Full, Quota, Task};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Everything that one agent is charged on. It outlives the agent's instances.
pub(crate) struct Accounts {
    pub(crate) budget: Mutex<Budget>,
    pub(crate) cpu: Arc<Cpu>,
    pub(crate) gpu: Arc<Cpu>,
    pub(crate) works: Arc<Works>,
    pub(crate) memory: Arc<Quota>,
    pub(crate) storage: Arc<Quota>,
    pub(crate) files: Files,
    pub(crate) log: Log,
    pub(crate) http: Web,
    pub(crate) state: State,
    /// What waits for it.
    pub(crate) mailbox: Mailbox,
    /// Messages that it sends.
    pub(crate) messages: Arc<Rate>,
    /// Bytes that it exchanges with other villages.
    pub(crate) mesh: Arc<Rate>,
    /// Tokens of models.
    pub(crate) tokens: Tokens,
    /// Agents that it created, theirs included.
    pub(crate) children: Arc<Quota>,
    /// Whether these are of a version that runs apart from its agent, so that nothing it does may have an effect.
    pub(crate) apart: Option<Apart>,
    /// What was used of CPU and graphics processor by a time not long ago, for the shares that are used now.
    samples: [Mutex<Sample>; 2],
}

/// How often a version that runs apart from its agent wanted something outside of it.
#[derive(Default)]
pub(crate) struct Apart(AtomicU64);

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
    /// Millionths in the second before.
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

/// On whose accounts an agent's use counts as well.
#[derive(Clone, Copy)]
pub(crate) enum Above<'a> {
    Nobody,
    Group(&'a Parent),
    /// The agent that created it.
    Agent(&'a Accounts),
    /// Those that the agent with these accounts counts on, for a version of it that runs apart.
    Apart(&'a Accounts),
}

/// A quota of its own, below one if there is one above.
fn quota(limit: u64, above: Option<&Arc<Quota>>) -> Arc<Quota> {
    above.map_or_else(|| Quota::new(limit), |above| above.child(limit))
}

impl Accounts {
    pub(crate) fn new(
        budget: Budget,
        grants: &Grants,
        above: Above<'_>,
        house: &House,
        shelf: Option<Shelf>,
    ) -> Result<Arc<Accounts>, Error> {
        let keys = house.network.keys(grants)?;
        let bytes = budget.memory.get();
        let (cpu, memory) = match above {
            Above::Nobody | Above::Apart(_) => (None, None),
            Above::Group(group) => (Some(&group.cpu), Some(&group.memory)),
            Above::Agent(parent) => (Some(&parent.cpu), Some(&parent.memory)),
        };
        let parent = match above {
            Above::Agent(parent) => Some(parent),
            _ => None,
        };
        let now = runtime::clock::now();
        let cpu = match above {
            Above::Apart(agent) => agent.cpu.sibling(budget.cpu, budget.burst),
            _ => cpu.map_or_else(|| Cpu::new(budget.cpu, budget.burst), |cpu| cpu.child(budget.cpu, budget.burst)),
        };
        let gpu = parent
            .map_or_else(|| Cpu::new(budget.gpu, budget.burst), |parent| parent.gpu.child(budget.gpu, budget.burst));
        let memory = match above {
            Above::Apart(agent) => agent.memory.sibling(bytes),
            _ => quota(bytes, memory),
        };
        let storage = quota(budget.storage.get(), parent.map(|parent| &parent.storage));
        let log = Rate::new(budget.log.get(), parent.map(|parent| parent.log.rate().clone()), now);
        let messages = Rate::new(budget.messages.into(), parent.map(|parent| parent.messages.clone()), now);
        let mesh = Rate::new(budget.mesh.get(), parent.map(|parent| parent.mesh.clone()), now);
        let http = Rate::new(budget.http.into(), parent.map(|parent| parent.http.rate.clone()), now);
        let sample = || Mutex::new(Sample { time: now, used: 0, share: 0 });
        let full = |_: Full| Fault::Memory { limit: bytes, frames: Vec::new() };
        Ok(Arc::new(Accounts {
            log: Log::new(log, grants.log, memory.clone(), keys.redactor.clone()).map_err(full)?,
            http: Web::new(http, house.network.clone(), keys),
            state: State::new(&storage, &memory, shelf).map_err(full)?,
            files: Files { storage: storage.clone(), added: Mutex::new(0) },
            mailbox: Mailbox {
                messages: Quota::new(budget.mailbox.into()),
                bytes: Quota::new(budget.mailbox_bytes.get()),
            },
            messages,
            mesh,
            tokens: Tokens::new(budget.tokens, parent.map(|parent| &parent.tokens)),
            children: quota(budget.children.into(), parent.map(|parent| &parent.children)),
            budget: Mutex::new(budget),
            apart: matches!(above, Above::Apart(_)).then(Apart::default),
            works: Works::new(&house.compute, cpu.clone(), gpu.clone()),
            cpu,
            gpu,
            memory,
            storage,
            samples: [sample(), sample()],
        }))
    }

    /// Whether something outside of the agent is out of reach, as this is of a version that runs apart from it.
    pub(crate) fn out_of_reach(&self) -> bool {
        if let Some(Apart(wanted)) = &self.apart {
            wanted.fetch_add(1, Relaxed);
        }
        self.apart.is_some()
    }

    /// How often something was out of reach.
    pub(crate) fn wanted(&self) -> u64 {
        self.apart.as_ref().map_or(0, |Apart(wanted)| wanted.load(Relaxed))
    }

    /// Changes what the agent may use, from now on.
    pub(crate) fn set(&self, budget: Budget) {
        self.cpu.set(budget.cpu, budget.burst);
        self.memory.set_limit(budget.memory.get());
        self.storage.set_limit(budget.storage.get());
        self.mailbox.messages.set_limit(budget.mailbox.into());
        self.mailbox.bytes.set_limit(budget.mailbox_bytes.get());
        self.log.rate().set_limit(budget.log.get());
        self.messages.set_limit(budget.messages.into());
        self.mesh.set_limit(budget.mesh.get());
        self.tokens.set_limit(budget.tokens);
        self.children.set_limit(budget.children.into());
        self.gpu.set(budget.gpu, budget.burst);
        self.http.rate.set_limit(budget.http.into());
        *self.budget.lock() = budget;
        self.works.reconsider();
    }

    /// Every field with what is used of it; `turn` is how long the turn under way has lasted.
    pub(crate) fn usage(&self, turn: Duration) -> Vec<Usage> {
        let budget = *self.budget.lock();
        self.state.look();
        budget.fields().into_iter().map(|(field, limit)| self.used(&budget, turn, field, limit)).collect()
    }

    fn used(&self, budget: &Budget, turn: Duration, field: &'static str, limit: String) -> Usage {
        let micros = |span: Duration| span.as_micros() as u64;
        let percent =
            |used: u64, limit: base::Share| (format!("{:.1}%", used as f64 / 1e4), used, u64::from(limit.millionths()));
        let span = |used: u64, limit: Duration| (base::span_text(Duration::from_micros(used)), used, micros(limit));
        let size = |used: u64, limit: u64| (base::Size::bytes(used).to_string(), used, limit);
        let count = |used: u64, limit: u32| (used.to_string(), used, u64::from(limit));
        let spent = |rate: &Rate| rate.limit().saturating_sub(rate.left(runtime::clock::now()));
        let (used, used_units, limit_units) = match field {
            "cpu" => percent(self.share(0), budget.cpu),
            "gpu" => percent(self.share(1), budget.gpu),
            "burst" => span(self.cpu.ahead() / 1_000, budget.burst),
            "deadline" => span(micros(turn), budget.deadline),
            "memory" => size(self.memory.used(), budget.memory.get()),
            "storage" => size(self.storage.used(), budget.storage.get()),
            "mailbox" => count(self.mailbox.messages.used(), budget.mailbox),
            "mailbox-bytes" => size(self.mailbox.bytes.used(), budget.mailbox_bytes.get()),
            "log" => {
                let (text, used, limit) = size(spent(self.log.rate()), budget.log.get());
                (format!("{text}/s"), used, limit)
            }
            "mesh" => {
                let (text, used, limit) = size(spent(&self.mesh), budget.mesh.get());
                (format!("{text}/s"), used, limit)
            }
            "messages" => {
                let (text, used, limit) = count(spent(&self.messages), budget.messages);
                (format!("{text}/s"), used, limit)
            }
            "children" => count(self.children.used(), budget.children),
            "http" => {
                let (text, used, limit) = count(spent(&self.http.rate), budget.http);
                (format!("{text}/s"), used, limit)
            }
            "tokens" => {
                let (text, used, limit) = count(self.tokens.spent(), budget.tokens);
                (format!("{text}/min"), used, limit)
            }
            field => unreachable!("`{field}` is one of the budget's fields"),
        };
        Usage { field, used, limit, used_units, limit_units }
    }

    /// Millionths of a core (0), or of the graphics processor (1), used over the last second or so.
    fn share(&self, which: usize) -> u64 {
        const SECOND: u64 = 1_000_000_000;
        let (now, used) = (runtime::clock::now(), [&self.cpu, &self.gpu][which].used());
        let mut sample = self.samples[which].lock();
        let passed = now.saturating_sub(sample.time);
        if passed >= SECOND {
            let share = u128::from(used - sample.used) * 1_000_000 / u128::from(passed);
            *sample = Sample { time: now, used, share: share as u64 };
        }
        sample.share
    }
}
