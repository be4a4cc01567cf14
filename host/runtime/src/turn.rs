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

/// Work that was done, and when. Times are of [`clock::now`](crate::clock::now).
#[derive(Debug)]
pub struct Turn<O> {
    /// What came of it.
    pub outcome: Result<O, Interrupted>,
    /// When it began.
    pub begun: u64,
    /// When it ended.
    pub ended: u64,
}

impl<O> Turn<O> {
    /// How long it took, waiting included.
    pub fn wall(&self) -> Duration {
        Duration::from_nanos(self.ended.saturating_sub(self.begun))
    }
}

/// Does `work` as part of `task`, until `deadline` at most. Work that is given up is dropped where it stands.
///
/// The deadline runs from the first poll; being throttled and waiting count.
///
/// `before` is when the turn before this one ended, 0 if there was none. `work` is told when it must have ended.
pub async fn turn<F: Future>(
    task: &Task,
    deadline: Duration,
    before: u64,
    work: impl FnOnce(u64) -> F,
) -> Turn<F::Output> {
    // It begins when this poll began, or when the turn before it in this poll ended: no need to read the clock.
    let begun = before.max(task.polled());
    let until = begun.saturating_add(clock::nanos(deadline));
    task.set_alarm(until);
    let outcome = Bounded { task, until, now: begun, work: pin!(work(until)) }.await;
    task.clear_alarm();
    Turn { outcome, begun, ended: clock::now() }
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
