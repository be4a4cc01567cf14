//! The graphics processor, by way of wgpu. Gives the CPU's bytes; what it has no kernel for, the CPU does.

mod inputs;
mod kernels;
mod open;
mod resident;
mod slot;

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::{Backend, Cpu, Keep, Linear, Stretch, Tasks};
use crate::{Error, Format, Result, Scheme};
use inputs::Inputs;
use kernels::{Kernel, Kernels};
pub use open::Ring;
use slot::{Slot, Work};

/// Models of one call; more go to the CPU.
const MODELS: usize = 16;

/// A graphics processor.
pub struct Gpu {
    device: wgpu::Device,
    queue: wgpu::Queue,
    info: wgpu::AdapterInfo,
    layout: wgpu::BindGroupLayout,
    kernels: Kernels,
    chunk: usize,
    /// What is free; a call that finds nothing waits for one that ends.
    slots: Mutex<Vec<Slot>>,
    free: Condvar,
    /// The first error that no call was told of.
    trouble: Arc<Mutex<Option<String>>>,
    cpu: Cpu,
}

impl Gpu {
    /// Whether it is a processor that only plays one: right, and slower than [`Cpu`].
    pub fn is_software(&self) -> bool {
        self.info.device_type == wgpu::DeviceType::Cpu
    }

    fn check(&self) -> Result<()> {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.take().map_or(Ok(()), |text| Err(Error::Gpu(text)))
    }

    fn take(&self) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match slots.pop() {
                Some(slot) => return slot,
                None => slots = self.free.wait(slots).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn run(&self, work: &Work<'_>, out: &mut [u8]) -> Result<()> {
        let mut slot = self.take();
        let done = slot.run(&self.device, &self.queue, &self.layout, work, out);
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).push(slot);
        self.free.notify_one();
        self.check()?;
        done
    }

    /// Numbers by `first` (or those of the arena), then a format out of them.
    fn chain(&self, first: Option<Kernel>, mut inputs: Inputs<'_>, scheme: Scheme, out: &mut [u8]) -> Result<()> {
        let count = inputs.count;
        inputs.keep_as(scheme.format);
        let short = matches!(scheme.format, Format::Bf16 | Format::F16);
        // Sixteen bits are written by the kernel that has the numbers at hand.
        let pack = Kernel::pack(scheme).filter(|_| !(short && first.is_some()));
        let wanted = first.into_iter().chain(pack);
        let kernels: Vec<_> = wanted
            .map(|kernel| (self.kernels.take(&self.device, kernel), (count as u32).div_ceil(kernel.covers())))
            .collect();
        let Inputs { arena, params, .. } = inputs;
        let direct = first.is_none();
        let packed = pack.is_some() || short;
        let work = Work { arena: &arena, params: &params, kernels: &kernels, count, direct, packed };
        if packed || scheme.format == Format::F32 {
            return self.run(&work, out);
        }
        let mut values = vec![0.0f32; count];
        self.run(&work, bytemuck::cast_slice_mut(&mut values))?;
        self.cpu.quantize(&values, scheme, out)
    }
}

fn elements(scheme: Scheme, out: &[u8]) -> usize {
    let (elements, size) = scheme.format.block();
    out.len() / (size as usize).max(1) * elements as usize
}

impl Backend for Gpu {
    fn name(&self) -> String {
        format!("{} ({:?}, {:?})", self.info.name, self.info.backend, self.info.device_type)
    }

    fn chunk(&self) -> usize {
        self.chunk
    }

    fn linear(&self, job: &Linear<'_>, scheme: Scheme, out: &mut [u8]) -> Result<()> {
        let count = elements(scheme, out);
        if count == 0 || job.fused || job.inputs.len() > MODELS || job.inputs.is_empty() || count > self.chunk() {
            return self.cpu.linear(job, scheme, out);
        }
        let mut inputs = Inputs::new(count);
        inputs.params[1] = job.inputs.len() as u32;
        inputs.params[3] = job.divisor.to_bits();
        for (m, (input, weight)) in job.inputs.iter().zip(&job.weights).enumerate() {
            let [place, format] = inputs.add(*input, &self.cpu)?;
            inputs.model(m, &[place, format, weight.to_bits()]);
        }
        self.chain(Some(Kernel::linear(job.inputs.len())), inputs, scheme, out)
    }

    fn tasks(&self, job: &Tasks<'_>, scheme: Scheme, out: &mut [u8]) -> Result<()> {
        let count = elements(scheme, out);
        if count == 0 || job.tasks.len() > MODELS || job.tasks.is_empty() || count > self.chunk() {
            return self.cpu.tasks(job, scheme, out);
        }
        let mut inputs = Inputs::new(count);
        let total: f32 = job.tasks.iter().map(|task| task.weight).sum();
        let total = if total.abs() < 1e-8 { 1.0 } else { total };
        inputs.params[1] = job.tasks.len() as u32;
        inputs.params[4] = u32::from(job.vote) | u32::from(job.normalize) << 1;
        inputs.params[5] = job.lambda.to_bits();
        inputs.params[6] = total.to_bits();
        let base = inputs.add(job.base, &self.cpu)?;
        inputs.params[8..10].copy_from_slice(&base);
        for (m, task) in job.tasks.iter().enumerate() {
            let [place, format] = inputs.add(task.input, &self.cpu)?;
            let mut words = [place, format, task.weight.to_bits(), task.rescale.to_bits(), 0, 0, 0, 0, 0, 0];
            match task.keep {
                Keep::All => {}
                Keep::Band { low, high } => {
                    words[4] = 1;
                    words[5..7].copy_from_slice(&inputs.cut(low, job.from));
                    words[7..9].copy_from_slice(&inputs.cut(high, job.from));
                }
                Keep::Chance { counter, share } => {
                    words[4] = 2;
                    words[9] = inputs.mask(|i| counter.unit(i) < share, job.from);
                }
                Keep::Mask(mask) => {
                    words[4] = 2;
                    let bit = |i: u64| mask.get((i / 8) as usize).is_some_and(|byte| byte >> (i % 8) & 1 == 1);
                    words[9] = inputs.mask(bit, job.from);
                }
            }
            inputs.model(m, &words);
        }
        self.chain(Some(Kernel::tasks(job.tasks.len())), inputs, scheme, out)
    }

    fn quantize(&self, values: &[f32], scheme: Scheme, out: &mut [u8]) -> Result<()> {
        if values.is_empty()
            || Kernel::pack(scheme).is_none()
            || values.len() > self.chunk()
            || elements(scheme, out) != values.len()
        {
            return self.cpu.quantize(values, scheme, out);
        }
        let mut inputs = Inputs::new(values.len());
        inputs.arena.push(bytemuck::cast_slice(values).into());
        self.chain(None, inputs, scheme, out)
    }

    fn dequantize(&self, input: Stretch<'_>, out: &mut [f32]) -> Result<()> {
        // Reading is bound by memory: the way to the device and back costs more than the work.
        self.cpu.dequantize(input, out)
    }
}
