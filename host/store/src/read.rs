//! Reading: everything as it was at one moment.

use crate::Error;
use crate::key::Key;
use crate::layer::Keys;
use crate::record::{ANCHOR, Anchor, JOURNAL, Record};
use crate::shared::Readers;
use crate::table::{Span, Table};
use crate::view::{From, View};
use serde::de::DeserializeOwned;
use std::ops::{Bound, ControlFlow, Range};
use std::sync::Arc;

/// The store as it was when this was made: every acknowledged change of before, none of after, none in part.
///
/// Older versions of rows are kept as long as somebody can read them, so it should not be kept for long.
pub struct Read {
    view: View,
    version: u64,
    readers: Arc<Readers>,
}

impl Read {
    pub(crate) fn new(view: View, version: u64, readers: Arc<Readers>) -> Read {
        Read { view, version, readers }
    }

    /// A row.
    pub fn get<K: Key, V: DeserializeOwned>(&self, table: &Table<K, V>, key: K::Ref<'_>) -> Result<Option<V>, Error> {
        self.view.find(&table.key(key), self.version, |row| row.map(|row| table.decode(row)).transpose())?
    }

    /// Whether there is such a row.
    pub fn contains<K: Key, V>(&self, table: &Table<K, V>, key: K::Ref<'_>) -> Result<bool, Error> {
        self.view.find(&table.key(key), self.version, |row| row.is_some())
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
        let mut rows = Vec::new();
        let mut bad = None;
        if limit == 0 {
            return Ok(rows);
        }
        self.view.scan(keys, self.version, from, &mut |key, value| {
            match table.decode_key(key).and_then(|key| Ok((key, table.decode(value)?))) {
                Ok(row) => rows.push(row),
                Err(error) => bad = Some(error),
            }
            if bad.is_some() || rows.len() >= limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        bad.map_or(Ok(rows), Err)
    }

    /// The first `limit` records of the journal with numbers in `range`. Those before [`anchor`](Read::anchor) are gone.
    pub fn journal(&self, range: Range<u64>, limit: usize) -> Result<Vec<Record>, Error> {
        let mut records = Vec::new();
        let first = range.start.max(self.anchor()?.seq + 1);
        if limit == 0 || first >= range.end {
            return Ok(records);
        }
        let keys = Keys { from: Bound::Included(JOURNAL.key(first)), to: Bound::Excluded(JOURNAL.key(range.end)) };
        self.records(&keys, From::First, &mut |record| {
            records.push(record);
            if records.len() >= limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(records)
    }

    fn records(&self, keys: &Keys, from: From, each: &mut dyn FnMut(Record) -> ControlFlow<()>) -> Result<(), Error> {
        let mut bad = None;
        self.view.scan(keys, self.version, from, &mut |key, row| match decode(key, row) {
            Ok(record) => each(record),
            Err(error) => {
                bad = Some(error);
                ControlFlow::Break(())
            }
        })?;
        bad.map_or(Ok(()), Err)
    }

    /// Where the journal begins.
    pub fn anchor(&self) -> Result<Anchor, Error> {
        Ok(self.get(&ANCHOR, 0)?.unwrap_or(Anchor::START))
    }

    /// Where the journal ends: its last record's number and link, or the anchor if there is none.
    pub fn head(&self) -> Result<Anchor, Error> {
        let anchor = self.anchor()?;
        let mut head = anchor;
        self.records(&Keys::of(&JOURNAL.start(0)), From::Last, &mut |record| {
            if record.seq > anchor.seq {
                head = Anchor { seq: record.seq, hash: record.hash };
            }
            ControlFlow::Break(())
        })?;
        Ok(head)
    }

    pub(crate) fn view(&self) -> (&View, u64) {
        (&self.view, self.version)
    }
}

/// The record in a row of the journal.
pub(crate) fn decode(key: &[u8], row: &[u8]) -> Result<Record, Error> {
    let seq = JOURNAL.decode_key(key)?;
    let bad = || Error::Row { table: JOURNAL.name().into(), what: format!("record {seq} is of no known form") };
    Record::decode(seq, row).ok_or_else(bad)
}

impl Drop for Read {
    fn drop(&mut self) {
        self.readers.leave(self.version);
    }
}
