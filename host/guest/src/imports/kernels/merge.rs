//! A merge that an agent asks for: checked when it is asked for, done later.

use super::{elements, refused};
use crate::compute::Meter;
use crate::imports::Error;
use crate::tensors::Tensor;
use kernels::merge::{Ask, Method};
use kernels::{Scheme, View, job};
use std::borrow::Cow;

/// A merge takes at most this many tensors, and parameters of this length.
const TENSORS: usize = 64;
const PARAMETERS: usize = 64 << 10;

/// A merge that was asked for.
pub(super) struct Merge {
    pub(super) method: Method,
    pub(super) tensors: Vec<Tensor>,
    pub(super) base: Option<Tensor>,
    pub(super) parameters: String,
}

impl Merge {
    /// Refuses what makes no sense; answers what the result is kept as.
    pub(super) fn check(&self) -> Result<Scheme, Error> {
        if self.tensors.len() > TENSORS {
            return Err(Error::Invalid(format!("{} tensors, the limit is {TENSORS}", self.tensors.len())));
        }
        if self.parameters.len() > PARAMETERS {
            let length = self.parameters.len();
            return Err(Error::Invalid(format!("{length} bytes of parameters, the limit is {PARAMETERS}")));
        }
        let ask = self.ask(|tensor| plain(tensor.outline())).map_err(refused)?;
        kernels::merge::check(&ask).map_err(refused)?;
        let first = self.tensors.first().map_or(kernels::Format::F32, |tensor| tensor.outline().format);
        Ok(if first.is_float() { first } else { kernels::Format::F32 }.into())
    }

    fn ask<'a>(&'a self, view: impl Fn(&'a Tensor) -> View<'a>) -> kernels::Result<Ask<'a>> {
        let views = self.tensors.iter().map(&view).collect();
        Ask::from_json(self.method, self.base.as_ref().map(&view), views, &self.parameters)
    }

    pub(super) fn size(&self) -> u64 {
        self.tensors.iter().chain(&self.base).map(Tensor::size).sum()
    }

    /// The memory that all of it takes.
    pub(super) fn room(&self, to: Scheme, chunk: usize) -> Result<u64, Error> {
        let ask = self.ask(|tensor| plain(tensor.outline())).map_err(refused)?;
        let mut room = job::merge_room(&ask, to, chunk).map_err(refused)?;
        for tensor in self.tensors.iter().chain(&self.base) {
            let unpacked = if tensor.outline().format.is_whole() { elements(tensor).saturating_mul(4) } else { 0 };
            room = room.saturating_add(tensor.unloaded()).saturating_add(unpacked);
        }
        Ok(room)
    }

    pub(super) fn run(&self, to: Scheme, device: bool, meter: &Meter) -> kernels::Result<(Vec<u64>, Vec<u8>)> {
        let all: Vec<&Tensor> = self.base.iter().chain(&self.tensors).collect();
        let mut bytes = Vec::with_capacity(all.len());
        for tensor in &all {
            bytes.push(loaded(tensor, meter)?);
        }
        let mut views = all.iter().zip(&bytes).map(|(tensor, bytes)| View { bytes, ..plain(tensor.outline()) });
        let base = self.base.as_ref().and_then(|_| views.next());
        let ask = Ask::from_json(self.method, base, views.collect(), &self.parameters)?;
        let backend = meter.backend(if device { self.size() } else { 0 });
        let means = job::Means { backend: &*backend, pool: meter, watch: meter };
        let merged = job::merge_tensor(&ask, to, means)?;
        Ok((self.tensors.first().map_or(Vec::new(), |tensor| tensor.outline().shape.to_vec()), merged))
    }
}

/// As it is merged: formats that are kept as a whole are unpacked first.
fn plain(view: View<'_>) -> View<'_> {
    match view.format.is_whole() {
        true => View { format: kernels::Format::F32, ..view },
        false => view,
    }
}

fn loaded<'a>(tensor: &'a Tensor, meter: &Meter) -> kernels::Result<Cow<'a, [u8]>> {
    let (outline, bytes) = (tensor.outline(), tensor.load(meter)?);
    if !outline.format.is_whole() {
        return Ok(bytes);
    }
    let means = job::Means { backend: &kernels::Cpu::default(), pool: meter, watch: meter };
    Ok(job::convert_tensor(&View { bytes: &bytes, ..outline }, kernels::Format::F32.into(), means)?.into())
}
