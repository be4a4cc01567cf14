//! What the device does with data that stays on it: kernels next to its own copy.

use super::inputs::Inputs;
use super::kernels::Kernel;
use super::{Gpu, Work, slot};
use crate::backend::{Backend, Cut, Keep, Linear, Stretch, Task, Tasks};
use crate::bench::{Clock, Figure};
use crate::{Error, Format, Result, Scheme};

/// Repetitions in one submission; the difference of two counts leaves out what submitting costs.
const FEW: u32 = 4;
const MANY: u32 = 24;

/// Elements that are the same again and again: what is computed with them is known from one of them.
const PIECE: usize = 1 << 18;

/// Tensors that lie on the device: a base and three models.
const TENSORS: usize = 4;

struct Buffers {
    params: wgpu::Buffer,
    arena: wgpu::Buffer,
    values: wgpu::Buffer,
    result: wgpu::Buffer,
    marks: wgpu::Buffer,
    readback: wgpu::Buffer,
}

/// One kernel and what its result must be.
struct Trial {
    name: &'static str,
    kernel: Kernel,
    params: Vec<u32>,
    /// Bytes of input and of output, of one piece.
    input: usize,
    wanted: Vec<u8>,
    /// Whether the result is numbers.
    singles: bool,
}

impl Gpu {
    /// Kernels on resident data, as shares of its own copying, the faster of two ways. Fails if a result is not the CPU's.
    pub fn resident(&self, wall: Clock<'_>) -> Result<Vec<Figure>> {
        let count = self.resident_count();
        let singles: Vec<Vec<f32>> = (0..TENSORS).map(|seed| crate::bench::weights(PIECE, seed as u64)).collect();
        let buffers = self.buffers(count, &singles)?;
        let bytes = count as u64 * 4;
        let driver = self.time(wall, &mut |encoder| {
            encoder.copy_buffer_to_buffer(&buffers.arena, 0, &buffers.result, 0, bytes);
        })?;
        let group = self.group(&buffers);
        self.queue.write_buffer(&buffers.params, 0, bytemuck::cast_slice(&Inputs::new(count).params));
        let kernel = self.dispatch(wall, &group, Kernel::Copy, count)?;
        let copy = driver.min(kernel);
        let mut figures = Vec::new();
        let mut add = |name: &str, seconds: f64, input: u64, output: u64| {
            let traffic = input + output;
            let ratio = copy * traffic as f64 / (2 * bytes) as f64 / seconds;
            figures.push(Figure { name: name.to_owned(), seconds, traffic, input, ratio });
        };
        add("copy by the driver", driver, bytes, bytes);
        add("copy by a kernel", kernel, bytes, bytes);
        let pieces = (count / PIECE) as u64;
        for trial in trials(&self.cpu, &singles, count)? {
            self.queue.write_buffer(&buffers.params, 0, bytemuck::cast_slice(&trial.params));
            // A merge leaves its numbers where formats are made of them.
            let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            encoder.copy_buffer_to_buffer(&buffers.arena, 0, &buffers.values, 0, bytes);
            self.queue.submit([encoder.finish()]);
            let seconds = self.dispatch(wall, &group, trial.kernel, count)?;
            self.verify(&buffers, &trial, pieces)?;
            add(trial.name, seconds, pieces * trial.input as u64, pieces * trial.wanted.len() as u64);
        }
        self.check()?;
        Ok(figures)
    }

    /// The way to the device and back, by a thread at a time, next to the host's own copying.
    pub fn link(&self, wall: Clock<'_>) -> Result<Vec<Figure>> {
        const SIZE: usize = 64 << 20;
        let (from, mut to) = (vec![1u8; SIZE], vec![0u8; SIZE]);
        let mut few = [0u8; 4];
        let params = vec![0; super::inputs::PARAMS];
        let mut figures: Vec<Figure> = Vec::new();
        for name in ["memcpy", "to the device", "from the device"] {
            let mut best = f64::INFINITY;
            // The first run pays for the buffers.
            for _ in 0..6 {
                let begun = wall();
                let way = |arena: &[u8], out: &mut [u8]| {
                    let arena = [std::borrow::Cow::Borrowed(arena)];
                    let count = arena[0].len().max(out.len()) / 4;
                    let work =
                        Work { arena: &arena, params: &params, kernels: &[], count, direct: true, packed: false };
                    self.run(&work, out).map(drop)
                };
                match name {
                    "memcpy" => to.copy_from_slice(std::hint::black_box(&from)),
                    "to the device" => way(&from, &mut few)?,
                    _ => way(&from[..4], &mut to)?,
                }
                best = best.min(wall().saturating_sub(begun).as_secs_f64().max(1e-9));
            }
            // What is copied is read and written; what travels is told as often, to be compared.
            let traffic = 2 * SIZE as u64;
            let ratio = figures.first().map_or(1.0, |copy| copy.seconds / best);
            figures.push(Figure { name: name.to_owned(), seconds: best, traffic, input: SIZE as u64, ratio });
        }
        Ok(figures)
    }

    /// Far more than any cache holds, where there is room for it.
    fn resident_count(&self) -> usize {
        let most = match self.info.device_type {
            wgpu::DeviceType::DiscreteGpu => 1 << 26,
            wgpu::DeviceType::Cpu => TENSORS * PIECE,
            _ => 1 << 23,
        };
        let bound = self.device.limits().max_storage_buffer_binding_size as usize / (4 * TENSORS);
        most.min(bound / PIECE * PIECE).max(TENSORS * PIECE)
    }

    fn buffers(&self, count: usize, singles: &[Vec<f32>]) -> Result<Buffers> {
        let storage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        let make = |size: usize, usage| {
            let (label, size) = (None, size as u64);
            self.device.create_buffer(&wgpu::BufferDescriptor { label, size, usage, mapped_at_creation: false })
        };
        let buffers = Buffers {
            params: make(super::inputs::PARAMS * 4, storage),
            arena: make(count * 4 * TENSORS, storage),
            values: make(count * 4, storage),
            result: make(count * 4, storage),
            marks: make(count.div_ceil(slot::TILE) * 4, storage),
            readback: make(PIECE * 4, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST),
        };
        let piece = PIECE as u64 * 4;
        for (tensor, numbers) in (0..).zip(singles) {
            self.queue.write_buffer(&buffers.result, tensor * piece, bytemuck::cast_slice(numbers));
        }
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        for place in 0..(count / PIECE) as u64 {
            encoder.copy_buffer_to_buffer(&buffers.result, 0, &buffers.values, place * piece, piece);
            for tensor in 0..TENSORS as u64 {
                let to = tensor * count as u64 * 4 + place * piece;
                encoder.copy_buffer_to_buffer(&buffers.result, tensor * piece, &buffers.arena, to, piece);
            }
        }
        self.queue.submit([encoder.finish()]);
        self.check()?;
        Ok(buffers)
    }

    fn group(&self, buffers: &Buffers) -> wgpu::BindGroup {
        let all = [&buffers.params, &buffers.arena, &buffers.values, &buffers.result, &buffers.marks];
        let entries: Vec<_> = (0..)
            .zip(all)
            .map(|(binding, buffer)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() })
            .collect();
        self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &self.layout,
            entries: &entries,
        })
    }

    /// Seconds of a kernel on all elements.
    fn dispatch(&self, wall: Clock<'_>, group: &wgpu::BindGroup, kernel: Kernel, count: usize) -> Result<f64> {
        let pipeline = self.kernels.take(&self.device, kernel);
        self.time(wall, &mut |encoder| {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, group, &[]);
            pass.dispatch_workgroups(count.div_ceil(slot::TILE) as u32, 1, 1);
        })
    }

    /// The last piece must be what the CPU makes of it.
    fn verify(&self, buffers: &Buffers, trial: &Trial, pieces: u64) -> Result<()> {
        let size = trial.wanted.len() as u64;
        let from = if trial.singles { &buffers.values } else { &buffers.result };
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(from, (pieces - 1) * size, &buffers.readback, 0, size);
        let index = self.queue.submit([encoder.finish()]);
        slot::wait(&self.device, &index)?;
        slot::map(&self.device, &buffers.readback, size, wgpu::MapMode::Read)?;
        let view = buffers.readback.get_mapped_range(..size).map_err(|e| Error::Gpu(e.to_string()))?;
        let differ = view.iter().zip(&trial.wanted).filter(|(ours, wanted)| ours != wanted).count();
        drop(view);
        buffers.readback.unmap();
        if differ > 0 {
            return Err(Error::Gpu(format!("{}: {differ} of {size} bytes are not the CPU's", trial.name)));
        }
        Ok(())
    }

    /// Seconds of one repetition.
    fn time(&self, wall: Clock<'_>, encode: &mut dyn FnMut(&mut wgpu::CommandEncoder)) -> Result<f64> {
        let mut run = |times: u32| {
            let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            (0..times).for_each(|_| encode(&mut encoder));
            let commands = encoder.finish();
            let start = wall();
            let index = self.queue.submit([commands]);
            slot::wait(&self.device, &index)?;
            Ok(wall().saturating_sub(start).as_secs_f64())
        };
        // The first submission pays for what is made when first used.
        run(1)?;
        let (few, many) = if self.is_software() { (1, 2) } else { (FEW, MANY) };
        let mut each = Vec::new();
        for _ in 0..5 {
            let (some, more) = (run(few)?, run(many)?);
            // Where noise is larger than the work, the whole of it is the better guess.
            let one = (more - some) / f64::from(many - few);
            each.push(if one > 0.0 { one } else { more / f64::from(many) });
        }
        each.sort_by(f64::total_cmp);
        Ok(each[each.len() / 2].max(1e-9))
    }
}

/// Merges of three models, and the formats that have a kernel.
fn trials(cpu: &dyn Backend, singles: &[Vec<f32>], count: usize) -> Result<Vec<Trial>> {
    let stretch = |m: usize| Stretch { format: Format::F32, bytes: bytemuck::cast_slice(&singles[m]) };
    let weights = [0.5f32, 0.3, 0.2];
    let mut trials = Vec::new();

    let job = Linear { inputs: (1..4).map(stretch).collect(), weights: weights.into(), divisor: 1.0, fused: false };
    for (name, format) in [("linear 3 f32", Format::F32), ("linear 3 f32 to bf16", Format::Bf16)] {
        let mut inputs = Inputs::new(count);
        (inputs.params[1], inputs.params[3]) = (3, 1.0f32.to_bits());
        inputs.keep_as(format);
        for m in 0..3 {
            inputs.model(m, &[((m + 1) * count) as u32, 0, weights[m].to_bits()]);
        }
        let mut wanted = vec![0; PIECE * format.block().1 as usize];
        cpu.linear(&job, format.into(), &mut wanted)?;
        let (kernel, params) = (Kernel::linear(3), inputs.params);
        trials.push(Trial { name, kernel, params, input: PIECE * 12, wanted, singles: format == Format::F32 });
    }

    let low = Cut { bits: 0.02f32.to_bits(), index: 0 };
    let keep = Keep::Band { low, high: Cut::TOP };
    let tasks = (1..4).map(|m| Task { input: stretch(m), weight: weights[m - 1], keep, rescale: 1.0 }).collect();
    let job = Tasks { base: stretch(0), tasks, vote: true, normalize: true, lambda: 1.0, from: 0 };
    let mut inputs = Inputs::new(count);
    inputs.params[1] = 3;
    inputs.params[4] = 3;
    inputs.params[5] = 1.0f32.to_bits();
    inputs.params[6] = weights.iter().sum::<f32>().to_bits();
    for m in 0..3 {
        let (place, weight) = (((m + 1) * count) as u32, weights[m].to_bits());
        let [low, at] = inputs.cut(low, 0);
        let [high, top] = inputs.cut(Cut::TOP, 0);
        inputs.model(m, &[place, 0, weight, 1.0f32.to_bits(), 1, low, at, high, top]);
    }
    let mut wanted = vec![0; PIECE * 4];
    cpu.tasks(&job, Format::F32.into(), &mut wanted)?;
    let (kernel, params) = (Kernel::tasks(3), inputs.params);
    trials.push(Trial { name: "ties 3 f32", kernel, params, input: PIECE * 16, wanted, singles: true });

    for name in ["q8_0", "q4_0", "tq2_0", "q4_k"] {
        let scheme: Scheme = name.parse()?;
        let Some(kernel) = Kernel::pack(scheme) else { continue };
        let (elements, size) = scheme.format.block();
        let mut wanted = vec![0; PIECE / elements as usize * size as usize];
        cpu.quantize(&singles[0], scheme, &mut wanted)?;
        let params = Inputs::new(count).params;
        trials.push(Trial { name, kernel, params, input: PIECE * 4, wanted, singles: false });
    }
    Ok(trials)
}
