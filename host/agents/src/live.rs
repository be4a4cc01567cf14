//! An agent's life: one message after the other.

use crate::agent::{Answer, Error, Receipt, Spec};
use crate::door::{Desk, Place};
use crate::swap::Orders;
use runtime::{Begin, Card, Fault, Guest, Instance, Interrupted, Message, Reply, Task, turn};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// What an agent's mailbox holds.
pub(crate) enum Work {
    Handle(Box<Handed>),
    Warm(oneshot::Sender<Result<(), Fault>>),
    Describe(oneshot::Sender<Result<Card, Fault>>),
    /// Something was ordered that goes before all that waits.
    Obey,
}

/// A message that was accepted.
pub(crate) struct Handed {
    pub(crate) message: Message,
    pub(crate) place: Place,
    pub(crate) desk: Desk,
}

/// Handles what arrives, until nobody can send any more or the agent is stopped.
pub(crate) async fn live<T: Guest>(
    task: Arc<Task>,
    spec: Spec<T>,
    deadline: Arc<AtomicU64>,
    mut mailbox: mpsc::UnboundedReceiver<Work>,
    orders: Orders<T>,
) {
    let mut life = Life { orders, instance: None, task, spec, deadline, ended: 0 };
    while let Some(work) = life.next(&mut mailbox).await {
        // Nobody may be waiting for the answer any more; the turn stands all the same.
        match work {
            Work::Handle(handed) => life.dispatch(*handed).await,
            Work::Warm(done) => drop(done.send(life.warm().await)),
            Work::Describe(done) => drop(done.send(life.describe().await)),
            Work::Obey => life.obey().await,
        }
        life.task.give_way(life.ended).await;
    }
}

pub(crate) struct Life<T: Guest> {
    pub(crate) orders: Orders<T>,
    /// Dropped before the spec: what that holds for it outlives it.
    pub(crate) instance: Option<Instance<T>>,
    task: Arc<Task>,
    pub(crate) spec: Spec<T>,
    deadline: Arc<AtomicU64>,
    /// When the last turn ended.
    pub(crate) ended: u64,
}

impl<T: Guest> Life<T> {
    async fn next(&mut self, mailbox: &mut mpsc::UnboundedReceiver<Work>) -> Option<Work> {
        let (task, orders) = (&self.task, self.orders.flag());
        std::future::poll_fn(|cx| match task.stopping() {
            true => std::task::Poll::Ready(None),
            false if orders.load(Acquire) => std::task::Poll::Ready(Some(Work::Obey)),
            false => mailbox.poll_recv(cx),
        })
        .await
    }

    /// Has the version handle a message whose it is.
    async fn dispatch(&mut self, handed: Handed) {
        let second = self.orders.begin(&handed.message);
        if second {
            self.exchange();
        }
        self.deal(handed).await;
        if second {
            self.exchange();
        }
    }

    /// Handles one message and answers it. It waits no more; its bytes are there until it is done with.
    async fn deal(&mut self, handed: Handed) {
        let Handed { message, place: Place { message: waiting, bytes }, mut desk } = handed;
        drop(waiting);
        let answer = self.handle(&message, &mut desk).await;
        drop((message, bytes));
        desk.deliver(answer);
    }

    async fn handle(&mut self, message: &Message, desk: &mut Desk) -> Answer {
        let limit = Duration::from_nanos(self.deadline.load(Relaxed));
        let (memory, before) = (self.spec.memory.clone(), self.used());
        memory.take_peak();
        let (instance, spec, chunks) = (&mut self.instance, &self.spec, desk.chunks.take());
        let turn = turn(&self.task, limit, self.ended, async |until| {
            let instance = ready(instance, spec).await?;
            instance.data().begin(Begin { until, chunks });
            let reply = instance.handle(message).await?.map_err(Error::Failed)?;
            instance.data().commit();
            Ok(reply)
        })
        .await;
        let (wall, ended) = (turn.wall(), turn.ended);
        let slice = ended.saturating_sub(turn.begun.max(self.task.polled()));
        let outcome: Result<Reply, Error> = match turn.outcome {
            Ok(outcome) => outcome,
            Err(interrupted) => Err(Error::Broke(fault(interrupted, limit))),
        };
        if outcome.is_err() || self.instance.as_ref().is_some_and(Instance::spent) {
            // Memory is a cache: what a failed turn left there is not to be trusted.
            self.instance = None;
        }
        // What ran since the last slice is charged when this one ends.
        let after = self.used();
        let [cpu, beside, gpu] = [0, 1, 2].map(|i| Duration::from_nanos(after[i] - before[i]));
        // The guest has one thread; what the host computes for it runs beside that.
        let cpu = cpu.saturating_add(Duration::from_nanos(slice)).min(wall + beside);
        self.ended = ended;
        let answer = Answer { outcome, receipt: Receipt { cpu, gpu, wall, memory: memory.take_peak() }, held: None };
        self.orders.saw(&answer);
        answer
    }

    /// Nanoseconds that were ever charged: of the CPU, of that beside the guest, and of the graphics processor.
    fn used(&self) -> [u64; 3] {
        let cpu = self.task.cpu();
        [cpu.used(), cpu.beside(), self.spec.gpu.used()]
    }

    pub(crate) async fn warm(&mut self) -> Result<(), Fault> {
        self.outside(async |_| Ok(())).await
    }

    async fn describe(&mut self) -> Result<Card, Fault> {
        self.outside(async |instance| instance.describe().await).await
    }

    /// Does something with the instance that is no message, under the same deadline.
    pub(crate) async fn outside<O>(
        &mut self,
        work: impl AsyncFnOnce(&mut Instance<T>) -> Result<O, Fault>,
    ) -> Result<O, Fault> {
        let limit = Duration::from_nanos(self.deadline.load(Relaxed));
        let (instance, spec) = (&mut self.instance, &self.spec);
        let turn = turn(&self.task, limit, self.ended, async |until| {
            let instance = ready(instance, spec).await?;
            instance.data().begin(Begin { until, chunks: None });
            work(instance).await
        })
        .await;
        self.ended = turn.ended;
        let outcome = turn.outcome.unwrap_or_else(|interrupted| Err(fault(interrupted, limit)));
        if outcome.is_err() {
            self.instance = None;
        }
        outcome
    }
}

/// The instance, made now if there is none.
async fn ready<'a, T: Guest>(
    instance: &'a mut Option<Instance<T>>,
    spec: &Spec<T>,
) -> Result<&'a mut Instance<T>, Fault> {
    if instance.is_none() {
        *instance = Some(Instance::start(&spec.version, (spec.data)(&spec.memory)?).await?);
    }
    Ok(instance.as_mut().expect("it was made if there was none"))
}

fn fault(interrupted: Interrupted, limit: Duration) -> Fault {
    match interrupted {
        Interrupted::Deadline => Fault::Deadline { limit },
        Interrupted::Stopped => Fault::Stopped,
    }
}
