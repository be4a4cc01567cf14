//! A key-value store in memory, with the turn's writes over what is committed.

use std::ops::Bound;

use crate::state::raw::Entry;
use crate::test::world::{World, open};
use crate::types::{Error, Limit};

/// As in the contract.
const LARGEST: usize = 16 << 20;
const PAGE: usize = 1 << 20;

pub(crate) fn get(key: &str) -> Result<Option<Entry>, Error> {
    check(key)?;
    Ok(open("state")?.borrow().turn.state.get(key).map(|(value, version)| entry(key, value, *version)))
}

pub(crate) fn set(key: &str, value: &[u8]) -> Result<u64, Error> {
    let world = open("state")?;
    check(key)?;
    put(&mut world.borrow_mut(), key, value)
}

pub(crate) fn swap(key: &str, expected: Option<u64>, value: &[u8]) -> Result<u64, Error> {
    let world = open("state")?;
    check(key)?;
    let mut world = world.borrow_mut();
    if world.turn.state.get(key).map(|(_, version)| *version) != expected {
        return Err(Error::Conflict(key.to_owned()));
    }
    put(&mut world, key, value)
}

pub(crate) fn delete(key: &str) -> Result<bool, Error> {
    let world = open("state")?;
    check(key)?;
    let mut world = world.borrow_mut();
    let there = world.turn.state.contains_key(key);
    if there {
        world.put(key, None);
    }
    Ok(there)
}

pub(crate) fn scan(prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<Entry>, Error> {
    let world = open("state")?;
    if limit == 0 {
        return Err(Error::Invalid("limit".to_owned()));
    }
    let start = match after {
        Some(after) if after >= prefix => Bound::Excluded(after),
        _ => Bound::Included(prefix),
    };
    let world = world.borrow();
    let mut page = Vec::new();
    let mut bytes = 0;
    for (key, (value, version)) in world.turn.state.range::<str, _>((start, Bound::Unbounded)) {
        bytes += key.len() + value.len();
        let full = page.len() == limit as usize || (bytes > PAGE && !page.is_empty());
        if full || !key.starts_with(prefix) {
            break;
        }
        page.push(entry(key, value, *version));
    }
    Ok(page)
}

fn put(world: &mut World, key: &str, value: &[u8]) -> Result<u64, Error> {
    if value.len() > LARGEST {
        return Err(Error::Invalid("a value of more than 16 MiB".to_owned()));
    }
    let before = world.turn.state.get(key).map_or(0, |(value, _)| key.len() + value.len());
    if world.held() - before as u64 + (key.len() + value.len()) as u64 > world.storage {
        return Err(Error::Limit(Limit { what: "storage".to_owned(), retry_after: None }));
    }
    Ok(world.put(key, Some(value.to_vec())))
}

fn entry(key: &str, value: &[u8], version: u64) -> Entry {
    Entry { key: key.to_owned(), value: value.to_vec(), version }
}

fn check(key: &str) -> Result<(), Error> {
    if (1..=512).contains(&key.len()) {
        return Ok(());
    }
    Err(Error::Invalid(format!("a key of {} bytes", key.len())))
}
