//! Everything durable: the journal, typed tables and blobs. The only room that names the database.
//!
//! A change goes into a log, which is synced once for all changes that wait, and from there, every so often, into a tree
//! on disk. Whoever reads sees both as one, at one moment.

mod change;
mod checkpoint;
mod error;
mod files;
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

pub use change::Change;
pub use error::Error;
pub use files::{Disk, File, Files, Lock};
pub use key::Key;
pub use read::Read;
pub use record::{Anchor, Body, Hash, Record};
pub use store::{Commit, Options, Store};
pub use table::{Span, Table};
pub use writer::Committed;
