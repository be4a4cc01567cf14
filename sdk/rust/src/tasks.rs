//! Work that is matched to agents. Grants: `tasks`, `spawn`, `team`. Budgets: `messages`, `children`.
//!
//! Every function fails with `denied` without its grant.
//!
//! ```
//! use std::time::Duration;
//! use village::tasks::{self, Child, Task};
//! use village::{Error, Payload};
//!
//! /// Has a page translated by whoever can, and then proofread.
//! fn order(page: &str) -> Result<String, Error> {
//!     let within = Duration::from_secs(600);
//!     let translation = Task::new("translate", page, within).skills(&["translate"]).submit()?;
//!     Task::new("proofread", Payload::default(), within).skills(&["proofread"]).after(&translation).submit()
//! }
//!
//! /// A helper that may log and do nothing else, for a minute.
//! fn helper() -> Result<String, Error> {
//!     Child::new("helper", Duration::from_secs(60)).grants("log = true").budget("cpu = \"5%\"").spawn()
//! }
//! # let host = village::test::Host::new().with_tasks().with_spawn(1);
//! # let id = host.enter(|| order("Guten Tag")).unwrap();
//! # assert!(matches!(host.enter(|| tasks::status(&id)), Ok(tasks::Progress::Queued)));
//! # assert_eq!(host.enter(helper), Ok("agent/helper".to_owned()));
//! # assert!(matches!(host.enter(helper), Err(Error::Limit(limit)) if limit.what == "children"));
//! ```

use std::time::Duration;

use crate::bindings::village::agent::tasks as wit;
use crate::imports::tasks as host;
use crate::schema::{self, Schema};
use crate::types::{Error, Payload, Priority};

pub use wit::Progress;

/// Work to be submitted.
#[derive(Clone, Debug)]
#[must_use = "it is given to somebody by `submit`"]
pub struct Task(wit::Spec);

impl Task {
    /// Work of a kind, to be done within so long from now (nothing fails with `invalid`).
    pub fn new(kind: &str, input: impl Into<Payload>, within: Duration) -> Task {
        Task(wit::Spec {
            kind: kind.to_owned(),
            input: input.into(),
            skills: Vec::new(),
            priority: Priority::Normal,
            deadline: within.as_millis() as u64,
            after: Vec::new(),
            success: String::new(),
        })
    }

    /// Skills that the agent must have. Without this: any agent.
    pub fn skills(mut self, skills: &[&str]) -> Task {
        self.0.skills = skills.iter().map(|skill| (*skill).to_owned()).collect();
        self
    }

    /// Which tasks go first.
    pub fn priority(mut self, priority: Priority) -> Task {
        self.0.priority = priority;
        self
    }

    /// The id of a task that must be completed first. May be said several times.
    pub fn after(mut self, id: &str) -> Task {
        self.0.after.push(id.to_owned());
        self
    }

    /// The output must be a `T`.
    pub fn success<T: Schema>(mut self) -> Task {
        self.0.success = schema::output::<T>();
        self
    }

    /// Submits when this turn commits; answers the task's id.
    pub fn submit(self) -> Result<String, Error> {
        host::submit(&self.0)
    }
}

/// A helper to be created.
#[derive(Clone, Debug)]
#[must_use = "it is created by `spawn`"]
pub struct Child(wit::Child);

impl Child {
    /// A helper of this agent's own version, called `parent/name`, which is retired after `lifetime`. It is granted nothing.
    pub fn new(name: &str, lifetime: Duration) -> Child {
        Child(wit::Child {
            name: name.to_owned(),
            version: String::new(),
            grants: String::new(),
            budget: String::new(),
            lifetime: lifetime.as_millis() as u64,
        })
    }

    /// Another version, by digest.
    pub fn version(mut self, digest: &str) -> Child {
        self.0.version = digest.to_owned();
        self
    }

    /// Grants as in a manifest, in TOML; each must be covered by one of this agent's.
    pub fn grants(mut self, toml: &str) -> Child {
        self.0.grants = toml.to_owned();
        self
    }

    /// A budget as in a manifest, in TOML; it is taken out of this agent's.
    pub fn budget(mut self, toml: &str) -> Child {
        self.0.budget = toml.to_owned();
        self
    }

    /// Creates it when this turn commits; answers its address. Fails with `limit` (`children`).
    pub fn spawn(self) -> Result<String, Error> {
        host::spawn(&self.0)
    }
}

/// How far a task is. Fails with `not-found`.
pub fn status(id: &str) -> Result<Progress, Error> {
    host::status(id)
}

/// Reports, 0 to 100, on the task that this turn works on; `invalid` if it works on none. A larger number counts as 100.
pub fn report(percent: u32) -> Result<(), Error> {
    host::report(percent)
}

/// Withdraws a task; answers whether it was still queued or active.
pub fn withdraw(id: &str) -> Result<bool, Error> {
    host::withdraw(id)
}

/// Retires a helper; answers whether there was one.
pub fn retire(address: &str) -> Result<bool, Error> {
    host::retire(address)
}

/// Asks agents that together have the skills to form a team; answers their addresses, the leader first.
/// Fails with `unavailable` if they can't be found in time.
pub fn team(skills: &[&str], size: u32, within: Duration) -> Result<Vec<String>, Error> {
    let skills: Vec<_> = skills.iter().map(|skill| (*skill).to_owned()).collect();
    host::team(&skills, size, within.as_millis() as u64)
}
