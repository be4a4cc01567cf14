//! What the device does with data that stays on it: kernels next to its own copy.

use std::time::Duration;

use super::{Gpu, MODEL_WORDS, PARAMS, STEPS_AT};
use crate::bench::{Clock, Figure};
use crate::{Error, Result};

/// Repetitions in one submission; the difference of two counts leaves out what submitting costs.
const FEW: u32 = 2;
const MANY: u32 = 10;

struct Buffers {
    params: wgpu::Buffer,
    arena: wgpu::Buffer,
    values: wgpu::Buffer,
    result: wgpu::Buffer,
}

impl Gpu {
    /// Kernels on resident data, as shares of the device's own copying. Elements: 2²³ on a real device.
    pub fn resident(&self, wall: Clock<'_>) -> Result<Vec<Figure>> {
        let count: u64 = if self.is_software() { 1 << 18 } else { 1 << 23 };
        let buffers = self.buffers(count);
        let p = &self.pipelines;
        let groups = |covered: u64| count.div_ceil(covered) as u32;
        let bytes = count * 4;
        let copy = self.time(wall, &mut |encoder| {
            encoder.copy_buffer_to_buffer(&buffers.arena, 0, &buffers.result, 0, bytes);
        })?;
        let mut figures = Vec::new();
        let mut add = |name: &str, seconds: f64, input: u64, output: u64| {
            let traffic = input + output;
            let ratio = copy * traffic as f64 / (2 * bytes) as f64 / seconds;
            figures.push(Figure { name: name.to_owned(), seconds, traffic, input, ratio });
        };
        add("copy", copy, bytes, bytes);
        let group = self.group(&buffers);
        for (name, pipeline, covered, input, output) in [
            ("linear 3 f32", &p.linear, 256, 3 * bytes, bytes),
            ("q8_0", &p.q8_0, 64 * 64, bytes, count / 32 * 34),
            ("q4_0", &p.q4_0, 64 * 64, bytes, count / 32 * 18),
            ("tq2_0", &p.tq2_0, 64 * 512, bytes, count / 256 * 66),
            ("q4_k", &p.q4_k, 64 * 32, bytes, count / 256 * 144),
        ] {
            let seconds = self.time(wall, &mut |encoder| {
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
                pass.set_pipeline(pipeline);
                pass.set_bind_group(0, &group, &[]);
                pass.dispatch_workgroups(groups(covered), 1, 1);
            })?;
            add(name, seconds, input, output);
        }
        self.check()?;
        Ok(figures)
    }

    fn buffers(&self, count: u64) -> Buffers {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        let make = |size| {
            let label = None;
            self.device.create_buffer(&wgpu::BufferDescriptor { label, size, usage, mapped_at_creation: false })
        };
        let buffers = Buffers {
            params: make(PARAMS as u64 * 4),
            arena: make(count * 12),
            values: make(count * 4),
            result: make(count * 4 + 256),
        };
        let mut params = vec![0u32; PARAMS];
        (params[0], params[1], params[3]) = (count as u32, 3, 1.0f32.to_bits());
        for m in 0..3 {
            let at = 16 + m * MODEL_WORDS;
            params[at..at + 3].copy_from_slice(&[m as u32 * count as u32, 0, 0.3f32.to_bits()]);
        }
        for step in 0..=20 {
            params[STEPS_AT + step] = (14.0f32 + 0.1 * step as f32).to_bits();
        }
        self.queue.write_buffer(&buffers.params, 0, bytemuck::cast_slice(&params));
        // The same numbers again and again: a search takes as long, whatever it finds.
        let some = crate::bench::weights(1 << 16, 1);
        for place in 0..count * 12 / (4 << 16) {
            self.queue.write_buffer(&buffers.arena, place * (4 << 16), bytemuck::cast_slice(&some));
        }
        for place in 0..count / (1 << 16) {
            self.queue.write_buffer(&buffers.values, place * (4 << 16), bytemuck::cast_slice(&some));
        }
        buffers
    }

    fn group(&self, buffers: &Buffers) -> wgpu::BindGroup {
        let all = [&buffers.params, &buffers.arena, &buffers.values, &buffers.result];
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

    /// Seconds of one repetition.
    fn time(&self, wall: Clock<'_>, encode: &mut dyn FnMut(&mut wgpu::CommandEncoder)) -> Result<f64> {
        let mut run = |times: u32| {
            let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            (0..times).for_each(|_| encode(&mut encoder));
            let start = wall();
            let index = self.queue.submit([encoder.finish()]);
            let timeout = Some(Duration::from_secs(60));
            let wait = wgpu::PollType::Wait { submission_index: Some(index), timeout };
            self.device.poll(wait).map_err(|e| Error::Gpu(e.to_string()))?;
            Ok(wall().saturating_sub(start).as_secs_f64())
        };
        // The first submission pays for what is made when first used.
        run(1)?;
        let (mut few, mut many) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..3 {
            few = few.min(run(FEW)?);
            many = many.min(run(MANY)?);
        }
        // Where noise is larger than the work, the whole of it is the better guess.
        let each = (many - few) / f64::from(MANY - FEW);
        Ok(if each > 0.0 { each } else { many / f64::from(MANY) }.max(1e-9))
    }
}
