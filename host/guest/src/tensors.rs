//! Tensors that the host holds for an agent, and the files that they come from.
//!
//! A file's tensors stay in the file until they are computed with, so a file may be larger than the agent's memory. The
//! file is read and never mapped: somebody may shorten it at any time.

#![allow(unreachable_pub, reason = "the bindings name these types")]

use crate::compute::Meter;
use crate::grants::Folder;
use cap_std::ambient_authority;
use kernels::{Catalogue, Error, Fault, Format, Limits, Result, View};
use runtime::{Held, Quota};
use std::borrow::Cow;
use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file of weights: what is in it, and a way to its bytes.
pub struct Weights(pub(crate) Arc<Source>);

pub(crate) struct Source {
    file: std::fs::File,
    path: String,
    pub(crate) catalogue: Catalogue,
    _held: Held,
    /// Tells that a file is open.
    _open: Arc<()>,
}

/// Numbers of an agent: made, or in a file.
#[derive(Clone)]
pub struct Tensor(Arc<Kept>);

enum Kept {
    Made { shape: Vec<u64>, format: Format, bytes: Vec<u8>, _held: Held },
    Filed { source: Arc<Source>, number: usize },
}

/// What a made tensor is called in messages.
const MADE: &str = "tensor";

/// What is accepted of an agent's file. Its memory bounds the header further.
const LIMITS: Limits = Limits { header: 16 << 20, tensors: 1 << 14, shards: 1, dimensions: 8 };

/// Why a file can't be opened.
pub(crate) enum Refusal {
    /// What it says of itself does not fit the agent's memory.
    Memory,
    Unsound(Error),
}

/// The granted folder that holds a path, and the rest of the path within it. Of several, the innermost.
pub(crate) fn folder(folders: &[Folder], path: &str) -> Option<(PathBuf, PathBuf)> {
    let words = |path: &str| -> Vec<String> {
        path.split('/').filter(|word| !word.is_empty() && *word != ".").map(str::to_owned).collect()
    };
    let path = words(path);
    let holds = |folder: &&Folder| path.starts_with(&words(&folder.guest));
    let folder = folders.iter().filter(holds).max_by_key(|folder| words(&folder.guest).len())?;
    let rest: PathBuf = path[words(&folder.guest).len()..].iter().collect();
    Some((folder.host.clone(), if rest.as_os_str().is_empty() { ".".into() } else { rest }))
}

/// Opens a file in a folder, and nothing outside of it, whatever is linked there.
pub(crate) fn open(folder: &Path, rest: &Path, path: &str) -> Result<std::fs::File> {
    let failed = |source: io::Error| Error::Io { path: PathBuf::from(path), source };
    let folder = cap_std::fs::Dir::open_ambient_dir(folder, ambient_authority()).map_err(failed)?;
    let mut options = cap_std::fs::OpenOptions::new();
    options.read(true);
    // A pipe that nobody writes to is not waited for.
    #[cfg(unix)]
    cap_std::fs::OpenOptionsExt::custom_flags(&mut options, rustix::fs::OFlags::NONBLOCK.bits() as i32);
    Ok(folder.open_with(rest, &options).map_err(failed)?.into_std())
}

impl Source {
    /// Reads what a file holds. `open` tells that it is open, for as long as anything of it is.
    pub(crate) fn open(
        file: std::fs::File,
        path: String,
        memory: &Arc<Quota>,
        open: Arc<()>,
        meter: &Meter,
    ) -> std::result::Result<Source, Refusal> {
        let failed = |source: io::Error| Refusal::Unsound(Error::Io { path: PathBuf::from(&path), source });
        let about = file.metadata().map_err(failed)?;
        if !about.is_file() {
            let fault = Fault::Not("a file");
            return Err(Refusal::Unsound(Error::File { file: path, fault }));
        }
        let mut held = memory.hold(0).map_err(|_| Refusal::Memory)?;
        let full = Cell::new(false);
        let mut read = |at: u64, part: &mut [u8]| {
            if meter.pause().is_break() {
                return Err(Error::Stopped);
            }
            if held.resize(Catalogue::room(at + part.len() as u64, &LIMITS)).is_err() {
                full.set(true);
                return Err(Error::Stopped);
            }
            read_at(&file, part, at).map_err(|source| Error::Io { path: PathBuf::from(&path), source })
        };
        let catalogue = Catalogue::read(&path, about.len(), &LIMITS, &mut read);
        if full.get() {
            return Err(Refusal::Memory);
        }
        let catalogue = catalogue.map_err(Refusal::Unsound)?;
        held.resize(catalogue.kept() + path.len() as u64).map_err(|_| Refusal::Memory)?;
        Ok(Source { file, path, catalogue, _held: held, _open: open })
    }

    /// As the agent called it.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }
}

impl Tensor {
    /// A tensor of these bytes, which `held` counts.
    pub(crate) fn made(shape: Vec<u64>, format: Format, bytes: Vec<u8>, held: Held) -> Result<Tensor> {
        if shape.len() > LIMITS.dimensions {
            let fault = Fault::TooMuch {
                what: "number of dimensions",
                value: shape.len() as u64,
                limit: LIMITS.dimensions as u64,
            };
            return Err(Error::Tensor { tensor: MADE.into(), fault });
        }
        View::new(MADE, &shape, format, &bytes)?;
        Ok(Tensor(Arc::new(Kept::Made { shape, format, bytes, _held: held })))
    }

    pub(crate) fn filed(source: Arc<Source>, number: usize) -> Tensor {
        Tensor(Arc::new(Kept::Filed { source, number }))
    }

    /// What is known of it without its bytes: of those the view has none.
    pub(crate) fn outline(&self) -> View<'_> {
        match &*self.0 {
            Kept::Made { shape, format, .. } => View { name: MADE, shape, format: *format, bytes: &[] },
            Kept::Filed { source, number } => {
                let info = &source.catalogue.infos()[*number];
                View { name: &info.name, shape: &info.shape, format: info.format, bytes: &[] }
            }
        }
    }

    /// Its bytes.
    pub(crate) fn size(&self) -> u64 {
        match &*self.0 {
            Kept::Made { bytes, .. } => bytes.len() as u64,
            Kept::Filed { source, number } => source.catalogue.infos()[*number].bytes(),
        }
    }

    /// The bytes that [`Tensor::load`] takes: those that are not in memory.
    pub(crate) fn unloaded(&self) -> u64 {
        match &*self.0 {
            Kept::Made { .. } => 0,
            Kept::Filed { .. } => self.size(),
        }
    }

    /// All its bytes, read now if they are in a file.
    pub(crate) fn load(&self, meter: &Meter) -> Result<Cow<'_, [u8]>> {
        const PIECE: usize = 1 << 20;
        match &*self.0 {
            Kept::Made { bytes, .. } => Ok(bytes.into()),
            Kept::Filed { .. } => {
                let mut bytes = vec![0; self.size() as usize];
                for (number, piece) in bytes.chunks_mut(PIECE).enumerate() {
                    if meter.pause().is_break() {
                        return Err(Error::Stopped);
                    }
                    self.fill((number * PIECE) as u64, piece)?;
                }
                Ok(bytes.into())
            }
        }
    }

    /// The bytes from `start`, at most `length` of them; none past the end.
    pub(crate) fn read(&self, start: u64, length: u64) -> Result<Vec<u8>> {
        let start = start.min(self.size());
        let length = length.min(self.size() - start) as usize;
        let mut bytes = vec![0; length];
        self.fill(start, &mut bytes)?;
        Ok(bytes)
    }

    /// Fills `part` with its bytes from `at`; they must be there.
    fn fill(&self, at: u64, part: &mut [u8]) -> Result<()> {
        match &*self.0 {
            Kept::Made { bytes, .. } => part.copy_from_slice(&bytes[at as usize..][..part.len()]),
            Kept::Filed { source, number } => {
                let info = &source.catalogue.infos()[*number];
                let begin = info.place().start + at;
                read_at(&source.file, part, begin).map_err(|error| match error.kind() {
                    // Somebody has shortened it since it was opened.
                    io::ErrorKind::UnexpectedEof => {
                        let have = source.file.metadata().map_or(0, |about| about.len());
                        let fault = Fault::Truncated { need: info.place().end, have };
                        Error::Tensor { tensor: info.name.clone(), fault }
                    }
                    _ => Error::Io { path: PathBuf::from(&source.path), source: error },
                })?;
            }
        }
        Ok(())
    }
}

#[cfg(unix)]
fn read_at(file: &std::fs::File, part: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, part, at)
}

#[cfg(windows)]
fn read_at(file: &std::fs::File, mut part: &mut [u8], mut at: u64) -> io::Result<()> {
    while !part.is_empty() {
        let read = std::os::windows::fs::FileExt::seek_read(file, part, at)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        part = &mut part[read..];
        at += read as u64;
    }
    Ok(())
}
