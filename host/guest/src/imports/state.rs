//! `village:agent/state`.

use super::bindings::village::agent::state::{Entry, Host};
use super::{Error, denied, limit};
use crate::ctx::Ctx;
use crate::state::{Part, Refused, Value};
use crate::tape::{Bytes, Seen};

/// A value is at most this long.
const LONGEST: usize = 16 << 20;

/// A scan answers at most this much, and one entry at least.
const SCAN: usize = 1 << 20;

type Answer<T> = wasmtime::Result<Result<T, Error>>;

impl Host for Ctx {
    fn get(&mut self, key: String) -> Answer<Option<Entry>> {
        Ok(self.state_key(&key).and_then(|()| {
            let value = self.value(&key)?;
            Ok(value.map(|value| entry(key, &value)))
        }))
    }

    fn set(&mut self, key: String, value: Vec<u8>) -> Answer<u64> {
        Ok(self.state_key(&key).and_then(|()| self.put(&key, Some(value))))
    }

    fn swap(&mut self, key: String, expected: Option<u64>, value: Vec<u8>) -> Answer<u64> {
        Ok(self.state_key(&key).and_then(|()| {
            let there = self.value(&key)?;
            let version = there.map(|there| there.version);
            if version != expected {
                let found = version.map_or("no value".into(), |version| format!("version {version}"));
                return Err(Error::Conflict(format!("`{key}` has {found}")));
            }
            self.put(&key, Some(value))
        }))
    }

    fn delete(&mut self, key: String) -> Answer<bool> {
        Ok(self.state_key(&key).and_then(|()| {
            let there = self.value(&key)?.is_some();
            if there {
                self.put(&key, None)?;
            }
            Ok(there)
        }))
    }

    fn scan(&mut self, prefix: String, after: Option<String>, most: u32) -> Answer<Vec<Entry>> {
        if !self.grants.state {
            return Ok(Err(denied("state")));
        }
        if most == 0 {
            return Ok(Err(Error::Invalid("a scan's limit must not be 0".into())));
        }
        let (mut entries, mut bytes) = (0, 0);
        let full = |key: &str, value: &Value| {
            bytes += key.len() + value.bytes.len();
            let full = entries >= most || (entries > 0 && bytes > SCAN);
            entries += 1;
            full
        };
        if let Some(found) = self.found(&prefix, after.as_deref(), most) {
            return Ok(found);
        }
        let found = self.accounts.state.scan(&self.writes, Part::State, &prefix, after.as_deref(), full);
        if let Ok(found) = &found {
            let size: usize = found.iter().map(|(key, value)| key.len() + value.bytes.len() + 32).sum();
            let size = size + prefix.len() + after.as_ref().map_or(0, String::len);
            let rows = || found.iter().map(|(key, value)| (key.clone(), value.version, piece(value))).collect();
            self.tape.note(size, || Seen::Scan { prefix, after, most, found: rows() });
        }
        let entries = |found: Vec<(String, Value)>| found.into_iter().map(|(key, value)| entry(key, &value)).collect();
        Ok(found.map(entries).map_err(unavailable))
    }
}

impl Ctx {
    /// What the turn sees under `key`.
    fn value(&mut self, key: &str) -> Result<Option<Value>, Error> {
        if let Some(changed) = self.writes.find(Part::State, key) {
            return Ok(changed.cloned());
        }
        let wanted = |seen: &Seen| match seen {
            Seen::State { key: seen, value } if seen == key => Some(value.clone()),
            _ => None,
        };
        if let Some(found) = self.tape.find(|| format!("the state of `{key}`"), wanted) {
            let value = found.ok_or_else(missing)?;
            return Ok(value.map(|(version, bytes)| Value { bytes: bytes.0.into(), version }));
        }
        let value = self.accounts.state.get(&self.writes, Part::State, key).map_err(unavailable)?;
        let size = key.len() + value.as_ref().map_or(0, |value| value.bytes.len());
        let kept = || value.as_ref().map(|value| (value.version, piece(value)));
        self.tape.note(size, || Seen::State { key: key.into(), value: kept() });
        Ok(value)
    }

    /// In a turn that is run again: what such a scan found.
    fn found(&mut self, prefix: &str, after: Option<&str>, most: u32) -> Option<Result<Vec<Entry>, Error>> {
        let wanted = |seen: &Seen| match seen {
            Seen::Scan { prefix: p, after: a, most: m, found }
                if p == prefix && a.as_deref() == after && *m == most =>
            {
                Some(found.clone())
            }
            _ => None,
        };
        let found = self.tape.find(|| format!("a scan of `{prefix}`"), wanted)?;
        let entry = |(key, version, value): (String, u64, Bytes)| Entry { key, value: value.0, version };
        Some(found.map(|rows| rows.into_iter().map(entry).collect()).ok_or_else(missing))
    }

    fn state_key(&self, key: &str) -> Result<(), Error> {
        if !self.grants.state {
            return Err(denied("state"));
        }
        match key.len() {
            1..=512 => Ok(()),
            length => Err(Error::Invalid(format!("a key has 1 to 512 bytes, not {length}"))),
        }
    }

    fn put(&mut self, key: &str, value: Option<Vec<u8>>) -> Result<u64, Error> {
        if value.as_ref().is_some_and(|value| value.len() > LONGEST) {
            return Err(Error::Invalid("a value has at most 16 MiB".into()));
        }
        self.accounts.state.put(&mut self.writes, key, value).map_err(|refused| match refused {
            Refused::Storage => limit("storage", None),
            Refused::Memory => limit("memory", None),
            Refused::Store(error) => unavailable(error),
        })
    }
}

fn entry(key: String, value: &Value) -> Entry {
    Entry { key, value: value.bytes.to_vec(), version: value.version }
}

fn piece(value: &Value) -> Bytes {
    Bytes(value.bytes.to_vec())
}

fn missing() -> Error {
    Error::Unavailable("the record of this turn does not have it".into())
}

fn unavailable(error: store::Error) -> Error {
    Error::Unavailable(format!("the state can't be read: {error}"))
}
