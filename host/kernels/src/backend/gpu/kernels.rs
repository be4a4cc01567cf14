//! The kernels, each compiled for the device when it is first wanted.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::{Fit, Format, Scheme};

macro_rules! shader {
    ($($file:literal),*) => { concat!(include_str!("prelude.wgsl"), $(include_str!($file)),*) };
}

/// What can be computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kernel {
    /// A weighted sum of so many models; 0 for any number.
    Linear(u32),
    /// A merge of so many models' differences; 0 for any number.
    Tasks(u32),
    Shorts,
    Copy,
    Q8_0,
    Q4_0,
    Tq2_0,
    Q4K,
}

/// Models that a kernel is made for by their number: the compiler then unrolls, and all are read at once.
const KNOWN: u32 = 4;

impl Kernel {
    pub(super) fn linear(models: usize) -> Self {
        Self::Linear(known(models))
    }

    pub(super) fn tasks(models: usize) -> Self {
        Self::Tasks(known(models))
    }

    /// The kernel that makes a format out of numbers.
    pub(super) fn pack(scheme: Scheme) -> Option<Self> {
        match (scheme.format, scheme.fit) {
            (Format::Bf16 | Format::F16, _) => Some(Self::Shorts),
            (Format::Q8_0, _) => Some(Self::Q8_0),
            (Format::Q4_0, _) => Some(Self::Q4_0),
            (Format::Tq2_0, Fit::Usual) => Some(Self::Tq2_0),
            (Format::Q4K, _) => Some(Self::Q4K),
            _ => None,
        }
    }

    fn source(self) -> &'static str {
        match self {
            Self::Linear(_) => shader!("wide.wgsl", "linear.wgsl"),
            Self::Tasks(_) => shader!("wide.wgsl", "tasks.wgsl"),
            Self::Shorts => shader!("wide.wgsl", "shorts.wgsl"),
            Self::Copy => shader!("copy.wgsl"),
            Self::Q8_0 => shader!("tile.wgsl", "q8_0.wgsl"),
            Self::Q4_0 => shader!("tile.wgsl", "q4_0.wgsl"),
            Self::Tq2_0 => shader!("tile.wgsl", "tq2_0.wgsl"),
            Self::Q4K => shader!("q4_k.wgsl"),
        }
    }
}

fn known(models: usize) -> u32 {
    u32::try_from(models).ok().filter(|models| *models <= KNOWN).unwrap_or(0)
}

/// Those that were wanted so far.
pub(super) struct Kernels {
    layout: wgpu::PipelineLayout,
    made: Mutex<HashMap<Kernel, wgpu::ComputePipeline>>,
}

impl Kernels {
    pub(super) fn new(device: &wgpu::Device, layout: &wgpu::BindGroupLayout) -> Self {
        let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &[Some(layout)],
            immediate_size: 0,
        });
        Self { layout, made: Mutex::default() }
    }

    pub(super) fn take(&self, device: &wgpu::Device, kernel: Kernel) -> wgpu::ComputePipeline {
        // Held while one is made: whoever else wants it would only make it once more.
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.entry(kernel).or_insert_with(|| self.make(device, kernel)).clone()
    }

    fn make(&self, device: &wgpu::Device, kernel: Kernel) -> wgpu::ComputePipeline {
        let label = format!("{kernel:?}");
        let descriptor = wgpu::ShaderModuleDescriptor {
            label: Some(&label),
            source: wgpu::ShaderSource::Wgsl(kernel.source().into()),
        };
        #[allow(
            unsafe_code,
            reason = "every loop of these sources ends, and every index is bounded by parameters that only this crate \
                      writes; the driver's own bounds on buffers stay. What is left out keeps drivers from unrolling, and \
                      costs Q8_0 a sixth of its speed"
        )]
        let module = unsafe { device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) };
        let models = match kernel {
            Kernel::Linear(models) | Kernel::Tasks(models) => Some(models),
            _ => None,
        };
        let constants: Vec<(&str, f64)> = models.map(|models| ("COUNT", f64::from(models))).into_iter().collect();
        device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&label),
            layout: Some(&self.layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions { constants: &constants, ..Default::default() },
            cache: None,
        })
    }
}
