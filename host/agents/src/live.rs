//! An agent's life: one message after the other.

use crate::agent::{Answer, Error, Lasting, Receipt, Spec};
use crate::blow::{Blows, Broke};
use crate::care::{Breaker, Care, Pulse, PutAway};
use crate::door::{Desk, Origin, Place};
use crate::fresh::{Fresh, secure};
use crate::graves::Graves;
use crate::queue::Queue;
use crate::retry::Retry;
use crate::settle::Tally;
use crate::swap::Orders;
use runtime::{Begin, Card, Fault, Instance, Interrupted, Leaving, Message, Reply, Task, clock, turn};
use std::collections::{HashMap, HashSet};
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
    /// Something was ordered that goes before all that waits.
    Obey,
    /// It has had nothing to do for long.
    Rest,
    /// Something has befallen it because of another agent.
    Struck,
    /// Its messages are tried, and it is looked after, like this from now on.
    Care(Retry, Care),
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
    deadline: Arc<AtomicU64>,
    mut mailbox: mpsc::UnboundedReceiver<Work>,
    orders: Orders<T>,
    (pulse, blows): (Arc<Pulse>, Arc<Blows>),
) {
    let mut life = Life {
        orders,
        instance: None,
        task,
        spec,
        deadline,
        ended: 0,
        queue: Queue::default(),
        found: Found::default(),
        tally: Tally::default(),
        breaker: Breaker::default(),
        graves: Graves::default(),
        asleep: None,
        turns: 0,
        pulse,
        blows,
        broke: None,
    };
    if !life.find().await {
        return;
    }
    while let Some(work) = life.next(&mut mailbox).await {
        // Nobody may be waiting for the answer any more; the turn stands all the same.
        match work {
            Work::Handle(handed) => life.dispatch(handed).await,
            Work::Warm(done) => drop(done.send(life.warm().await)),
            Work::Describe(done) => drop(done.send(life.describe().await)),
            Work::Obey => {
                life.rouse().await;
                life.obey().await;
            }
            Work::Rest => life.put_away().await,
            Work::Struck => life.suffer(),
            Work::Care(retry, care) => (life.spec.retry, life.spec.care) = (retry, care),
        }
        life.task.give_way(life.ended).await;
    }
    life.close().await;
}

pub(crate) struct Life<T: Lasting> {
    pub(crate) orders: Orders<T>,
    /// Dropped before the spec: what that holds for it outlives it.
    pub(crate) instance: Option<Instance<T>>,
    pub(crate) task: Arc<Task>,
    pub(crate) spec: Spec<T>,
    deadline: Arc<AtomicU64>,
    /// When the last turn ended.
    pub(crate) ended: u64,
    pub(crate) queue: Queue,
    pub(crate) found: Found,
    pub(crate) tally: Tally,
    pub(crate) breaker: Breaker,
    pub(crate) graves: Graves,
    /// What the instance kept when it was put away.
    pub(crate) asleep: Option<PutAway>,
    /// Turns that this instance has had.
    pub(crate) turns: u32,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) blows: Arc<Blows>,
    /// That the turn under way broke, until others are told.
    pub(crate) broke: Option<Broke>,
}

/// The messages that waited in the store when this life began. They may come through the door as well.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) numbers: HashSet<u64>,
    /// None of them is above.
    pub(crate) last: u64,
    /// What came of those that were handled before they came through the door, with whoever waits for that.
    pub(crate) answers: HashMap<u64, Answer>,
    /// Until when somebody may still come through the door with one of them.
    pub(crate) until: u64,
}

impl Found {
    /// Whether a message that comes through the door was found before.
    fn has(&self, origin: Origin) -> bool {
        match origin {
            Origin::Kept(number) if number <= self.last => self.numbers.contains(&number),
            // Numbers that are above were given later, so that no more of those that were found will come.
            _ => false,
        }
    }
}

impl<T: Lasting> Life<T> {
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
            let due = match (self.queue.due(), alone) {
                (Some(due), Some(until)) => Some(due.max(until)),
                (due, until) => due.or(until),
            };
            if alone.is_none()
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
        if self.found.has(handed.origin) {
            return self.found_again(*handed);
        }
        let handed = match self.breaker.shut() {
            Some(until) => self.turn_away(handed, until),
            None => Some(handed),
        };
        if let Some(handed) = handed {
            if !self.queue.is_empty() {
                secure(&handed.fresh);
            }
            self.queue.push(handed);
        }
    }

    /// A message that was found in the store comes through the door as well, with whoever waits for what comes of it.
    fn found_again(&mut self, handed: Handed) {
        let Origin::Kept(number) = handed.origin else { return };
        if let Some(waiting) = self.queue.find(number) {
            (waiting.desk, waiting.place) = (handed.desk, handed.place);
        } else if let Some(answer) = self.found.answers.remove(&number) {
            handed.desk.deliver(answer);
        }
    }

    /// Hands over an answer, or keeps it for a moment where whoever waits for it has still to come.
    pub(crate) fn deliver(&mut self, desk: Desk, origin: Origin, answer: Answer) {
        match origin {
            Origin::Kept(number) if self.found.has(origin) && desk.is_nobody() => {
                if clock::now() < self.found.until {
                    self.found.answers.insert(number, answer);
                } else {
                    self.found.answers.clear();
                }
            }
            _ => desk.deliver(answer),
        }
    }

    /// The guest's part of a turn. What it did is not yet done.
    pub(crate) async fn handle(&mut self, handed: &mut Handed) -> Answer {
        let Handed { message, desk, origin, again, fresh, .. } = handed;
        let leaving = fresh.clone().map(|fresh| fresh as Arc<dyn Leaving>);
        let (lasts, again) = (*origin != Origin::Memory, *again);
        let limit = Duration::from_nanos(self.deadline.load(Relaxed));
        let (memory, before) = (self.spec.memory.clone(), self.used());
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
        let answer = Answer { outcome, receipt: Receipt { cpu, gpu, wall, memory: memory.take_peak() }, held: None };
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
        [cpu.used(), cpu.beside(), self.spec.gpu.used()]
    }

    /// Makes the instance again that was put away: what is ordered may be about what it keeps.
    async fn rouse(&mut self) {
        if self.asleep.is_some() {
            // One that can't be made is like one that kept nothing.
            drop(self.warm().await);
        }
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
        let (instance, spec, asleep) = (&mut self.instance, &self.spec, &mut self.asleep);
        let turn = turn(&self.task, limit, self.ended, async |until| {
            let instance = ready(instance, spec, asleep).await?;
            instance.data().begin(Begin { message: None, again: false, until, chunks: None, leaving: None });
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
async fn ready<'a, T: Lasting>(
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

fn fault(interrupted: Interrupted, limit: Duration) -> Fault {
    match interrupted {
        Interrupted::Deadline => Fault::Deadline { limit, ring: Vec::new() },
        Interrupted::Stopped => Fault::Stopped,
    }
}
