//! Arithmetic for agents: on threads of the host's own, metered and throttled like the guests.
//!
//! An agent has one such thread while it has work, so that its share is of one core here too; what it asks for meanwhile
//! waits its turn. No more threads compute at once than there are cores: they take turns, and step behind those that
//! run guests. A thread whose agent's account is empty sleeps, and is in nobody's way.

mod device;
mod meter;

use device::Device;
pub(crate) use device::Opener;
use kernels::Backend as _;
pub(crate) use meter::Meter;
use parking_lot::{Condvar, Mutex};
use runtime::Cpu;
use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// Threads at once, of all agents together; most of them sleep. Beyond, work is refused.
const THREADS: usize = 256;

/// What computes for all agents of a host.
pub(crate) struct Compute {
    turns: Mutex<Turns>,
    /// Somebody's turn may have come, or the last thread has ended.
    changed: Condvar,
    device: Device,
}

/// Who computes and who waits for that change together.
struct Turns {
    /// How many more may compute now.
    free: usize,
    /// Who waits, in order.
    line: VecDeque<u64>,
    /// The last number that was drawn.
    drawn: u64,
    threads: usize,
    /// The host is going.
    over: bool,
}

impl Compute {
    /// At most `cores` threads compute at once. `open` is called when a device could first be of use.
    pub(crate) fn new(cores: NonZeroUsize, open: Option<Opener>) -> Arc<Compute> {
        let turns = Turns { free: cores.get(), line: VecDeque::new(), drawn: 0, threads: 0, over: false };
        Arc::new(Compute { turns: Mutex::new(turns), changed: Condvar::new(), device: Device::new(open) })
    }

    /// Stops what is under way, and waits until no thread is left.
    pub(crate) fn stop(&self) {
        let mut turns = self.turns.lock();
        turns.over = true;
        self.changed.notify_all();
        while turns.threads > 0 {
            self.changed.wait(&mut turns);
        }
    }

    fn is_over(&self) -> bool {
        self.turns.lock().over
    }

    /// Waits until it is this thread's turn; whether it came.
    fn take_turn(&self, cancelled: &dyn Fn() -> bool) -> bool {
        let mut turns = self.turns.lock();
        turns.drawn += 1;
        let number = turns.drawn;
        turns.line.push_back(number);
        loop {
            if turns.over || cancelled() {
                turns.line.retain(|other| *other != number);
                self.changed.notify_all();
                return false;
            }
            if turns.free > 0 && turns.line.front() == Some(&number) {
                turns.line.pop_front();
                turns.free -= 1;
                return true;
            }
            // Being cancelled is told to nobody here: it is looked for.
            self.changed.wait_for(&mut turns, LOOK);
        }
    }

    fn end_turn(&self) {
        self.turns.lock().free += 1;
        self.changed.notify_all();
    }

    fn somebody_waits(&self) -> bool {
        !self.turns.lock().line.is_empty()
    }
}

/// Who waits looks this often at what nobody tells of.
const LOOK: Duration = Duration::from_millis(50);

/// What one agent has asked to be computed.
pub(crate) struct Works {
    compute: Arc<Compute>,
    cpu: Arc<Cpu>,
    gpu: Arc<Cpu>,
    queue: Mutex<Queue>,
    /// Something was cancelled, or the budget was changed.
    changed: Condvar,
}

/// What waits, and whether there is a thread for it, change together.
#[derive(Default)]
struct Queue {
    waiting: VecDeque<(u64, Job)>,
    /// The number of the last one that came.
    last: u64,
    running: bool,
}

type Job = Box<dyn FnOnce(&Arc<Works>) + Send>;

/// So many computations are under way that no more can begin.
pub(crate) struct Busy;

/// Something that is being computed. Dropping it cancels that.
pub(crate) struct Pending<O> {
    outcome: oneshot::Receiver<O>,
    done: watch::Receiver<()>,
    _cancel: Cancel,
}

struct Cancel {
    works: Arc<Works>,
    flag: Arc<AtomicBool>,
    number: u64,
}

impl Drop for Cancel {
    fn drop(&mut self) {
        self.flag.store(true, Relaxed);
        let mut queue = self.works.queue.lock();
        // If it has not begun, all that it holds is given back at once.
        let at = queue.waiting.iter().position(|(number, _)| *number == self.number);
        let unbegun = at.and_then(|at| queue.waiting.remove(at));
        self.works.changed.notify_all();
        drop(queue);
        drop(unbegun);
    }
}

impl<O> Pending<O> {
    /// What came of it, if it is done; an error if it broke.
    pub(crate) fn take(&mut self) -> Option<Result<O, Broke>> {
        match self.outcome.try_recv() {
            Ok(outcome) => Some(Ok(outcome)),
            Err(oneshot::error::TryRecvError::Empty) => None,
            Err(oneshot::error::TryRecvError::Closed) => Some(Err(Broke)),
        }
    }

    /// Waits for what comes of it.
    pub(crate) async fn wait(mut self) -> Result<O, Broke> {
        (&mut self.outcome).await.map_err(|_| Broke)
    }

    /// Tells when it is done: then the channel is closed.
    pub(crate) fn done(&self) -> watch::Receiver<()> {
        self.done.clone()
    }
}

/// The arithmetic broke: a fault of ours.
pub(crate) struct Broke;

impl Works {
    pub(crate) fn new(compute: &Arc<Compute>, cpu: Arc<Cpu>, gpu: Arc<Cpu>) -> Arc<Works> {
        let (queue, changed) = (Mutex::default(), Condvar::new());
        Arc::new(Works { compute: compute.clone(), cpu, gpu, queue, changed })
    }

    /// Does `job` on the agent's thread, after what it asked for before.
    pub(crate) fn begin<O: Send + 'static>(
        self: &Arc<Works>,
        job: impl FnOnce(&Meter) -> O + Send + 'static,
    ) -> Result<Pending<O>, Busy> {
        let (send, outcome) = oneshot::channel();
        let (told, done) = watch::channel(());
        let flag = Arc::new(AtomicBool::new(false));
        let cancelled = flag.clone();
        let work = move |works: &Arc<Works>| {
            let meter = Meter::new(works.clone(), cancelled);
            // What breaks there ends that piece of work, and not the thread. Nobody may be waiting any more.
            if let Ok(outcome) = catch_unwind(AssertUnwindSafe(|| job(&meter))) {
                drop(send.send(outcome));
            }
            drop(meter);
            drop(told);
        };
        let mut queue = self.queue.lock();
        queue.last += 1;
        let number = queue.last;
        queue.waiting.push_back((number, Box::new(work)));
        if !queue.running {
            if self.clone().start().is_err() {
                queue.waiting.pop_back();
                return Err(Busy);
            }
            queue.running = true;
        }
        drop(queue);
        Ok(Pending { outcome, done, _cancel: Cancel { works: self.clone(), flag, number } })
    }

    /// Elements that a stretch may have of work on so many bytes: on the CPU, and where it would rather be done.
    pub(crate) fn chunks(&self, bytes: u64) -> [usize; 2] {
        let cpu = kernels::Cpu::default().chunk(kernels::Kind::Stream);
        [cpu, self.compute.device.chunk(bytes).unwrap_or(cpu)]
    }

    /// Whoever waits looks again.
    pub(crate) fn reconsider(&self) {
        // Under the lock: whoever has looked and not begun to wait yet holds it.
        let _queue = self.queue.lock();
        self.changed.notify_all();
    }

    fn start(self: Arc<Works>) -> Result<(), Busy> {
        let mut turns = self.compute.turns.lock();
        if turns.over || turns.threads >= THREADS {
            return Err(Busy);
        }
        let works = self.clone();
        let thread = std::thread::Builder::new().name("compute".into()).spawn(move || works.serve());
        // It is not joined: the count tells that it has ended.
        drop(thread.map_err(|_| Busy)?);
        turns.threads += 1;
        Ok(())
    }

    fn serve(self: Arc<Works>) {
        runtime::give_way_to_guests();
        loop {
            let mut queue = self.queue.lock();
            let Some((_, work)) = queue.waiting.pop_front() else {
                queue.running = false;
                break;
            };
            drop(queue);
            work(&self);
        }
        self.compute.turns.lock().threads -= 1;
        self.compute.changed.notify_all();
    }
}

#[cfg(test)]
mod tests;
