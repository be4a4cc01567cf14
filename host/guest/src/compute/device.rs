//! A graphics processor that agents share: one at a time, each within its `gpu`.

use super::Meter;
use kernels::backend::{Linear, Stretch, Tasks};
use kernels::{Backend, Cpu, Error, Kind, Result, Scheme};
use parking_lot::{Mutex, MutexGuard};
use runtime::clock;
use std::sync::OnceLock;

/// Looks for a device that is worth having.
pub(crate) type Opener = Box<dyn FnOnce() -> Option<Box<dyn Backend + Send>> + Send>;

/// Below this many bytes the CPU is done before a device has begun.
const LEAST: u64 = 1 << 20;

/// A stretch that a device may ask for which nobody has opened yet.
const LARGEST: usize = 1 << 21;

pub(super) struct Device {
    open: Mutex<Option<Opener>>,
    backend: OnceLock<Option<Box<dyn Backend + Send>>>,
    /// Held by whoever uses it: its time is theirs.
    used: Mutex<()>,
}

impl Device {
    pub(super) fn new(open: Option<Opener>) -> Device {
        Device { open: Mutex::new(open), backend: OnceLock::new(), used: Mutex::new(()) }
    }

    /// Elements of a stretch, if so many bytes might be computed on it.
    pub(super) fn chunk(&self, bytes: u64) -> Option<usize> {
        if bytes < LEAST {
            return None;
        }
        match self.backend.get() {
            Some(opened) => opened.as_ref().map(|backend| largest(&**backend)),
            None => self.open.lock().as_ref().map(|_| LARGEST),
        }
    }
}

fn largest(backend: &dyn Backend) -> usize {
    backend.chunk(Kind::Stream).max(backend.chunk(Kind::Search))
}

impl Meter {
    /// Where arithmetic on so many bytes should happen.
    pub(crate) fn backend(&self, bytes: u64) -> Box<dyn Backend + '_> {
        let device = &self.works().compute.device;
        if bytes < LEAST {
            return Box::new(Cpu::default());
        }
        let opened = device.backend.get_or_init(|| {
            self.leave();
            let opened = device.open.lock().take().and_then(|open| open());
            self.forgive();
            opened
        });
        match opened {
            Some(backend) => Box::new(Metered { device, backend: &**backend, meter: self }),
            None => Box::new(Cpu::default()),
        }
    }
}

/// A device's time, taken by turns and charged.
struct Metered<'a> {
    device: &'a Device,
    backend: &'a dyn Backend,
    meter: &'a Meter,
}

impl Metered<'_> {
    fn turn(&self, kind: Kind, work: impl FnOnce(&dyn Backend) -> Result<()>) -> Result<()> {
        // On this thread, and charged as its time.
        if !self.backend.has(kind) {
            return work(self.backend);
        }
        let gpu = &self.meter.works().gpu;
        if self.meter.wait_for(gpu).is_break() {
            return Err(Error::Stopped);
        }
        // Who waits for the device needs no core.
        self.meter.leave();
        let using = self.device.used.lock();
        let begun = clock::now();
        let done = work(self.backend);
        gpu.spend(clock::now().saturating_sub(begun));
        MutexGuard::unlock_fair(using);
        // What follows is done by a core again.
        match self.meter.pause().is_break() {
            true => Err(Error::Stopped),
            false => done,
        }
    }
}

impl Metered<'_> {
    /// What a merge into a format is: the device's if any of it is.
    fn merging(&self, scheme: Scheme) -> Kind {
        if self.backend.has(Kind::Stream) { Kind::Stream } else { Kind::of(scheme) }
    }
}

impl Backend for Metered<'_> {
    fn name(&self) -> String {
        self.backend.name()
    }

    fn chunk(&self, kind: Kind) -> usize {
        self.backend.chunk(kind)
    }

    fn has(&self, kind: Kind) -> bool {
        self.backend.has(kind)
    }

    fn linear(&self, job: &Linear<'_>, scheme: Scheme, out: &mut [u8]) -> Result<()> {
        self.turn(self.merging(scheme), |backend| backend.linear(job, scheme, out))
    }

    fn tasks(&self, job: &Tasks<'_>, scheme: Scheme, out: &mut [u8]) -> Result<()> {
        self.turn(self.merging(scheme), |backend| backend.tasks(job, scheme, out))
    }

    fn quantize(&self, values: &[f32], scheme: Scheme, out: &mut [u8]) -> Result<()> {
        self.turn(Kind::of(scheme), |backend| backend.quantize(values, scheme, out))
    }

    fn dequantize(&self, input: Stretch<'_>, out: &mut [f32]) -> Result<()> {
        // Reading is bound by memory: no device does it better than where the bytes are.
        Cpu::default().dequantize(input, out)
    }
}
