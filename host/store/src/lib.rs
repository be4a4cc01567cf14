//! Everything durable: the journal, typed tables and blobs. The only room that names the database.
//!
//! A change goes into a log, which is synced once for all changes that wait, and from there, every so often, into a tree
//! on disk. Whoever reads sees both as one, at one moment.

mod backup;
mod blobs;
mod change;
mod checkpoint;
mod error;
pub mod fault;
mod files;
mod journal;
mod key;
mod layer;
mod log;
mod read;
mod record;
mod shared;
mod store;
mod table;
mod tree;
mod view;
mod writer;

pub use backup::{Manifest, check_backup, restore};
pub use blobs::{BLOB_LIMIT, Blobs};
pub use change::Change;
pub use error::Error;
pub use files::{Disk, File, Files, Lock};
pub use journal::{Verified, read_archive};
pub use key::Key;
pub use read::Read;
pub use record::{Anchor, Body, Hash, Record};
pub use store::{Commit, Options, Store};
pub use table::{Span, Table};
pub use writer::Committed;
