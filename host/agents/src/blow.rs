//! What befalls an agent because of another one: its instance goes, in the midst of a turn if need be.

use crate::agent::{Answer, Error, Lasting};
use crate::books::Books;
use crate::event::{Did, Entry, Event, Outcome, Then};
use crate::live::{Handed, Life};
use crate::mail::MAIL;
use crate::settle::millis;
use parking_lot::Mutex;
use runtime::{Fault, clock};
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::task::Poll;
use std::time::Duration;
use store::Change;

/// What befalls an agent because of another one.
#[derive(Debug, Clone)]
pub struct Blow {
    /// Because of whom.
    pub with: String,
    /// It is left alone for so long.
    pub pause: Option<Duration>,
    /// Whether it counts as a break of its own.
    pub counts: bool,
}

/// What has befallen an agent and was not seen to yet.
#[derive(Default)]
pub(crate) struct Blows {
    any: AtomicBool,
    all: Mutex<Vec<Blow>>,
}

/// That an agent broke, or is left alone for that, for those who are told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Broke {
    /// The word for why; none if it broke before.
    pub kind: Option<&'static str>,
    /// How long it is left alone, if it is.
    pub pause: Option<Duration>,
}

/// Sees to it that others are told that an agent broke: what is kept of that is added to the change, and what is answered
/// is to be called once the change is kept.
pub type Fell = std::sync::Arc<dyn Fn(&Broke, &mut Change) -> Told + Send + Sync>;

/// See [`Fell`].
pub type Told = Box<dyn FnOnce() + Send>;

impl Blows {
    pub(crate) fn add(&self, blow: Blow) {
        self.all.lock().push(blow);
        self.any.store(true, Release);
    }

    fn take(&self) -> Vec<Blow> {
        match self.any.load(Acquire) && self.any.swap(false, Acquire) {
            true => std::mem::take(&mut *self.all.lock()),
            false => Vec::new(),
        }
    }

    /// Because of whom the turn under way must end, if it must.
    fn fault(&self) -> Option<Fault> {
        if !self.any.load(Acquire) {
            return None;
        }
        self.all.lock().first().map(|blow| Fault::Linked { with: blow.with.clone() })
    }

    /// Does `work` until a blow falls.
    pub(crate) async fn amid<O>(&self, work: impl Future<Output = Result<O, Error>>) -> Result<O, Error> {
        let mut work = pin!(work);
        std::future::poll_fn(|cx| match self.fault() {
            Some(fault) => Poll::Ready(Err(Error::Broke(fault))),
            None => work.as_mut().poll(cx),
        })
        .await
    }
}

impl<T: Lasting> Life<T> {
    /// Sees to what has befallen it: its memory goes, and what lasts stays.
    pub(crate) fn suffer(&mut self) {
        for blow in self.blows.take() {
            if let Some(crew) = &self.crew {
                crew.strike(&blow);
            }
            (self.instance, self.asleep, self.turns) = (None, None, 0);
            self.pulse.awake.store(false, Relaxed);
            let now = clock::now();
            if let Some(pause) = blow.pause {
                self.shared.breaker.lock().hold(pause, now);
            }
            if blow.counts {
                self.pulse.faults.fetch_add(1, Relaxed);
                let pause = self.shared.breaker.lock().broke(&self.spec.care, now);
                if let Some(pause) = pause {
                    self.tell_of(Broke { kind: None, pause: Some(pause) });
                }
            }
        }
    }

    /// Has others told what became of it, apart from the end of any turn.
    pub(crate) fn tell_of(&self, broke: Broke) {
        let mut change = Change::new();
        let told = (self.spec.fell)(&broke, &mut change);
        match &self.spec.books {
            Some(books) if !change.is_empty() => books.store().submit(change, move |_| told()),
            _ => told(),
        }
    }

    /// A turn that ended because of another agent is no failure of its message: that is tried again, and no try is counted.
    pub(crate) async fn spare(&mut self, books: &Books, mut handed: Box<Handed>, answer: Answer, number: u64) {
        let Err(error) = &answer.outcome else { return };
        handed.again = true;
        let mut change = Change::new();
        change.require(&MAIL, (&*self.spec.name, number));
        let outcome = Outcome::failed(error, Then::Again);
        let entry: Entry = self.entry(&handed.message, outcome, &answer, Did::default());
        change.record(millis(), &Event::Turn(Box::new(entry)));
        match books.store().commit(change).await {
            // Another life of this agent has handled it.
            Err(store::Error::Conflict { .. }) => {}
            // What could not be written down is tried again all the same.
            _ => self.queue.rest(handed, clock::now(), self.spec.retry.ordered),
        }
    }
}
