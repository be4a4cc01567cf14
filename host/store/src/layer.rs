//! Rows that are in the log and not yet in the tree, in several versions as long as somebody reads older ones.

use crate::key::after_prefix;
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::ops::Bound;

/// One generation of the log in memory. The writer alone writes; it is frozen before it goes into the tree.
#[derive(Debug, Default)]
pub(crate) struct Layer {
    pub(crate) rows: RwLock<Rows>,
}

#[derive(Debug, Default)]
pub(crate) struct Rows(BTreeMap<Vec<u8>, Cell>);

/// What a row was in which version; no value is a row that was deleted.
#[derive(Debug)]
struct Cell {
    version: u64,
    value: Option<Vec<u8>>,
    older: Option<Box<Cell>>,
}

impl Cell {
    fn at(&self, version: u64) -> Option<&Cell> {
        let mut cell = self;
        while cell.version > version {
            cell = cell.older.as_deref()?;
        }
        Some(cell)
    }
}

/// Keys from one to before another.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    pub(crate) from: Bound<Vec<u8>>,
    pub(crate) to: Bound<Vec<u8>>,
}

impl Keys {
    /// All keys.
    pub(crate) fn all() -> Keys {
        Keys { from: Bound::Unbounded, to: Bound::Unbounded }
    }

    /// Those that begin so.
    pub(crate) fn of(prefix: &[u8]) -> Keys {
        let to = after_prefix(prefix).map_or(Bound::Unbounded, Bound::Excluded);
        Keys { from: Bound::Included(prefix.into()), to }
    }

    pub(crate) fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        (self.from.as_ref().map(Vec::as_slice), self.to.as_ref().map(Vec::as_slice))
    }

    /// Whether no key can be among them: a range that ends before it begins.
    pub(crate) fn is_empty(&self) -> bool {
        match self.bounds() {
            (Bound::Included(from), Bound::Included(to)) => from > to,
            (Bound::Included(from) | Bound::Excluded(from), Bound::Excluded(to) | Bound::Included(to)) => from >= to,
            _ => false,
        }
    }
}

impl Rows {
    /// Sets a row, keeping of its older versions what a reader of `oldest` or later can still see.
    pub(crate) fn set(&mut self, key: Vec<u8>, value: Option<Vec<u8>>, version: u64, oldest: u64) {
        use std::collections::btree_map::Entry;
        match self.0.entry(key) {
            Entry::Vacant(place) => drop(place.insert(Cell { version, value, older: None })),
            Entry::Occupied(mut place) => {
                let cell = place.get_mut();
                if cell.version == version {
                    cell.value = value;
                    return;
                }
                let older = std::mem::replace(cell, Cell { version, value, older: None });
                cell.older = Some(Box::new(older));
                prune(cell, oldest);
            }
        }
    }

    /// Takes back all that a version did. Looks at every row: it happens only when the disk has failed.
    pub(crate) fn unset(&mut self, version: u64) {
        self.0.retain(|_, cell| {
            if cell.version != version {
                return true;
            }
            match cell.older.take() {
                Some(older) => *cell = *older,
                None => return false,
            }
            true
        });
    }

    /// A row as `version` has it: nothing if this layer does not know, `Some(None)` if it was deleted.
    pub(crate) fn find(&self, key: &[u8], version: u64) -> Option<Option<&[u8]>> {
        Some(self.0.get(key)?.at(version)?.value.as_deref())
    }

    /// All rows among `keys` that this layer knows of in `version`.
    pub(crate) fn range(
        &self,
        keys: &Keys,
        version: u64,
    ) -> impl DoubleEndedIterator<Item = (&[u8], Option<&[u8]>)> + use<'_> {
        let range = self.0.range::<[u8], _>(keys.bounds());
        range.filter_map(move |(key, cell)| Some((key.as_slice(), cell.at(version)?.value.as_deref())))
    }
}

/// Drops what nobody can see: all behind the newest version that is not after `oldest`.
fn prune(cell: &mut Cell, oldest: u64) {
    let mut cell = cell;
    while cell.version > oldest {
        match cell.older.as_deref_mut() {
            Some(older) => cell = older,
            None => return,
        }
    }
    cell.older = None;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(rows: &Rows, version: u64) -> Option<Option<Vec<u8>>> {
        rows.find(b"k", version).map(|value| value.map(<[u8]>::to_vec))
    }

    #[test]
    fn a_reader_sees_its_version_and_a_version_can_be_taken_back() {
        let mut rows = Rows::default();
        rows.set(b"k".into(), Some(b"1".into()), 1, 0);
        rows.set(b"k".into(), None, 2, 0);
        rows.set(b"k".into(), Some(b"3".into()), 3, 0);
        assert_eq!(seen(&rows, 0), None);
        assert_eq!(seen(&rows, 1), Some(Some(b"1".into())));
        assert_eq!(seen(&rows, 2), Some(None));
        assert_eq!(seen(&rows, 9), Some(Some(b"3".into())));
        rows.unset(3);
        assert_eq!(seen(&rows, 9), Some(None));
        rows.unset(2);
        rows.unset(1);
        assert!(rows.0.is_empty());
    }

    #[test]
    fn versions_that_nobody_reads_are_dropped() {
        let mut rows = Rows::default();
        for version in 1..=100 {
            rows.set(b"k".into(), Some(vec![0]), version, version - 1);
        }
        assert_eq!(seen(&rows, 98), None);
        assert_eq!(seen(&rows, 99), Some(Some(vec![0])));
    }
}
