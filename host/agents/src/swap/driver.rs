//! One swap, from its beginning to its end: it probes, shadows, tries and switches, and tells of each step.

use super::apart::{Apart, Ends, Rehearsal};
use super::event::{Event, Reason, Shadowed, Skills, Switch, Tried};
use super::history::Entry;
use super::order::{Copied, Copy, Flipped, Forgotten, From, Moved, Order, Transfer, Trial};
use super::plan::{Plan, Senders};
use super::shadow::{Copies, Tap, follow};
use super::side::Side;
use super::versions::{Clean, Explain, Serves, Stage, Versions};
use base::Part;
use parking_lot::Mutex;
use runtime::{Card, Guest, Quota, Task, Version};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

pub(crate) struct Driver<T: Guest> {
    versions: Arc<Versions<T>>,
    plan: Plan,
    events: mpsc::UnboundedSender<Event>,
    /// Until it is the life's.
    side: Mutex<Option<Side<T>>>,
    version: Arc<Version<T>>,
    apart: Arc<Apart<T>>,
    transit: Arc<Quota>,
    account: Arc<Quota>,
    explain: Explain,
    clean: Clean,
    serves: Serves,
    /// Shadow and canary are over by then.
    until: Instant,
    /// Whether the new version has handled messages that count.
    tried: bool,
    prepared: Duration,
}

impl<T: Guest> Driver<T> {
    pub(crate) fn new(
        versions: Arc<Versions<T>>,
        stage: Stage<T>,
        plan: Plan,
        events: mpsc::UnboundedSender<Event>,
    ) -> Driver<T> {
        let Stage { side, apart, transit, account, explain, clean, serves } = stage;
        Driver {
            versions,
            events,
            version: side.version.clone(),
            side: Mutex::new(Some(side)),
            apart: Arc::new(apart),
            transit,
            account,
            explain,
            clean,
            serves,
            until: Instant::now() + plan.within,
            plan,
            tried: false,
            prepared: Duration::ZERO,
        }
    }

    /// Makes the new version the one that serves, or leaves the old one as it was.
    pub(crate) async fn swap(mut self) {
        let last = match self.lead().await {
            Ok(switch) => {
                self.versions.history().advance();
                Event::Live(switch)
            }
            Err(reason) => {
                self.forget().await;
                self.versions.history().coming = None;
                match self.tried {
                    true => Event::Back { reason, switch: None },
                    false => Event::Refused(reason),
                }
            }
        };
        self.end(last);
    }

    /// Makes the version before the one that serves again. That it can serve, it has shown.
    pub(crate) async fn go_back(mut self) {
        let last = match self.switch().await {
            Ok(switch) => {
                self.versions.history().go_back();
                Event::Back { reason: Reason::Asked, switch: Some(switch) }
            }
            Err(reason) => {
                self.forget().await;
                self.versions.history().coming = None;
                Event::Refused(reason)
            }
        };
        self.end(last);
    }

    fn end(self, mut last: Event) {
        if let Event::Refused(reason) | Event::Back { reason, .. } = &mut last {
            reason.clean(&self.clean);
        }
        let Driver { versions, events, side, apart, .. } = self;
        // What the new version was given is free again before anybody hears that it was refused.
        drop((side, apart));
        versions.done();
        drop(events.send(last));
    }

    fn tell(&self, event: Event) {
        // Whoever began the swap may not care.
        drop(self.events.send(event));
    }

    async fn lead(&mut self) -> Result<Switch, Reason> {
        let from = self.versions.history().live.version.digest();
        self.tell(Event::Staged { from, to: self.version.digest() });
        self.probe().await?;
        if self.plan.shadow > 0 {
            self.shadow().await?;
        }
        if self.plan.canary > Part::NONE {
            self.prepare().await?;
            self.try_out().await?;
        }
        self.switch().await
    }

    /// Starts the new version apart, asks it what it is, and compares that with what the old one is.
    async fn probe(&mut self) -> Result<(), Reason> {
        let Entry { version: old, card: known } = self.versions.history().live.clone();
        let begun = Instant::now();
        let card = Arc::new(self.describe(self.version.clone()).await?);
        let took = begun.elapsed();
        let old = match known {
            Some(card) => Some(card),
            // An old version that can't say what it is promises nothing that the new one could lack.
            None => self.describe(old).await.ok().map(Arc::new),
        };
        let skills = old.as_ref().map(|old| Skills::between(old, &card)).unwrap_or_default();
        {
            let mut history = self.versions.history();
            history.live.card = old;
            history.coming = Some(Entry { version: self.version.clone(), card: Some(card.clone()) });
        }
        let removed = skills.removed.clone();
        self.tell(Event::Probed { card: Box::new((*card).clone()), skills, took });
        match removed.is_empty() || self.plan.fewer_skills {
            true => Ok(()),
            false => Err(Reason::Skills { removed }),
        }
    }

    /// What a version says of itself.
    async fn describe(&self, version: Arc<Version<T>>) -> Result<Card, Reason> {
        let (done, told) = oneshot::channel();
        let (apart, limit) = (self.apart.clone(), self.versions.limit());
        let task = self.versions.spawner.spawn(self.apart.cpu.clone(), |task| async move {
            let mut rehearsal = Rehearsal::new(task, limit, apart, version);
            let card = match rehearsal.start().await {
                Ok(()) => rehearsal.describe().await.map_err(Reason::Describe),
                Err(fault) => Err(Reason::Start(fault)),
            };
            // Whoever hears of it counts on its room.
            drop(rehearsal);
            drop(done.send(card));
        });
        let _ends = Ends(task);
        self.heard(told).await?
    }

    /// What is told, unless the swap is cancelled before.
    async fn heard<O>(&self, told: oneshot::Receiver<O>) -> Result<O, Reason> {
        tokio::select! {
            biased;
            () = self.versions.cancelled() => Err(Reason::Asked),
            told = told => told.map_err(|_| Reason::Stopped),
        }
    }

    /// Gives the agent's life an order, and waits until it is done: that is soon, and must not be missed.
    async fn order<O>(&self, order: impl FnOnce(oneshot::Sender<O>) -> Order<T>) -> Result<O, Reason> {
        let (done, told) = oneshot::channel();
        self.versions.order(order(done));
        told.await.map_err(|_| Reason::Stopped)
    }

    /// The same, for what can fail.
    async fn attempt<O>(
        &self,
        order: impl FnOnce(oneshot::Sender<Result<O, Reason>>) -> Order<T>,
    ) -> Result<O, Reason> {
        self.order(order).await?.map_err(|reason| reason.explained(&self.explain))
    }

    /// What the old version calls itself.
    fn old_name(&self) -> Arc<str> {
        let history = self.versions.history();
        history.live.card.as_ref().map_or("", |card| &card.version).into()
    }

    fn transfer(&self) -> Transfer {
        Transfer { memory: self.plan.memory, version: self.old_name(), transit: self.transit.clone() }
    }

    async fn shadow(&mut self) -> Result<(), Reason> {
        let (tap, copies) = Tap::new(self.plan.shadow, self.transit.clone());
        let handled = copies.handled.clone();
        let (lasting, memory, transit) = (self.apart.copy.clone(), self.plan.memory, self.transit.clone());
        let copied = self.attempt(|done| Order::Copy(Box::new(Copy { lasting, memory, transit, tap, done }))).await?;
        self.tell(Event::Shadowing { messages: self.plan.shadow, pause: copied.pause });
        let (over, told) = oneshot::channel();
        let _ends = Ends(self.follow(copied, copies, over));
        let came = tokio::select! {
            biased;
            () = self.versions.cancelled() => Err(Reason::Asked),
            told = told => told.map_err(|_| Reason::Stopped),
            () = tokio::time::sleep_until(self.until.into()) => {
                Err(self.undecided(handled.load(Relaxed), self.plan.shadow))
            }
        };
        let (mut shadowed, verdict) = came?;
        shadowed.failures.iter_mut().for_each(&self.clean);
        self.tell(Event::Shadowed(shadowed));
        verdict
    }

    /// Has the new version handle the copies, apart.
    fn follow(
        &self,
        copied: Copied,
        copies: Copies,
        over: oneshot::Sender<(Shadowed, Result<(), Reason>)>,
    ) -> Arc<Task> {
        let (apart, version, limit) = (self.apart.clone(), self.version.clone(), self.versions.limit());
        let (plan, waiting, name) = (self.plan, self.versions.waiting.clone(), self.old_name());
        self.versions.spawner.spawn(self.apart.cpu.clone(), move |task| async move {
            let mut rehearsal = Rehearsal::new(task, limit, apart, version);
            let ready = match &copied.kept {
                Some(kept) => rehearsal.restore(&kept.bytes, &name).await,
                None => rehearsal.start().await.map_err(Reason::Start),
            };
            let ready = match (ready, plan.memory) {
                // As it will be when it takes over.
                (Err(Reason::Restore(_) | Reason::RestoreBroke(_)), super::plan::Memory::CarriedOrCold) => Ok(()),
                (ready, _) => ready,
            };
            drop(copied);
            let came = match ready {
                Ok(()) => follow(rehearsal, copies, plan, waiting).await,
                Err(reason) => (Shadowed::default(), Err(reason)),
            };
            drop(over.send(came));
        })
    }

    fn undecided(&self, messages: u32, wanted: u32) -> Reason {
        Reason::Undecided { messages, wanted, within: self.plan.within }
    }

    /// Makes the instance that is to take over, beside the one that serves.
    async fn prepare(&mut self) -> Result<(), Reason> {
        let side = self.side.lock().take();
        if let Some(side) = side {
            self.prepared = self.attempt(|done| Order::Prepare { side: Box::new(side), done }).await?;
        }
        Ok(())
    }

    async fn try_out(&mut self) -> Result<(), Reason> {
        let (verdict, decided) = oneshot::channel();
        let senders = Senders::new(self.plan.canary, self.version.digest());
        let trial = Trial { senders, plan: self.plan, transfer: self.transfer(), verdict };
        let Moved { pause, .. } = self.attempt(|done| Order::Try { trial, done }).await?;
        self.tried = true;
        self.tell(Event::Trying { part: self.plan.canary, pause });
        let verdict = tokio::select! {
            biased;
            () = self.versions.cancelled() => return Err(Reason::Asked),
            verdict = decided => verdict.map_err(|_| Reason::Stopped)?,
            () = tokio::time::sleep_until(self.until.into()) => {
                let tried = self.forget().await.unwrap_or_default();
                self.tell(Event::Tried(tried));
                return Err(self.undecided(tried.messages, self.plan.window));
            }
        };
        let (tried, verdict) = match verdict {
            Ok(tried) => (tried, Ok(())),
            Err((reason, tried)) => (tried, Err(reason)),
        };
        self.tell(Event::Tried(tried));
        verdict
    }

    /// The new version takes over all messages.
    async fn switch(&mut self) -> Result<Switch, Reason> {
        self.prepare().await?;
        if self.versions.is_cancelled() {
            return Err(Reason::Asked);
        }
        let from = match self.tried {
            // Whichever instance handled most of the messages knows most.
            true if self.plan.canary > Part::percent(50) => From::Itself,
            true => From::Fresh(self.transfer()),
            false => From::Old(self.transfer()),
        };
        let Flipped { moved, old } = self.attempt(|done| Order::Flip { from, done }).await?;
        (self.serves)();
        let switch = Switch { pause: moved.pause, prepared: self.prepared, memory: moved.memory };
        free((moved, old)).await;
        let memory = self.account.clone();
        self.order(|done| Order::Settle { memory, done }).await?;
        Ok(switch)
    }

    /// Lets the new version go, wherever it is; answers what came of its trial.
    async fn forget(&mut self) -> Option<Tried> {
        let Forgotten { side, tried } = self.order(|done| Order::Forget { done }).await.ok()??;
        free(side).await;
        tried
    }
}

/// Frees what may be large, on a thread where nobody waits for that.
async fn free(what: impl Send + 'static) {
    drop(tokio::task::spawn_blocking(move || drop(what)).await);
}
