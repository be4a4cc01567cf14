//! Arithmetic on weights. Grant: `kernels`. Budget: `cpu`, `gpu`, `memory`.
//!
//! An agent can name only tensors that it opened or made. Every function fails with `denied` without the grant.
//!
//! ```
//! use village::Error;
//! use village::kernels::{self, Tensor};
//!
//! /// How much a tensor loses when it is kept in four bits.
//! fn loss(tensor: &Tensor) -> Result<f64, Error> {
//!     let small = kernels::convert(tensor, "q4_0")?.wait()?;
//!     let again = kernels::convert(&small, &tensor.format())?.wait()?;
//!     Ok(kernels::distance(tensor, &again)? / kernels::norm(tensor)?)
//! }
//! # let host = village::test::Host::new();
//! # assert!(matches!(host.enter(|| Tensor::from_f32(&[2], &[1.0, 2.0])), Err(Error::Denied(_))));
//! # let _ = loss;
//! ```

use serde::Serialize;

use crate::imports::kernels as host;
use crate::json;
use crate::types::Error;

/// What is read at once. The host reads no more.
const PIECE: u64 = 1 << 20;

/// Weights that the host holds for this agent.
#[derive(Debug)]
pub struct Tensor(host::Tensor);

impl Tensor {
    /// Makes one of numbers. A count that does not fit the shape fails with `invalid`.
    pub fn from_f32(shape: &[u64], numbers: &[f32]) -> Result<Tensor, Error> {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        Tensor::from_bytes(shape, "f32", &bytes)
    }

    /// Makes one. Bytes that don't fit shape and format fail with `invalid`.
    pub fn from_bytes(shape: &[u64], format: &str, bytes: &[u8]) -> Result<Tensor, Error> {
        host::make(shape, format, bytes).map(Tensor)
    }

    /// Row-major. A tensor of no dimensions is one number.
    pub fn shape(&self) -> Vec<u64> {
        self.0.shape()
    }

    /// How the elements are kept: `f32`, `bf16`, `q4_0`… as `village quantize --type` spells them.
    pub fn format(&self) -> String {
        self.0.format()
    }

    /// The bytes from `start`, at most `length` of them and 1 MiB. Past the end: empty.
    pub fn read(&self, start: u64, length: u64) -> Result<Vec<u8>, Error> {
        self.0.read(start, length)
    }

    /// All bytes.
    pub fn bytes(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        loop {
            let piece = self.read(bytes.len() as u64, PIECE)?;
            if piece.is_empty() {
                return Ok(bytes);
            }
            bytes.extend(piece);
        }
    }

    /// All numbers of a tensor of the format `f32`; any other fails with `invalid`: convert it first.
    pub fn numbers(&self) -> Result<Vec<f32>, Error> {
        if self.format() != "f32" {
            return Err(Error::Invalid(
                ["a tensor of the format `", &self.format(), "` has no plain numbers"].concat(),
            ));
        }
        let bytes = self.bytes()?;
        Ok(bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect())
    }
}

/// A file of weights: safetensors or GGUF.
#[derive(Debug)]
pub struct Weights(host::Weights);

impl Weights {
    /// Opens a file in a granted folder. A file that isn't sound fails with `invalid`, naming tensor and reason.
    pub fn open(path: &str) -> Result<Weights, Error> {
        host::open(path).map(Weights)
    }

    /// The tensors' names, in the file's order. May be empty.
    pub fn names(&self) -> Vec<String> {
        self.0.names()
    }

    /// Fails with `not-found`.
    pub fn tensor(&self, name: &str) -> Result<Tensor, Error> {
        self.0.tensor(name).map(Tensor)
    }
}

/// Work that is under way. Dropping it cancels it.
#[derive(Debug)]
#[must_use = "dropping it cancels it"]
pub struct Work(host::Work);

impl Work {
    /// Waits for the result.
    pub fn wait(self) -> Result<Tensor, Error> {
        loop {
            if let Some(result) = self.0.finish() {
                return result.map(Tensor);
            }
            self.0.subscribe().block();
        }
    }
}

/// Waits for all results; they come in the order of the works.
pub fn all(works: Vec<Work>) -> Vec<Result<Tensor, Error>> {
    works.into_iter().map(Work::wait).collect()
}

/// Converts, from any format to any.
pub fn convert(tensor: &Tensor, format: &str) -> Result<Work, Error> {
    host::convert(&tensor.0, format).map(Work)
}

/// Merges tensors of one shape by one of mergekit's methods. `parameters` are mergekit's: an object, or `&()` for none; where one is
/// given per model it is a list in the order of `tensors`. The methods on task vectors need `base`.
///
/// Fails with `invalid` for no tensors, shapes that differ, a missing `base`, and parameters that the method doesn't know.
pub fn merge<P: Serialize + ?Sized>(
    method: &str,
    tensors: &[&Tensor],
    base: Option<&Tensor>,
    parameters: &P,
) -> Result<Work, Error> {
    let json = json::write(parameters)?;
    let parameters = if json == b"null" { String::new() } else { String::from_utf8_lossy(&json).into_owned() };
    let tensors: Vec<_> = tensors.iter().map(|tensor| &tensor.0).collect();
    host::merge(method, &tensors, base.map(|base| &base.0), &parameters).map(Work)
}

/// The Euclidean norm. Of no elements: 0.
pub fn norm(tensor: &Tensor) -> Result<f64, Error> {
    host::norm(&tensor.0)
}

/// The Euclidean distance of two tensors of one shape; other shapes fail with `invalid`.
pub fn distance(a: &Tensor, b: &Tensor) -> Result<f64, Error> {
    host::distance(&a.0, &b.0)
}

/// The cosine of two tensors of one shape; 0 if either is all zero.
pub fn cosine(a: &Tensor, b: &Tensor) -> Result<f64, Error> {
    host::cosine(&a.0, &b.0)
}

/// The `k` largest elements as (position, value), largest first, the lower position first among equals. At most all of them.
pub fn top(tensor: &Tensor, k: u32) -> Result<Vec<(u64, f32)>, Error> {
    host::top(&tensor.0, k)
}
