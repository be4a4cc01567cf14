//! Files, by their paths.

use super::content::drop_pieces;
use super::{Answer, FILE, Refused, Workspace, bounded, content, hex, name, put, short_enough};
use crate::state::Batch;
use serde::{Deserialize, Serialize};

/// What a file is known by. Its number comes first, as that of an object does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct File {
    id: u64,
    pub(crate) size: u64,
    /// Unix milliseconds.
    pub(crate) modified: u64,
}

/// A file is no larger.
const LARGEST: u64 = 1 << 40;

/// What a file counts as, beside its path and its size.
const FILE_COST: u64 = 128;

/// At most so much is read at once.
const READ: u64 = 1 << 20;

fn key(path: &str) -> String {
    format!("{FILE}{path}")
}

fn cost(path: &str, size: u64) -> i64 {
    (path.len() as u64 + size + FILE_COST) as i64
}

impl File {
    fn owner(&self) -> String {
        hex(self.id)
    }
}

impl Workspace<'_> {
    /// A file's size and time.
    pub(crate) fn file(&mut self, path: &str) -> Answer<Option<File>> {
        name::check("a path", path)?;
        self.read_row(&key(path))
    }

    fn there(&mut self, path: &str) -> Answer<File> {
        self.file(path)?.ok_or_else(|| Refused::NotFound(format!("there is no file `{path}`")))
    }

    /// `length` bytes of a file, or as many as there are.
    pub(crate) fn read(&mut self, path: &str, offset: u64, length: u32) -> Answer<Vec<u8>> {
        let file = self.there(path)?;
        let end = offset.saturating_add(u64::from(length).min(READ)).min(file.size);
        match offset < end {
            true => self.content(&file.owner(), offset..end),
            false => Ok(Vec::new()),
        }
    }

    /// Makes `bytes` all that the file has.
    pub(crate) fn write(&mut self, path: &str, bytes: &[u8]) -> Answer<()> {
        short_enough(bytes)?;
        let (mut batch, before) = (Batch::default(), self.file(path)?);
        let id = match &before {
            Some(file) => file.id,
            None => self.number(&mut batch)?,
        };
        let file = File { id, size: bytes.len() as u64, modified: self.now };
        // Nothing of what was there stays, so nothing of it is read.
        self.put_content(&mut batch, &file.owner(), 0, 0, bytes)?;
        if let Some(before) = before {
            let pieces = |size: u64| size.div_ceil(content::SIZE);
            drop_pieces(&mut batch, &file.owner(), pieces(file.size)..pieces(before.size));
        }
        self.settle(batch, path, before, file)
    }

    /// Adds `bytes` at the file's end; answers its size.
    pub(crate) fn append(&mut self, path: &str, bytes: &[u8]) -> Answer<u64> {
        match self.file(path)? {
            Some(file) => {
                self.put_bytes(path, file, file.size, bytes)?;
                Ok(file.size + bytes.len() as u64)
            }
            None => {
                self.write(path, bytes)?;
                Ok(bytes.len() as u64)
            }
        }
    }

    /// Puts `bytes` from `offset` on.
    pub(crate) fn write_at(&mut self, path: &str, offset: u64, bytes: &[u8]) -> Answer<()> {
        let file = self.there(path)?;
        self.put_bytes(path, file, offset, bytes)
    }

    fn put_bytes(&mut self, path: &str, before: File, offset: u64, bytes: &[u8]) -> Answer<()> {
        short_enough(bytes)?;
        let end = offset.saturating_add(bytes.len() as u64);
        small_enough(end)?;
        if bytes.is_empty() {
            return Ok(());
        }
        let file = File { size: before.size.max(end), modified: self.now, ..before };
        let mut batch = Batch::default();
        self.put_content(&mut batch, &file.owner(), before.size, offset, bytes)?;
        self.settle(batch, path, Some(before), file)
    }

    /// Cuts a file, or lengthens it.
    pub(crate) fn truncate(&mut self, path: &str, size: u64) -> Answer<()> {
        let before = self.there(path)?;
        small_enough(size)?;
        if size == before.size {
            return Ok(());
        }
        let file = File { size, modified: self.now, ..before };
        let mut batch = Batch::default();
        if size < before.size {
            self.cut_content(&mut batch, &file.owner(), before.size, size)?;
        }
        self.settle(batch, path, Some(before), file)
    }

    /// Applies `batch` with what the file is known by from now on.
    fn settle(&mut self, mut batch: Batch, path: &str, before: Option<File>, file: File) -> Answer<()> {
        batch.more = cost(path, file.size) - before.map_or(0, |before| cost(path, before.size));
        put(&mut batch, key(path), &file);
        self.apply(batch)
    }

    /// Gives a file another path.
    pub(crate) fn rename(&mut self, source: &str, target: &str) -> Answer<()> {
        let file = self.there(source)?;
        let over = self.file(target)?;
        if source == target {
            return Ok(());
        }
        let mut batch = Batch { more: cost(target, file.size) - cost(source, file.size), ..Batch::default() };
        if let Some(over) = over {
            batch.more -= cost(target, over.size);
            drop_pieces(&mut batch, &over.owner(), 0..over.size.div_ceil(content::SIZE));
        }
        batch.rows.push((key(source), None));
        put(&mut batch, key(target), &file);
        self.apply(batch)
    }

    /// Takes a file away; answers whether there was one.
    pub(crate) fn remove(&mut self, path: &str) -> Answer<bool> {
        let Some(file) = self.file(path)? else { return Ok(false) };
        let mut batch = Batch { more: -cost(path, file.size), ..Batch::default() };
        drop_pieces(&mut batch, &file.owner(), 0..file.size.div_ceil(content::SIZE));
        batch.rows.push((key(path), None));
        self.apply(batch)?;
        Ok(true)
    }

    /// Files of a folder, with their paths.
    pub(crate) fn files(&mut self, folder: &str, after: Option<&str>, limit: u32) -> Answer<Vec<(String, File)>> {
        let limit = bounded(limit)?;
        let prefix = match folder {
            "" => FILE.into(),
            folder => {
                name::check("a folder", folder)?;
                format!("{FILE}{folder}/")
            }
        };
        let rows = self.rows(&prefix, after.map(key).as_deref(), limit)?;
        Ok(rows.into_iter().map(|(key, file)| (key[1..].into(), file)).collect())
    }
}

fn small_enough(size: u64) -> Answer<()> {
    match size {
        0..=LARGEST => Ok(()),
        size => Err(Refused::Invalid(format!("a file has at most 1 TiB, not {size} bytes"))),
    }
}
