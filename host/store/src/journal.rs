//! Keeping the journal: verifying its chain, cutting off what is old, erasing what must not be kept.

use crate::Error;
use crate::change::{Change, Step};
use crate::files::{File, Files};
use crate::read::Read;
use crate::record::{ANCHOR, Anchor, Body, Hash, JOURNAL, Record};
use crate::store::Store;
use std::path::Path;

/// What was verified: every record after `from`, up to `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The last record before, which is gone.
    pub from: Anchor,
    /// The last record.
    pub to: Anchor,
    /// How many of them have been erased.
    pub erased: u64,
}

/// Records that are looked at together.
const AT_ONCE: usize = 1000;

impl Read {
    /// Walks the whole chain. [`Error::Broken`] names the first bad record.
    pub fn verify(&self) -> Result<Verified, Error> {
        let from = self.anchor()?;
        let mut chain = Chain::new(from);
        loop {
            let records = self.journal(chain.to.seq + 1..u64::MAX, AT_ONCE)?;
            if records.is_empty() {
                return Ok(chain.verified());
            }
            for record in &records {
                chain.add(record)?;
            }
        }
    }
}

impl Store {
    /// Removes the journal's records before number `before`, first writing them to the file `archive` if there is one.
    /// The chain of what is left verifies from the anchor on, which is where the archive ends. Blocks.
    pub fn cut(&self, before: u64, archive: Option<&Path>) -> Result<Anchor, Error> {
        let read = self.read();
        let (from, head) = (read.anchor()?, read.head()?);
        let last = before.saturating_sub(1).min(head.seq);
        if last <= from.seq {
            return Ok(from);
        }
        let record = read.journal(last..last + 1, 1)?.pop();
        let record = record.ok_or_else(|| Error::Broken { seq: last, what: "it is missing".into() })?;
        let to = Anchor { seq: last, hash: record.hash };
        if let Some(archive) = archive {
            write_archive(&*self.shared().files, archive, &read, from, to)?;
        }
        let mut change = Change::new();
        let expected = if from == Anchor::START { None } else { Some(&from) };
        change.guard(&ANCHOR, 0, expected).put(&ANCHOR, 0, &to);
        // The records themselves go with the next checkpoint, which begins at once.
        change.flush = true;
        self.commit(change).wait()?;
        Ok(to)
    }

    /// Replaces the bodies of records by their hashes, so that the chain still verifies, and takes them out of the log and
    /// the tree. Archives and backups made before still have them. Blocks.
    ///
    /// Pages of the tree's file that are free may hold their bytes until they are used again.
    pub fn erase(&self, records: &[u64]) -> Result<(), Error> {
        let read = self.read();
        let mut change = Change::new();
        for &seq in records {
            let Some(row) = read.raw_record(seq)? else { continue };
            let broken = || Error::Broken { seq, what: "it is of no known form".into() };
            let record = Record::decode(seq, &row).ok_or_else(broken)?;
            let Body::Kept(body) = &record.body else { continue };
            let erased = Record::encode(record.time, &record.hash, Hash::of(body).as_bytes(), true);
            let key = JOURNAL.key(seq);
            change.step(Step::Guard { key: key.clone(), expected: Some(row) });
            change.step(Step::Put { key, value: erased });
        }
        drop(read);
        if change.is_empty() {
            return Ok(());
        }
        self.commit(change).wait()?;
        self.checkpoint()
    }
}

/// Walks along a chain.
struct Chain {
    from: Anchor,
    to: Anchor,
    erased: u64,
}

impl Chain {
    fn new(from: Anchor) -> Chain {
        Chain { from, to: from, erased: 0 }
    }

    fn add(&mut self, record: &Record) -> Result<(), Error> {
        let seq = self.to.seq + 1;
        let broken = |what: &str| Error::Broken { seq, what: what.into() };
        if record.seq != seq {
            return Err(broken("it is missing"));
        }
        if !record.follows(&self.to.hash) {
            return Err(broken("its hash is not that of what it says after the one before"));
        }
        self.erased += u64::from(matches!(record.body, Body::Erased(_)));
        self.to = Anchor { seq, hash: record.hash };
        Ok(())
    }

    fn verified(self) -> Verified {
        Verified { from: self.from, to: self.to, erased: self.erased }
    }
}

const MAGIC: &[u8; 16] = b"village journal\n";
const FORMAT: u32 = 1;
/// Magic, format, and both anchors.
const HEAD: usize = 16 + 4 + 40 + 40;

fn write_archive(files: &dyn Files, path: &Path, read: &Read, from: Anchor, to: Anchor) -> Result<(), Error> {
    let part = path.with_extension("part");
    let fail = |error| Error::io(path, error);
    let file = files.open(&part, true).map_err(fail)?;
    let mut bytes = Vec::new();
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    for anchor in [from, to] {
        bytes.extend_from_slice(&anchor.seq.to_le_bytes());
        bytes.extend_from_slice(anchor.hash.as_bytes());
    }
    file.set_len(0).map_err(fail)?;
    let (mut at, mut next) = (0, from.seq + 1);
    while next <= to.seq {
        let end = to.seq.min(next + AT_ONCE as u64 - 1) + 1;
        for seq in next..end {
            let row = read.raw_record(seq)?;
            let row = row.ok_or_else(|| Error::Broken { seq, what: "it is missing".into() })?;
            bytes.extend_from_slice(&(row.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&row);
        }
        next = end;
        file.write(at, &bytes).map_err(fail)?;
        at += bytes.len() as u64;
        bytes.clear();
    }
    file.sync().and_then(|()| files.rename(&part, path)).map_err(fail)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    files.sync_folder(folder).map_err(|error| Error::io(folder, error))
}

/// Reads an archive that [`Store::cut`] wrote, verifies it, and shows each record to `each`. What is left of the journal
/// begins where the archive ends: its anchor is `to`.
pub fn read_archive(files: &dyn Files, path: &Path, each: &mut dyn FnMut(Record)) -> Result<Verified, Error> {
    let fail = |error| Error::io(path, error);
    let file = files.open(path, false).map_err(fail)?;
    let len = file.len().map_err(fail)?;
    let damaged = |what: &str| Error::damaged(path, what);
    let mut head = [0; HEAD];
    file.read(0, &mut head).map_err(|_| damaged("it is too short"))?;
    let number = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().unwrap_or_default());
    let format = u32::from_le_bytes(head[16..20].try_into().unwrap_or_default());
    if &head[..16] != MAGIC {
        return Err(damaged("it is no archive of a journal"));
    }
    if format != FORMAT {
        return Err(Error::Newer { file: path.into(), found: format, known: FORMAT });
    }
    let hash = |at: usize| Hash::from_bytes(head[at..at + 32].try_into().unwrap_or_default());
    let to = Anchor { seq: number(60), hash: hash(68) };
    let mut chain = Chain::new(Anchor { seq: number(20), hash: hash(28) });
    let mut at = HEAD as u64;
    while at < len {
        let row = read_row(&*file, at, len).ok_or_else(|| damaged("it ends within a record"))?;
        at += 4 + row.len() as u64;
        let seq = chain.to.seq + 1;
        let record = Record::decode(seq, &row).ok_or_else(|| damaged("a record is of no known form"))?;
        chain.add(&record)?;
        each(record);
    }
    if chain.to != to {
        return Err(damaged("its last records are missing"));
    }
    Ok(chain.verified())
}

fn read_row(file: &dyn File, at: u64, len: u64) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    file.read(at, &mut length).ok()?;
    let length = u32::from_le_bytes(length);
    if at + 4 + u64::from(length) > len {
        return None;
    }
    let mut row = vec![0; length as usize];
    file.read(at + 4, &mut row).ok()?;
    Some(row)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::FaultyDisk;
    use crate::store::Options;
    use std::sync::Arc;

    #[test]
    fn what_was_cut_leaves_the_tree() {
        let files = Arc::new(FaultyDisk::new());
        let store = Store::open_with(files, Path::new("/village"), Options::default()).expect("a store opens");
        let records = 120_000;
        for first in (0..records).step_by(1000) {
            let mut change = Change::new();
            for number in first..first + 1000 {
                change.journal(number, vec![1]);
            }
            drop(store.commit(change));
        }
        store.checkpoint().expect("a checkpoint");
        let in_tree = |seq: u64| {
            let view = store.shared().view.read().clone();
            view.tree.find(&JOURNAL.key(seq), |row| row.is_some()).expect("the tree is read")
        };
        assert!(in_tree(1) && in_tree(records - 1));
        store.cut(records, None).expect("it is cut");
        store.checkpoint().expect("a checkpoint");
        assert!(![1, 60_000, records - 1].into_iter().any(in_tree));
        assert!(in_tree(records));
        store.read().verify().expect("the chain verifies");
    }
}
