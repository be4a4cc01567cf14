//! The graphics processor, by way of wgpu. Gives the CPU's bytes; what it has no kernel for, the CPU does.

mod inputs;
mod kernels;
mod open;
mod resident;
mod slot;

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::{Backend, Cpu, Keep, Kind, Linear, Stretch, Task, Tasks};
use crate::{Error, Format, Result, Scheme};
use inputs::Inputs;
use kernels::{Kernel, Kernels};
pub use open::Ring;
use slot::{Means, Slot, Work};

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
    waiting: Mutex<()>,
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

    fn run(&self, work: &Work<'_>, out: &mut [u8]) -> Result<Vec<usize>> {
        let mut slot = self.take();
        let Self { device, queue, layout, waiting, .. } = self;
        let means = Means { device, queue, layout, waiting };
        let done = slot.run(&means, work, out);
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).push(slot);
        self.free.notify_one();
        self.check()?;
        done
    }

    /// Numbers by `first` (or those of the arena), then a format out of them. What a device could get wrong, `redo` does:
    /// elements from a place on, as many as its bytes hold.
    fn chain(
        &self,
        first: Option<Kernel>,
        mut inputs: Inputs<'_>,
        (scheme, out): (Scheme, &mut [u8]),
        redo: &dyn Fn(usize, Scheme, &mut [u8]) -> Result<()>,
    ) -> Result<()> {
        let count = inputs.count;
        let pack = Kernel::pack(scheme);
        if pack.is_none() && scheme.format != Format::F32 {
            let mut values = vec![0.0f32; count];
            self.chain(first, inputs, (Format::F32.into(), bytemuck::cast_slice_mut(&mut values)), redo)?;
            return self.cpu.quantize(&values, scheme, out);
        }
        inputs.keep_as(scheme.format);
        let short = matches!(scheme.format, Format::Bf16 | Format::F16);
        // Sixteen bits are written by the kernel that has the numbers at hand.
        let wanted = first.into_iter().chain(pack.filter(|_| !(short && first.is_some())));
        let groups = count.div_ceil(slot::TILE) as u32;
        let kernels: Vec<_> = wanted.map(|kernel| (self.kernels.take(&self.device, kernel), groups)).collect();
        let Inputs { arena, params, .. } = inputs;
        let (direct, packed) = (first.is_none(), pack.is_some());
        let marked =
            self.run(&Work { arena: &arena, params: &params, kernels: &kernels, count, direct, packed }, out)?;
        let (elements, size) = scheme.format.block();
        let tile = slot::TILE / elements as usize * size as usize;
        for number in marked {
            let end = out.len().min((number + 1) * tile);
            redo(number * slot::TILE, scheme, &mut out[number * tile..end])?;
        }
        Ok(())
    }
}

/// Elements from a place on.
fn sub(input: Stretch<'_>, from: usize, count: usize) -> Stretch<'_> {
    Stretch { bytes: super::part(input, from, count), ..input }
}

fn elements(scheme: Scheme, out: &[u8]) -> usize {
    let (elements, size) = scheme.format.block();
    out.len() / (size as usize).max(1) * elements as usize
}

impl Backend for Gpu {
    fn name(&self) -> String {
        format!("{} ({:?}, {:?})", self.info.name, self.info.backend, self.info.device_type)
    }

    fn chunk(&self, _: Kind) -> usize {
        self.chunk
    }

    /// What it has no kernel for is still its own to arrange.
    fn has(&self, _: Kind) -> bool {
        true
    }

    fn linear(&self, job: &Linear<'_>, scheme: Scheme, out: &mut [u8]) -> Result<()> {
        let count = elements(scheme, out);
        // What the kernel says of small numbers holds for such weights.
        let even = job.weights.iter().all(|weight| *weight == 0.0 || weight.abs() >= 2.0f32.powi(-30));
        if count == 0 || job.fused || !even || job.inputs.len() > MODELS || job.inputs.is_empty() || count > self.chunk
        {
            return self.cpu.linear(job, scheme, out);
        }
        let mut inputs = Inputs::new(count);
        inputs.params[1] = job.inputs.len() as u32;
        inputs.params[3] = job.divisor.to_bits();
        for (m, (input, weight)) in job.inputs.iter().zip(&job.weights).enumerate() {
            let [place, format] = inputs.add(*input, &self.cpu)?;
            inputs.model(m, &[place, format, weight.to_bits()]);
        }
        let redo = |from: usize, scheme: Scheme, out: &mut [u8]| {
            let inputs = job.inputs.iter().map(|input| sub(*input, from, elements(scheme, out))).collect();
            self.cpu.linear(&Linear { inputs, ..job.clone() }, scheme, out)
        };
        self.chain(Some(Kernel::linear(job.inputs.len())), inputs, (scheme, out), &redo)
    }

    fn tasks(&self, job: &Tasks<'_>, scheme: Scheme, out: &mut [u8]) -> Result<()> {
        let count = elements(scheme, out);
        let even = |factor: f32| factor == 0.0 || (2.0f32.powi(-8)..=2.0f32.powi(8)).contains(&factor.abs());
        let even = even(job.lambda) && job.tasks.iter().all(|task| even(task.weight) && even(task.rescale));
        if count == 0 || !even || job.tasks.len() > MODELS || job.tasks.is_empty() || count > self.chunk {
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
        let redo = |from: usize, scheme: Scheme, out: &mut [u8]| {
            let count = elements(scheme, out);
            let tasks = job.tasks.iter().map(|task| Task { input: sub(task.input, from, count), ..*task }).collect();
            let job = Tasks { base: sub(job.base, from, count), tasks, from: job.from + from as u64, ..*job };
            self.cpu.tasks(&job, scheme, out)
        };
        self.chain(Some(Kernel::tasks(job.tasks.len())), inputs, (scheme, out), &redo)
    }

    fn quantize(&self, values: &[f32], scheme: Scheme, out: &mut [u8]) -> Result<()> {
        if values.is_empty()
            || Kernel::pack(scheme).is_none()
            || values.len() > self.chunk
            || elements(scheme, out) != values.len()
        {
            return self.cpu.quantize(values, scheme, out);
        }
        let mut inputs = Inputs::new(values.len());
        inputs.arena.push(bytemuck::cast_slice(values).into());
        let redo = |from: usize, scheme: Scheme, out: &mut [u8]| {
            self.cpu.quantize(&values[from..from + elements(scheme, out)], scheme, out)
        };
        self.chain(None, inputs, (scheme, out), &redo)
    }

    fn dequantize(&self, input: Stretch<'_>, out: &mut [f32]) -> Result<()> {
        // Reading is bound by memory: the way to the device and back costs more than the work.
        self.cpu.dequantize(input, out)
    }
}
