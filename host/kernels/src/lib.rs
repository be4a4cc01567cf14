//! Arithmetic on the weights of models: reading and writing them, quantizing, merging.
//!
//! The CPU back end is the reference; the wgpu one gives the same bytes. Nothing here reads a clock, and no
//! thread runs that the caller did not allow.

#![allow(clippy::needless_range_loop, reason = "lanes by their number are what the compiler makes vectors of")]

#[cfg(not(target_endian = "little"))]
compile_error!("weights are little-endian, and are computed with where they lie");

pub mod backend;
pub mod bench;
pub mod companions;
pub mod compare;
mod error;
pub mod float;
mod format;
pub mod job;
mod level;
pub mod merge;
mod pool;
mod quantize;
mod random;
mod types;
pub mod weights;

pub use backend::{Backend, Cpu, Kind};
#[cfg(feature = "gpu")]
pub use backend::{Gpu, Mixed, Ring};
pub use error::{Error, Fault, Misfit, Result};
pub use format::{Format, NF4_BLOCK, Part, VQ_CODES, VQ_DIM};
pub use level::{Kernel, Level};
pub use pool::{Inline, Pool, Threads};
pub use quantize::{Fit, Scheme};
pub use random::Counter;
pub use types::Types;
pub use weights::output::Output;
pub use weights::{Catalogue, Info, Limits, Metadata, View, Weights};

/// Quantizes a whole tensor. `out` has [`Format::bytes`] of the shape.
pub fn quantize(shape: &[u64], values: &[f32], scheme: Scheme, out: &mut [u8], pool: &dyn Pool) -> Result<()> {
    let elements = format::count(shape);
    if elements != Some(values.len() as u64) {
        let fault = Fault::Size {
            shape: shape.to_vec(),
            need: u128::from(elements.unwrap_or(u64::MAX)) * 4,
            given: values.len() as u64 * 4,
        };
        return Err(Error::tensor("tensor", fault));
    }
    if let Some(at) = values.iter().position(|v| !v.is_finite()) {
        return Err(Error::tensor("tensor", Fault::NotFinite(at as u64)));
    }
    quantize::encode_whole(Level::detect(), scheme, shape, values, out, pool).map_err(|error| error.named("tensor"))
}

/// Reads a whole tensor as numbers.
pub fn dequantize(view: &View<'_>) -> Result<Vec<f32>> {
    let mut out = vec![0.0; view.count()];
    quantize::decode_at(Level::detect(), view.format, view.shape, view.bytes, 0, &mut out)
        .map_err(|fault| Error::tensor(view.name, fault))?;
    Ok(out)
}
