//! Tables: rows of one type, found by keys of one type. Every value begins with the version of its table.

use crate::Error;
use crate::key::{Key, escape};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::cell::Cell;
use std::marker::PhantomData;

/// A table: its name, and what its rows are. There is nothing to create, and an empty table is as good as none.
pub struct Table<K, V> {
    name: &'static str,
    version: u8,
    rows: PhantomData<fn(K) -> V>,
}

/// Some of a table's rows: those whose keys begin alike.
pub struct Span<K, V> {
    pub(crate) table: Table<K, V>,
    pub(crate) prefix: Vec<u8>,
}

impl<K, V> Clone for Table<K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for Table<K, V> {}

impl<K, V> Table<K, V> {
    /// The table of that name, version 1.
    ///
    /// # Panics
    /// If the name is longer than 64 bytes, does not begin with a lower-case letter, or has something else than these, digits
    /// and dashes: at compile time where it is a constant.
    pub const fn new(name: &'static str) -> Self {
        let bytes = name.as_bytes();
        assert!(!bytes.is_empty() && bytes.len() <= 64, "a table's name has 1 to 64 bytes");
        assert!(bytes[0].is_ascii_lowercase(), "a table's name begins with a-z");
        let mut at = 0;
        while at < bytes.len() {
            assert!(matches!(bytes[at], b'a'..=b'z' | b'0'..=b'9' | b'-'), "a table's name is of a-z, 0-9 and -");
            at += 1;
        }
        Table { name, version: 1, rows: PhantomData }
    }

    /// A table of the store's own: no other can have its name.
    pub(crate) const fn own(name: &'static str) -> Self {
        Table { name, version: 1, rows: PhantomData }
    }

    /// The same table with values of another version. Rows of other versions answer [`Error::Row`].
    pub const fn version(self, version: u8) -> Self {
        Table { version, ..self }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What all its rows' bytes begin with.
    pub(crate) fn start(&self, more: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.name.len() + 1 + more);
        bytes.extend_from_slice(self.name.as_bytes());
        bytes.push(0);
        bytes
    }
}

impl<K: Key, V> Table<K, V> {
    pub(crate) fn key(&self, key: K::Ref<'_>) -> Vec<u8> {
        let mut bytes = self.start(32);
        K::encode(key, &mut bytes);
        bytes
    }

    pub(crate) fn decode_key(&self, bytes: &[u8]) -> Result<K, Error> {
        let mut rest = bytes.get(self.name.len() + 1..).unwrap_or_default();
        match K::decode(&mut rest) {
            Some(key) if rest.is_empty() => Ok(key),
            _ => Err(Error::Row { table: self.name.into(), what: "its key is of another type".into() }),
        }
    }

    /// All rows.
    pub fn all(&self) -> Span<K, V> {
        Span { table: *self, prefix: self.start(0) }
    }
}

impl<V> Table<String, V> {
    /// The rows whose keys begin with `text`.
    pub fn starting(&self, text: &str) -> Span<String, V> {
        let mut prefix = self.start(text.len() + 2);
        escape(text.as_bytes(), &mut prefix);
        Span { table: *self, prefix }
    }
}

impl<A: Key, B: Key, V> Table<(A, B), V> {
    /// The rows with that first part of the key.
    pub fn under(&self, a: A::Ref<'_>) -> Span<(A, B), V> {
        let mut prefix = self.start(32);
        A::encode(a, &mut prefix);
        Span { table: *self, prefix }
    }
}

impl<A: Key, V> Table<(A, String), V> {
    /// The rows with that first part of the key whose second one begins with `text`.
    pub fn under_starting(&self, a: A::Ref<'_>, text: &str) -> Span<(A, String), V> {
        let mut span = self.under(a);
        escape(text.as_bytes(), &mut span.prefix);
        span
    }
}

impl<A: Key, B: Key, C: Key, V> Table<(A, B, C), V> {
    /// The rows with that first part of the key.
    pub fn under(&self, a: A::Ref<'_>) -> Span<(A, B, C), V> {
        let mut prefix = self.start(32);
        A::encode(a, &mut prefix);
        Span { table: *self, prefix }
    }

    /// The rows with these first two parts of the key.
    pub fn under_both(&self, a: A::Ref<'_>, b: B::Ref<'_>) -> Span<(A, B, C), V> {
        let mut span = self.under(a);
        B::encode(b, &mut span.prefix);
        span
    }
}

impl<K, V: Serialize> Table<K, V> {
    pub(crate) fn encode(&self, value: &V) -> Result<Vec<u8>, Error> {
        encode(self.name, self.version, value)
    }
}

impl<K, V: DeserializeOwned> Table<K, V> {
    pub(crate) fn decode(&self, bytes: &[u8]) -> Result<V, Error> {
        decode(self.name, self.version, bytes)
    }
}

/// A value's bytes: its version, then itself.
pub(crate) fn encode<V: Serialize>(table: &str, version: u8, value: &V) -> Result<Vec<u8>, Error> {
    let mut scratch = SCRATCH.take();
    scratch.clear();
    scratch.push(version);
    match postcard::to_extend(value, scratch) {
        Ok(scratch) => {
            let bytes = scratch.as_slice().into();
            if scratch.capacity() <= SCRATCH_LIMIT {
                SCRATCH.set(scratch);
            }
            Ok(bytes)
        }
        Err(error) => Err(Error::Value { table: table.into(), what: error.to_string() }),
    }
}

thread_local! {
    /// A value is written here first, so that what is kept of it has its size, and was allocated once.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A thread keeps no more than this.
const SCRATCH_LIMIT: usize = 64 << 10;

/// The value of these bytes.
pub(crate) fn decode<V: DeserializeOwned>(table: &str, version: u8, bytes: &[u8]) -> Result<V, Error> {
    let bad = |what: String| Error::Row { table: table.into(), what };
    match bytes.split_first() {
        Some((found, value)) if *found == version => {
            let (value, rest) = postcard::take_from_bytes(value).map_err(|error| bad(error.to_string()))?;
            if rest.is_empty() { Ok(value) } else { Err(bad(format!("it has {} bytes too many", rest.len()))) }
        }
        Some((found, _)) => Err(bad(format!("it has version {found}, and {version} was expected"))),
        None => Err(bad("it is empty".into())),
    }
}

/// The table that a row's bytes belong to.
pub(crate) fn table_of(key: &[u8]) -> String {
    let name = key.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}
