//! From files to a file: one tensor after the other, each in stretches on the caller's threads.
//!
//! Memory is a few stretches a thread, however large a model is; formats that need a whole tensor hold one.

mod report;
mod room;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use report::Noise;
pub use report::{Line, Report};
pub use room::{convert_room, merge_room};

use crate::backend::{Backend, Kind};
use crate::level::Level;
use crate::merge::{self, Plan};
use crate::pool::{self, Pool};
use crate::weights::Metadata;
use crate::weights::llama::Llama;
use crate::weights::shards::Shards;
use crate::{Error, Fault, Format, Result, Scheme, Types, View, Weights, quantize};

/// Told how far the work is; can stop it.
pub trait Watch: Sync {
    /// So many bytes of input are done since the last call. Called from the pool's threads.
    fn advance(&self, bytes: u64) -> ControlFlow<()>;
}

/// Nobody watches.
impl Watch for () {
    fn advance(&self, _: u64) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// With what, and under whose eyes, a file is made.
#[derive(Clone, Copy)]
pub struct Means<'a> {
    /// Where arithmetic happens.
    pub backend: &'a dyn Backend,
    /// On which threads.
    pub pool: &'a dyn Pool,
    /// Who is told.
    pub watch: &'a dyn Watch,
}

/// One tensor to be made.
struct Piece {
    name: String,
    shape: Vec<u64>,
    from: Format,
    to: Scheme,
}

/// Merges models into a file; quantizes in the same pass, if types are given.
pub fn merge(plan: &Plan<'_>, types: Option<&Types>, path: &Path, means: Means<'_>) -> Result<Report> {
    merge_sharded(plan, types, path, u64::MAX, means)
}

/// The same, into safetensors files that hold `most` bytes of tensors each, with an index, if one file would hold more.
pub fn merge_sharded(
    plan: &Plan<'_>,
    types: Option<&Types>,
    path: &Path,
    most: u64,
    means: Means<'_>,
) -> Result<Report> {
    let mut pieces = Vec::with_capacity(plan.targets.len());
    for target in &plan.targets {
        let to = match types {
            Some(types) if !plan.is_copied(target) => types.of(&target.name, &target.shape, target.format),
            _ => target.format.into(),
        };
        pieces.push(Piece { name: target.name.clone(), shape: target.shape.clone(), from: target.format, to });
    }
    let metadata = match plan.models.first().map(|model| model.metadata()) {
        Some(metadata) => types.map_or_else(|| metadata.clone(), |types| types.tell(metadata)),
        None => Metadata::Safetensors(Vec::new()),
    };
    write(pieces, &metadata, (path, most), means, |i, make| {
        let target = &plan.targets[i];
        let ask = plan.ask(target)?;
        make(&ask)?;
        for source in target.sources.iter().chain(&target.base) {
            plan.models[source.model].forget_named(&source.tensor);
        }
        Ok(())
    })
}

/// Turns one model into others types.
pub fn convert(weights: &Weights, types: &Types, path: &Path, metadata: &Metadata, means: Means<'_>) -> Result<Report> {
    convert_sharded(weights, types, (path, u64::MAX), metadata, means)
}

/// The same, into safetensors files that hold so many bytes of tensors each, with an index, if one file would hold more.
pub fn convert_sharded(
    weights: &Weights,
    types: &Types,
    (path, most): (&Path, u64),
    metadata: &Metadata,
    means: Means<'_>,
) -> Result<Report> {
    let infos = weights.infos();
    let pieces = infos
        .iter()
        .map(|info| Piece {
            name: info.name.clone(),
            shape: info.shape.clone(),
            from: info.format,
            to: types.of(&info.name, &info.shape, info.format),
        })
        .collect();
    write(pieces, &types.tell(metadata), (path, most), means, |i, make| {
        make(&merge::Ask::copy(weights.view(&infos[i])))?;
        weights.forget(&infos[i]);
        Ok(())
    })
}

/// Turns a Llama model's safetensors into a GGUF file that llama.cpp reads.
pub fn convert_llama(weights: &Weights, llama: &Llama, types: &Types, path: &Path, means: Means<'_>) -> Result<Report> {
    let (mut pieces, mut infos) = (Vec::new(), Vec::new());
    for info in weights.infos() {
        let Some(name) = llama.name(&info.name) else {
            // Tables that the reader makes for itself.
            if info.name.ends_with("inv_freq") {
                continue;
            }
            return Err(Error::tensor(&info.name, Fault::Not("a tensor of a Llama model")));
        };
        // What is not a matrix is small, and read as singles there.
        let to = match info.shape.len() {
            0 | 1 => Format::F32.into(),
            _ => types.of(&name, &info.shape, info.format),
        };
        pieces.push(Piece { name, shape: info.shape.clone(), from: info.format, to });
        infos.push(info);
    }
    let metadata = types.tell(&Metadata::Gguf(llama.metadata().to_vec()));
    write(pieces, &metadata, (path, u64::MAX), means, |i, make| {
        let view = weights.view(infos[i]);
        match llama.reorder(view.name, view.shape, view.bytes)? {
            Some(bytes) => make(&merge::Ask::copy(View { bytes: &bytes, ..view }))?,
            None => make(&merge::Ask::copy(view))?,
        }
        weights.forget(infos[i]);
        Ok(())
    })
}

type Make<'m> = &'m mut dyn FnMut(&merge::Ask<'_>) -> Result<()>;

fn write(
    pieces: Vec<Piece>,
    metadata: &Metadata,
    (path, most): (&Path, u64),
    means: Means<'_>,
    mut each: impl FnMut(usize, Make<'_>) -> Result<()>,
) -> Result<Report> {
    let plans: Vec<_> = pieces.iter().map(|p| (p.name.clone(), p.shape.clone(), p.to.format)).collect();
    let output = Shards::create(path, &plans, metadata, most)?;
    let rooms = Rooms::default();
    let mut report = Report { tensors: Vec::new(), before: 0, after: 0, file: output.length() };
    for (number, piece) in pieces.into_iter().enumerate() {
        let bytes = |format: Format| format.bytes(&piece.shape).map_err(|fault| Error::tensor(&piece.name, fault));
        let (before, after) = (bytes(piece.from)?, bytes(piece.to.format)?);
        let mut snr = None;
        each(number, &mut |ask| {
            let sink = |at: u64, bytes: &[u8]| output.write(number, at, bytes);
            snr =
                tensor(ask, &piece.shape, piece.to, &sink, &rooms, means).map_err(|error| error.named(&piece.name))?;
            Ok(())
        })?;
        report.before += before;
        report.after += after;
        let Piece { name, shape, from, to } = piece;
        report.tensors.push(Line { name, shape, from, to, before, after, snr });
    }
    output.finish()?;
    Ok(report)
}

/// Buffers of one stretch.
#[derive(Default)]
struct Room {
    out: Vec<u8>,
    values: Vec<f32>,
    back: Vec<f32>,
}

/// Rooms that are free; never more than threads. Stretches are too large for an allocator to keep: without this each
/// one would be given back to the system and zeroed again.
#[derive(Default)]
struct Rooms(Mutex<Vec<Room>>);

impl Rooms {
    fn with<T>(&self, work: impl FnOnce(&mut Room) -> T) -> T {
        let free = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut room = free().pop().unwrap_or_default();
        let done = work(&mut room);
        free().push(room);
        done
    }
}

/// Where a tensor's bytes go, from any thread: an offset in the tensor, and bytes.
type Sink<'s> = &'s (dyn Fn(u64, &[u8]) -> Result<()> + Sync);

fn tensor(
    ask: &merge::Ask<'_>,
    shape: &[u64],
    to: Scheme,
    sink: Sink<'_>,
    rooms: &Rooms,
    means: Means<'_>,
) -> Result<Option<f64>> {
    let source = ask.models.first().map(|model| model.view);
    if let (merge::Method::Passthrough, Some(view)) = (ask.method, source)
        && view.format == to.format
        && ask.models[0].own.scale.is_none()
    {
        return copy(view.bytes, view.format, sink, means).map(|()| None);
    }
    let level = Level::detect();
    if let (merge::Method::Passthrough, Some(view)) = (ask.method, source)
        && view.format.is_whole()
    {
        // Such a format has no stretches to read: it is read at once.
        let values = crate::dequantize(&view)?;
        let bytes: &[u8] = bytemuck::cast_slice(&values);
        let plain = merge::Ask::copy(View { format: Format::F32, bytes, ..view });
        return tensor(&plain, shape, to, sink, rooms, means);
    }
    let job = merge::prepare(ask, level, means.pool)?;
    let inputs: u64 = ask.base.iter().chain(ask.models.iter().map(|m| &m.view)).map(|v| v.bytes.len() as u64).sum();
    let share = |count: usize| (inputs as u128 * count as u128 / (job.count() as u128).max(1)) as u64;
    if to.format.is_whole() {
        return whole(&job, shape, to, sink, means, share);
    }
    let (elements, size) = to.format.block();
    let chunk = means.backend.chunk(Kind::of(to));
    let parts = pool::map(means.pool, job.count().div_ceil(chunk), |i| {
        let from = i * chunk;
        let count = chunk.min(job.count() - from);
        rooms.with(|Room { out, values, back }| {
            out.resize(count / elements as usize * size as usize, 0);
            let noise = if to.format.is_float() {
                job.run(means.backend, from, to, out)?;
                finite(to.format, out, from)?;
                Noise::default()
            } else {
                values.resize(count, 0.0);
                job.run(means.backend, from, Format::F32.into(), bytemuck::cast_slice_mut(values))?;
                finite(Format::F32, bytemuck::cast_slice(values), from)?;
                means.backend.quantize(values, to, out)?;
                back.resize(count, 0.0);
                quantize::decode(level, to.format, out, back).map_err(|fault| Error::tensor("", fault))?;
                Noise::between(values, back)
            };
            sink((from / elements as usize * size as usize) as u64, out)?;
            advance(means, share(count))?;
            Ok(noise)
        })
    })?;
    Ok(Noise::snr(&parts))
}

/// One tensor in memory, from any format to any that can be written. The result has [`Format::bytes`] of the shape.
pub fn convert_tensor(view: &View<'_>, to: Scheme, means: Means<'_>) -> Result<Vec<u8>> {
    in_memory(&merge::Ask::copy(*view), view.shape, to, means).map_err(|error| error.named(view.name))
}

/// One merged tensor in memory.
pub fn merge_tensor(ask: &merge::Ask<'_>, to: Scheme, means: Means<'_>) -> Result<Vec<u8>> {
    let first = ask.models.first().map(|model| model.view).or(ask.base);
    let (shape, name) = first.map_or((&[][..], ""), |view| (view.shape, view.name));
    in_memory(ask, shape, to, means).map_err(|error| match error {
        Error::Tensor { tensor, fault } if tensor.is_empty() => Error::tensor(name, fault),
        named => named,
    })
}

fn in_memory(ask: &merge::Ask<'_>, shape: &[u64], to: Scheme, means: Means<'_>) -> Result<Vec<u8>> {
    let size = to.format.bytes(shape).map_err(|fault| Error::tensor("", fault))?;
    let out = Mutex::new(vec![0u8; size as usize]);
    let sink = |at: u64, bytes: &[u8]| {
        let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
        out[at as usize..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    };
    tensor(ask, shape, to, &sink, &Rooms::default(), means)?;
    Ok(out.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn advance(means: Means<'_>, bytes: u64) -> Result<()> {
    match means.watch.advance(bytes) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Stopped),
    }
}

/// Bytes that stay as they are; of floats, only if they are numbers.
fn copy(bytes: &[u8], format: Format, sink: Sink<'_>, means: Means<'_>) -> Result<()> {
    const CHUNK: usize = 1 << 20;
    pool::try_each(means.pool, bytes.len().div_ceil(CHUNK), |i| {
        let from = i * CHUNK;
        let part = &bytes[from..bytes.len().min(from + CHUNK)];
        finite(format, part, from / format.block().1.max(1) as usize)?;
        sink(from as u64, part)?;
        advance(means, part.len() as u64)
    })
}

/// Formats that are found over a whole tensor: it is held, once as numbers and once as the result.
fn whole(
    job: &merge::Job<'_>,
    shape: &[u64],
    to: Scheme,
    sink: Sink<'_>,
    means: Means<'_>,
    share: impl Fn(usize) -> u64,
) -> Result<Option<f64>> {
    let chunk = means.backend.chunk(Kind::of(to));
    let parts = pool::map(means.pool, job.count().div_ceil(chunk), |i| {
        let from = i * chunk;
        let mut values = vec![0.0f32; chunk.min(job.count() - from)];
        job.run(means.backend, from, Format::F32.into(), bytemuck::cast_slice_mut(&mut values))?;
        finite(Format::F32, bytemuck::cast_slice(&values), from)?;
        Ok(values)
    })?;
    let values = parts.concat();
    drop(parts);
    let refuse = |fault| Error::tensor("", fault);
    let mut out = vec![0; to.format.bytes(shape).map_err(refuse)? as usize];
    quantize::encode_whole(Level::detect(), to, shape, &values, &mut out, means.pool)?;
    sink(0, &out)?;
    let mut back = vec![0.0; values.len()];
    quantize::decode_at(Level::detect(), to.format, shape, &out, 0, &mut back).map_err(refuse)?;
    advance(means, share(values.len()))?;
    Ok(Noise::snr(&[Noise::between(&values, &back)]))
}

/// Refuses what is not a number, with its place.
fn finite(format: Format, bytes: &[u8], from: usize) -> Result<()> {
    let place = match format {
        Format::F32 => first(bytes, |b| u32::from_le_bytes(b) & 0x7f80_0000 == 0x7f80_0000),
        Format::Bf16 => first(bytes, |b| u16::from_le_bytes(b) & 0x7f80 == 0x7f80),
        Format::F16 => first(bytes, |b| u16::from_le_bytes(b) & 0x7c00 == 0x7c00),
        Format::F64 => first(bytes, |b| !f64::from_le_bytes(b).is_finite()),
        _ => None,
    };
    match place {
        None => Ok(()),
        Some(place) => Err(Error::tensor("", Fault::NotFinite((from + place) as u64))),
    }
}

fn first<const N: usize>(bytes: &[u8], bad: impl Fn([u8; N]) -> bool) -> Option<usize> {
    let all = bytes.as_chunks::<N>().0;
    // Whole groups without a branch inside; the place is looked for only when there is one.
    let group = all.chunks(1024).position(|group| group.iter().fold(false, |any, b| any | bad(*b)))?;
    all[group * 1024..].iter().position(|b| bad(*b)).map(|i| group * 1024 + i)
}
