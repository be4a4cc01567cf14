//! One place of the ring: buffers that a call fills, computes with and reads back, while others do the same.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::inputs::room;
use crate::{Error, Result};

/// A call that takes longer than this has hung: the device is lost.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a call computes.
pub(super) struct Work<'a> {
    /// The inputs, in their order.
    pub(super) arena: &'a [Cow<'a, [u8]>],
    pub(super) params: &'a [u32],
    /// Kernels and how many groups of each.
    pub(super) kernels: &'a [(wgpu::ComputePipeline, u32)],
    pub(super) count: usize,
    /// The arena is the numbers: no kernel makes them.
    pub(super) direct: bool,
    /// The last kernel wrote the result; else the numbers are it.
    pub(super) packed: bool,
}

/// What calls are made with.
pub(super) struct Means<'a> {
    pub(super) device: &'a wgpu::Device,
    pub(super) queue: &'a wgpu::Queue,
    pub(super) layout: &'a wgpu::BindGroupLayout,
    /// Held by whoever waits for the device: with several waiting at once a driver was seen to wake them after ten
    /// milliseconds instead of a few tenths of one.
    pub(super) waiting: &'a Mutex<()>,
}

/// Elements that a group of invocations computes, whatever the kernel; and what the CPU does again where a device could
/// err.
pub(super) const TILE: usize = 2048;

pub(super) struct Slot {
    staging: wgpu::Buffer,
    params: wgpu::Buffer,
    arena: wgpu::Buffer,
    values: wgpu::Buffer,
    result: wgpu::Buffer,
    /// A word for each tile.
    marks: wgpu::Buffer,
    readback: wgpu::Buffer,
}

pub(super) fn layout(device: &wgpu::Device) -> wgpu::BindGroupLayout {
    let entry = |binding: u32| wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer {
            ty: wgpu::BufferBindingType::Storage { read_only: binding < 2 },
            has_dynamic_offset: false,
            min_binding_size: None,
        },
        count: None,
    };
    let entries: Vec<_> = (0..5).map(entry).collect();
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries })
}

fn buffer(device: &wgpu::Device, size: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
}

const STAGING: wgpu::BufferUsages = wgpu::BufferUsages::MAP_WRITE.union(wgpu::BufferUsages::COPY_SRC);
const READBACK: wgpu::BufferUsages = wgpu::BufferUsages::MAP_READ.union(wgpu::BufferUsages::COPY_DST);
const STORAGE: wgpu::BufferUsages =
    wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_DST).union(wgpu::BufferUsages::COPY_SRC);

/// Larger than it was, if it must be. Sizes are powers of two, so that a slot grows a few times and no more.
fn grow(device: &wgpu::Device, buffer: &mut wgpu::Buffer, need: u64) {
    if buffer.size() < need {
        *buffer = self::buffer(device, need.next_power_of_two(), buffer.usage());
    }
}

impl Slot {
    pub(super) fn new(device: &wgpu::Device) -> Self {
        const SMALL: u64 = 1 << 12;
        Self {
            staging: buffer(device, SMALL, STAGING),
            params: buffer(device, SMALL, STORAGE),
            arena: buffer(device, SMALL, STORAGE),
            values: buffer(device, SMALL, STORAGE),
            result: buffer(device, SMALL, STORAGE),
            marks: buffer(device, SMALL, STORAGE),
            readback: buffer(device, SMALL, READBACK),
        }
    }

    /// Computes, and returns the tiles that the CPU must do again.
    pub(super) fn run(&mut self, means: &Means<'_>, work: &Work<'_>, out: &mut [u8]) -> Result<Vec<usize>> {
        let Means { device, queue, layout, waiting } = *means;
        let words = |bytes: usize| bytes.next_multiple_of(4) as u64;
        let input = work.arena.iter().map(|bytes| room(bytes.len())).sum::<usize>() as u64;
        let params = words(work.params.len() * 4);
        let numbers = room(work.count * 4) as u64;
        let output = words(out.len());
        let marks = work.count.div_ceil(TILE) as u64 * 4;
        grow(device, &mut self.staging, input + params);
        grow(device, &mut self.arena, input);
        grow(device, &mut self.values, numbers);
        // Invocations write the whole of their vectors.
        grow(device, &mut self.result, room(out.len()) as u64);
        grow(device, &mut self.marks, marks);
        grow(device, &mut self.readback, output + marks);
        self.fill(device, work, params)?;

        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(&self.staging, 0, &self.params, 0, params);
        let inputs = if work.direct { &self.values } else { &self.arena };
        encoder.copy_buffer_to_buffer(&self.staging, params, inputs, 0, input);
        encoder.clear_buffer(&self.marks, 0, Some(marks));
        let buffers = [&self.params, &self.arena, &self.values, &self.result, &self.marks];
        let entries: Vec<_> = buffers
            .iter()
            .enumerate()
            .map(|(i, b)| wgpu::BindGroupEntry { binding: i as u32, resource: b.as_entire_binding() })
            .collect();
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries: &entries });
        for (pipeline, groups) in work.kernels {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_pipeline(pipeline);
            pass.set_bind_group(0, &group, &[]);
            pass.dispatch_workgroups(*groups, 1, 1);
        }
        let from = if work.packed { &self.result } else { &self.values };
        encoder.copy_buffer_to_buffer(from, 0, &self.readback, 0, output);
        encoder.copy_buffer_to_buffer(&self.marks, 0, &self.readback, output, marks);
        let index = queue.submit([encoder.finish()]);
        {
            let _one = waiting.lock().unwrap_or_else(PoisonError::into_inner);
            wait(device, &index)?;
        }
        self.read(device, [output, marks], out)
    }

    fn fill(&self, device: &wgpu::Device, work: &Work<'_>, params: u64) -> Result<()> {
        let size = params + work.arena.iter().map(|bytes| room(bytes.len())).sum::<usize>() as u64;
        map(device, &self.staging, size, wgpu::MapMode::Write)?;
        {
            let mut view = self.staging.get_mapped_range_mut(..size).map_err(|e| Error::Gpu(e.to_string()))?;
            view.slice(..work.params.len() * 4).copy_from_slice(bytemuck::cast_slice(work.params));
            let mut at = params as usize;
            for bytes in work.arena {
                view.slice(at..at + bytes.len()).copy_from_slice(bytes);
                at += room(bytes.len());
            }
        }
        self.staging.unmap();
        Ok(())
    }

    fn read(&self, device: &wgpu::Device, [output, marks]: [u64; 2], out: &mut [u8]) -> Result<Vec<usize>> {
        let size = output + marks;
        map(device, &self.readback, size, wgpu::MapMode::Read)?;
        let marked = {
            let view = self.readback.get_mapped_range(..size).map_err(|e| Error::Gpu(e.to_string()))?;
            out.copy_from_slice(&view[..out.len()]);
            let words = view[output as usize..].as_chunks::<4>().0;
            words.iter().enumerate().filter(|(_, word)| **word != [0; 4]).map(|(tile, _)| tile).collect()
        };
        self.readback.unmap();
        Ok(marked)
    }
}

/// Waits for a submission.
pub(super) fn wait(device: &wgpu::Device, index: &wgpu::SubmissionIndex) -> Result<()> {
    let wait = wgpu::PollType::Wait { submission_index: Some(index.clone()), timeout: Some(PATIENCE) };
    device.poll(wait).map(drop).map_err(|e| Error::Gpu(e.to_string()))
}

/// Makes the bytes of a buffer reachable that nothing uses any more.
pub(super) fn map(device: &wgpu::Device, buffer: &wgpu::Buffer, size: u64, mode: wgpu::MapMode) -> Result<()> {
    let (sender, receiver) = std::sync::mpsc::channel();
    buffer.map_async(mode, ..size, move |mapped| {
        // Nobody listens any more only if the wait below has failed.
        let _ = sender.send(mapped);
    });
    // It is ready at once: waiting for the whole queue would undo the ring.
    device.poll(wgpu::PollType::Poll).map_err(|e| Error::Gpu(e.to_string()))?;
    match receiver.recv_timeout(PATIENCE) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(e)) => Err(Error::Gpu(e.to_string())),
        Err(_) => Err(Error::Gpu("no answer".to_owned())),
    }
}
