//! An agent's versions: which serves, which served before, and whether another is about to.

use super::apart::Apart;
use super::driver::Driver;
use super::event::{Event, Reason};
use super::history::{Entry, History, Known};
use super::order::{Helm, Order};
use super::plan::{Memory, Plan};
use super::side::Side;
use parking_lot::{Mutex, MutexGuard};
use runtime::{Fault, Guest, Quota, Spawner, Task, Version};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};

/// The versions of an agent.
pub struct Versions<T: Guest> {
    helm: Helm<T>,
    task: Arc<Task>,
    pub(crate) spawner: Spawner,
    /// The messages that wait for the agent.
    pub(crate) waiting: Arc<Quota>,
    /// Nanoseconds.
    deadline: Arc<AtomicU64>,
    history: Mutex<History<T>>,
    busy: AtomicBool,
    stop: AtomicBool,
    stopped: Notify,
}

/// What a version needs to take over.
pub struct Stage<T: Guest> {
    /// The version, with what its instance is counted on while the old one's is there too.
    pub side: Side<T>,
    /// What it is tried on before.
    pub apart: Apart<T>,
    /// What is handed over is counted on this.
    pub transit: Arc<Quota>,
    /// What the agent's instance is counted on, beside everything else that it holds.
    pub account: Arc<Quota>,
    /// A fault of one of the agent's instances with all that is known of it.
    pub explain: Explain,
    /// Takes out of a guest's text what nobody may see.
    pub clean: Clean,
    /// Called when the version has taken over.
    pub serves: Serves,
}

/// See [`Stage::explain`].
pub type Explain = Box<dyn Fn(Fault) -> Fault + Send + Sync>;

/// See [`Stage::clean`].
pub type Clean = Box<dyn Fn(&mut String) + Send + Sync>;

/// See [`Stage::serves`].
pub type Serves = Box<dyn Fn() + Send + Sync>;

/// Why a swap did not begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Another one is under way.
    #[error("another swap of this agent is under way")]
    Busy,
    /// That version serves.
    #[error("the agent runs that version already")]
    Same,
    /// No version served before.
    #[error("there is no version to go back to")]
    Nothing,
    /// The plan goes beyond what may be.
    #[error("`{field}` may be {most} at most")]
    Plan {
        /// The field.
        field: &'static str,
        /// What it may be.
        most: String,
    },
}

impl Refused {
    /// The word that programs know it by.
    pub fn kind(&self) -> &'static str {
        match self {
            Refused::Busy => "busy",
            Refused::Same => "same-version",
            Refused::Nothing => "nothing-before",
            Refused::Plan { .. } => "plan",
        }
    }
}

/// A swap that is under way. It goes on if this is dropped.
#[derive(Debug)]
pub struct Swap {
    events: mpsc::UnboundedReceiver<Event>,
}

impl Swap {
    /// Its next step; none after the last.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// How it ended.
    pub async fn end(mut self) -> Event {
        let mut last = Event::Refused(Reason::Stopped);
        while let Some(event) = self.next().await {
            last = event;
        }
        match last.is_last() {
            true => last,
            false => Event::Refused(Reason::Stopped),
        }
    }
}

impl<T: Guest> Versions<T> {
    pub(crate) fn new(
        helm: Helm<T>,
        task: Arc<Task>,
        spawner: Spawner,
        waiting: Arc<Quota>,
        deadline: Arc<AtomicU64>,
        version: Arc<Version<T>>,
    ) -> Arc<Versions<T>> {
        Arc::new(Versions {
            helm,
            task,
            spawner,
            waiting,
            deadline,
            history: Mutex::new(History::new(version)),
            busy: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            stopped: Notify::new(),
        })
    }

    /// Begins to let another version take over. `stage` is called once it is certain that none else does meanwhile.
    pub fn swap<E: From<Refused>>(
        self: &Arc<Self>,
        version: &Arc<Version<T>>,
        plan: Plan,
        io: &Handle,
        stage: impl FnOnce(Arc<Version<T>>) -> Result<Stage<T>, E>,
    ) -> Result<Swap, E> {
        if let Some((field, most)) = plan.excess() {
            return Err(Refused::Plan { field, most }.into());
        }
        if self.history().live.version.digest() == version.digest() {
            return Err(Refused::Same.into());
        }
        let stage = self.claim(|| stage(version.clone()))?;
        self.history().coming = Some(Entry { version: version.clone(), card: None });
        let (events, heard) = mpsc::unbounded_channel();
        io.spawn(Driver::new(self.clone(), stage, plan, events).swap());
        Ok(Swap { events: heard })
    }

    /// Begins to let a version that served before take over again, with the memory of this one if it restores that: the
    /// last one that is known here, unless another is named.
    pub fn roll_back<E: From<Refused>>(
        self: &Arc<Self>,
        version: Option<&Arc<Version<T>>>,
        io: &Handle,
        stage: impl FnOnce(Arc<Version<T>>) -> Result<Stage<T>, E>,
    ) -> Result<Swap, E> {
        let stage = self.claim(|| -> Result<Stage<T>, E> {
            let last = match version {
                Some(version) if version.digest() == self.history().live.version.digest() => {
                    return Err(Refused::Same.into());
                }
                Some(version) => Entry { version: version.clone(), card: None },
                None => self.history().before.back().cloned().ok_or(Refused::Nothing)?,
            };
            let stage = stage(last.version.clone())?;
            self.history().coming = Some(last);
            Ok(stage)
        })?;
        let (events, heard) = mpsc::unbounded_channel();
        let plan = Plan { memory: Memory::CarriedOrCold, ..Plan::default() };
        io.spawn(Driver::new(self.clone(), stage, plan, events).go_back());
        Ok(Swap { events: heard })
    }

    /// Has the swap that is under way end without effect, if it is not too late; answers whether there is one.
    pub fn cancel(&self) -> bool {
        let busy = self.busy.load(Acquire);
        if busy {
            self.stop.store(true, Release);
            self.stopped.notify_one();
        }
        busy
    }

    /// All that are kept, the newest first.
    pub fn list(&self) -> Vec<Known> {
        self.history().list()
    }

    /// The version that serves.
    pub fn live(&self) -> Arc<Version<T>> {
        self.history().live.version.clone()
    }

    /// For one swap at a time.
    fn claim<O, E: From<Refused>>(&self, work: impl FnOnce() -> Result<O, E>) -> Result<O, E> {
        if self.busy.swap(true, Acquire) {
            return Err(Refused::Busy.into());
        }
        self.stop.store(false, Release);
        let done = work();
        if done.is_err() {
            self.done();
        }
        done
    }

    /// The swap is over.
    pub(crate) fn done(&self) {
        self.busy.store(false, Release);
    }

    pub(crate) fn history(&self) -> MutexGuard<'_, History<T>> {
        self.history.lock()
    }

    pub(crate) fn order(&self, order: Order<T>) {
        self.helm.order(&self.task, order);
    }

    /// What a turn may take.
    pub(crate) fn limit(&self) -> Duration {
        Duration::from_nanos(self.deadline.load(Relaxed))
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.stop.load(Acquire)
    }

    /// Ends when somebody wants the swap to.
    pub(crate) async fn cancelled(&self) {
        // What is left of a cancelling that came too late for the swap before this one is not meant for this one.
        while !self.is_cancelled() {
            self.stopped.notified().await;
        }
    }
}
