//! Why a model can't be opened.

use kernels::Format;
use std::path::PathBuf;

/// Why a model can't be opened. All of it is told before the weights are read into memory.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A file can't be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file of weights is not sound.
    #[error(transparent)]
    Weights(#[from] kernels::Error),
    /// The description of the model does not parse, or lacks something.
    #[error("{file}: {why}")]
    Config {
        /// Where it is described.
        file: String,
        /// What is wrong.
        why: String,
    },
    /// A kind of model that this does not compute.
    #[error("unknown architecture `{0}`: it can be llama, mistral, qwen2, qwen3 or bert")]
    Architecture(String),
    /// The model needs something that is not built.
    #[error("the model wants {what}, which is not supported")]
    Unsupported {
        /// What.
        what: String,
    },
    /// A tensor does not have the shape that the description asks for.
    #[error("tensor `{tensor}` has the shape {found:?}, and the model's description wants {wanted:?}")]
    Shape {
        /// The tensor.
        tensor: String,
        /// What it has.
        found: Vec<u64>,
        /// What was wanted.
        wanted: Vec<u64>,
    },
    /// A tensor is kept in a way that can't be computed with.
    #[error("tensor `{tensor}` is kept as {format}, which can't be computed with")]
    Format {
        /// The tensor.
        tensor: String,
        /// How it is kept.
        format: Format,
    },
    /// More memory than is allowed.
    #[error("the model needs {need} bytes of memory, and {limit} are allowed")]
    Memory {
        /// What it needs.
        need: u64,
        /// What is allowed.
        limit: u64,
    },
    /// The tokenizer is unsound, or not this model's.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    /// No thread could be started.
    #[error("threads: {0}")]
    Threads(String),
}

impl Fault {
    pub(crate) fn config(file: impl Into<String>, why: impl Into<String>) -> Fault {
        Fault::Config { file: file.into(), why: why.into() }
    }

    /// Refuses a size that is nothing, or more than the most that makes sense.
    pub(crate) fn sizes(file: &str, sizes: &[(&str, usize, usize)]) -> Result<(), Fault> {
        match sizes.iter().find(|(_, value, most)| *value == 0 || value > most) {
            Some((what, value, most)) => {
                Err(Fault::config(file, format!("{what} is {value}; it has to be from 1 to {most}")))
            }
            None => Ok(()),
        }
    }
}
