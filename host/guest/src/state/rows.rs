//! What lasts, row by row: in the store, or in memory.

use super::Part;
use agents::Books;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use store::Table;

/// What is kept under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) bytes: Arc<[u8]>,
    /// Of the state's values only.
    pub(crate) version: u64,
}

/// The values of one part, by their keys.
pub(crate) type Rows = BTreeMap<String, Value>;

/// The state in the store, by agent and key.
pub(crate) const STATE: Table<(String, String), Entry> = Table::new("state");

/// The workspace in the store, by agent and key.
pub(crate) const WORKSPACE: Table<(String, String), Entry> = Table::new("workspace");

/// What all of an agent's state and workspace comes to.
pub(crate) const TOTALS: Table<String, Totals> = Table::new("totals");

/// A value in the store.
#[derive(Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(super) version: u64,
    #[serde(with = "agents::raw")]
    pub(super) bytes: Vec<u8>,
}

/// What all of an agent's state and workspace comes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Totals {
    /// As `storage` counts them.
    pub(super) bytes: u64,
    /// The last that was given.
    pub(super) version: u64,
}

impl From<Entry> for Value {
    fn from(entry: Entry) -> Value {
        Value { bytes: entry.bytes.into(), version: entry.version }
    }
}

/// Where what an agent keeps is in the store.
pub(crate) struct Shelf {
    pub(crate) books: Arc<Books>,
    pub(crate) agent: String,
}

impl Shelf {
    pub(super) fn get(&self, part: Part, key: &str) -> Result<Option<Value>, store::Error> {
        let entry = self.books.store().read().get(&part.table(), (&self.agent, key))?;
        Ok(entry.map(Value::from))
    }
}

/// What lasts, in the order of its keys.
pub(super) enum Lasting<'a> {
    Here(std::collections::btree_map::Range<'a, String, Value>),
    There(Pages<'a>),
}

impl Lasting<'_> {
    pub(super) fn next(&mut self) -> Result<Option<(String, Value)>, store::Error> {
        match self {
            Lasting::Here(values) => Ok(values.next().map(|(key, value)| (key.clone(), value.clone()))),
            Lasting::There(pages) => pages.next(),
        }
    }
}

/// So many entries are fetched from the store at once.
const PAGE: usize = 64;

/// What lasts in the store, fetched a little at a time.
pub(super) struct Pages<'a> {
    read: store::Read,
    part: Part,
    agent: &'a str,
    prefix: &'a str,
    after: Option<String>,
    page: VecDeque<(String, Value)>,
    end: bool,
}

impl<'a> Pages<'a> {
    pub(super) fn new(shelf: &'a Shelf, part: Part, prefix: &'a str, after: Option<&str>) -> Pages<'a> {
        let (read, after) = (shelf.books.store().read(), after.map(str::to_owned));
        Pages { read, part, agent: &shelf.agent, prefix, after, page: VecDeque::new(), end: false }
    }

    fn next(&mut self) -> Result<Option<(String, Value)>, store::Error> {
        if self.page.is_empty() && !self.end {
            let after = self.after.as_deref().map(|key| (self.agent, key));
            let span = self.part.table().under_starting(self.agent, self.prefix);
            let rows = self.read.scan(span, after, PAGE)?;
            self.end = rows.len() < PAGE;
            self.page = rows.into_iter().map(|((_, key), entry)| (key, Value::from(entry))).collect();
            self.after = self.page.back().map(|(key, _)| key.clone());
        }
        Ok(self.page.pop_front())
    }
}
