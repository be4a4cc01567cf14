//! One future that polls a guest, with its place in the order, its CPU account and its alarm.

use super::Shared;
use super::queue::Queue;
use crate::clock;
use crate::cpu::Cpu;
use parking_lot::Mutex;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};

/// A future that polls a guest, as the workers see it.
pub struct Task {
    state: AtomicU8,
    running: Mutex<Option<Running>>,
    cpu: Arc<Cpu>,
    /// CPU time used, weighted by share: who has least goes first.
    place: AtomicU64,
    /// Only the entry in the queue that carries it counts. Written under the queue's lock.
    ticket: AtomicU64,
    /// When the future wants to be polled whatever happens; `NEVER` if it doesn't.
    alarm: AtomicU64,
    /// The time of the alarm's entry in the queue; `NEVER` if there is none. Written under the queue's lock.
    armed: AtomicU64,
    /// When it was last polled.
    polled: AtomicU64,
    /// Since when it rests; 0 while it does not, and once that was made good.
    rests: AtomicU64,
    stopped: AtomicBool,
    /// What it was charged itself: others may be charged on the same account.
    used: AtomicU64,
    /// How many tasks share its account, and with that its place in the order.
    among: AtomicU32,
    /// Whether so much was left at the last charge that there is no need to look before the next one.
    ample: AtomicBool,
    shared: Weak<Shared>,
    id: u64,
}

/// The future, and the waker that it is polled with. The waker holds the task, which holds this: it is taken out when
/// the future ends, and at the latest when the workers do.
struct Running {
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
    waker: Waker,
}

const NEVER: u64 = u64::MAX;

/// More CPU time than a task can use between two charges.
const AMPLE: i64 = 10_000_000;

/// A task that comes back from a rest goes before those that kept running, but not further than this.
const LEAD: u64 = 8_000_000;

/// What is rested makes good so much of what was used: one that uses less than this part of a core goes before those that
/// use more, however long it has been about it.
const MADE_GOOD: u64 = 10;

/// Waits for its waker or its alarm.
const RESTING: u8 = 0;
/// In the queue, ready or throttled.
const QUEUED: u8 = 1;
const RUNNING: u8 = 2;
/// Running, and woken meanwhile.
const WOKEN: u8 = 3;
const ENDED: u8 = 4;

/// How a poll ended.
pub(super) enum Polled {
    Pending,
    Ended,
    /// It was not polled: another entry was first.
    Stale,
}

impl Task {
    pub(super) fn new(id: u64, cpu: Arc<Cpu>, shared: Weak<Shared>) -> Arc<Task> {
        Arc::new(Task {
            state: AtomicU8::new(RESTING),
            running: Mutex::new(None),
            cpu,
            place: AtomicU64::new(0),
            ticket: AtomicU64::new(0),
            alarm: AtomicU64::new(NEVER),
            armed: AtomicU64::new(NEVER),
            polled: AtomicU64::new(clock::now()),
            rests: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            used: AtomicU64::new(0),
            among: AtomicU32::new(1),
            ample: AtomicBool::new(false),
            shared,
            id,
        })
    }

    pub(super) fn begin(self: &Arc<Task>, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        *self.running.lock() = Some(Running { future, waker: Waker::from(self.clone()) });
        self.wake_by_ref();
    }

    /// The account that it is charged to.
    pub fn cpu(&self) -> &Arc<Cpu> {
        &self.cpu
    }

    /// Nanoseconds of CPU time that it used itself.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// It is one of so many that share its account: together they go no earlier than one would.
    pub fn set_among(&self, count: u32) {
        self.among.store(count.max(1), Ordering::Relaxed);
    }

    /// When it was last polled: the present, as far as the future is concerned.
    pub fn polled(&self) -> u64 {
        self.polled.load(Ordering::Relaxed)
    }

    /// Sets the time at which the future is polled even if nothing woke it, and even if its account is empty.
    pub(crate) fn set_alarm(&self, at: u64) {
        // Once it was told to stop, it stays overdue.
        if !self.stopping() {
            self.alarm.store(at, Ordering::Relaxed);
        }
    }

    /// Takes the alarm back.
    pub(crate) fn clear_alarm(&self) {
        self.set_alarm(NEVER);
    }

    /// Asks the future to end. It is polled soon, however empty its account, and sees [`Task::stopping`].
    pub fn stop(self: &Arc<Task>) {
        self.alarm.store(0, Ordering::Relaxed);
        self.stopped.store(true, Ordering::Release);
        self.alarm.store(0, Ordering::Relaxed);
        self.reconsider();
    }

    /// Whether [`Task::stop`] was called.
    pub fn stopping(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Whether the future has ended.
    pub fn ended(&self) -> bool {
        self.state.load(Ordering::Acquire) == ENDED
    }

    /// Looks again whether it may run, because its account or its alarm was changed from outside.
    pub fn reconsider(self: &Arc<Task>) {
        self.ample.store(false, Ordering::Relaxed);
        self.wake_by_ref();
        // If it was throttled, waking did nothing; lining up anew makes its former entry stale.
        if self.state.load(Ordering::Acquire) == QUEUED
            && let Some(shared) = self.shared.upgrade()
        {
            shared.ready(self.clone());
        }
    }

    /// Between two turns: gives way if this poll has lasted as long as a slice may, so that a full mailbox holds nobody up.
    pub async fn give_way(&self, now: u64) {
        let mut given = now.saturating_sub(self.polled()) < super::BATCH;
        std::future::poll_fn(|cx| {
            if std::mem::replace(&mut given, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    pub(super) fn place(&self) -> u64 {
        self.place.load(Ordering::Relaxed)
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Its place in an order whose front is there: where it stood, but for what its rest makes good, and not much before the
    /// front however long it rested.
    pub(super) fn line_up(&self, front: u64) -> u64 {
        let least = front.saturating_sub(LEAD);
        let rests = self.rests.swap(0, Ordering::Relaxed);
        if rests > 0 {
            let good = clock::now().saturating_sub(rests) / MADE_GOOD;
            // Nobody else makes it good, and what is charged meanwhile is not lost.
            self.place.fetch_sub(good.min(self.place()), Ordering::Relaxed);
        }
        self.place.fetch_max(least, Ordering::Relaxed).max(least)
    }

    /// A new ticket, which makes entries with the former one stale.
    pub(super) fn draw(&self) -> u64 {
        self.ticket.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn holds(&self, ticket: u64) -> bool {
        self.ticket.load(Ordering::Relaxed) == ticket
    }

    pub(super) fn overdue(&self) -> bool {
        let alarm = self.alarm.load(Ordering::Relaxed);
        alarm != NEVER && alarm <= clock::now()
    }

    pub(super) fn charge(&self, nanos: u64, now: u64) {
        let (weighted, left) = self.cpu.charge(nanos, now);
        let among = u64::from(self.among.load(Ordering::Relaxed));
        self.place.fetch_add(weighted.saturating_mul(among), Ordering::Relaxed);
        self.used.fetch_add(nanos, Ordering::Relaxed);
        self.ample.store(left > AMPLE, Ordering::Relaxed);
    }

    /// When it may run: `now`, or a time to come.
    pub(super) fn may_run_at(&self, now: u64) -> u64 {
        if self.ample.load(Ordering::Relaxed) {
            return now;
        }
        self.cpu.ready_at(now).min(self.alarm.load(Ordering::Relaxed)).max(now)
    }

    pub(super) fn poll(self: &Arc<Task>, now: u64) -> Polled {
        if self.state.compare_exchange(QUEUED, RUNNING, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return Polled::Stale;
        }
        let mut running = self.running.lock();
        self.polled.store(now, Ordering::Relaxed);
        let poll = running.as_mut().map(|Running { future, waker }| {
            // An import that panics ends its own guest, not the thread and everybody on it.
            let poll = AssertUnwindSafe(|| future.as_mut().poll(&mut Context::from_waker(waker)));
            catch_unwind(poll).unwrap_or(Poll::Ready(()))
        });
        if matches!(poll, Some(Poll::Pending)) {
            return Polled::Pending;
        }
        *running = None;
        self.state.store(ENDED, Ordering::Release);
        Polled::Ended
    }

    /// After a poll that did not end it: back into the queue if it was woken meanwhile, else to rest.
    pub(super) fn rest(self: &Arc<Task>, now: u64, shared: &Shared) {
        self.rests.store(now, Ordering::Relaxed);
        if self.state.compare_exchange(RUNNING, RESTING, Ordering::AcqRel, Ordering::Acquire).is_err() {
            self.rests.store(0, Ordering::Relaxed);
            self.state.store(QUEUED, Ordering::Release);
            shared.requeue(self.clone());
        } else if self.alarm.load(Ordering::Relaxed) < self.armed.load(Ordering::Relaxed) {
            shared.arm(self.clone());
        }
    }

    /// Puts an entry for the alarm into the queue, unless one is there that comes no later.
    pub(super) fn arm(self: Arc<Task>, queue: &mut Queue) {
        let alarm = self.alarm.load(Ordering::Relaxed);
        if alarm < self.armed.load(Ordering::Relaxed) {
            self.armed.store(alarm, Ordering::Relaxed);
            queue.alarm(self, alarm);
        }
    }

    /// The alarm's entry for `at` has come up.
    pub(super) fn alarmed(self: Arc<Task>, at: u64, now: u64, queue: &mut Queue) {
        if self.armed.load(Ordering::Relaxed) != at {
            return;
        }
        self.armed.store(NEVER, Ordering::Relaxed);
        if self.alarm.load(Ordering::Relaxed) > now {
            // The turn that it was set for has ended; another may have begun.
            self.arm(queue);
            return;
        }
        let state = self.state.compare_exchange(RESTING, QUEUED, Ordering::AcqRel, Ordering::Acquire);
        if matches!(state, Ok(_) | Err(QUEUED)) {
            queue.ready(self);
        }
    }

    /// Drops the future unfinished. It must not be running.
    pub(super) fn end(&self) {
        self.state.store(ENDED, Ordering::Release);
        let unfinished = self.running.lock().take();
        drop(unfinished);
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let woken = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| match state {
            RESTING => Some(QUEUED),
            RUNNING => Some(WOKEN),
            _ => None,
        });
        if woken == Ok(RESTING)
            && let Some(shared) = self.shared.upgrade()
        {
            shared.ready(self.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Share;
    use std::time::Duration;

    const MS: u64 = 1_000_000;

    /// Where a task lines up that stood at the front, and has rested so long.
    fn place_after(rested: Option<u64>) -> u64 {
        let front = 100 * MS;
        let task = Task::new(0, Cpu::new(Share::CORE, Duration::from_secs(1)), Weak::new());
        task.place.store(front, Ordering::Relaxed);
        let since = rested.map_or(0, |rested| clock::now() - rested);
        task.rests.store(since, Ordering::Relaxed);
        let place = task.line_up(front);
        assert_eq!(task.line_up(front), place, "a rest makes good once");
        place
    }

    #[test]
    fn what_is_rested_makes_good_a_part_of_what_was_used() {
        assert_eq!(place_after(None), 100 * MS, "one that has not rested stays where it stood");
        let place = place_after(Some(50 * MS));
        assert!((93 * MS..=95 * MS).contains(&place), "{place}");
        assert_eq!(place_after(Some(10_000 * MS)), 100 * MS - LEAD, "nobody goes further before the front than that");
    }
}
