//! What can go wrong, and with which tensor.

use std::io;
use std::path::{Path, PathBuf};

use crate::Format;

/// Why something was not done. Variants say what the caller can do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The machine refused: a file that is not there, a full disk.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not sound. Nothing was allocated from what it claims.
    #[error("{file}: {fault}")]
    File {
        /// The file.
        file: String,
        /// What is wrong with it.
        fault: Fault,
    },
    /// One tensor is not sound, or does not fit what is asked of it.
    #[error("tensor `{tensor}`: {fault}")]
    Tensor {
        /// The tensor's name.
        tensor: String,
        /// What is wrong with it.
        fault: Fault,
    },
    /// The recipe makes no sense.
    #[error("recipe: {0}")]
    Recipe(Misfit),
    /// The graphics processor is absent or gave up.
    #[error("gpu: {0}")]
    Gpu(String),
    /// The caller stopped the work. No output was left.
    #[error("stopped")]
    Stopped,
}

impl Error {
    /// Names the file an I/O error is about.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, source }
    }

    pub(crate) fn file(file: impl Into<String>, fault: Fault) -> Self {
        Self::File { file: file.into(), fault }
    }

    /// Stretches have no name; what is wrong with one is wrong with its tensor.
    pub(crate) fn named(self, name: &str) -> Self {
        match self {
            Self::Tensor { fault, .. } => Self::tensor(name, fault),
            other => other,
        }
    }

    pub(crate) fn tensor(tensor: impl Into<String>, fault: Fault) -> Self {
        Self::Tensor { tensor: tensor.into(), fault }
    }
}

/// What is wrong with a file or a tensor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// It ends before what it announces.
    #[error("cut short: needs {need} bytes, has {have}")]
    Truncated {
        /// Bytes announced.
        need: u64,
        /// Bytes there are.
        have: u64,
    },
    /// A count or length beyond what this crate accepts.
    #[error("{what} is {value}, the limit is {limit}")]
    TooMuch {
        /// What is counted.
        what: &'static str,
        /// What the file claims.
        value: u64,
        /// What is accepted.
        limit: u64,
    },
    /// It is something else, or damaged where that is told.
    #[error("not {0}")]
    Not(&'static str),
    /// The header does not parse.
    #[error("header: {0}")]
    Header(String),
    /// An element type nothing here knows.
    #[error("unknown element type `{0}`")]
    UnknownFormat(String),
    /// A shape whose product overflows or does not agree with the bytes.
    #[error("shape {shape:?} needs {need} bytes, the file gives {given}")]
    Size {
        /// The shape.
        shape: Vec<u64>,
        /// Bytes it needs.
        need: u128,
        /// Bytes given.
        given: u64,
    },
    /// Bytes that are not in the file, or an end before its begin.
    #[error("bytes {begin}..{end} are outside of the {available} there are")]
    Outside {
        /// First byte.
        begin: u64,
        /// One past the last.
        end: u64,
        /// Bytes of tensor data in the file.
        available: u64,
    },
    /// Two tensors claim the same bytes.
    #[error("shares bytes with `{0}`")]
    Overlap(String),
    /// Bytes that belong to no tensor.
    #[error("{0} bytes before it belong to no tensor")]
    Gap(u64),
    /// An offset that is not a multiple of the alignment.
    #[error("offset {offset} is not a multiple of {alignment}")]
    Unaligned {
        /// The offset.
        offset: u64,
        /// What it should be a multiple of.
        alignment: u64,
    },
    /// A name that appears twice.
    #[error("appears twice")]
    Twice,
    /// A name that does not appear.
    #[error("missing from {0}")]
    Missing(String),
    /// Two models disagree about a tensor's shape.
    #[error("shape {found:?} in {place}, {expected:?} elsewhere")]
    Shape {
        /// What the first model has.
        expected: Vec<u64>,
        /// What this one has.
        found: Vec<u64>,
        /// Which one.
        place: String,
    },
    /// A NaN or an infinity where numbers are needed.
    #[error("element {0} is not finite")]
    NotFinite(u64),
    /// Rows do not divide into the blocks of a format.
    #[error("rows of {row} do not divide into {format} blocks of {block}")]
    Rows {
        /// Elements a row.
        row: u64,
        /// The format.
        format: Format,
        /// Elements a block.
        block: u64,
    },
    /// A format that can be listed and copied, but not computed with.
    #[error("{0} cannot be read as numbers")]
    Opaque(Format),
    /// A file name that leads out of the model's folder.
    #[error("`{0}` is not a plain file name")]
    Path(String),
    /// Text that is not UTF-8.
    #[error("{0} is not UTF-8")]
    Text(&'static str),
}

/// What is wrong with a recipe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misfit {
    /// The YAML does not parse.
    #[error("{0}")]
    Yaml(String),
    /// A merge method nothing here knows.
    #[error("unknown merge method `{0}`")]
    Method(String),
    /// Something a method cannot do without.
    #[error("`{method}` needs {need}")]
    Needs {
        /// The method.
        method: String,
        /// What is missing.
        need: &'static str,
    },
    /// A parameter out of its range, or of the wrong kind.
    #[error("`{name}` {reason}")]
    Parameter {
        /// The parameter.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A key that is known and not supported, so it is refused rather than ignored.
    #[error("`{0}` is not supported")]
    Unsupported(String),
    /// No choice of types meets the wanted size.
    #[error("no types reach {wanted} bytes; the smallest is {smallest}")]
    Size {
        /// Bytes wanted.
        wanted: u64,
        /// Bytes the smallest choice takes.
        smallest: u64,
    },
}

/// Shorthand of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
