//! What a life does with its instance beside handling messages, under the same deadline.

use crate::agent::Lasting;
use crate::live::{Life, Work, fault, ready};
use runtime::{Begin, Card, Fault, Instance, turn};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

impl<T: Lasting> Life<T> {
    /// Does what is not about a message.
    pub(crate) async fn attend(&mut self, work: Work) {
        if let Work::Care(retry, care) = &work {
            (self.spec.retry, self.spec.care) = (*retry, *care);
        }
        if matches!(work, Work::Struck) {
            return self.suffer();
        }
        if let Some(crew) = &self.crew {
            return crew.pass(work);
        }
        match work {
            Work::Warm(done) => drop(done.send(self.warm().await)),
            Work::Describe(done) => drop(done.send(self.describe().await)),
            Work::Keeps(done) => {
                let kept = self.outside(async |instance| instance.snapshot().await).await;
                drop(done.send(kept.map(|kept| kept.is_some())));
            }
            Work::Rest => self.put_away().await,
            _ => {}
        }
    }

    /// Makes the instance again that was put away: what is ordered may be about what it keeps.
    pub(crate) async fn rouse(&mut self) {
        if self.asleep.is_some() {
            // One that can't be made is like one that kept nothing.
            drop(self.warm().await);
        }
    }

    pub(crate) async fn warm(&mut self) -> Result<(), Fault> {
        self.outside(async |_| Ok(())).await
    }

    pub(crate) async fn describe(&mut self) -> Result<Card, Fault> {
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
