//! Which adapter is taken, and what is asked of it.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::kernels::Kernels;
use super::slot::{self, Slot};
use super::{Cpu, Gpu};
use crate::{Error, Result};

/// How much is under way between the host and the device.
#[derive(Clone, Copy, Debug)]
pub struct Ring {
    /// Elements of one call, a multiple of 256.
    pub chunk: usize,
    /// Calls that can be under way at once: some are filled while one computes and some are read.
    pub slots: usize,
}

impl Ring {
    fn of(kind: wgpu::DeviceType) -> Self {
        match kind {
            // It shares the processor's own caches.
            wgpu::DeviceType::Cpu => Self { chunk: 1 << 18, slots: 3 },
            // Below, what a call costs shows; above, little is gained, and an agent has to have room for it.
            _ => Self { chunk: 1 << 21, slots: 6 },
        }
    }
}

/// What is bound at once, beyond what every device can: data that stays on one.
const MOST: u64 = 4 << 30;

impl Gpu {
    /// The fastest adapter there is; a software one if there is no other.
    pub fn open() -> Result<Self> {
        Self::open_with(None)
    }

    /// The same, with another ring than is known to be good.
    pub fn open_with(ring: Option<Ring>) -> Result<Self> {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        // Without OpenGL: it has less, and all that it could reach is reached by one of these.
        let backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
        descriptor.backends = backends;
        let instance = wgpu::Instance::new(descriptor);
        let mut adapters = pollster::block_on(instance.enumerate_adapters(backends));
        adapters.sort_by_key(|adapter| rank(adapter.get_info().device_type));
        let mut refused = Error::Gpu("this machine has no adapter".to_owned());
        for adapter in adapters {
            match Self::with(&adapter, ring) {
                Ok(gpu) => return Ok(gpu),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    fn with(adapter: &wgpu::Adapter, ring: Option<Ring>) -> Result<Self> {
        let info = adapter.get_info();
        let able = adapter.limits();
        let required_limits = wgpu::Limits {
            max_buffer_size: able.max_buffer_size.min(MOST),
            max_storage_buffer_binding_size: able.max_storage_buffer_binding_size.min(MOST),
            ..wgpu::Limits::defaults()
        };
        let descriptor = wgpu::DeviceDescriptor { required_limits, ..Default::default() };
        let opened = pollster::block_on(adapter.request_device(&descriptor));
        let (device, queue) = opened.map_err(|error| Error::Gpu(error.to_string()))?;
        let trouble = Arc::new(Mutex::new(None));
        let told = Arc::clone(&trouble);
        // wgpu would end the process.
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            told.get_or_insert_with(|| error.to_string());
        }));
        let layout = slot::layout(&device);
        let kernels = Kernels::new(&device, &layout);
        let ring = ring.unwrap_or(Ring::of(info.device_type));
        let slots = (0..ring.slots.max(1)).map(|_| Slot::new(&device)).collect();
        let gpu = Self {
            device,
            queue,
            info,
            layout,
            kernels,
            chunk: ring.chunk.next_multiple_of(256),
            slots: Mutex::new(slots),
            free: Condvar::new(),
            waiting: Mutex::new(()),
            trouble,
            cpu: Cpu::default(),
        };
        gpu.check()?;
        Ok(gpu)
    }
}

/// A card of its own before one that shares the processor's memory, anything real before a processor that plays one.
fn rank(kind: wgpu::DeviceType) -> u8 {
    match kind {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::rank;
    use wgpu::DeviceType::{Cpu, DiscreteGpu, IntegratedGpu, Other, VirtualGpu};

    #[test]
    fn a_card_goes_before_what_shares_memory_and_software_comes_last() {
        let mut kinds = [Cpu, Other, IntegratedGpu, VirtualGpu, DiscreteGpu];
        kinds.sort_by_key(|kind| rank(*kind));
        assert_eq!(kinds, [DiscreteGpu, IntegratedGpu, VirtualGpu, Other, Cpu]);
    }
}
