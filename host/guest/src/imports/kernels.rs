//! `village:agent/kernels`: tensors as handles, and arithmetic that the host does for the agent.

mod merge;

use super::bindings::village::agent::kernels::{Format, Host, HostTensor, HostWeights, HostWork, Pollable};
use super::bindings::village::agent::types::{Failure, FailureKind};
use super::{Error, denied, limit};
use crate::compute::{Broke, Busy, Meter, Pending};
use crate::ctx::Ctx;
use crate::tensors::{Refusal, Source, Tensor, Weights, folder};
use kernels::{Inline, Pool, Scheme, View, compare, job};
use merge::Merge;
use runtime::Held;
use std::io;
use std::sync::Arc;
use tokio::sync::watch;
use wasmtime::component::Resource;
use wasmtime_wasi::p2;

type Answer<T> = wasmtime::Result<Result<T, Error>>;

/// A read answers at most this much.
const READ: u64 = 1 << 20;

/// Elements that are gone through at once, on the guest's own thread and time: it takes as long as handing them over.
const FEW: u64 = 1 << 14;

/// Work that is under way; its outcome is there to be fetched once.
#[allow(unreachable_pub, reason = "the bindings name this type")]
pub struct Work {
    pending: Option<Pending<Result<Tensor, Error>>>,
    done: watch::Receiver<()>,
}

/// What a pollable waits for. It stands by itself, so that work can be dropped while somebody still waits for it.
struct Done(watch::Receiver<()>);

#[async_trait::async_trait]
impl p2::Pollable for Done {
    async fn ready(&mut self) {
        // Nothing is ever sent: it closes when the work is done.
        while self.0.changed().await.is_ok() {}
    }
}

impl Host for Ctx {
    async fn open(&mut self, path: String) -> Answer<Resource<Weights>> {
        Ok(self.open_weights(path).await)
    }

    fn make(&mut self, shape: Vec<u64>, format: Format, bytes: Vec<u8>) -> Answer<Resource<Tensor>> {
        Ok(self.kernels().and_then(|()| {
            let format = format.parse().map_err(refused)?;
            let held = self.hold(bytes.len() as u64)?;
            let tensor = Tensor::made(shape, format, bytes, held).map_err(refused)?;
            self.keep(tensor)
        }))
    }

    fn convert(&mut self, tensor: Resource<Tensor>, format: Format) -> Answer<Resource<Work>> {
        let tensor = self.table.get(&tensor)?.clone();
        Ok(self.kernels().and_then(|()| {
            let to: Scheme = format.parse().map_err(refused)?;
            let outline = tensor.outline();
            let room = |chunk| {
                let room = job::convert_room(outline.shape, outline.format, to, chunk).map_err(refused)?;
                Ok(room.saturating_add(tensor.unloaded()))
            };
            let (held, device) = self.hold_for(tensor.size(), room)?;
            self.work(held, to, move |meter| {
                let (outline, bytes) = (tensor.outline(), tensor.load(meter)?);
                let backend = meter.backend(if device { bytes.len() as u64 } else { 0 });
                let means = job::Means { backend: &*backend, pool: meter, watch: meter };
                let made = job::convert_tensor(&View { bytes: &bytes, ..outline }, to, means)?;
                Ok((outline.shape.to_vec(), made))
            })
        }))
    }

    fn merge(
        &mut self,
        method: String,
        tensors: Vec<Resource<Tensor>>,
        base: Option<Resource<Tensor>>,
        parameters: String,
    ) -> Answer<Resource<Work>> {
        let tensors =
            tensors.iter().map(|tensor| Ok(self.table.get(tensor)?.clone())).collect::<wasmtime::Result<_>>()?;
        let base = base.map(|base| self.table.get(&base).cloned()).transpose()?;
        Ok(self.kernels().and_then(|()| {
            let merge = Merge { method: method.parse().map_err(refused)?, tensors, base, parameters };
            let to = merge.check()?;
            let (held, device) = self.hold_for(merge.size(), |chunk| merge.room(to, chunk))?;
            self.work(held, to, move |meter| merge.run(to, device, meter))
        }))
    }

    async fn norm(&mut self, tensor: Resource<Tensor>) -> Answer<f64> {
        let tensors = self.tensors([tensor])?;
        Ok(self.question(tensors, 0, |[view], pool| compare::norm(&view, pool)).await.map(|(norm, _)| norm))
    }

    async fn distance(&mut self, a: Resource<Tensor>, b: Resource<Tensor>) -> Answer<f64> {
        let tensors = self.tensors([a, b])?;
        Ok(self
            .question(tensors, 0, |[a, b], pool| compare::distance(&a, &b, pool))
            .await
            .map(|(distance, _)| distance))
    }

    async fn cosine(&mut self, a: Resource<Tensor>, b: Resource<Tensor>) -> Answer<f64> {
        let tensors = self.tensors([a, b])?;
        Ok(self.question(tensors, 0, |[a, b], pool| compare::cosine(&a, &b, pool)).await.map(|(cosine, _)| cosine))
    }

    async fn top(&mut self, tensor: Resource<Tensor>, k: u32) -> Answer<Vec<(u64, f32)>> {
        let tensors = self.tensors([tensor])?;
        // The best of every stretch, and then all of those together.
        let count = elements(&tensors[0]);
        let candidates = (count / compare::STRETCH as u64 + 1).saturating_mul(u64::from(k)).min(count);
        let asked = move |[view]: [View<'_>; 1], pool: &dyn Pool| compare::top(&view, k as usize, pool);
        Ok(self.question(tensors, candidates * 32, asked).await.map(|(best, _)| best))
    }
}

impl HostTensor for Ctx {
    fn shape(&mut self, this: Resource<Tensor>) -> wasmtime::Result<Vec<u64>> {
        Ok(self.table.get(&this)?.outline().shape.to_vec())
    }

    fn format(&mut self, this: Resource<Tensor>) -> wasmtime::Result<Format> {
        Ok(self.table.get(&this)?.outline().format.name().into())
    }

    async fn read(&mut self, this: Resource<Tensor>, start: u64, length: u64) -> Answer<Vec<u8>> {
        let tensor = self.table.get(&this)?.clone();
        let length = length.min(READ);
        Ok(match tensor.unloaded() {
            0 => tensor.read(start, length).map_err(refused),
            _ => match tokio::task::spawn_blocking(move || tensor.read(start, length)).await {
                Ok(read) => read.map_err(refused),
                Err(_) => Err(broke(Broke)),
            },
        })
    }

    fn drop(&mut self, this: Resource<Tensor>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl HostWeights for Ctx {
    fn names(&mut self, this: Resource<Weights>) -> wasmtime::Result<Vec<String>> {
        let infos = self.table.get(&this)?.0.catalogue.infos();
        Ok(infos.iter().map(|info| info.name.clone()).collect())
    }

    fn tensor(&mut self, this: Resource<Weights>, name: String) -> Answer<Resource<Tensor>> {
        let source = self.table.get(&this)?.0.clone();
        let Some(number) = source.catalogue.find(&name) else {
            return Ok(Err(Error::NotFound(format!("{} has no tensor `{name}`", source.path()))));
        };
        Ok(self.keep(Tensor::filed(source, number)))
    }

    fn drop(&mut self, this: Resource<Weights>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl HostWork for Ctx {
    fn subscribe(&mut self, this: Resource<Work>) -> wasmtime::Result<Resource<Pollable>> {
        let done = Done(self.table.get(&this)?.done.clone());
        let done = self.table.push(done)?;
        p2::subscribe(&mut self.table, done)
    }

    fn finish(&mut self, this: Resource<Work>) -> wasmtime::Result<Option<Result<Resource<Tensor>, Error>>> {
        let work = self.table.get_mut(&this)?;
        let Some(pending) = &mut work.pending else {
            return Ok(Some(Err(Error::Invalid("the result of this work was given already".into()))));
        };
        let Some(outcome) = pending.take() else { return Ok(None) };
        work.pending = None;
        Ok(Some(outcome.map_err(broke).flatten().and_then(|tensor| self.keep(tensor))))
    }

    fn drop(&mut self, this: Resource<Work>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl Ctx {
    fn kernels(&self) -> Result<(), Error> {
        if self.grants.kernels { Ok(()) } else { Err(denied("kernels")) }
    }

    fn hold(&self, bytes: u64) -> Result<Held, Error> {
        self.accounts.memory.hold(bytes).map_err(|_| limit("memory", None))
    }

    /// Holds what work on so many bytes takes, by the length of its stretches; and whether that is enough for a device,
    /// whose stretches are longer.
    fn hold_for(&self, bytes: u64, room: impl Fn(usize) -> Result<u64, Error>) -> Result<(Held, bool), Error> {
        let [cpu, device] = self.accounts.works.chunks(bytes);
        let (memory, wanted) = (&self.accounts.memory, room(device)?);
        // Asked and not tried: a refusal would be remembered.
        if wanted <= memory.limit().saturating_sub(memory.used()) {
            return Ok((self.hold(wanted)?, true));
        }
        Ok((self.hold(room(cpu)?)?, false))
    }

    /// A handle, if there is room for one more.
    fn keep<T: Send + 'static>(&mut self, value: T) -> Result<Resource<T>, Error> {
        self.table.push(value).map_err(|_| limit("memory", None))
    }

    fn tensors<const N: usize>(&self, handles: [Resource<Tensor>; N]) -> wasmtime::Result<[Tensor; N]> {
        let tensors = handles.iter().map(|handle| Ok(self.table.get(handle)?.clone()));
        let tensors = tensors.collect::<wasmtime::Result<Vec<_>>>()?;
        tensors.try_into().map_err(|_| wasmtime::Error::msg("there are as many tensors as handles"))
    }

    async fn open_weights(&mut self, path: String) -> Result<Resource<Weights>, Error> {
        self.kernels()?;
        let Some((host, rest)) = folder(&self.grants.files, &path) else {
            return Err(Error::Denied(format!("no granted folder holds {path}: `files` opens one")));
        };
        let (memory, open) = (self.accounts.memory.clone(), self.streams.clone());
        let opened = self.accounts.works.begin(move |meter| {
            let _ = meter.pause();
            let file = crate::tensors::open(&host, &rest, &path).map_err(Refusal::Unsound)?;
            Source::open(file, path, &memory, open, meter)
        });
        match opened.map_err(busy)?.wait().await.map_err(broke)? {
            Ok(source) => self.keep(Weights(Arc::new(source))),
            Err(Refusal::Memory) => Err(limit("memory", None)),
            Err(Refusal::Unsound(error)) => Err(refused(error)),
        }
    }

    /// Begins work whose result is a tensor. `held` counts all that it takes.
    fn work(
        &mut self,
        mut held: Held,
        to: Scheme,
        job: impl FnOnce(&Meter) -> kernels::Result<(Vec<u64>, Vec<u8>)> + Send + 'static,
    ) -> Result<Resource<Work>, Error> {
        let pending = self.accounts.works.begin(move |meter| {
            let (shape, bytes) = job(meter).map_err(refused)?;
            // Less than was held: only the result is left.
            held.resize(bytes.len() as u64).map_err(|_| limit("memory", None))?;
            Tensor::made(shape, to.format, bytes, held).map_err(refused)
        });
        let pending = pending.map_err(busy)?;
        let done = pending.done();
        self.keep(Work { pending: Some(pending), done })
    }

    /// Asks something about tensors, and waits for the answer. `room` is what answering takes beside reading. What the
    /// answer takes is counted until it is dropped.
    async fn question<O: Send + 'static, const N: usize>(
        &mut self,
        tensors: [Tensor; N],
        room: u64,
        answer: impl for<'v> FnOnce([View<'v>; N], &dyn Pool) -> kernels::Result<O> + Send + 'static,
    ) -> Result<(O, Held), Error> {
        self.kernels()?;
        let outlines = tensors.each_ref().map(Tensor::outline);
        if outlines.iter().any(|other| other.shape != outlines[0].shape) {
            return Err(Error::Invalid(format!("tensors of different shapes: {:?}", outlines.map(|view| view.shape))));
        }
        let row = outlines[0].row() as u64;
        let unloaded = tensors.iter().map(Tensor::unloaded).sum::<u64>();
        let stretch = (compare::STRETCH as u64 + row).min(elements(&tensors[0])) * 4 * (N as u64 + 4);
        let held = self.hold(unloaded.saturating_add(room).saturating_add(stretch))?;
        if unloaded == 0 && elements(&tensors[0]) <= FEW {
            let answer = look(&tensors, None, |views| answer(views, &Inline)).map_err(refused)?;
            return Ok((answer, held));
        }
        let pending = self
            .accounts
            .works
            .begin(move |meter| look(&tensors, Some(meter), |views| answer(views, meter)).map(|answer| (answer, held)));
        pending.map_err(busy)?.wait().await.map_err(broke)?.map_err(refused)
    }
}

fn elements(tensor: &Tensor) -> u64 {
    tensor.outline().count() as u64
}

/// Shows tensors with their bytes. Without a meter, only those that are in memory.
fn look<O, const N: usize>(
    tensors: &[Tensor; N],
    meter: Option<&Meter>,
    see: impl FnOnce([View<'_>; N]) -> kernels::Result<O>,
) -> kernels::Result<O> {
    let mut bytes = tensors.each_ref().map(|_| std::borrow::Cow::default());
    for (bytes, tensor) in bytes.iter_mut().zip(tensors) {
        *bytes = match meter {
            Some(meter) => tensor.load(meter)?,
            None => tensor.read(0, tensor.size())?.into(),
        };
    }
    let mut number = 0;
    see(tensors.each_ref().map(|tensor| {
        number += 1;
        View { bytes: &bytes[number - 1], ..tensor.outline() }
    }))
}

fn busy(Busy: Busy) -> Error {
    Error::Unavailable("this host computes for as many agents as it can; try later".into())
}

fn broke(Broke: Broke) -> Error {
    failed(FailureKind::Internal, "the arithmetic broke".into())
}

fn failed(kind: FailureKind, message: String) -> Error {
    Error::Failed(Failure { kind, message, details: String::new() })
}

/// What an error of the arithmetic means to the agent.
fn refused(error: kernels::Error) -> Error {
    let text = error.to_string();
    match &error {
        kernels::Error::Io { source, .. } => match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Error::NotFound(text),
            io::ErrorKind::PermissionDenied => Error::Denied(text),
            io::ErrorKind::InvalidInput | io::ErrorKind::IsADirectory => Error::Invalid(text),
            _ => failed(FailureKind::Temporary, text),
        },
        kernels::Error::Gpu(_) | kernels::Error::Stopped => Error::Unavailable(text),
        _ => Error::Invalid(text),
    }
}
