//! Files of weights: opened, checked, and read tensor by tensor without loading them.
//!
//! A file is mapped, so whoever opens one must own it: a mapped file that someone else truncates ends the
//! process. Files of strangers are read into memory first ([`Weights::from_bytes`]).

mod catalogue;
pub mod gguf;
pub mod llama;
pub mod output;
pub mod safetensors;
pub(crate) mod shards;

pub use catalogue::Catalogue;

use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{Error, Fault, Format, Result};

/// What is accepted of a file, however large it claims to be. All of it is checked before anything is allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a safetensors header or index, or of GGUF's metadata and tensor table.
    pub header: u64,
    /// Tensors of one model.
    pub tensors: u64,
    /// Files of one sharded model.
    pub shards: usize,
    /// Dimensions of one tensor.
    pub dimensions: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { header: 100 << 20, tensors: 1 << 20, shards: 4096, dimensions: 8 }
    }
}

/// One tensor of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Its name.
    pub name: String,
    /// Row-major: the last dimension is contiguous. GGUF writes it the other way round; not here.
    pub shape: Vec<u64>,
    /// How its elements are kept.
    pub format: Format,
    shard: usize,
    begin: usize,
    end: usize,
}

impl Info {
    /// Elements.
    pub fn count(&self) -> u64 {
        self.shape.iter().product()
    }

    /// Bytes.
    pub fn bytes(&self) -> u64 {
        (self.end - self.begin) as u64
    }

    /// Where its bytes are in the file.
    pub fn place(&self) -> Range<u64> {
        self.begin as u64..self.end as u64
    }
}

/// A tensor's shape, format and bytes.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Its name.
    pub name: &'a str,
    /// Row-major.
    pub shape: &'a [u64],
    /// How its elements are kept.
    pub format: Format,
    /// Its bytes.
    pub bytes: &'a [u8],
}

impl<'a> View<'a> {
    /// Elements.
    pub fn count(&self) -> usize {
        self.shape.iter().product::<u64>() as usize
    }

    /// Elements of one row.
    pub fn row(&self) -> usize {
        self.shape.last().copied().unwrap_or(1) as usize
    }

    /// Checks that the bytes are what shape and format need.
    pub fn new(name: &'a str, shape: &'a [u64], format: Format, bytes: &'a [u8]) -> Result<Self> {
        let need = format.bytes(shape).map_err(|fault| Error::tensor(name, fault))?;
        if need != bytes.len() as u64 {
            let fault = Fault::Size { shape: shape.to_vec(), need: u128::from(need), given: bytes.len() as u64 };
            return Err(Error::tensor(name, fault));
        }
        Ok(Self { name, shape, format, bytes })
    }
}

/// Where a file's bytes are.
enum Bytes {
    Mapped(memmap2::Mmap),
    Held(Arc<[u8]>),
}

impl std::ops::Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Held(bytes) => bytes,
        }
    }
}

struct Shard {
    path: PathBuf,
    bytes: Bytes,
}

/// What a file says besides its tensors.
#[derive(Clone, Debug, PartialEq)]
pub enum Metadata {
    /// `__metadata__` of safetensors.
    Safetensors(Vec<(String, String)>),
    /// The key-value pairs of GGUF.
    Gguf(Vec<(String, gguf::Value)>),
}

/// An opened model: one file, or several with an index.
pub struct Weights {
    shards: Vec<Shard>,
    infos: Vec<Info>,
    names: HashMap<String, usize>,
    metadata: Metadata,
}

impl std::fmt::Debug for Weights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let files: Vec<_> = self.shards.iter().map(|shard| &shard.path).collect();
        f.debug_struct("Weights").field("files", &files).field("tensors", &self.infos.len()).finish()
    }
}

/// What one parsed file holds; offsets count from the file's begin.
struct Parsed {
    infos: Vec<Info>,
    metadata: Metadata,
}

const INDEX: &str = "model.safetensors.index.json";
const SINGLE: &str = "model.safetensors";

impl Weights {
    /// Opens a file, a sharded model's index, or a folder that holds either.
    pub fn open(path: &Path, limits: &Limits) -> Result<Self> {
        if path.is_dir() {
            let index = path.join(INDEX);
            if index.is_file() {
                return Self::open_index(&index, limits);
            }
            let single = path.join(SINGLE);
            if single.is_file() {
                return Self::open_file(&single, limits);
            }
            return Self::open_file(&lone_gguf(path)?, limits);
        }
        if path.extension().is_some_and(|e| e == "json") {
            return Self::open_index(path, limits);
        }
        Self::open_file(path, limits)
    }

    /// Opens bytes that are in memory already.
    pub fn from_bytes(name: &str, bytes: Arc<[u8]>, limits: &Limits) -> Result<Self> {
        Self::of(vec![Shard { path: name.into(), bytes: Bytes::Held(bytes) }], None, limits)
    }

    fn open_file(path: &Path, limits: &Limits) -> Result<Self> {
        Self::of(vec![Shard { path: path.into(), bytes: map(path)? }], None, limits)
    }

    fn open_index(path: &Path, limits: &Limits) -> Result<Self> {
        let at = path.display().to_string();
        let length = std::fs::metadata(path).map_err(Error::io(path))?.len();
        within("bytes of index", length, limits.header).map_err(|f| Error::file(&at, f))?;
        let text = std::fs::read(path).map_err(Error::io(path))?;
        let index = safetensors::Index::parse(&text, limits).map_err(|f| Error::file(&at, f))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut shards = Vec::new();
        for file in &index.files {
            let path = folder.join(file);
            shards.push(Shard { bytes: map(&path)?, path });
        }
        Self::of(shards, Some(&index), limits)
    }

    fn of(shards: Vec<Shard>, index: Option<&safetensors::Index>, limits: &Limits) -> Result<Self> {
        let mut infos = Vec::new();
        let mut metadata = Metadata::Safetensors(Vec::new());
        for (number, shard) in shards.iter().enumerate() {
            let file = shard.path.display().to_string();
            let have = shard.bytes.len() as u64;
            let parsed = if shard.bytes.starts_with(gguf::MAGIC) {
                gguf::parse(&shard.bytes, have, &file, limits)?
            } else {
                safetensors::parse(&shard.bytes, have, &file, limits)?
            };
            if number == 0 {
                metadata = parsed.metadata;
            }
            infos.extend(
                parsed
                    .infos
                    .into_iter()
                    .map(|info| Info { shard: number, ..info })
                    .filter(|info| index.is_none_or(|i| i.shard(&info.name) == Some(number))),
            );
        }
        let mut names = HashMap::with_capacity(infos.len());
        for (number, info) in infos.iter().enumerate() {
            if names.insert(info.name.clone(), number).is_some() {
                return Err(Error::tensor(&info.name, Fault::Twice));
            }
        }
        if let Some(index) = index {
            for (name, file) in index.names() {
                if !names.contains_key(name) {
                    return Err(Error::tensor(name, Fault::Missing(file.to_owned())));
                }
            }
        }
        Ok(Self { shards, infos, names, metadata })
    }

    /// The tensors, in the file's order; shard after shard.
    pub fn infos(&self) -> &[Info] {
        &self.infos
    }

    /// What the first file says besides.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The file a model was opened from; of several, the first.
    pub fn path(&self) -> &Path {
        self.shards.first().map_or(Path::new(""), |shard| &shard.path)
    }

    /// Bytes of all its files.
    pub fn file_bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.bytes.len() as u64).sum()
    }

    /// Whether there is a tensor of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// One tensor.
    pub fn tensor(&self, name: &str) -> Result<View<'_>> {
        let missing = || Error::tensor(name, Fault::Missing(self.path().display().to_string()));
        let info = &self.infos[*self.names.get(name).ok_or_else(missing)?];
        Ok(self.view(info))
    }

    /// The tensor this describes; `info` must be one of [`Self::infos`].
    pub fn view<'a>(&'a self, info: &'a Info) -> View<'a> {
        let bytes = &self.shards[info.shard].bytes[info.begin..info.end];
        View { name: &info.name, shape: &info.shape, format: info.format, bytes }
    }

    /// [`Self::forget`] for a tensor by its name.
    pub(crate) fn forget_named(&self, name: &str) {
        if let Some(number) = self.names.get(name) {
            self.forget(&self.infos[*number]);
        }
    }

    /// Tells the system that a tensor's pages are no longer needed, so that memory stays small in a large model.
    pub(crate) fn forget(&self, info: &Info) {
        #[cfg(unix)]
        if let Bytes::Mapped(map) = &self.shards[info.shard].bytes {
            const PAGE: usize = 4096;
            let begin = info.begin.next_multiple_of(PAGE);
            let end = info.end / PAGE * PAGE;
            if begin < end {
                // Only advice: were it refused, memory would be larger and nothing else.
                #[allow(unsafe_code, reason = "the map is of a file, read-only: dropped pages are read again from it")]
                let _ = unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, begin, end - begin) };
            }
        }
        #[cfg(not(unix))]
        let _ = info;
    }
}

fn map(path: &Path) -> Result<Bytes> {
    let file = File::open(path).map_err(Error::io(path))?;
    let kind = file.metadata().map_err(Error::io(path))?;
    if !kind.is_file() {
        return Err(Error::file(path.display().to_string(), Fault::Not("a file")));
    }
    #[allow(unsafe_code, reason = "sound while nobody shortens the file; see the module's first lines")]
    let map = unsafe { memmap2::Mmap::map(&file) }.map_err(Error::io(path))?;
    Ok(Bytes::Mapped(map))
}

fn lone_gguf(folder: &Path) -> Result<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        let path = entry.map_err(Error::io(folder))?.path();
        if path.extension().is_some_and(|e| e == "gguf" || e == "safetensors") {
            found.push(path);
        }
    }
    match found.len() {
        1 => Ok(found.remove(0)),
        _ => Err(Error::file(folder.display().to_string(), Fault::Not("a folder with one model"))),
    }
}

pub(crate) fn within(what: &'static str, value: u64, limit: u64) -> Result<(), Fault> {
    if value > limit { Err(Fault::TooMuch { what, value, limit }) } else { Ok(()) }
}

/// Refuses two tensors that share bytes. Returns the tensors' numbers in the order of their bytes.
fn disjoint(infos: &[Info]) -> Result<Vec<usize>> {
    let mut order: Vec<usize> = (0..infos.len()).filter(|&i| infos[i].end > infos[i].begin).collect();
    order.sort_by_key(|&i| infos[i].begin);
    for pair in order.windows(2) {
        let (before, after) = (&infos[pair[0]], &infos[pair[1]]);
        if after.begin < before.end {
            return Err(Error::tensor(&after.name, Fault::Overlap(before.name.clone())));
        }
    }
    Ok(order)
}
