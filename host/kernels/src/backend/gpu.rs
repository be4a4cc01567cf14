//! The graphics processor, by way of wgpu. Gives the CPU's bytes; what it has no kernel for, the CPU does.

mod resident;
mod slot;

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::{Backend, Cpu, Cut, Keep, Linear, Stretch, Tasks};
use crate::{Error, Fit, Format, Result, Scheme};
use slot::{Slot, Work};

/// Models of one call; more go to the CPU.
const MODELS: usize = 16;
/// Calls that can be under way at once: one is filled while one computes and one is read.
const SLOTS: usize = 3;
/// Words of the parameters; see `prelude.wgsl`.
const PARAMS: usize = 280;
const MODEL_WORDS: usize = 12;
const STEPS_AT: usize = 256;

macro_rules! shader {
    ($($file:literal),*) => { concat!(include_str!("gpu/prelude.wgsl"), $(include_str!(concat!("gpu/", $file))),*) };
}

/// A graphics processor.
pub struct Gpu {
    device: wgpu::Device,
    queue: wgpu::Queue,
    info: wgpu::AdapterInfo,
    layout: wgpu::BindGroupLayout,
    pipelines: Pipelines,
    /// What is free; a call that finds nothing waits for one that ends.
    slots: Mutex<Vec<Slot>>,
    free: Condvar,
    /// The first error that no call was told of.
    trouble: Arc<Mutex<Option<String>>>,
    cpu: Cpu,
}

struct Pipelines {
    linear: wgpu::ComputePipeline,
    tasks: wgpu::ComputePipeline,
    shorts: wgpu::ComputePipeline,
    q8_0: wgpu::ComputePipeline,
    q4_0: wgpu::ComputePipeline,
    tq2_0: wgpu::ComputePipeline,
    q4_k: wgpu::ComputePipeline,
}

impl Gpu {
    /// The fastest adapter there is; a software one if there is no other.
    pub fn open() -> Result<Self> {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        descriptor.backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
        let instance = wgpu::Instance::new(descriptor);
        let options = wgpu::RequestAdapterOptions {
            power_preference: wgpu::PowerPreference::HighPerformance,
            ..Default::default()
        };
        let failed = |e: &dyn std::fmt::Display| Error::Gpu(e.to_string());
        let adapter = pollster::block_on(instance.request_adapter(&options)).map_err(|e| failed(&e))?;
        let descriptor = wgpu::DeviceDescriptor { required_limits: wgpu::Limits::defaults(), ..Default::default() };
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).map_err(|e| failed(&e))?;
        let trouble = Arc::new(Mutex::new(None));
        let told = Arc::clone(&trouble);
        // wgpu would end the process.
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            told.get_or_insert_with(|| error.to_string());
        }));
        let layout = slot::layout(&device);
        let pipelines = Pipelines::new(&device, &layout);
        let slots = (0..SLOTS).map(|_| Slot::new(&device)).collect();
        let gpu = Self {
            device,
            queue,
            info: adapter.get_info(),
            layout,
            pipelines,
            slots: Mutex::new(slots),
            free: Condvar::new(),
            trouble,
            cpu: Cpu::default(),
        };
        gpu.check()?;
        Ok(gpu)
    }

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

    /// The kernel that makes a format out of numbers, and the elements an invocation group of it covers.
    fn pack(&self, scheme: Scheme) -> Option<(&wgpu::ComputePipeline, u32)> {
        let p = &self.pipelines;
        match (scheme.format, scheme.fit) {
            (Format::Bf16 | Format::F16, _) => Some((&p.shorts, 512)),
            (Format::Q8_0, _) => Some((&p.q8_0, 64 * 64)),
            (Format::Q4_0, _) => Some((&p.q4_0, 64 * 64)),
            (Format::Tq2_0, Fit::Usual) => Some((&p.tq2_0, 64 * 512)),
            (Format::Q4K, _) => Some((&p.q4_k, 64 * 32)),
            _ => None,
        }
    }

    /// Numbers by `first` (or those of the arena), then a format out of them.
    fn chain(
        &self,
        first: Option<&wgpu::ComputePipeline>,
        inputs: Inputs<'_>,
        scheme: Scheme,
        out: &mut [u8],
    ) -> Result<()> {
        let Inputs { arena, mut params, count } = inputs;
        params[0] = count as u32;
        if scheme.format == Format::Bf16 {
            params[4] |= 4;
        }
        let mut kernels = Vec::new();
        if let Some(first) = first {
            kernels.push((first, (count as u32).div_ceil(256)));
        }
        let pack = self.pack(scheme);
        if let Some((pack, covered)) = pack {
            kernels.push((pack, (count as u32).div_ceil(covered)));
        }
        let direct = first.is_none();
        if pack.is_some() || scheme.format == Format::F32 {
            let work =
                Work { arena: &arena, params: &params, kernels: &kernels, count, direct, packed: pack.is_some() };
            return self.run(&work, out);
        }
        let mut values = vec![0.0f32; count];
        let work = Work { arena: &arena, params: &params, kernels: &kernels, count, direct, packed: false };
        self.run(&work, bytemuck::cast_slice_mut(&mut values))?;
        self.cpu.quantize(&values, scheme, out)
    }
}

impl Pipelines {
    fn new(device: &wgpu::Device, layout: &wgpu::BindGroupLayout) -> Self {
        let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &[Some(layout)],
            immediate_size: 0,
        });
        let make = |name: &str, source: &str| {
            let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
                label: Some(name),
                source: wgpu::ShaderSource::Wgsl(source.into()),
            });
            device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(name),
                layout: Some(&layout),
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                cache: None,
            })
        };
        Self {
            linear: make("linear", shader!("linear.wgsl")),
            tasks: make("tasks", shader!("tasks.wgsl")),
            shorts: make("shorts", shader!("shorts.wgsl")),
            q8_0: make("q8_0", shader!("bytes.wgsl", "q8_0.wgsl")),
            q4_0: make("q4_0", shader!("bytes.wgsl", "q4_0.wgsl")),
            tq2_0: make("tq2_0", shader!("bytes.wgsl", "tq2_0.wgsl")),
            q4_k: make("q4_k", shader!("q4_k.wgsl")),
        }
    }
}

/// What a call brings: all inputs in one buffer, and where they are.
struct Inputs<'a> {
    arena: Vec<std::borrow::Cow<'a, [u8]>>,
    params: Vec<u32>,
    count: usize,
}

impl<'a> Inputs<'a> {
    fn new(count: usize) -> Self {
        let mut params = vec![0; PARAMS];
        for step in 0..=20 {
            let wanted = -1.0f32 + 0.1 * step as f32 + 15.0;
            params[STEPS_AT + step] = wanted.to_bits();
        }
        Self { arena: Vec::new(), params, count }
    }

    /// Where the next input will be, in words.
    fn place(&self) -> u32 {
        self.arena.iter().map(|bytes| bytes.len().div_ceil(4)).sum::<usize>() as u32
    }

    /// Adds an input; its place and the number of its format.
    fn add(&mut self, input: Stretch<'a>, cpu: &Cpu) -> Result<[u32; 2]> {
        let place = self.place();
        let format = match input.format {
            Format::F32 => 0,
            Format::Bf16 => 1,
            Format::F16 => 2,
            _ => {
                let mut values = vec![0.0f32; self.count];
                cpu.dequantize(input, &mut values)?;
                self.arena.push(bytemuck::cast_slice(&values).to_vec().into());
                return Ok([place, 0]);
            }
        };
        self.arena.push(input.bytes.into());
        Ok([place, format])
    }

    fn cut(&self, cut: Cut, from: u64) -> [u32; 2] {
        let index = cut.index.saturating_sub(from).min(self.count as u64);
        [cut.bits, index as u32]
    }

    /// A mask of this stretch alone, one bit an element.
    fn mask(&mut self, kept: impl Fn(u64) -> bool, from: u64) -> u32 {
        let place = self.place();
        let mut bits = vec![0u8; self.count.div_ceil(32) * 4];
        for i in 0..self.count {
            bits[i / 8] |= u8::from(kept(from + i as u64)) << (i % 8);
        }
        self.arena.push(bits.into());
        place
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
        if self.is_software() { 1 << 18 } else { 1 << 20 }
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
            let at = 16 + m * MODEL_WORDS;
            inputs.params[at..at + 3].copy_from_slice(&[place, format, weight.to_bits()]);
        }
        self.chain(Some(&self.pipelines.linear), inputs, scheme, out)
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
            let at = 16 + m * MODEL_WORDS;
            inputs.params[at..at + words.len()].copy_from_slice(&words);
        }
        self.chain(Some(&self.pipelines.tasks), inputs, scheme, out)
    }

    fn quantize(&self, values: &[f32], scheme: Scheme, out: &mut [u8]) -> Result<()> {
        if values.is_empty()
            || self.pack(scheme).is_none()
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
