//! Backups: one moment of a running store in a folder of its own, whatever the store itself is built on.

use crate::Error;
use crate::change::{Change, Step};
use crate::files::{self, File, Files};
use crate::read::{RawRow, Read};
use crate::record::{Anchor, Hash};
use crate::store::{self, Options, Store};
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const FORMAT: u32 = 1;
const MANIFEST: &str = "MANIFEST";
const ROWS: &str = "rows";
const BLOBS: &str = "blobs";
/// The most bytes that a manifest can have: some millions of blobs.
const MANIFEST_LIMIT: u64 = 1 << 30;
/// Bytes of rows that are read, written and committed together.
const AT_ONCE: usize = 4 << 20;

/// What a backup has: enough to tell that it is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Bytes of all rows.
    pub bytes: u64,
    /// Their hash.
    pub rows: Hash,
    /// Where the journal begins and ends.
    pub journal: (Anchor, Anchor),
    /// Every blob.
    pub blobs: Vec<Hash>,
}

impl Store {
    /// Copies the store, as it is now, into a folder that is empty or not there. The store goes on meanwhile; blobs are not
    /// removed until the copy is done. Blocks.
    pub fn backup(&self, to: &Path) -> Result<Manifest, Error> {
        let files = &*self.shared().files;
        let fail = |error| Error::io(to, error);
        files.make_folder(to).map_err(fail)?;
        if !files.names(to).map_err(fail)?.is_empty() {
            return Err(Error::NotEmpty { folder: to.into() });
        }
        // Blobs that a row of this moment names are there until it is deleted, and longer while this is held.
        let _held = self.blobs().hold();
        let read = self.read();
        let (bytes, rows) = write_rows(files, &to.join(ROWS), &read)?;
        let journal = (read.anchor()?, read.head()?);
        drop(read);
        let blobs = self.blobs().list()?;
        let folder = to.join(BLOBS);
        files.make_folder(&folder).map_err(fail)?;
        for hash in &blobs {
            if let Some(bytes) = self.blobs().get(hash)? {
                let path = folder.join(hash.hex());
                files::replace(files, &path, &bytes).map_err(|error| Error::io(&path, error))?;
            }
        }
        let manifest = Manifest { bytes, rows, journal, blobs };
        let path = to.join(MANIFEST);
        files::replace(files, &path, manifest.text().as_bytes()).map_err(|error| Error::io(&path, error))?;
        Ok(manifest)
    }
}

fn write_rows(files: &dyn Files, path: &Path, read: &Read) -> Result<(u64, Hash), Error> {
    let fail = |error| Error::io(path, error);
    let file = files.open(path, true).map_err(fail)?;
    file.set_len(0).map_err(fail)?;
    let (mut hash, mut at) = (blake3::Hasher::new(), 0);
    let mut after: Option<Vec<u8>> = None;
    loop {
        let rows = read.raw(after.as_deref(), AT_ONCE)?;
        let mut bytes = Vec::with_capacity(AT_ONCE + AT_ONCE / 2);
        for (key, value) in &rows {
            bytes.extend_from_slice(&(key.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
            bytes.extend_from_slice(key);
            bytes.extend_from_slice(value);
        }
        hash.update(&bytes);
        file.write(at, &bytes).map_err(fail)?;
        at += bytes.len() as u64;
        match rows.into_iter().last() {
            Some((key, _)) => after = Some(key),
            None => break,
        }
    }
    file.sync().map_err(fail)?;
    Ok((at, Hash::from_bytes(hash.finalize().into())))
}

/// Verifies every byte of a backup. [`Error::Damaged`] names the file. Blocks.
pub fn check_backup(files: &dyn Files, from: &Path) -> Result<Manifest, Error> {
    let path = from.join(MANIFEST);
    let text = files::read_all(files, &path, MANIFEST_LIMIT).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::damaged(&path, "it is missing, so the backup was not finished"),
        _ => Error::io(&path, error),
    })?;
    let manifest = Manifest::parse(&path, &String::from_utf8_lossy(&text))?;
    let path = from.join(ROWS);
    let file = open_part(files, &path)?;
    if file.len().map_err(|error| Error::io(&path, error))? != manifest.bytes {
        return Err(Error::damaged(&path, "it has another length"));
    }
    let mut hash = blake3::Hasher::new();
    let mut at = 0;
    while at < manifest.bytes {
        let mut bytes = vec![0; (manifest.bytes - at).min(AT_ONCE as u64) as usize];
        file.read(at, &mut bytes).map_err(|error| Error::io(&path, error))?;
        hash.update(&bytes);
        at += bytes.len() as u64;
    }
    if Hash::from_bytes(hash.finalize().into()) != manifest.rows {
        return Err(Error::damaged(&path, "its bytes have another hash"));
    }
    for hash in &manifest.blobs {
        read_blob(files, from, hash)?;
    }
    Ok(manifest)
}

/// Makes a store of a backup, in a folder that is empty or not there. A backup that is not whole is refused before
/// anything is written; a store that was not restored to the end cannot be opened. Blocks.
pub fn restore(files: Arc<dyn Files>, from: &Path, to: &Path) -> Result<Manifest, Error> {
    let manifest = check_backup(&*files, from)?;
    let store = Store::make_unmarked(files.clone(), to, Options::default())?;
    let path = from.join(ROWS);
    let mut rows = Rows { file: open_part(&*files, &path)?, at: 0, len: manifest.bytes, path };
    loop {
        let mut change = Change::new();
        while change.bytes() < AT_ONCE
            && let Some((key, value)) = rows.next()?
        {
            change.step(Step::Put { key, value });
        }
        if change.is_empty() {
            break;
        }
        store.commit(change).wait()?;
    }
    for hash in &manifest.blobs {
        store.blobs().put(&read_blob(&*files, from, hash)?)?;
    }
    store.checkpoint()?;
    let read = store.read();
    if (read.anchor()?, read.head()?) != manifest.journal {
        return Err(Error::damaged(&from.join(ROWS), "its journal ends elsewhere"));
    }
    drop(read);
    store.close();
    store::mark(&*files, to)?;
    Ok(manifest)
}

fn open_part(files: &dyn Files, path: &Path) -> Result<Arc<dyn File>, Error> {
    files.open(path, false).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::damaged(path, "it is missing"),
        _ => Error::io(path, error),
    })
}

fn read_blob(files: &dyn Files, from: &Path, hash: &Hash) -> Result<Vec<u8>, Error> {
    let path = from.join(BLOBS).join(hash.hex());
    match files::read_all(files, &path, crate::BLOB_LIMIT) {
        Ok(bytes) if Hash::of(&bytes) == *hash => Ok(bytes),
        Ok(_) => Err(Error::damaged(&path, "its bytes have another hash")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::damaged(&path, "it is missing")),
        Err(error) => Err(Error::io(&path, error)),
    }
}

/// Rows of a backup, one after another.
struct Rows {
    file: Arc<dyn File>,
    path: PathBuf,
    at: u64,
    len: u64,
}

impl Rows {
    fn next(&mut self) -> Result<Option<RawRow>, Error> {
        if self.at >= self.len {
            return Ok(None);
        }
        let mut head = [0; 8];
        self.take(&mut head)?;
        let length = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (key, value) = (length(0), length(4));
        if self.at + u64::from(key) + u64::from(value) > self.len {
            return Err(Error::damaged(&self.path, "it ends within a row"));
        }
        let (mut key, mut value) = (vec![0; key as usize], vec![0; value as usize]);
        self.take(&mut key)?;
        self.take(&mut value)?;
        Ok(Some((key, value)))
    }

    fn take(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.file.read(self.at, bytes).map_err(|error| Error::io(&self.path, error))?;
        self.at += bytes.len() as u64;
        Ok(())
    }
}

impl Manifest {
    fn text(&self) -> String {
        let mut text = format!("village backup {FORMAT}\nrows {} {}\n", self.bytes, self.rows.hex());
        for (word, anchor) in [("from", self.journal.0), ("to", self.journal.1)] {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{word} {} {}", anchor.seq, anchor.hash.hex());
        }
        for blob in &self.blobs {
            let _ = writeln!(text, "blob {}", blob.hex());
        }
        let end = Hash::of(text.as_bytes());
        let _ = writeln!(text, "end {}", end.hex());
        text
    }

    fn parse(path: &Path, text: &str) -> Result<Manifest, Error> {
        let damaged = || Error::damaged(path, "it is not what was written");
        let format = text.lines().next().and_then(|line| line.strip_prefix("village backup ")?.parse::<u32>().ok());
        match format {
            Some(FORMAT) => {}
            Some(found) if found > FORMAT => return Err(Error::Newer { file: path.into(), found, known: FORMAT }),
            _ => return Err(Error::damaged(path, "it is no manifest of a backup")),
        }
        let (listed, end) = text.trim_end().rsplit_once('\n').ok_or_else(damaged)?;
        let end = end.strip_prefix("end ").and_then(Hash::parse).ok_or_else(damaged)?;
        if Hash::of(&text.as_bytes()[..listed.len() + 1]) != end {
            return Err(damaged());
        }
        let mut lines = listed.lines().skip(1);
        let mut pair = |word: &str| {
            let (number, hash) = lines.next()?.strip_prefix(word)?.trim_start().split_once(' ')?;
            Some((number.parse::<u64>().ok()?, Hash::parse(hash)?))
        };
        let (bytes, rows) = pair("rows").ok_or_else(damaged)?;
        let (from, to) = (pair("from").ok_or_else(damaged)?, pair("to").ok_or_else(damaged)?);
        let blobs = lines.map(|line| Hash::parse(line.strip_prefix("blob ")?)).collect::<Option<_>>();
        let anchor = |(seq, hash)| Anchor { seq, hash };
        Ok(Manifest { bytes, rows, journal: (anchor(from), anchor(to)), blobs: blobs.ok_or_else(damaged)? })
    }
}
