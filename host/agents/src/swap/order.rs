//! What an agent's life is told to do about its versions, and what it keeps for that.

use super::event::{Carried, Reason, Tried};
use super::judge::{Judge, Verdict};
use super::plan::{Memory, Plan, Senders};
use super::shadow::Tap;
use super::side::Side;
use crate::agent::Answer;
use runtime::{Fault, Guest, Held, Message, Quota, Task};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel, Ordering::Release};
use std::task::Wake;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// One thing to do between two turns.
pub(crate) enum Order<T: Guest> {
    /// Make an instance of a version to come.
    Prepare { side: Box<Side<T>>, done: oneshot::Sender<Result<Duration, Reason>> },
    /// Hand over what the agent knows, and copies of the messages from now on.
    Copy(Box<Copy>),
    /// Give the version to come the messages of some senders.
    Try { trial: Trial, done: oneshot::Sender<Result<Moved, Reason>> },
    /// Give the version to come all messages.
    Flip { from: From, done: oneshot::Sender<Result<Flipped<T>, Reason>> },
    /// Let the version to come go, and copy no more messages.
    Forget { done: oneshot::Sender<Option<Forgotten<T>>> },
    /// Count the instance on this from now on.
    Settle { memory: Arc<Quota>, done: oneshot::Sender<()> },
}

/// How to copy an agent.
pub(crate) struct Copy {
    pub(crate) lasting: Arc<dyn Fn() -> Result<(), Fault> + Send + Sync>,
    pub(crate) memory: Memory,
    pub(crate) transit: Arc<Quota>,
    pub(crate) tap: Tap,
    pub(crate) done: oneshot::Sender<Result<Copied, Reason>>,
}

/// What was copied of an agent.
pub(crate) struct Copied {
    pub(crate) kept: Option<Kept>,
    pub(crate) pause: Duration,
}

/// A trial of the version to come.
pub(crate) struct Trial {
    pub(crate) senders: Senders,
    pub(crate) plan: Plan,
    pub(crate) transfer: Transfer,
    pub(crate) verdict: oneshot::Sender<Verdict>,
}

/// How memory gets from one instance to another.
#[derive(Clone)]
pub(crate) struct Transfer {
    pub(crate) memory: Memory,
    /// What the old version calls itself.
    pub(crate) version: Arc<str>,
    /// What it is counted on meanwhile.
    pub(crate) transit: Arc<Quota>,
}

/// Where the instance that takes over has its memory from.
pub(crate) enum From {
    /// From the old one.
    Old(Transfer),
    /// It was on trial, and goes on as it is.
    Itself,
    /// It was on trial; another one takes over from the old one, unless that keeps nothing.
    Fresh(Transfer),
}

/// What an instance kept, as it is counted.
pub(crate) struct Kept {
    pub(crate) bytes: Vec<u8>,
    pub(crate) _held: Held,
}

/// Memory went from one instance to another.
pub(crate) struct Moved {
    pub(crate) pause: Duration,
    pub(crate) memory: Carried,
    /// To be dropped by whoever has the time.
    pub(crate) _kept: Option<Kept>,
}

/// One version took over from another.
pub(crate) struct Flipped<T: Guest> {
    pub(crate) moved: Moved,
    /// To be dropped by whoever has the time.
    pub(crate) old: Box<Side<T>>,
}

/// A version that was to come, and does not.
pub(crate) struct Forgotten<T: Guest> {
    /// To be dropped by whoever has the time.
    pub(crate) side: Box<Side<T>>,
    /// What came of its trial, if it was on trial.
    pub(crate) tried: Option<Tried>,
}

/// An order, and when it was given.
pub(crate) struct Given<T: Guest> {
    pub(crate) order: Order<T>,
    pub(crate) at: u64,
}

/// Gives orders to a life. They go before everything that waits in its mailbox.
pub(crate) struct Helm<T: Guest> {
    orders: mpsc::UnboundedSender<Given<T>>,
    called: Arc<AtomicBool>,
}

impl<T: Guest> Helm<T> {
    /// Gives an order to the life that runs as `task`. A life that has ended drops it.
    pub(crate) fn order(&self, task: &Arc<Task>, order: Order<T>) {
        let given = Given { order, at: runtime::clock::now() };
        drop(self.orders.send(given));
        self.called.store(true, Release);
        task.wake_by_ref();
    }
}

/// What a life keeps for its versions.
pub(crate) struct Orders<T: Guest> {
    given: mpsc::UnboundedReceiver<Given<T>>,
    called: Arc<AtomicBool>,
    /// The version to come.
    pub(crate) second: Option<Second<T>>,
    /// Whoever is given copies of the messages.
    pub(crate) tap: Option<Tap>,
    /// Whether the turn under way is the second version's.
    turn: bool,
}

/// A version to come.
pub(crate) struct Second<T: Guest> {
    pub(crate) side: Box<Side<T>>,
    pub(crate) judge: Option<Judge>,
}

impl<T: Guest> Orders<T> {
    pub(crate) fn new() -> (Helm<T>, Orders<T>) {
        let (orders, given) = mpsc::unbounded_channel();
        let called = Arc::new(AtomicBool::new(false));
        let helm = Helm { orders, called: called.clone() };
        (helm, Orders { given, called, second: None, tap: None, turn: false })
    }

    /// Whether there may be an order.
    pub(crate) fn flag(&self) -> &AtomicBool {
        &self.called
    }

    /// The next order.
    pub(crate) fn next(&mut self) -> Option<Given<T>> {
        if !self.called.swap(false, AcqRel) {
            return None;
        }
        let given = self.given.try_recv().ok();
        if given.is_some() {
            // There may be more; a look too many finds nothing.
            self.called.store(true, Release);
        }
        given
    }

    /// A turn begins; answers whether it is the second version's.
    pub(crate) fn begin(&mut self, message: &Message) -> bool {
        let judge = self.second.as_ref().and_then(|second| second.judge.as_ref());
        self.turn = judge.is_some_and(|judge| judge.takes(message));
        if let Some(tap) = &mut self.tap {
            tap.begin(message);
        }
        self.turn
    }

    /// The turn that began has this answer.
    pub(crate) fn saw(&mut self, answer: &Answer) {
        if let Some(judge) = self.second.as_mut().and_then(|second| second.judge.as_mut()) {
            judge.saw(self.turn, answer);
        }
        if self.tap.as_mut().is_some_and(|tap| tap.saw(answer)) {
            // It has had as many as it wanted.
            self.tap = None;
        }
    }
}
