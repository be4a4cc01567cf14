//! One turn: some guest work under a deadline, with what it used.

use crate::clock;
use crate::workers::Task;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

/// Why work was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupted {
    /// Its deadline passed.
    Deadline,
    /// Somebody stopped the agent.
    Stopped,
}

/// Work that was done, and how long it took.
#[derive(Debug)]
pub struct Turn<O> {
    /// What came of it.
    pub outcome: Result<O, Interrupted>,
    /// Wall time, waiting included.
    pub wall: Duration,
}

/// Does `work` as part of `task`, until `deadline` at most. Work that is given up is dropped where it stands.
///
/// The deadline runs from the first poll; being throttled and waiting count.
pub async fn turn<F: Future>(task: &Task, deadline: Duration, work: F) -> Turn<F::Output> {
    let begun = clock::now();
    let until = begun.saturating_add(clock::nanos(deadline));
    task.set_alarm(until);
    let outcome = Bounded { task, until, now: begun, work: pin!(work) }.await;
    task.clear_alarm();
    Turn { outcome, wall: Duration::from_nanos(clock::now().saturating_sub(begun)) }
}

struct Bounded<'a, F> {
    task: &'a Task,
    until: u64,
    now: u64,
    work: Pin<&'a mut F>,
}

impl<F: Future> Future for Bounded<'_, F> {
    type Output = Result<F::Output, Interrupted>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.task.stopping() {
            return Poll::Ready(Err(Interrupted::Stopped));
        }
        if self.now.max(self.task.polled()) >= self.until {
            return Poll::Ready(Err(Interrupted::Deadline));
        }
        self.work.as_mut().poll(cx).map(Ok)
    }
}
