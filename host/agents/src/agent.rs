//! An agent, as those who send to it see it.

use crate::blow::{Blows, Fell};
use crate::books::Books;
use crate::care::{Care, Pulse};
use crate::crew::{Replicas, Room};
use crate::door::{Desk, Door, Mailbox, Origin, Refusal};
use crate::event::Did;
use crate::live::{self, Links, Work};
use crate::retry::Retry;
use crate::swap::{Orders, Versions};
use base::Budget;
use runtime::{Card, Chunk, Cpu, Failure, Fault, Guest, Held, Message, Quota, Reply, Spawner, Task, Version, clock};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use store::Change;
use tokio::sync::{mpsc, oneshot};

/// The state of a guest whose turns can last.
pub trait Lasting: Guest {
    /// Adds to `change` what the turn under way has done, and answers what that is. It takes effect for others with
    /// [`Guest::commit`], once the change is kept.
    fn record(&mut self, change: &mut Change) -> Did;

    /// What the turn under way has read, if that is kept, with what came of it. Empty if it isn't.
    fn recorded(&mut self, message: &Message, outcome: Result<&Reply, &Error>) -> Vec<u8>;

    /// Sees to it that the turn under way can be kept beside those of other replicas: none of those that write is kept until
    /// what this answers is dropped.
    fn claim(&mut self) -> impl Future<Output = Result<Claim, Stale>> + Send;

    /// The agents that wait for each other, this one first, if the turn whose deadline struck waited in a ring of asks.
    fn ring(&mut self) -> Vec<String>;
}

/// Kept while a turn of one of several replicas is being kept; none where nothing of it can be in another's way.
pub type Claim = Option<tokio::sync::OwnedMutexGuard<()>>;

/// Another replica has changed what the turn read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stale;

/// What an agent is made of.
pub struct Spec<T: Guest> {
    /// What the journal knows it by.
    pub name: Arc<str>,
    /// Where its turns are kept; none if they go with the host.
    pub books: Option<Arc<Books>>,
    /// Its life before this one, which may still have to end.
    pub before: Option<Arc<Task>>,
    /// How often a message that is kept is tried.
    pub retry: Retry,
    /// How it is looked after.
    pub care: Care,
    /// The version that handles its messages.
    pub version: Arc<Version<T>>,
    /// What it may use.
    pub budget: Budget,
    /// The CPU account that its turns are charged to.
    pub cpu: Arc<Cpu>,
    /// What the graphics processor does for it is charged to this one.
    pub gpu: Arc<Cpu>,
    /// Tokens of models that were ever used.
    pub tokens: Arc<AtomicU64>,
    /// What its memory is counted on.
    pub memory: Arc<Quota>,
    /// What may wait.
    pub mailbox: Mailbox,
    /// Makes the state of a new instance.
    pub data: Data<T>,
    /// Kept for as long as the version may have an instance.
    pub keep: Keep,
    /// Has others told when it breaks.
    pub fell: Fell,
    /// How many instances may serve its mailbox.
    pub replicas: Replicas,
    /// Where further instances have their place.
    pub room: Room,
}

/// Makes the state of a new instance, which is counted on what it is given.
pub type Data<T> = Arc<dyn Fn(&Arc<Quota>) -> Result<T, Fault> + Send + Sync>;

/// Something that is kept for a version until that may have no instance any more.
pub type Keep = Box<dyn std::any::Any + Send + Sync>;

/// An agent that lives. Dropping it stops it.
pub struct Agent {
    door: Door,
    task: Arc<Task>,
    /// Nanoseconds.
    deadline: Arc<AtomicU64>,
    pulse: Arc<Pulse>,
    /// Nanoseconds.
    idle: AtomicU64,
}

/// What came of a message, and what that used.
#[derive(Debug)]
pub struct Answer {
    /// The reply, or why there is none.
    pub outcome: Result<Reply, Error>,
    /// What the turn used.
    pub receipt: Receipt,
    /// What the reply is counted as until it is taken, where it is counted.
    pub held: Option<Held>,
}

/// What one turn used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Receipt {
    /// CPU time, what the host computed for it included. The last slice is taken by the wall clock.
    pub cpu: Duration,
    /// Time of the graphics processor.
    pub gpu: Duration,
    /// Tokens of models, read and written together.
    pub tokens: u64,
    /// Wall time, waiting included.
    pub wall: Duration,
    /// The most memory held at once, in bytes.
    pub memory: u64,
}

/// Why a message was handled without success.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The agent said no.
    #[error("{}", said(.0))]
    Failed(Failure),
    /// The turn broke.
    #[error(transparent)]
    Broke(#[from] Fault),
    /// It was handled, and whoever asked has no memory left for the reply.
    #[error("there is no memory left for the reply")]
    NoRoom,
    /// It was handled, and what it did could not be kept: none of it happened.
    #[error("nothing of the turn could be kept: {0}")]
    Store(String),
}

fn said(failure: &Failure) -> String {
    let kind = failure_kind(failure);
    match failure.message.as_str() {
        "" => format!("the agent answered `{kind}`"),
        message => format!("{kind}: {message}"),
    }
}

fn failure_kind(failure: &Failure) -> &'static str {
    use runtime::FailureKind::{Internal, Invalid, Refused, Temporary, Unsupported};
    match failure.kind {
        Invalid => "invalid",
        Unsupported => "unsupported",
        Refused => "refused",
        Temporary => "temporary",
        Internal => "internal",
    }
}

impl Error {
    /// The word that programs know it by.
    pub fn kind(&self) -> &'static str {
        match self {
            Error::Failed(failure) => failure_kind(failure),
            Error::Broke(fault) => fault.kind(),
            Error::NoRoom => "memory",
            Error::Store(_) => "store",
        }
    }
}

impl Agent {
    /// Gives life to an agent. Its instance is made when the first message needs it.
    pub fn start<T: Lasting>(workers: &Spawner, spec: Spec<T>) -> (Agent, Arc<Versions<T>>) {
        let (work, works) = mpsc::unbounded_channel();
        let (helm, orders) = Orders::new();
        let deadline = Arc::new(AtomicU64::new(nanos(spec.budget.deadline)));
        let (limit, mailbox, version) = (deadline.clone(), spec.mailbox.clone(), spec.version.clone());
        let (pulse, idle) = (Arc::<Pulse>::default(), AtomicU64::new(nanos(spec.care.idle)));
        let blows = Arc::<Blows>::default();
        pulse.replicas.store(1, Relaxed);
        pulse.most.store(spec.replicas.max, Relaxed);
        let links =
            Links { deadline: limit, orders, pulse: pulse.clone(), blows: blows.clone(), workers: workers.clone() };
        let mine = work.downgrade();
        let task = workers.spawn(spec.cpu.clone(), |task| live::live(task, spec, works, mine, links));
        let waiting = mailbox.messages.clone();
        let versions = Versions::new(helm, task.clone(), workers.clone(), waiting, deadline.clone(), version);
        let door = Door::new(work, task.clone(), mailbox, pulse.clone(), blows);
        (Agent { door, task, deadline, pulse, idle }, versions)
    }

    /// The way to it.
    pub fn door(&self) -> &Door {
        &self.door
    }

    /// Hands it a message, and waits for what comes of it.
    pub async fn ask(&self, message: Message) -> Result<Answer, Refusal> {
        let place = self.door.reserve(&message)?;
        let (desk, answered) = Desk::caller();
        self.door.send(place, message, desk, Origin::Memory)?;
        answered.await.map_err(|_| Refusal::Stopped)
    }

    /// Hands it a message. `hear` is given each provisional chunk of the reply when it comes.
    pub async fn listen(&self, message: Message, mut hear: impl FnMut(Chunk)) -> Result<Answer, Refusal> {
        let place = self.door.reserve(&message)?;
        let (desk, mut answered, mut chunks) = Desk::listener();
        self.door.send(place, message, desk, Origin::Memory)?;
        let answer = loop {
            tokio::select! {
                biased;
                Some(chunk) = chunks.recv() => hear(chunk),
                answer = &mut answered => break answer,
            }
        };
        while let Ok(chunk) = chunks.try_recv() {
            hear(chunk);
        }
        answer.map_err(|_| Refusal::Stopped)
    }

    /// Makes its instance, if there is none. It begins at once; the future is there to wait for it.
    pub fn warm(&self) -> impl Future<Output = Result<Result<(), Fault>, Refusal>> + Send + use<> {
        let (done, waiting) = oneshot::channel();
        let put = self.door.put(Work::Warm(done));
        async move {
            put?;
            waiting.await.map_err(|_| Refusal::Stopped)
        }
    }

    /// Asks it what it is.
    pub async fn describe(&self) -> Result<Result<Card, Fault>, Refusal> {
        let (done, waiting) = oneshot::channel();
        self.door.put(Work::Describe(done))?;
        waiting.await.map_err(|_| Refusal::Stopped)
    }

    /// Whether its instance keeps anything that another one would have to know. Makes the instance, if there is none.
    pub async fn keeps(&self) -> Result<Result<bool, Fault>, Refusal> {
        let (done, waiting) = oneshot::channel();
        self.door.put(Work::Keeps(done))?;
        waiting.await.map_err(|_| Refusal::Stopped)
    }

    /// Changes how many instances may serve its mailbox. It must keep no memory, and no swap may be under way.
    pub fn scale(&self, replicas: Replicas) -> Result<(), Refusal> {
        self.pulse.most.fetch_max(replicas.max, Relaxed);
        self.door.put(Work::Scale(replicas))
    }

    /// How many instances serve its mailbox.
    pub fn replicas(&self) -> u32 {
        self.pulse.replicas.load(Relaxed)
    }

    /// Whether more than one instance may serve its mailbox.
    pub fn is_many(&self) -> bool {
        self.pulse.most.load(Relaxed) > 1
    }

    /// Puts its instance away if it has had nothing to do for long. It is made again for the next message.
    pub fn rest_if_idle(&self) {
        let quiet = clock::now().saturating_sub(self.pulse.last.load(Relaxed));
        if self.pulse.awake.load(Relaxed) && quiet > self.idle.load(Relaxed) {
            // It may have ended.
            let _ = self.door.put(Work::Rest);
        }
    }

    /// Whether it has an instance.
    pub fn awake(&self) -> bool {
        self.pulse.awake.load(Relaxed)
    }

    /// How long it is left alone, having broken too often; none if it isn't.
    pub fn left_alone(&self) -> Option<Duration> {
        let left = self.pulse.paused.load(Relaxed).saturating_sub(clock::now());
        (left > 0).then(|| Duration::from_nanos(left))
    }

    /// How often it broke.
    pub fn faults(&self) -> u64 {
        self.pulse.faults.load(Relaxed)
    }

    /// Changes how long a turn may take, from the next one on.
    pub fn set_deadline(&self, deadline: Duration) {
        self.deadline.store(nanos(deadline), Relaxed);
    }

    /// Changes how its messages are tried and how it is looked after, from the next turn on.
    pub fn set_care(&self, retry: Retry, care: Care) {
        self.idle.store(nanos(care.idle), Relaxed);
        // It may have ended.
        let _ = self.door.put(Work::Care(retry, care));
    }

    /// Looks again whether it may run, after its accounts were changed.
    pub fn reconsider(&self) {
        self.task.reconsider();
        let crew = self.pulse.crew.lock().clone();
        crew.iter().for_each(Task::reconsider);
    }

    /// The task that it runs as.
    pub fn task(&self) -> &Arc<Task> {
        &self.task
    }

    /// Stops it, in the midst of a turn if need be.
    pub fn stop(&self) {
        self.task.stop();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.stop();
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
