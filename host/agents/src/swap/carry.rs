//! What an agent's life does about its versions, between two turns.

use super::event::{Carried, Reason};
use super::judge::Judge;
use super::order::{Copied, Copy, Flipped, Forgotten, From, Given, Kept, Moved, Order, Second, Transfer, Trial};
use super::plan::Memory;
use crate::agent::{Lasting, Spec};
use crate::live::Life;
use runtime::{Quota, clock};
use std::mem::swap;
use std::sync::Arc;
use std::time::Duration;

impl<T: Lasting> Life<T> {
    /// Does what it was told to.
    pub(crate) async fn obey(&mut self) {
        while let Some(Given { order, at }) = self.orders.next() {
            // What was told during a turn begins with that turn's end.
            let begun = if at < self.ended { self.ended } else { clock::now() };
            self.carry_out(order, begun).await;
        }
    }

    /// Whoever gave an order may have given up; what it came to is then undone by what they order next.
    async fn carry_out(&mut self, order: Order<T>, begun: u64) {
        match order {
            Order::Prepare { side, done } => {
                self.orders.second = Some(Second { side, judge: None });
                let made = self.prepare().await;
                drop(done.send(made.map(|()| since(begun))));
            }
            Order::Copy(copy) => self.copy(*copy, begun).await,
            Order::Try { trial, done } => drop(done.send(self.try_out(trial, begun).await)),
            Order::Flip { from, done } => drop(done.send(self.flip(from, begun).await)),
            Order::Forget { done } => {
                self.orders.tap = None;
                let second = self.orders.second.take();
                let tried = |judge: Option<Judge>| judge.map(|judge| judge.tried());
                drop(done.send(second.map(|Second { side, judge }| Forgotten { side, tried: tried(judge) })));
            }
            Order::Settle { memory, done } => {
                if let Some(instance) = &mut self.instance {
                    instance.settle(&memory);
                }
                self.spec.memory = memory;
                let _ = done.send(());
            }
        }
    }

    /// Puts the second version where the first one is, with all that belongs to it, and the other way round.
    pub(crate) fn exchange(&mut self) {
        let Some(Second { side, .. }) = &mut self.orders.second else { return };
        let Spec { version, memory, data, keep, .. } = &mut self.spec;
        swap(&mut side.instance, &mut self.instance);
        swap(&mut side.version, version);
        swap(&mut side.memory, memory);
        swap(&mut side.data, data);
        swap(&mut side._keep, keep);
    }

    /// Makes the second version's instance.
    async fn prepare(&mut self) -> Result<(), Reason> {
        self.exchange();
        let made = self.warm().await;
        self.exchange();
        made.map_err(Reason::Start)
    }

    /// What the instance that serves keeps, if there is one and it keeps anything.
    async fn pack(&mut self, transit: &Arc<Quota>) -> Result<Option<Kept>, Reason> {
        if self.instance.is_none() {
            return Ok(None);
        }
        let kept = self.outside(async |instance| instance.snapshot().await).await.map_err(Reason::Snapshot)?;
        let Some(bytes) = kept else { return Ok(None) };
        match transit.hold(bytes.len() as u64) {
            Ok(held) => Ok(Some(Kept { bytes, _held: held })),
            Err(full) => Err(Reason::TooLarge { bytes: full.wanted, limit: full.limit.saturating_sub(full.used) }),
        }
    }

    /// Gives the second version's instance what the first one kept.
    async fn restore(&mut self, kept: &Kept, version: &str) -> Result<(), Reason> {
        self.exchange();
        let restored = self.outside(async |instance| instance.restore(&kept.bytes, version).await).await;
        if !matches!(restored, Ok(Ok(()))) {
            // Nobody knows what it has taken in.
            self.instance = None;
        }
        self.exchange();
        match restored {
            Ok(Ok(())) => Ok(()),
            Ok(Err(failure)) => Err(Reason::Restore(failure)),
            Err(fault) => Err(Reason::RestoreBroke(fault)),
        }
    }

    /// The second version's instance takes over what the first one keeps. If it can't, the first one is as it was.
    async fn transfer(&mut self, transfer: &Transfer) -> Result<(Carried, Option<Kept>), Reason> {
        if transfer.memory == Memory::Cold {
            return Ok((Carried::Left, None));
        }
        let cold = transfer.memory == Memory::CarriedOrCold;
        let kept = match self.pack(&transfer.transit).await {
            Ok(kept) => kept,
            Err(_) if cold => return Ok((Carried::Left, None)),
            Err(reason) => return Err(reason),
        };
        let Some(kept) = kept else { return Ok((Carried::Nothing, None)) };
        match self.restore(&kept, &transfer.version).await {
            Ok(()) => Ok((Carried::Restored(kept.bytes.len() as u64), Some(kept))),
            Err(_) if cold => {
                self.prepare().await?;
                Ok((Carried::Left, Some(kept)))
            }
            Err(reason) => Err(reason),
        }
    }

    async fn copy(&mut self, copy: Copy, begun: u64) {
        let Copy { lasting, memory, transit, tap, done } = copy;
        let kept = match memory {
            Memory::Cold => Ok(None),
            Memory::Carried => self.pack(&transit).await,
            Memory::CarriedOrCold => Ok(self.pack(&transit).await.unwrap_or(None)),
        };
        let copied = match (kept, lasting()) {
            (Ok(kept), Ok(())) => Ok(Copied { kept, pause: since(begun) }),
            (Err(reason), _) => Err(reason),
            (Ok(_), Err(fault)) => Err(Reason::Copy(fault)),
        };
        if copied.is_ok() {
            self.orders.tap = Some(tap);
        }
        drop(done.send(copied));
    }

    async fn try_out(&mut self, trial: Trial, begun: u64) -> Result<Moved, Reason> {
        let Trial { senders, plan, transfer, verdict } = trial;
        let (memory, kept) = self.transfer(&transfer).await?;
        if let Some(second) = &mut self.orders.second {
            second.judge = Some(Judge::new(senders, plan, verdict));
        }
        Ok(Moved { pause: since(begun), memory, _kept: kept })
    }

    async fn flip(&mut self, from: From, begun: u64) -> Result<Flipped<T>, Reason> {
        let (memory, kept) = match from {
            From::Old(transfer) => self.transfer(&transfer).await?,
            From::Itself => (Carried::Own, None),
            From::Fresh(transfer) => self.refresh(&transfer).await?,
        };
        self.fit()?;
        self.exchange();
        let Some(Second { side: old, .. }) = self.orders.second.take() else { return Err(Reason::Stopped) };
        Ok(Flipped { moved: Moved { pause: since(begun), memory, _kept: kept }, old })
    }

    /// As a transfer, into an instance that has handled nothing. The one on trial stays if there is nothing to take over.
    async fn refresh(&mut self, transfer: &Transfer) -> Result<(Carried, Option<Kept>), Reason> {
        let kept = match transfer.memory {
            Memory::Cold => None,
            Memory::Carried => self.pack(&transfer.transit).await?,
            Memory::CarriedOrCold => self.pack(&transfer.transit).await.unwrap_or(None),
        };
        let Some(kept) = kept else { return Ok((Carried::Own, None)) };
        if let Some(second) = &mut self.orders.second {
            second.judge = None;
            second.side.instance = None;
        }
        self.prepare().await?;
        match self.restore(&kept, &transfer.version).await {
            Ok(()) => Ok((Carried::Restored(kept.bytes.len() as u64), Some(kept))),
            Err(_) if transfer.memory == Memory::CarriedOrCold => {
                self.prepare().await?;
                Ok((Carried::Left, Some(kept)))
            }
            Err(reason) => Err(reason),
        }
    }

    /// Whether the agent can hold the new instance instead of the old one. The new one may grow to what is left.
    fn fit(&mut self) -> Result<(), Reason> {
        let old = self.instance.as_mut().map_or(0, |instance| instance.held());
        let Some(Second { side, .. }) = &mut self.orders.second else { return Err(Reason::Stopped) };
        let new = side.instance.as_mut().map_or(0, |instance| instance.held());
        let (beside, limit) = (self.spec.memory.used().saturating_sub(old), self.spec.memory.limit());
        if beside + new > limit {
            return Err(Reason::Memory { bytes: beside + new, limit });
        }
        side.memory.set_limit(limit - beside);
        Ok(())
    }
}

/// The time since `begun`.
fn since(begun: u64) -> Duration {
    Duration::from_nanos(clock::now().saturating_sub(begun))
}
