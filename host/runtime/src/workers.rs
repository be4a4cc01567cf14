//! The threads that guests run on, and who goes next.
//!
//! Guests never run on the threads that serve I/O. Among those that are ready, the one that has used least of late goes
//! first, where "used" is CPU time weighted by share: so whoever rests stays quick, whoever spins moves behind, and shares
//! that add up to too much divide what there is. An agent whose CPU account is empty waits until it has filled.
//!
//! A guest gives way at each tick of the engine's epoch. Ticks come from an OS thread, and at once when somebody who
//! goes first becomes ready while every worker is busy.

mod local;
mod queue;
mod task;
mod ticker;

use crate::clock;
use crate::cpu::Cpu;
use parking_lot::{Condvar, Mutex};
use queue::Queue;
use std::collections::HashMap;
use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;
use task::Polled;
pub use task::Task;
use ticker::Ticker;

/// Polls shorter than this share one reading of the CPU clock; a future that has more to do gives way after it.
const BATCH: u64 = 100_000;

/// Somebody ready interrupts the workers only if it is this far ahead of them in the order of who goes next.
const AHEAD: u64 = 2_000_000;

/// And not more often than this.
const INTERRUPTS: u64 = 50_000;

/// The threads that guests run on. Dropping it stops them; what has not ended by then is dropped unfinished.
pub struct Workers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    ticker: Option<Ticker>,
}

pub(crate) struct Shared {
    /// Who is ready and who waits for a time change together.
    queue: Mutex<Queue>,
    /// Where the last one that went stood.
    front: Arc<AtomicU64>,
    /// How many workers wait for something to do. Written under the queue's lock.
    idle: AtomicUsize,
    wanted: Condvar,
    /// Of each worker, where what it runs stands in the order; `u64::MAX` while it runs nothing.
    running: Box<[AtomicU64]>,
    /// When the workers were last interrupted.
    interrupted: AtomicU64,
    engine: wasmtime::Engine,
    ticks: ticker::Ticks,
    /// Every task that has not ended, so that none outlives the workers; none once those have stopped.
    tasks: Mutex<Option<HashMap<u64, Weak<Task>>>>,
    ids: AtomicU64,
}

impl Workers {
    /// Starts `count` threads. Imports that wait do so on `io`.
    pub fn start(
        engine: &wasmtime::Engine,
        count: NonZeroUsize,
        io: &tokio::runtime::Handle,
    ) -> std::io::Result<Workers> {
        let front = Arc::new(AtomicU64::new(0));
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue::new(front.clone())),
            front,
            idle: AtomicUsize::new(0),
            wanted: Condvar::new(),
            running: (0..count.get()).map(|_| AtomicU64::new(u64::MAX)).collect(),
            interrupted: AtomicU64::new(0),
            engine: engine.clone(),
            ticks: ticker::Ticks::default(),
            tasks: Mutex::new(Some(HashMap::new())),
            ids: AtomicU64::new(0),
        });
        let ticker = Ticker::start(shared.clone())?;
        let mut workers = Workers { shared, threads: Vec::new(), ticker: Some(ticker) };
        for seat in 0..count.get() {
            let (shared, io) = (workers.shared.clone(), io.clone());
            let thread = std::thread::Builder::new().name(format!("guest-{seat}")).spawn(move || {
                let _io = io.enter();
                give_way_to_io();
                Worker { shared: &shared, seat, batch: Vec::new(), cpu: clock::thread_cpu(), wall: 0, kept: 0 }.run();
            })?;
            workers.threads.push(thread);
        }
        Ok(workers)
    }

    /// Runs a future that polls a guest, on the account `cpu`. `make` is given the task that it will run as.
    pub fn spawn<F>(&self, cpu: Arc<Cpu>, make: impl FnOnce(Arc<Task>) -> F) -> Arc<Task>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.spawner().spawn(cpu, make)
    }

    /// For those who put work on these threads without keeping them alive.
    pub fn spawner(&self) -> Spawner {
        Spawner(self.shared.clone())
    }

    /// How many threads there are.
    pub fn count(&self) -> usize {
        self.threads.len()
    }
}

/// Puts work on the threads of [`Workers`]. Once those have stopped, what it spawns never runs.
#[derive(Clone)]
pub struct Spawner(Arc<Shared>);

impl Spawner {
    /// See [`Workers::spawn`].
    pub fn spawn<F>(&self, cpu: Arc<Cpu>, make: impl FnOnce(Arc<Task>) -> F) -> Arc<Task>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let id = self.0.ids.fetch_add(1, Relaxed);
        let task = Task::new(id, cpu, Arc::downgrade(&self.0));
        let future = Box::pin(make(task.clone()));
        let mut tasks = self.0.tasks.lock();
        match tasks.as_mut() {
            Some(tasks) => {
                tasks.insert(id, Arc::downgrade(&task));
            }
            None => {
                drop(tasks);
                task.end();
                return task;
            }
        }
        drop(tasks);
        task.begin(future);
        task
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.shared.queue.lock().stop();
        self.shared.wanted.notify_all();
        // A spinning guest leaves its thread at the next tick, so the ticker goes last.
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        if let Some(ticker) = self.ticker.take() {
            ticker.stop(&self.shared.ticks);
        }
        self.shared.queue.lock().clear();
        let left = self.shared.tasks.lock().take().unwrap_or_default();
        for task in left.into_values().filter_map(|task| task.upgrade()) {
            task.end();
        }
    }
}

impl Shared {
    /// Puts a task among those that are ready.
    fn ready(&self, task: Arc<Task>) {
        let Some(task) = self.keep(task) else { return };
        let place = self.queue.lock().ready(task);
        if self.idle.load(Relaxed) > 0 {
            self.wanted.notify_one();
        } else {
            self.interrupt_for(place);
        }
    }

    /// Keeps a task that a worker has woken for that worker, to go next: what it was woken with is in the cache. Answers
    /// the task that has to go into the queue instead: this one, if somebody idles or others go before it; else the one
    /// that was kept before.
    fn keep(&self, task: Arc<Task>) -> Option<Arc<Task>> {
        if self.idle.load(Relaxed) > 0 || task.overdue() {
            return Some(task);
        }
        let front = self.front.load(Relaxed);
        let place = task.line_up(front);
        if place > front.saturating_add(AHEAD) {
            return Some(task);
        }
        local::keep(self, task)
    }

    /// Puts a task that gave way back among those that are ready, for the worker that polled it.
    fn requeue(&self, task: Arc<Task>) {
        self.queue.lock().ready(task);
    }

    /// Makes sure that a resting task's alarm is in the queue.
    fn arm(&self, task: Arc<Task>) {
        task.arm(&mut self.queue.lock());
    }

    /// Makes the workers give way now if somebody at `place` should go before what they run.
    fn interrupt_for(&self, place: u64) {
        let last = self.running.iter().map(|place| place.load(Relaxed)).filter(|&place| place != u64::MAX).max();
        if last.is_none_or(|last| last < place.saturating_add(AHEAD)) {
            return;
        }
        let (now, before) = (clock::now(), self.interrupted.load(Relaxed));
        if now.saturating_sub(before) >= INTERRUPTS
            && self.interrupted.compare_exchange(before, now, Relaxed, Relaxed).is_ok()
        {
            self.engine.increment_epoch();
        }
    }
}

/// How many polls in a row may be of tasks that were kept for the worker that woke them.
const KEPT: u32 = 16;

/// One thread's view.
struct Worker<'a> {
    shared: &'a Shared,
    seat: usize,
    /// Who ran since the CPU clock was last read, and for how long by the wall clock.
    batch: Vec<(Arc<Task>, u64)>,
    /// The CPU clock when it was last read.
    cpu: u64,
    /// The sum of the batch.
    wall: u64,
    /// How many kept tasks went in a row.
    kept: u32,
}

impl Worker<'_> {
    fn run(&mut self) {
        local::sit_down(self.shared);
        self.shared.ticks.worker_awake();
        let mut now = clock::now();
        while let Some(task) = self.next(&mut now) {
            let at = task.may_run_at(now);
            if at > now {
                self.shared.queue.lock().throttle(task, at);
            } else {
                now = self.poll(task, now);
            }
        }
        self.settle(now);
        self.shared.ticks.worker_asleep();
    }

    /// Polls a task from `start` on; answers when that ended.
    fn poll(&mut self, task: Arc<Task>, start: u64) -> u64 {
        self.shared.running[self.seat].store(task.place(), Relaxed);
        let polled = task.poll(start);
        let end = clock::now();
        let took = end.saturating_sub(start);
        self.wall += took;
        self.enter(&task, took);
        if self.wall >= BATCH || self.batch.len() >= 64 {
            self.settle(end);
            // What is kept has waited for this; others may be before it by now.
            self.kept = KEPT;
        }
        match polled {
            Polled::Pending => task.rest(end, self.shared),
            Polled::Ended => {
                self.shared.tasks.lock().as_mut().map(|tasks| tasks.remove(&task.id()));
            }
            Polled::Stale => {}
        }
        end
    }

    /// Notes how long a task ran. Two that ask and answer each other take turns, so it may be there already.
    fn enter(&mut self, task: &Arc<Task>, took: u64) {
        match self.batch.iter_mut().rev().take(2).find(|(known, _)| Arc::ptr_eq(known, task)) {
            Some((_, sum)) => *sum += took,
            None => self.batch.push((task.clone(), took)),
        }
    }

    /// The next task, once there is one; none when the workers stop. Keeps `now` up to date.
    fn next(&mut self, now: &mut u64) -> Option<Arc<Task>> {
        let shared = self.shared;
        let kept = local::take();
        let mut late = None;
        if let Some(task) = kept {
            if self.kept < KEPT {
                self.kept += 1;
                shared.front.fetch_max(task.place(), Relaxed);
                return Some(task);
            }
            late = Some(task);
        }
        self.kept = 0;
        let mut queue = shared.queue.lock();
        if let Some(task) = late {
            queue.ready(task);
        }
        loop {
            if queue.stopped() {
                return None;
            }
            let until = queue.release(*now);
            if let Some(task) = queue.next() {
                if shared.idle.load(Relaxed) > 0 && queue.has_ready() {
                    shared.wanted.notify_one();
                }
                return Some(task);
            }
            shared.running[self.seat].store(u64::MAX, Relaxed);
            if !self.batch.is_empty() {
                drop(queue);
                *now = clock::now();
                self.settle(*now);
                queue = shared.queue.lock();
                continue;
            }
            shared.ticks.worker_asleep();
            shared.idle.fetch_add(1, Relaxed);
            match until {
                // One idle worker keeps the time for all; the others sleep on.
                Some(at) if at < queue.kept => {
                    queue.kept = at;
                    shared.wanted.wait_for(&mut queue, Duration::from_nanos(at.saturating_sub(clock::now())));
                    if queue.kept == at {
                        queue.kept = u64::MAX;
                    }
                }
                _ => shared.wanted.wait(&mut queue),
            }
            shared.idle.fetch_sub(1, Relaxed);
            shared.ticks.worker_awake();
            *now = clock::now();
        }
    }

    /// Reads the CPU clock and charges what was used to those who ran since it was last read, by how long each ran.
    fn settle(&mut self, now: u64) {
        if self.batch.is_empty() {
            return;
        }
        let cpu = clock::thread_cpu();
        let used = cpu.saturating_sub(self.cpu);
        self.cpu = cpu;
        let rate = used as f64 / self.wall.max(1) as f64;
        for (task, took) in self.batch.drain(..) {
            task.charge((took as f64 * rate) as u64, now);
        }
        self.wall = 0;
    }
}

/// Threads that serve I/O run before threads that run guests, so that a spinning guest delays nobody's message.
fn give_way_to_io() {
    give_way(5);
}

/// Puts this thread behind those that run guests, who are behind those that serve I/O.
pub fn give_way_to_guests() {
    give_way(10);
}

#[cfg(target_os = "linux")]
fn give_way(steps: i32) {
    use rustix::process::{getpriority_process, setpriority_process};
    let me = rustix::thread::gettid();
    // If it can't be done everything still works, less promptly.
    if let Ok(nice) = getpriority_process(Some(me)) {
        let _ = setpriority_process(Some(me), (nice + steps).min(19));
    }
}

#[cfg(not(target_os = "linux"))]
fn give_way(_steps: i32) {}
