//! A change: what takes effect together, or not at all.

use crate::Error;
use crate::key::Key;
use crate::record::{self, Hash};
use crate::table::{self, Span, Table};
use serde::Serialize;

/// Rows to write, records for the journal, and what must hold for it. Later steps see what earlier ones did.
#[derive(Debug, Default)]
pub struct Change {
    pub(crate) steps: Vec<Step>,
    pub(crate) bytes: usize,
    /// Why it cannot be stored: known at once, said when it is committed.
    pub(crate) refused: Option<Error>,
    /// Whether a checkpoint is to follow.
    pub(crate) flush: bool,
}

#[derive(Debug)]
pub(crate) enum Step {
    Put {
        key: Vec<u8>,
        value: Vec<u8>,
    },
    Delete {
        key: Vec<u8>,
    },
    /// All rows whose bytes begin so.
    Clear {
        prefix: Vec<u8>,
    },
    Guard {
        key: Vec<u8>,
        expected: Option<Vec<u8>>,
    },
    Require {
        key: Vec<u8>,
    },
    /// A record, its hash computed where the change was made and not in the writer.
    Record {
        time: u64,
        hash: Hash,
        body: Vec<u8>,
    },
}

impl Change {
    /// A change of nothing.
    pub fn new() -> Change {
        Change::default()
    }

    /// Whether it does nothing.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// How many bytes it has.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Writes a row, replacing what was there.
    pub fn put<K: Key, V: Serialize>(&mut self, table: &Table<K, V>, key: K::Ref<'_>, value: &V) -> &mut Self {
        match table.encode(value) {
            Ok(value) => self.step(Step::Put { key: table.key(key), value }),
            Err(error) => self.refuse(error),
        }
    }

    /// Deletes a row. It need not be there.
    pub fn delete<K: Key, V>(&mut self, table: &Table<K, V>, key: K::Ref<'_>) -> &mut Self {
        self.step(Step::Delete { key: table.key(key) })
    }

    /// Deletes all rows of a span.
    pub fn clear<K, V>(&mut self, span: Span<K, V>) -> &mut Self {
        self.step(Step::Clear { prefix: span.prefix })
    }

    /// Fails the change with [`Error::Conflict`] unless the row, as earlier changes left it, is `expected`; `None` is no
    /// row. What this change does itself is not looked at.
    pub fn guard<K: Key, V: Serialize>(
        &mut self,
        table: &Table<K, V>,
        key: K::Ref<'_>,
        expected: Option<&V>,
    ) -> &mut Self {
        match expected.map(|value| table.encode(value)).transpose() {
            Ok(expected) => self.step(Step::Guard { key: table.key(key), expected }),
            Err(error) => self.refuse(error),
        }
    }

    /// Fails the change with [`Error::Conflict`] unless there is such a row, as earlier changes and steps left it.
    pub fn require<K: Key, V>(&mut self, table: &Table<K, V>, key: K::Ref<'_>) -> &mut Self {
        self.step(Step::Require { key: table.key(key) })
    }

    /// Appends a record to the journal; `time` is in milliseconds since 1970.
    pub fn journal(&mut self, time: u64, body: Vec<u8>) -> &mut Self {
        let hash = Hash::of(&body);
        self.step(Step::Record { time, hash, body })
    }

    /// Appends a value to the journal, to be read with [`Record::read`](crate::Record::read).
    pub fn record<V: Serialize>(&mut self, time: u64, value: &V) -> &mut Self {
        match table::encode(record::JOURNAL.name(), record::VALUE, value) {
            Ok(body) => self.journal(time, body),
            Err(error) => self.refuse(error),
        }
    }

    pub(crate) fn step(&mut self, step: Step) -> &mut Self {
        self.bytes += 16
            + match &step {
                Step::Put { key, value } => key.len() + value.len(),
                Step::Delete { key } | Step::Require { key } | Step::Clear { prefix: key } => key.len(),
                Step::Guard { key, expected } => key.len() + expected.as_ref().map_or(0, Vec::len),
                Step::Record { body, .. } => record::OVERHEAD + body.len(),
            };
        self.steps.push(step);
        self
    }

    fn refuse(&mut self, error: Error) -> &mut Self {
        self.refused.get_or_insert(error);
        self
    }
}
