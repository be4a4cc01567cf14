//! An agent's life: one message after the other.

use crate::agent::{Answer, Error, Lasting, Receipt, Spec};
use crate::blow::{Blows, Broke};
use crate::care::{Breaker, Care, Pulse, PutAway};
use crate::crew::{Crew, Replicas};
use crate::door::{Desk, Origin, Place};
use crate::found::Found;
use crate::fresh::{Fresh, secure};
use crate::graves::Graves;
use crate::queue::Queue;
use crate::retry::Retry;
use crate::settle::Tally;
use crate::swap::Orders;
use parking_lot::Mutex;
use runtime::{Begin, Card, Fault, Instance, Interrupted, Leaving, Message, Reply, Spawner, Task, clock, turn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Acquire, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};

/// What an agent's mailbox holds.
pub(crate) enum Work {
    Handle(Box<Handed>),
    Warm(oneshot::Sender<Result<(), Fault>>),
    Describe(oneshot::Sender<Result<Card, Fault>>),
    /// Whether the instance keeps anything in its memory.
    Keeps(oneshot::Sender<Result<bool, Fault>>),
    /// Something was ordered that goes before all that waits.
    Obey,
    /// It has had nothing to do for long.
    Rest,
    /// Something has befallen it because of another agent.
    Struck,
    /// Its messages are tried, and it is looked after, like this from now on.
    Care(Retry, Care),
    /// So many instances may serve the mailbox from now on.
    Scale(Replicas),
    /// A replica has its instance, or can't have one.
    Ready {
        number: u64,
        made: bool,
    },
    /// A replica is done with its message. Those that come back are tried again at a time, and may hold others back.
    Done {
        number: u64,
        back: Vec<(Box<Handed>, u64, bool)>,
    },
}

/// A message that was accepted.
pub(crate) struct Handed {
    pub(crate) message: Message,
    pub(crate) place: Place,
    pub(crate) desk: Desk,
    pub(crate) origin: Origin,
    /// Whether it may have been tried before, in this life or in one that was cut off.
    pub(crate) again: bool,
    /// What accepts it, as long as that is not kept.
    pub(crate) fresh: Option<Arc<Fresh>>,
}

/// Handles what arrives, until nobody can send any more or the agent is stopped.
pub(crate) async fn live<T: Lasting>(
    task: Arc<Task>,
    spec: Spec<T>,
    mut mailbox: mpsc::UnboundedReceiver<Work>,
    mine: mpsc::WeakUnboundedSender<Work>,
    links: Links<T>,
) {
    let mut life = Life::new(task, spec, mine, links, Shared::default());
    if !life.find().await {
        return;
    }
    life.scale(life.spec.replicas);
    while let Some(work) = life.next(&mut mailbox).await {
        // Nobody may be waiting for the answer any more; the turn stands all the same.
        match work {
            Work::Handle(handed) => life.dispatch(handed).await,
            Work::Obey => {
                life.rouse().await;
                life.obey().await;
            }
            Work::Scale(replicas) => life.scale(replicas),
            Work::Ready { number, made } => life.ready(number, made),
            Work::Done { number, back } => life.done(number, back),
            other => life.attend(other).await,
        }
        life.task.give_way(life.ended).await;
    }
    life.end_crew().await;
    life.close().await;
}

/// What ties a life to those outside of it.
pub(crate) struct Links<T: Lasting> {
    pub(crate) deadline: Arc<AtomicU64>,
    pub(crate) orders: Orders<T>,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) blows: Arc<Blows>,
    pub(crate) workers: Spawner,
}

/// What the lives of one agent's replicas share.
#[derive(Clone, Default)]
pub(crate) struct Shared {
    pub(crate) found: Arc<Mutex<Found>>,
    pub(crate) breaker: Arc<Mutex<Breaker>>,
    pub(crate) graves: Arc<Mutex<Graves>>,
}

pub(crate) struct Life<T: Lasting> {
    pub(crate) orders: Orders<T>,
    /// Dropped before the spec: what that holds for it outlives it.
    pub(crate) instance: Option<Instance<T>>,
    pub(crate) task: Arc<Task>,
    pub(crate) spec: Spec<T>,
    pub(crate) deadline: Arc<AtomicU64>,
    /// When the last turn ended.
    pub(crate) ended: u64,
    pub(crate) queue: Queue,
    pub(crate) shared: Shared,
    pub(crate) tally: Tally,
    /// What the instance kept when it was put away.
    pub(crate) asleep: Option<PutAway>,
    /// Turns that this instance has had.
    pub(crate) turns: u32,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) blows: Arc<Blows>,
    /// That the turn under way broke, until others are told.
    pub(crate) broke: Option<Broke>,
    /// Those that handle its messages, if it does not do so itself.
    pub(crate) crew: Option<Crew>,
    /// Whether it is one of several that handle an agent's messages.
    pub(crate) replica: bool,
    /// The way into its mailbox.
    pub(crate) mine: mpsc::WeakUnboundedSender<Work>,
    pub(crate) workers: Spawner,
}

impl<T: Lasting> Life<T> {
    pub(crate) fn new(
        task: Arc<Task>,
        spec: Spec<T>,
        mine: mpsc::WeakUnboundedSender<Work>,
        links: Links<T>,
        shared: Shared,
    ) -> Life<T> {
        let Links { deadline, orders, pulse, blows, workers } = links;
        Life {
            orders,
            instance: None,
            task,
            spec,
            deadline,
            ended: 0,
            queue: Queue::default(),
            shared,
            tally: Tally::default(),
            asleep: None,
            turns: 0,
            pulse,
            blows,
            broke: None,
            crew: None,
            replica: false,
            mine,
            workers,
        }
    }

    async fn next(&mut self, mailbox: &mut mpsc::UnboundedReceiver<Work>) -> Option<Work> {
        loop {
            if self.task.stopping() {
                return None;
            }
            self.suffer();
            if self.orders.flag().load(Acquire) {
                return Some(Work::Obey);
            }
            let gone = loop {
                match mailbox.try_recv() {
                    Ok(Work::Handle(handed)) => self.take_in(handed),
                    Ok(other) => return Some(other),
                    Err(TryRecvError::Empty) => break false,
                    Err(TryRecvError::Disconnected) => break true,
                }
            };
            let alone = self.left_alone();
            let many = alone.is_none() && self.crew.is_some();
            let look = if many { self.hand_out(clock::now()) } else { None };
            if look.is_some_and(|look| look <= clock::now()) {
                continue;
            }
            let due = match (self.queue.due(), alone) {
                (Some(due), Some(until)) => Some(due.max(until)),
                (due, until) => due.or(until),
            };
            let due = [due, look].into_iter().flatten().min();
            if self.crew.is_none()
                && alone.is_none()
                && let Some(handed) = self.queue.pop(due.map_or(0, |_| clock::now()))
            {
                return Some(Work::Handle(handed));
            }
            match (wait(&self.task, self.orders.flag(), mailbox, due).await, gone) {
                (Some(Work::Handle(handed)), _) => self.take_in(handed),
                (Some(other), _) => return Some(other),
                (None, true) if due.is_none() => return None,
                (None, _) => {}
            }
        }
    }

    /// Has the version handle a message whose it is.
    async fn dispatch(&mut self, handed: Box<Handed>) {
        let second = self.orders.begin(&handed.message);
        if second {
            self.exchange();
        }
        self.pulse.busy.store(true, Relaxed);
        self.deal(handed).await;
        self.pulse.busy.store(false, Relaxed);
        if second {
            self.exchange();
        }
        self.recycle().await;
    }

    fn take_in(&mut self, handed: Box<Handed>) {
        if self.shared.found.lock().has(handed.origin) {
            return self.found_again(*handed);
        }
        let shut = self.shared.breaker.lock().shut();
        let handed = match shut {
            Some(until) => self.turn_away(handed, until),
            None => Some(handed),
        };
        if let Some(handed) = handed {
            if !self.queue.is_empty() || self.crew.as_ref().is_some_and(|crew| crew.delays(&handed.message.sender)) {
                secure(&handed.fresh);
            }
            self.queue.push(handed);
        }
    }

    /// The guest's part of a turn. What it did is not yet done.
    pub(crate) async fn handle(&mut self, handed: &mut Handed) -> Answer {
        let Handed { message, desk, origin, again, fresh, .. } = handed;
        let leaving = fresh.clone().map(|fresh| fresh as Arc<dyn Leaving>);
        let (lasts, again) = (*origin != Origin::Memory, *again);
        let limit = Duration::from_nanos(self.deadline.load(Relaxed));
        let (memory, before) = (self.spec.memory.clone(), self.used());
        let tokens = self.spec.tokens.load(Relaxed);
        memory.take_peak();
        let (instance, spec, chunks) = (&mut self.instance, &self.spec, desk.chunks.clone());
        let (asleep, blows) = (&mut self.asleep, &self.blows);
        let turn = {
            let mut turn = pin!(turn(&self.task, limit, self.ended, async |until| {
                let work = async {
                    let instance = ready(instance, spec, asleep).await?;
                    let message = &*message;
                    instance.data().begin(Begin { message: lasts.then_some(message), again, until, chunks, leaving });
                    instance.handle(message).await?.map_err(Error::Failed)
                };
                blows.amid(work).await
            }));
            let first = match fresh {
                Some(_) => std::future::poll_fn(|cx| Poll::Ready(turn.as_mut().poll(cx))).await,
                None => Poll::Pending,
            };
            match first {
                Poll::Ready(turn) => turn,
                Poll::Pending => {
                    secure(fresh);
                    turn.await
                }
            }
        };
        let (wall, ended) = (turn.wall(), turn.ended);
        let slice = ended.saturating_sub(turn.begun.max(self.task.polled()));
        let outcome: Result<Reply, Error> = match turn.outcome {
            Ok(outcome) => outcome,
            Err(interrupted) => Err(Error::Broke(self.interrupted(interrupted, limit))),
        };
        // What ran since the last slice is charged when this one ends.
        let after = self.used();
        let [cpu, beside, gpu] = [0, 1, 2].map(|i| Duration::from_nanos(after[i] - before[i]));
        // The guest has one thread; what the host computes for it runs beside that.
        let cpu = cpu.saturating_add(Duration::from_nanos(slice)).min(wall + beside);
        self.ended = ended;
        let tokens = self.spec.tokens.load(Relaxed) - tokens;
        let receipt = Receipt { cpu, gpu, tokens, wall, memory: memory.take_peak() };
        let answer = Answer { outcome, receipt, held: None };
        self.orders.saw(&answer);
        self.pulse.awake.store(true, Relaxed);
        self.watch(&answer);
        answer
    }

    /// Why the guest's part of a turn was broken off.
    fn interrupted(&mut self, interrupted: Interrupted, limit: Duration) -> Fault {
        match (fault(interrupted, limit), &mut self.instance) {
            (Fault::Deadline { limit, .. }, Some(instance)) => Fault::Deadline { limit, ring: instance.data().ring() },
            (fault, _) => fault,
        }
    }

    /// Nanoseconds that were ever charged: of the CPU, of that beside the guest, and of the graphics processor.
    fn used(&self) -> [u64; 3] {
        let cpu = self.task.cpu();
        // Replicas are charged on one account; what the host does beside them is not told apart.
        let used = if self.replica { self.task.used() + cpu.beside() } else { cpu.used() };
        [used, cpu.beside(), self.spec.gpu.used()]
    }
}

/// Waits for something to arrive, until `due` at most.
async fn wait(
    task: &Task,
    orders: &AtomicBool,
    mailbox: &mut mpsc::UnboundedReceiver<Work>,
    due: Option<u64>,
) -> Option<Work> {
    let arrives = std::future::poll_fn(|cx| match task.stopping() {
        true => Poll::Ready(None),
        false if orders.load(Acquire) => Poll::Ready(Some(Work::Obey)),
        false => mailbox.poll_recv(cx),
    });
    let Some(due) = due else { return arrives.await };
    let left = Duration::from_nanos(due.saturating_sub(clock::now()));
    tokio::select! {
        biased;
        work = arrives => match work {
            None if !task.stopping() => {
                // Nobody can send any more, and something is still to be tried again.
                tokio::time::sleep(left).await;
                None
            }
            work => work,
        },
        () = tokio::time::sleep(left) => None,
    }
}

/// The instance, made now if there is none.
pub(crate) async fn ready<'a, T: Lasting>(
    instance: &'a mut Option<Instance<T>>,
    spec: &Spec<T>,
    asleep: &mut Option<PutAway>,
) -> Result<&'a mut Instance<T>, Fault> {
    if instance.is_none() {
        if let Some(kept) = asleep.take() {
            let mut woken = Instance::start(&spec.version, (spec.data)(&spec.memory)?).await?;
            // One that does not take it begins cold: memory is a cache.
            if let Ok(Ok(())) = woken.restore(&kept.state, &kept.version).await {
                return Ok(instance.insert(woken));
            }
        }
        *instance = Some(Instance::start(&spec.version, (spec.data)(&spec.memory)?).await?);
    }
    Ok(instance.as_mut().expect("it was made if there was none"))
}

pub(crate) fn fault(interrupted: Interrupted, limit: Duration) -> Fault {
    match interrupted {
        Interrupted::Deadline => Fault::Deadline { limit, ring: Vec::new() },
        Interrupted::Stopped => Fault::Stopped,
    }
}
