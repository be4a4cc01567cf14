//! What can go wrong, by what the caller can do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why something was not stored, or not read. Changes that share a sync share its error, so it can be cloned.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Another process, or another [`Store`](crate::Store) of this one, has the folder open.
    #[error("the store in {} is in use by another process", folder.display())]
    Busy {
        /// The store's folder.
        folder: PathBuf,
    },
    /// A later version of this program wrote it. Nothing was changed.
    #[error("{} has format {found}, and this program reads formats up to {known}", file.display())]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its format.
        found: u32,
        /// The latest format that is known here.
        known: u32,
    },
    /// What is in the file is not what was written to it.
    #[error("{} is damaged: {what}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What shows it.
        what: String,
    },
    /// A row does not hold what its table says, or was written by another version of it.
    #[error("a row of table {table} cannot be read: {what}")]
    Row {
        /// The table.
        table: String,
        /// What shows it.
        what: String,
    },
    /// A value cannot be written: its type serializes with an error. The whole change was refused.
    #[error("a value for table {table} cannot be written: {what}")]
    Value {
        /// The table.
        table: String,
        /// What its serialization said.
        what: String,
    },
    /// The journal is not what was written: its chain of hashes breaks at this record.
    #[error("the journal is broken at record {seq}: {what}")]
    Broken {
        /// The first bad record.
        seq: u64,
        /// What shows it.
        what: String,
    },
    /// A guard of the change did not hold. Nothing of this change was stored; others are not concerned.
    #[error("a row of table {table} is not what the change expects")]
    Conflict {
        /// The table of the guarded row.
        table: String,
    },
    /// The change is larger than a store takes at once.
    #[error("the change has {bytes} bytes, and {limit} is the most")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The most that is possible.
        limit: usize,
    },
    /// Too many bytes of changes wait for the disk. Try again when some are through.
    #[error("{limit} bytes of changes wait for the disk already")]
    Overloaded {
        /// How many bytes may wait.
        limit: usize,
    },
    /// There is no room on the disk. Nothing of the change was stored; it works again when there is room.
    #[error("the disk is full")]
    Full,
    /// The disk failed. A change answered so is not in this store, but may come back if the process ends before the
    /// disk works again: nobody can say what a failed sync has left.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// There is something already where a backup, or what is restored from one, is to go.
    #[error("{} is not empty", folder.display())]
    NotEmpty {
        /// The folder.
        folder: PathBuf,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

impl Error {
    pub(crate) fn io(file: &Path, source: io::Error) -> Error {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::Full,
            _ => Error::Io { file: file.into(), source: Arc::new(source) },
        }
    }

    pub(crate) fn damaged(file: &Path, what: impl Into<String>) -> Error {
        Error::Damaged { file: file.into(), what: what.into() }
    }
}
