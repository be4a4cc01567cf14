//! The thread that ticks the engine's epoch while a worker is awake.

use super::Shared;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

/// How long a guest may run before it gives way.
pub(crate) const TICK: Duration = Duration::from_millis(1);

#[derive(Default)]
pub(super) struct Ticks {
    awake: AtomicUsize,
    parked: AtomicBool,
    stop: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Ticks {
    pub(super) fn worker_awake(&self) {
        self.awake.fetch_add(1, Ordering::SeqCst);
        if self.parked.swap(false, Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    pub(super) fn worker_asleep(&self) {
        self.awake.fetch_sub(1, Ordering::SeqCst);
    }
}

pub(super) struct Ticker(JoinHandle<()>);

impl Ticker {
    pub(super) fn start(shared: Arc<Shared>) -> std::io::Result<Ticker> {
        let thread = std::thread::Builder::new().name("ticker".into()).spawn(move || tick(&shared))?;
        Ok(Ticker(thread))
    }

    pub(super) fn stop(self, ticks: &Ticks) {
        ticks.stop.store(true, Ordering::SeqCst);
        self.0.thread().unpark();
        let _ = self.0.join();
    }
}

fn tick(shared: &Shared) {
    let ticks = &shared.ticks;
    let _ = ticks.thread.set(std::thread::current());
    while !ticks.stop.load(Ordering::SeqCst) {
        ticks.parked.store(true, Ordering::SeqCst);
        if ticks.awake.load(Ordering::SeqCst) == 0 {
            std::thread::park();
            continue;
        }
        ticks.parked.store(false, Ordering::SeqCst);
        std::thread::sleep(TICK);
        shared.engine.increment_epoch();
    }
}
