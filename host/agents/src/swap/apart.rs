//! Running a version apart from its agent: on accounts of its own, where nothing that it does has an effect.

use super::event::Reason;
use runtime::{
    Begin, Card, Cpu, Failure, Fault, Guest, Instance, Interrupted, Message, Reply, Task, Version, clock, turn,
};
use std::sync::Arc;
use std::time::Duration;

/// Makes the state of an instance of a version.
pub type Make<T> = Box<dyn Fn(&Arc<Version<T>>) -> Result<T, Fault> + Send + Sync>;

/// What a version runs on that runs apart from its agent.
pub struct Apart<T: Guest> {
    /// Its CPU account.
    pub cpu: Arc<Cpu>,
    /// Makes the state of an instance of any version.
    pub data: Make<T>,
    /// Copies what lasts of the agent, so that what runs apart sees the same from then on.
    pub copy: Arc<dyn Fn() -> Result<(), Fault> + Send + Sync>,
    /// How often something was wanted so far that is outside of the agent.
    pub reached: Box<dyn Fn() -> u64 + Send + Sync>,
    /// A fault with all that is known of it.
    pub explain: Box<dyn Fn(Fault) -> Fault + Send + Sync>,
    /// A card without what nobody may see.
    pub card: Box<dyn Fn(Card) -> Card + Send + Sync>,
}

/// A version that runs apart.
pub(crate) struct Rehearsal<T: Guest> {
    instance: Option<Instance<T>>,
    task: Arc<Task>,
    limit: Duration,
    apart: Arc<Apart<T>>,
    version: Arc<Version<T>>,
    ended: u64,
}

/// What came of a message, and what it took.
pub(crate) struct Rehearsed {
    pub(crate) outcome: Result<Result<Reply, Failure>, Fault>,
    pub(crate) wall: Duration,
    /// Whether it wanted something outside of the agent.
    pub(crate) reached: bool,
}

impl<T: Guest> Rehearsal<T> {
    /// A version that will run as `task`, each turn within `limit`.
    pub(crate) fn new(task: Arc<Task>, limit: Duration, apart: Arc<Apart<T>>, version: Arc<Version<T>>) -> Self {
        Rehearsal { instance: None, task, limit, apart, version, ended: 0 }
    }

    /// Makes its instance.
    pub(crate) async fn start(&mut self) -> Result<(), Fault> {
        self.turn(async |_| Ok(())).await.0
    }

    /// Asks it what it is.
    pub(crate) async fn describe(&mut self) -> Result<Card, Fault> {
        let card = self.turn(async |instance| instance.describe().await).await.0;
        card.map(|card| (self.apart.card)(card))
    }

    /// Gives it what another instance kept.
    pub(crate) async fn restore(&mut self, state: &[u8], version: &str) -> Result<(), Reason> {
        let restored = self.turn(async |instance| instance.restore(state, version).await).await.0;
        if !matches!(restored, Ok(Ok(()))) {
            self.instance = None;
        }
        match restored {
            Ok(Ok(())) => Ok(()),
            Ok(Err(failure)) => Err(Reason::Restore(failure)),
            Err(fault) => Err(Reason::RestoreBroke(fault)),
        }
    }

    /// Hands it a message. What it does lasts where it is, and has no effect elsewhere.
    pub(crate) async fn handle(&mut self, message: &Message) -> Rehearsed {
        let before = (self.apart.reached)();
        let (outcome, wall) = self
            .turn(async |instance| {
                let outcome = instance.handle(message).await?;
                if outcome.is_ok() {
                    instance.data().commit();
                }
                Ok(outcome)
            })
            .await;
        if !matches!(outcome, Ok(Ok(_))) || self.instance.as_ref().is_some_and(Instance::spent) {
            // As in the agent's own life: what a failed turn left in memory is not to be trusted.
            self.instance = None;
        }
        Rehearsed { outcome, wall, reached: (self.apart.reached)() > before }
    }

    async fn turn<O>(
        &mut self,
        work: impl AsyncFnOnce(&mut Instance<T>) -> Result<O, Fault>,
    ) -> (Result<O, Fault>, Duration) {
        let (instance, apart, version) = (&mut self.instance, &self.apart, &self.version);
        // Time in which it let others go first is not its own.
        let before = if self.ended > self.task.polled() { self.ended } else { clock::now() };
        let turn = turn(&self.task, self.limit, before, async |until| {
            if instance.is_none() {
                *instance = Some(Instance::start(version, (apart.data)(version)?).await?);
            }
            let instance = instance.as_mut().expect("it was made if there was none");
            instance.data().begin(Begin { message: None, again: false, until, chunks: None, leaving: None });
            work(instance).await
        })
        .await;
        self.ended = turn.ended;
        let wall = turn.wall();
        let outcome = turn.outcome.unwrap_or_else(|interrupted| {
            Err(match interrupted {
                Interrupted::Deadline => Fault::Deadline { limit: self.limit, ring: Vec::new() },
                Interrupted::Stopped => Fault::Stopped,
            })
        });
        if outcome.is_err() {
            self.instance = None;
        }
        (outcome.map_err(|fault| (self.apart.explain)(fault)), wall)
    }
}

/// Stops what runs apart when nobody waits for it any more.
pub(crate) struct Ends(pub(crate) Arc<Task>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.stop();
    }
}
