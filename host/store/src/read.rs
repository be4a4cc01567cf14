//! Reading: everything as it was at one moment.

use crate::Error;
use crate::key::Key;
use crate::layer::Keys;
use crate::record::{ANCHOR, Anchor, JOURNAL, Record};
use crate::shared::{Readers, Shared};
use crate::table::{Span, Table};
use crate::view::{From, View};
use serde::de::DeserializeOwned;
use std::ops::{Bound, ControlFlow, Range};
use std::sync::Arc;
use std::time::Duration;

/// The store as it was when this was made: every acknowledged change of before, none of after, none in part.
///
/// Older versions of rows are kept as long as somebody can read them, so it should not be kept for long.
pub struct Read {
    view: View,
    version: u64,
    readers: Arc<Readers>,
    /// Where the tree is found after it was opened anew; not while the store is being opened itself.
    shared: Option<Arc<Shared>>,
}

impl Read {
    pub(crate) fn new(view: View, version: u64, readers: Arc<Readers>, shared: Option<Arc<Shared>>) -> Read {
        Read { view, version, readers, shared }
    }

    /// Looks at the view. After the disk has failed, the tree is opened anew: then it looks again, if that is still the
    /// tree of its moment.
    fn look<R>(&self, look: impl Fn(&View) -> Result<R, Error>) -> Result<R, Error> {
        let (error, shared) = match (look(&self.view), &self.shared) {
            (Err(error @ (Error::Io { .. } | Error::Full)), Some(shared)) => (error, shared),
            (outcome, _) => return outcome,
        };
        let mut tried = self.view.tree.clone();
        for _ in 0..REOPEN_MILLIS {
            let tree = shared.view.read().tree.clone();
            if tree.applied != self.view.tree.applied {
                break;
            }
            if !Arc::ptr_eq(&tree, &tried) {
                if let Ok(found) = look(&View { tree: tree.clone(), ..self.view.clone() }) {
                    return Ok(found);
                }
                tried = tree;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Err(error)
    }

    /// A row.
    pub fn get<K: Key, V: DeserializeOwned>(&self, table: &Table<K, V>, key: K::Ref<'_>) -> Result<Option<V>, Error> {
        let key = table.key(key);
        self.look(|view| view.find(&key, self.version, |row| row.map(|row| table.decode(row)).transpose()))?
    }

    /// Whether there is such a row.
    pub fn contains<K: Key, V>(&self, table: &Table<K, V>, key: K::Ref<'_>) -> Result<bool, Error> {
        let key = table.key(key);
        self.look(|view| view.find(&key, self.version, |row| row.is_some()))
    }

    /// The first `limit` rows of a span, in the order of their keys, after the key `after`.
    pub fn scan<K: Key, V: DeserializeOwned>(
        &self,
        span: Span<K, V>,
        after: Option<K::Ref<'_>>,
        limit: usize,
    ) -> Result<Vec<(K, V)>, Error> {
        let mut keys = Keys::of(&span.prefix);
        if let Some(after) = after {
            let after = span.table.key(after);
            // A key before the span means its beginning.
            if after >= span.prefix {
                keys.from = Bound::Excluded(after);
            }
        }
        self.rows(&span.table, &keys, From::First, limit)
    }

    /// How many rows a span has. Their values are not looked at.
    pub fn count<K: Key, V>(&self, span: Span<K, V>) -> Result<u64, Error> {
        let keys = Keys::of(&span.prefix);
        self.look(|view| {
            let mut count = 0;
            view.scan(&keys, self.version, From::First, &mut |_, _| {
                count += 1;
                ControlFlow::Continue(())
            })?;
            Ok(count)
        })
    }

    /// The bytes of the journal's records with numbers in `range`, keys and all, as far as they are not gone.
    pub fn weigh(&self, range: Range<u64>) -> Result<u64, Error> {
        let first = range.start.max(self.anchor()?.seq + 1);
        if first >= range.end {
            return Ok(0);
        }
        let keys = Keys { from: Bound::Included(JOURNAL.key(first)), to: Bound::Excluded(JOURNAL.key(range.end)) };
        self.look(|view| {
            let mut bytes = 0;
            view.scan(&keys, self.version, From::First, &mut |key, value| {
                bytes += (key.len() + value.len()) as u64;
                ControlFlow::Continue(())
            })?;
            Ok(bytes)
        })
    }

    /// The last `limit` rows of a span, the last one first, before the key `before`.
    pub fn scan_back<K: Key, V: DeserializeOwned>(
        &self,
        span: Span<K, V>,
        before: Option<K::Ref<'_>>,
        limit: usize,
    ) -> Result<Vec<(K, V)>, Error> {
        let mut keys = Keys::of(&span.prefix);
        if let Some(before) = before {
            let before = span.table.key(before);
            let inside = match &keys.to {
                Bound::Excluded(to) => before < *to,
                _ => true,
            };
            if inside {
                keys.to = Bound::Excluded(before);
            }
        }
        self.rows(&span.table, &keys, From::Last, limit)
    }

    fn rows<K: Key, V: DeserializeOwned>(
        &self,
        table: &Table<K, V>,
        keys: &Keys,
        from: From,
        limit: usize,
    ) -> Result<Vec<(K, V)>, Error> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        self.look(|view| {
            let (mut rows, mut bad) = (Vec::new(), None);
            view.scan(keys, self.version, from, &mut |key, value| {
                match table.decode_key(key).and_then(|key| Ok((key, table.decode(value)?))) {
                    Ok(row) => rows.push(row),
                    Err(error) => bad = Some(error),
                }
                if bad.is_some() || rows.len() >= limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            bad.map_or(Ok(rows), Err)
        })
    }

    /// The first `limit` records of the journal with numbers in `range`. Those before [`anchor`](Read::anchor) are gone.
    pub fn journal(&self, range: Range<u64>, limit: usize) -> Result<Vec<Record>, Error> {
        let first = range.start.max(self.anchor()?.seq + 1);
        if limit == 0 || first >= range.end {
            return Ok(Vec::new());
        }
        let keys = Keys { from: Bound::Included(JOURNAL.key(first)), to: Bound::Excluded(JOURNAL.key(range.end)) };
        self.records(&keys, From::First, limit)
    }

    fn records(&self, keys: &Keys, from: From, limit: usize) -> Result<Vec<Record>, Error> {
        self.look(|view| {
            let (mut records, mut bad) = (Vec::new(), None);
            view.scan(keys, self.version, from, &mut |key, row| {
                match decode(key, row) {
                    Ok(record) => records.push(record),
                    Err(error) => bad = Some(error),
                }
                if bad.is_some() || records.len() >= limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            bad.map_or(Ok(records), Err)
        })
    }

    /// Where the journal begins.
    pub fn anchor(&self) -> Result<Anchor, Error> {
        Ok(self.get(&ANCHOR, 0)?.unwrap_or(Anchor::START))
    }

    /// Where the journal ends: its last record's number and link, or the anchor if there is none.
    pub fn head(&self) -> Result<Anchor, Error> {
        let anchor = self.anchor()?;
        let last = self.records(&Keys::of(&JOURNAL.start(0)), From::Last, 1)?.pop();
        let last = last.filter(|record| record.seq > anchor.seq);
        Ok(last.map_or(anchor, |record| Anchor { seq: record.seq, hash: record.hash }))
    }

    /// The next rows after a key as they are stored, up to `bytes` of them, but one at least.
    pub(crate) fn raw(&self, after: Option<&[u8]>, bytes: usize) -> Result<Vec<RawRow>, Error> {
        let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.to_vec()));
        let keys = Keys { from, to: Bound::Unbounded };
        self.look(|view| {
            let (mut rows, mut sum) = (Vec::new(), 0);
            view.scan(&keys, self.version, From::First, &mut |key, value| {
                sum += key.len() + value.len();
                rows.push((key.to_vec(), value.to_vec()));
                if sum >= bytes { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            Ok(rows)
        })
    }

    /// One row of the journal as it is stored.
    pub(crate) fn raw_record(&self, seq: u64) -> Result<Option<Vec<u8>>, Error> {
        self.look(|view| view.find(&JOURNAL.key(seq), self.version, |row| row.map(<[u8]>::to_vec)))
    }
}

/// A key and a value as they are stored.
pub(crate) type RawRow = (Vec<u8>, Vec<u8>);

/// How long a reader waits for the tree to be opened anew.
const REOPEN_MILLIS: u32 = 50;

/// The record in a row of the journal.
fn decode(key: &[u8], row: &[u8]) -> Result<Record, Error> {
    let seq = JOURNAL.decode_key(key)?;
    let bad = || Error::Row { table: JOURNAL.name().into(), what: format!("record {seq} is of no known form") };
    Record::decode(seq, row).ok_or_else(bad)
}

impl Drop for Read {
    fn drop(&mut self) {
        self.readers.leave(self.version);
    }
}
