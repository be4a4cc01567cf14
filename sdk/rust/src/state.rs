//! The agent's own key-value store, which lasts. Grant: `state`. Budget: `storage`, counted as key + value bytes.
//!
//! Values are written as JSON; [`raw`] keeps bytes as they are. A turn reads its own writes. They take effect together when the
//! turn ends well and are dropped otherwise. Keys are 1 to 512 bytes; a value is at most 16 MiB. Every function fails
//! with `denied` without the grant.
//!
//! ```
//! use village::{Error, state, test};
//!
//! fn count(name: &str) -> Result<u32, Error> {
//!     state::update(&format!("greeted/{name}"), |times: Option<u32>| times.unwrap_or(0) + 1)
//! }
//!
//! test::Host::new().with_state().enter(|| {
//!     assert_eq!(count("Ada"), Ok(1));
//!     assert_eq!(count("Ada"), Ok(2));
//!     assert_eq!(state::get::<u32>("greeted/Bob"), Ok(None));
//! });
//! ```

use std::collections::VecDeque;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::imports::state as host;
use crate::json;
use crate::types::Error;

/// How often `update` tries again when something else was quicker.
const TRIES: u32 = 8;

/// A value and the version that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned<T> {
    /// What is kept.
    pub value: T,
    /// Differs after each change of the key, also when the value is the same.
    pub version: u64,
}

/// The value under `key`; none if there is none. Fails with `unreadable` if it is no `T`.
pub fn get<T: DeserializeOwned>(key: &str) -> Result<Option<T>, Error> {
    Ok(entry(key)?.map(|entry| entry.value))
}

/// The value under `key` with its version, for [`swap`].
pub fn entry<T: DeserializeOwned>(key: &str) -> Result<Option<Versioned<T>>, Error> {
    let Some(entry) = host::get(key)? else { return Ok(None) };
    Ok(Some(Versioned { value: read(key, &entry.value)?, version: entry.version }))
}

/// Puts `value` under `key`, whatever was there; answers the new version.
///
/// Fails with `limit` (`storage`) if it does not fit: the old value stays.
pub fn set<T: Serialize + ?Sized>(key: &str, value: &T) -> Result<u64, Error> {
    host::set(key, &json::write(value)?)
}

/// Puts `value` under `key` if its version is still `expected`; none expects that there is no value.
///
/// Fails with `conflict` if it is not, changing nothing, and as [`set`] does.
pub fn swap<T: Serialize + ?Sized>(key: &str, expected: Option<u64>, value: &T) -> Result<u64, Error> {
    host::swap(key, expected, &json::write(value)?)
}

/// Changes the value under `key` and answers the new one. `change` is called again if something else was quicker; after a few
/// times of that it fails with `conflict`.
pub fn update<T: DeserializeOwned + Serialize>(key: &str, mut change: impl FnMut(Option<T>) -> T) -> Result<T, Error> {
    let mut tries = 0;
    loop {
        let (old, expected) = match entry(key)? {
            Some(entry) => (Some(entry.value), Some(entry.version)),
            None => (None, None),
        };
        let new = change(old);
        tries += 1;
        match swap(key, expected, &new) {
            Ok(_) => return Ok(new),
            Err(Error::Conflict(_)) if tries < TRIES => {}
            Err(error) => return Err(error),
        }
    }
}

/// Takes `key` away; answers whether there was a value.
pub fn delete(key: &str) -> Result<bool, Error> {
    host::delete(key)
}

/// The entries whose keys begin with `prefix`, in byte order of their keys. They are fetched as they are asked for.
///
/// ```
/// use village::{state, test};
///
/// test::Host::new().with_state().enter(|| {
///     state::set("port/b", &2).unwrap();
///     state::set("port/a", &1).unwrap();
///     state::set("pier", &3).unwrap();
///     let ports: Result<Vec<(String, u32)>, _> = state::scan("port/").collect();
///     assert_eq!(ports.unwrap(), [("port/a".to_owned(), 1), ("port/b".to_owned(), 2)]);
/// });
/// ```
pub fn scan<T: DeserializeOwned>(prefix: &str) -> Scan<T> {
    Scan { pages: raw::scan(prefix), value: PhantomData }
}

/// What [`scan`] answers: keys and values, or why there are no more.
#[derive(Debug)]
pub struct Scan<T> {
    pages: raw::Scan,
    value: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Iterator for Scan<T> {
    type Item = Result<(String, T), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.pages.next()?;
        Some(entry.and_then(|entry| {
            let value = read(&entry.key, &entry.value)?;
            Ok((entry.key, value))
        }))
    }
}

fn read<T: DeserializeOwned>(key: &str, value: &[u8]) -> Result<T, Error> {
    json::read(value).map_err(|fault| Error::Unreadable(["state `", key, "`: ", &fault.text()].concat()))
}

/// The same store, with values as they are.
pub mod raw {
    use super::{Error, VecDeque, host};

    pub use crate::bindings::village::agent::state::Entry;

    /// How many entries are fetched at once. The host bounds their bytes as well.
    const PAGE: u32 = 128;

    /// The value under `key`; none if there is none.
    pub fn get(key: &str) -> Result<Option<Entry>, Error> {
        host::get(key)
    }

    /// Puts `value` under `key`, whatever was there; answers the new version.
    pub fn set(key: &str, value: &[u8]) -> Result<u64, Error> {
        host::set(key, value)
    }

    /// Puts `value` under `key` if its version is still `expected`; none expects that there is no value.
    pub fn swap(key: &str, expected: Option<u64>, value: &[u8]) -> Result<u64, Error> {
        host::swap(key, expected, value)
    }

    /// The entries whose keys begin with `prefix`, in byte order of their keys.
    pub fn scan(prefix: &str) -> Scan {
        Scan { prefix: prefix.to_owned(), after: None, page: VecDeque::new(), done: false }
    }

    /// What [`scan`] answers: entries, or why there are no more.
    #[derive(Debug)]
    pub struct Scan {
        prefix: String,
        after: Option<String>,
        page: VecDeque<Entry>,
        done: bool,
    }

    impl Iterator for Scan {
        type Item = Result<Entry, Error>;

        fn next(&mut self) -> Option<Self::Item> {
            if self.page.is_empty() && !self.done {
                match host::scan(&self.prefix, self.after.as_deref(), PAGE) {
                    Ok(page) => self.page = page.into(),
                    Err(error) => {
                        self.done = true;
                        return Some(Err(error));
                    }
                }
            }
            let entry = self.page.pop_front();
            match &entry {
                // A page begins behind the last entry of the one before.
                Some(entry) if self.page.is_empty() => self.after = Some(entry.key.clone()),
                Some(_) => {}
                None => self.done = true,
            }
            entry.map(Ok)
        }
    }
}
