//! What lasts of spaces: sources, and their passages; in the store, or in memory where there is none.

use agents::Books;
use memory::Vector;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{Change, Table};

/// Sources, by space and name.
pub(crate) const SOURCES: Table<(String, String), Head> = Table::new("memory-sources");

/// Their passages, by space, source and place. They are found by the source's name, and not by a number of its own: whichever
/// of two turns replaces it last, nothing of the other is left.
pub(crate) const PASSAGES: Table<(String, String, u32), Row> = Table::new("memory-passages");

/// A source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// On whose `storage` it counts.
    pub(crate) payer: String,
    /// What it counts as.
    pub(crate) bytes: u64,
    pub(crate) passages: u32,
    pub(crate) tags: Vec<String>,
    /// The model that made its vectors; empty if it has none.
    pub(crate) model: String,
    /// Unix milliseconds.
    pub(crate) kept: u64,
}

/// A passage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) text: String,
    pub(crate) context: String,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) vector: Option<Vector>,
}

/// What a source, a passage and a dimension count as, beside their texts.
const HEAD: u64 = 128;
const ROW: u64 = 64;

impl Row {
    fn bytes(&self) -> u64 {
        let vector = self.vector.as_ref().map_or(0, Vector::dimensions);
        ROW + (self.text.len() + self.context.len() + vector) as u64
    }
}

/// A source as a whole.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Document {
    pub(crate) head: Head,
    pub(crate) rows: Vec<Row>,
}

impl Document {
    /// A source with these passages, all counted.
    pub(crate) fn new(name: &str, mut head: Head, rows: Vec<Row>) -> Document {
        let tags: usize = head.tags.iter().map(|tag| tag.len() + 8).sum();
        head.passages = rows.len() as u32;
        head.bytes = HEAD + (name.len() + tags) as u64 + rows.iter().map(Row::bytes).sum::<u64>();
        Document { head, rows }
    }

    /// Puts it into an index, with its vectors if `model` made them.
    pub(crate) fn add_to(&self, index: &mut memory::Index, name: &str, model: Option<&str>) {
        let same = model.is_some_and(|model| model == self.head.model);
        let added = self.rows.iter().map(|row| memory::Added {
            text: &row.text,
            context: &row.context,
            vector: row.vector.as_ref().filter(|_| same),
        });
        index.add(name, 0, &self.head.tags, added);
    }
}

/// Where they are kept.
pub(crate) enum Kept {
    There(Arc<Books>),
    Here(Mutex<BTreeMap<(String, String), Arc<Document>>>),
}

type Answer<T> = Result<T, store::Error>;

impl Kept {
    /// Every source of every space.
    pub(crate) fn heads(&self) -> Answer<Vec<((String, String), Head)>> {
        match self {
            Kept::There(books) => books.store().read().scan(SOURCES.all(), None, usize::MAX),
            Kept::Here(all) => {
                Ok(all.lock().iter().map(|(key, document)| (key.clone(), document.head.clone())).collect())
            }
        }
    }

    pub(crate) fn head(&self, space: &str, source: &str) -> Answer<Option<Head>> {
        match self {
            Kept::There(books) => books.store().read().get(&SOURCES, (space, source)),
            Kept::Here(all) => {
                let all = all.lock();
                Ok(all.get(&(space.to_owned(), source.to_owned())).map(|document| document.head.clone()))
            }
        }
    }

    /// Every source of a space, one after the other; until `each` has had enough.
    pub(crate) fn each(&self, space: &str, mut each: impl FnMut(&str, &Document) -> bool) -> Answer<()> {
        match self {
            Kept::There(books) => {
                let read = books.store().read();
                for ((_, source), head) in read.scan(SOURCES.under(space), None, usize::MAX)? {
                    let rows = read.scan(PASSAGES.under_both(space, &source), None, usize::MAX)?;
                    let document = Document { head, rows: rows.into_iter().map(|(_, row)| row).collect() };
                    if !each(&source, &document) {
                        break;
                    }
                }
                Ok(())
            }
            Kept::Here(all) => {
                let all: Vec<_> = all.lock().iter().map(|(key, document)| (key.clone(), document.clone())).collect();
                let its = all.iter().filter(|((other, _), _)| other == space);
                let _ = its.map(|((_, source), document)| each(source, document)).take_while(|more| *more).count();
                Ok(())
            }
        }
    }

    pub(crate) fn document(&self, space: &str, source: &str) -> Answer<Option<Document>> {
        match self {
            Kept::There(books) => {
                // Both of one moment.
                let read = books.store().read();
                let Some(head) = read.get(&SOURCES, (space, source))? else { return Ok(None) };
                let rows = read.scan(PASSAGES.under_both(space, source), None, usize::MAX)?;
                Ok(Some(Document { head, rows: rows.into_iter().map(|(_, row)| row).collect() }))
            }
            Kept::Here(all) => {
                let all = all.lock();
                Ok(all.get(&(space.to_owned(), source.to_owned())).map(|document| Document::clone(document)))
            }
        }
    }

    /// One passage, with its source's tags.
    pub(crate) fn passage(&self, space: &str, source: &str, part: u32) -> Answer<Option<(Row, Vec<String>)>> {
        match self {
            Kept::There(books) => {
                let read = books.store().read();
                let Some(row) = read.get(&PASSAGES, (space, source, part))? else { return Ok(None) };
                Ok(read.get(&SOURCES, (space, source))?.map(|head| (row, head.tags)))
            }
            Kept::Here(all) => {
                let all = all.lock();
                let document = all.get(&(space.to_owned(), source.to_owned()));
                Ok(document
                    .and_then(|document| Some((document.rows.get(part as usize)?.clone(), document.head.tags.clone()))))
            }
        }
    }
}

/// Adds to a change that a source is this, or is no more.
pub(crate) fn put(change: &mut Change, space: &str, source: &str, document: Option<&Document>) {
    change.clear(PASSAGES.under_both(space, source));
    let Some(Document { head, rows }) = document else {
        change.delete(&SOURCES, (space, source));
        return;
    };
    change.put(&SOURCES, (space, source), head);
    for (part, row) in rows.iter().enumerate() {
        change.put(&PASSAGES, (space, source, part as u32), row);
    }
}
