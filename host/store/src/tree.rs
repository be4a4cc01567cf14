//! The tree on disk: what was checkpointed from the log. The only file that names the database.

use crate::Error;
use crate::files::{File, Files};
use crate::layer::{Keys, Layer};
use crate::record::JOURNAL;
use redb::{Database, ReadOnlyTable, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition};
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const ROWS: TableDefinition<'static, &'static [u8], &'static [u8]> = TableDefinition::new("rows");
/// The journal's rows, which sort before all others. In a table of their own each goes to its end, and pages become full.
const RECORDS: TableDefinition<'static, &'static [u8], &'static [u8]> = TableDefinition::new("journal");
const META: TableDefinition<'static, &'static str, u64> = TableDefinition::new("meta");
/// The last segment of the log whose changes are all in the tree.
const APPLIED: &str = "applied";

/// Rows that are dropped in one transaction: more would hold up the next checkpoint, and want more room.
const AT_ONCE: usize = 50_000;

/// The tree, open for one checkpoint after another.
#[derive(Debug)]
pub(crate) struct Tree {
    database: Database,
    path: PathBuf,
    given_up: Arc<AtomicBool>,
}

/// The tree as one checkpoint left it.
pub(crate) struct Snapshot {
    rows: ReadOnlyTable<&'static [u8], &'static [u8]>,
    records: ReadOnlyTable<&'static [u8], &'static [u8]>,
    path: PathBuf,
    /// The last segment of the log that is in it.
    pub(crate) applied: u64,
    /// Set when the file was opened anew: its pages may hold something else by now.
    given_up: Arc<AtomicBool>,
}

impl Tree {
    /// Opens the tree, or makes an empty one: under another name first, for one that is half made cannot be opened.
    pub(crate) fn open(files: &dyn Files, path: &Path, cache: usize) -> Result<Tree, Error> {
        let fail = |error| Error::io(path, error);
        let folder = path.parent().ok_or_else(|| fail(io::Error::other("a file is in a folder")))?;
        match files.open(path, false) {
            Ok(file) => return Tree::open_file(file, path, cache),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(fail(error)),
        }
        let new = path.with_extension("new");
        let file = files.open(&new, true).map_err(fail)?;
        file.set_len(0).map_err(fail)?;
        Tree::open_file(file, path, cache)?.make_tables()?;
        files.rename(&new, path).and_then(|()| files.sync_folder(folder)).map_err(fail)?;
        Tree::open_file(files.open(path, false).map_err(fail)?, path, cache)
    }

    fn open_file(file: Arc<dyn File>, path: &Path, cache: usize) -> Result<Tree, Error> {
        let open = || redb::Builder::new().set_cache_size(cache).create_with_backend(Backend(file));
        // A file whose first page is not what it should be may make the database panic, and that must not end the village.
        let opened = std::panic::catch_unwind(std::panic::AssertUnwindSafe(open))
            .map_err(|_| Error::damaged(path, "it cannot be opened"))?;
        let database = opened.map_err(|error| failure(path, error))?;
        Ok(Tree { database, path: path.into(), given_up: Arc::default() })
    }

    fn make_tables(&self) -> Result<(), Error> {
        let make = || {
            let change = self.begin()?;
            change.open_table(ROWS)?;
            change.open_table(RECORDS)?;
            change.open_table(META)?.insert(APPLIED, 0)?;
            change.commit()?;
            Ok::<_, redb::Error>(())
        };
        make().map_err(|error| failure(&self.path, error))
    }

    /// Closes it after an error, for it to be opened anew. Whoever still reads it is told.
    pub(crate) fn give_up(self) {
        self.given_up.store(true, Ordering::Release);
    }

    fn begin(&self) -> Result<redb::WriteTransaction, redb::Error> {
        let mut change = self.database.begin_write()?;
        // Without it the whole tree is walked when it is opened after a crash.
        change.set_quick_repair(true);
        Ok(change)
    }

    /// The tree as it is.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, Error> {
        let open = || {
            let read = self.database.begin_read()?;
            let applied = read.open_table(META)?.get(APPLIED)?.map_or(0, |row| row.value());
            Ok::<_, redb::Error>((read.open_table(ROWS)?, read.open_table(RECORDS)?, applied))
        };
        let (rows, records, applied) = open().map_err(|error| failure(&self.path, error))?;
        Ok(Snapshot { rows, records, applied, path: self.path.clone(), given_up: self.given_up.clone() })
    }

    /// Takes in a frozen layer. Durable when this returns, with the number of the segment that it came from.
    pub(crate) fn absorb(&self, layer: &Layer, applied: u64) -> Result<(), Error> {
        let rows = layer.rows.read();
        let absorb = || {
            let change = self.begin()?;
            {
                let mut others = change.open_table(ROWS)?;
                let mut records = change.open_table(RECORDS)?;
                for (key, value) in rows.range(&Keys::all(), u64::MAX) {
                    let table = if is_record(key) { &mut records } else { &mut others };
                    match value {
                        Some(value) => drop(table.insert(key, value)?),
                        None => drop(table.remove(key)?),
                    }
                }
            }
            change.open_table(META)?.insert(APPLIED, applied)?;
            change.commit()?;
            Ok::<_, redb::Error>(())
        };
        absorb().map_err(|error| failure(&self.path, error))
    }

    /// Drops some of the records among `gone`. Answers whether there may be more.
    pub(crate) fn drop_some(&self, gone: &Keys) -> Result<bool, Error> {
        if gone.is_empty() {
            return Ok(false);
        }
        let drop_some = || {
            let change = self.begin()?;
            let last = {
                let table = change.open_table(RECORDS)?;
                let last = table.range::<&[u8]>(gone.bounds())?.take(AT_ONCE).last().transpose()?;
                last.map(|(key, _)| key.value().to_vec())
            };
            match &last {
                Some(last) => {
                    let to = Bound::Included(last.as_slice());
                    change.open_table(RECORDS)?.retain_in::<&[u8], _>((gone.bounds().0, to), |_, _| false)?;
                    change.commit()?;
                }
                None => change.abort()?,
            }
            Ok::<_, redb::Error>(last.is_some())
        };
        drop_some().map_err(|error| failure(&self.path, error))
    }
}

/// A row of the tree.
pub(crate) type Row = (redb::AccessGuard<'static, &'static [u8]>, redb::AccessGuard<'static, &'static [u8]>);

impl Snapshot {
    /// Looks at a row.
    pub(crate) fn find<R>(&self, key: &[u8], look: impl FnOnce(Option<&[u8]>) -> R) -> Result<R, Error> {
        let table = if is_record(key) { &self.records } else { &self.rows };
        let row = table.get(key).map_err(|error| failure(&self.path, error))?;
        self.check()?;
        Ok(look(row.as_ref().map(|row| row.value())))
    }

    fn check(&self) -> Result<(), Error> {
        if self.given_up.load(Ordering::Acquire) {
            return Err(Error::io(&self.path, io::Error::other("the disk failed after this was begun to be read")));
        }
        Ok(())
    }

    /// Rows in the order of their keys, from either end.
    pub(crate) fn range(&self, keys: &Keys) -> Result<impl DoubleEndedIterator<Item = Result<Row, Error>>, Error> {
        let range = |table: &ReadOnlyTable<_, _>| {
            let range = table.range::<&[u8]>(keys.bounds());
            range.map_err(|error| failure(&self.path, error))
        };
        // Most scans are of one table, and need not look into the other one.
        let (first, last) = (is_record_bound(&keys.from, true), is_record_bound(&keys.to, false));
        let records = first.then(|| range(&self.records)).transpose()?;
        let others = (!last).then(|| range(&self.rows)).transpose()?;
        Ok(records.into_iter().flatten().chain(others.into_iter().flatten()).map(|row| {
            let row = row.map_err(|error| failure(&self.path, error))?;
            self.check().map(|()| row)
        }))
    }
}

fn is_record(key: &[u8]) -> bool {
    let name = JOURNAL.name().as_bytes();
    key.strip_prefix(name).is_some_and(|rest| rest.first() == Some(&0))
}

/// Whether a range's end is among the journal's rows. Those sort first, so an open beginning is too, and an open end is not.
fn is_record_bound(bound: &Bound<Vec<u8>>, open: bool) -> bool {
    match bound {
        Bound::Included(key) | Bound::Excluded(key) => is_record(key) || key.as_slice() < JOURNAL.name().as_bytes(),
        Bound::Unbounded => open,
    }
}

/// One of the store's files as the database wants it. The store's own lock guards it.
#[derive(Debug)]
struct Backend(Arc<dyn File>);

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}

fn failure(path: &Path, error: impl Into<redb::Error>) -> Error {
    match error.into() {
        redb::Error::Io(error) => match error.kind() {
            // What the database says of a file that doesn't begin as its files do.
            io::ErrorKind::InvalidData => Error::damaged(path, error.to_string()),
            io::ErrorKind::UnexpectedEof => Error::damaged(path, "it is too short"),
            _ => Error::io(path, error),
        },
        error @ (redb::Error::Corrupted(_) | redb::Error::RepairAborted) => Error::damaged(path, error.to_string()),
        error @ redb::Error::UpgradeRequired(_) => Error::damaged(path, error.to_string()),
        error => Error::io(path, io::Error::other(error)),
    }
}
