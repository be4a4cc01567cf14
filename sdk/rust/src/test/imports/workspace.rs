//! A workspace in memory: files and objects, with the turn's writes over what is committed.

use std::cell::RefCell;
use std::ops::Bound;
use std::rc::Rc;

use crate::test::world::{World, open};
use crate::types::{Error, Limit};
use crate::workspace::{File, Object, Version};

/// As in the contract.
const LONGEST: usize = 16 << 20;
const LARGEST: u64 = 1 << 40;
const PIECE: u64 = 1 << 20;
const LISTED: u32 = 1000;

/// A file's content, or a version's, and when it came to be.
pub(crate) type Kept = (Vec<u8>, u64);

pub(crate) fn read(path: &str, offset: u64, length: u32) -> Result<Vec<u8>, Error> {
    let world = at(path)?;
    let world = world.borrow();
    let (content, _) = world.turn.files.get(path).ok_or_else(|| no_file(path))?;
    let from = offset.min(content.len() as u64);
    let to = from.saturating_add(u64::from(length).min(PIECE)).min(content.len() as u64);
    Ok(content[from as usize..to as usize].to_vec())
}

pub(crate) fn write(path: &str, content: &[u8]) -> Result<(), Error> {
    let world = at(path)?;
    short(content)?;
    change(&mut world.borrow_mut(), |turn| put(turn, path, content.to_vec()))
}

pub(crate) fn append(path: &str, content: &[u8]) -> Result<u64, Error> {
    let world = at(path)?;
    let size = world.borrow().turn.files.get(path).map(|(content, _)| content.len() as u64);
    match size {
        Some(size) => write_at(path, size, content)?,
        None => write(path, content)?,
    }
    Ok(size.unwrap_or(0) + content.len() as u64)
}

pub(crate) fn write_at(path: &str, offset: u64, content: &[u8]) -> Result<(), Error> {
    let world = at(path)?;
    short(content)?;
    let end = small(offset.saturating_add(content.len() as u64))?;
    let mut world = world.borrow_mut();
    let mut file = world.turn.files.get(path).ok_or_else(|| no_file(path))?.0.clone();
    if content.is_empty() {
        return Ok(());
    }
    has_room(&world, end.saturating_sub(file.len() as u64))?;
    file.resize(file.len().max(end as usize), 0);
    file[offset as usize..end as usize].copy_from_slice(content);
    change(&mut world, |turn| put(turn, path, file))
}

pub(crate) fn truncate(path: &str, size: u64) -> Result<(), Error> {
    let world = at(path)?;
    let mut world = world.borrow_mut();
    let mut file = world.turn.files.get(path).ok_or_else(|| no_file(path))?.0.clone();
    let size = small(size)?;
    has_room(&world, size.saturating_sub(file.len() as u64))?;
    file.resize(size as usize, 0);
    change(&mut world, |turn| put(turn, path, file))
}

pub(crate) fn rename(source: &str, target: &str) -> Result<(), Error> {
    let world = at(source)?;
    check(target)?;
    let mut world = world.borrow_mut();
    let file = world.turn.files.get(source).ok_or_else(|| no_file(source))?.clone();
    change(&mut world, |turn| {
        turn.turn.files.remove(source);
        turn.turn.files.insert(target.to_owned(), file);
    })
}

pub(crate) fn remove(path: &str) -> Result<bool, Error> {
    Ok(at(path)?.borrow_mut().turn.files.remove(path).is_some())
}

pub(crate) fn stat(path: &str) -> Result<Option<File>, Error> {
    let world = at(path)?;
    let world = world.borrow();
    Ok(world.turn.files.get(path).map(|kept| file(path, kept)))
}

pub(crate) fn files(folder: &str, after: Option<&str>, limit: u32) -> Result<Vec<File>, Error> {
    let world = open("workspace")?;
    let limit = bounded(limit)?;
    let prefix = match folder {
        "" => String::new(),
        folder => {
            check(folder)?;
            format!("{folder}/")
        }
    };
    let world = world.borrow();
    let rows = world.turn.files.range::<str, _>((start(&prefix, after), Bound::Unbounded));
    let within = rows.take_while(|(path, _)| path.starts_with(&prefix)).take(limit);
    Ok(within.map(|(path, kept)| file(path, kept)).collect())
}

pub(crate) fn keep(name: &str, content: &[u8]) -> Result<u64, Error> {
    let world = at(name)?;
    short(content)?;
    change(&mut world.borrow_mut(), |world| {
        let (number, now) = (world.next(), world.accepted);
        world.turn.objects.entry(name.to_owned()).or_default().insert(number, (content.to_vec(), now));
        number
    })
}

pub(crate) fn get(name: &str, version: Option<u64>) -> Result<Option<Vec<u8>>, Error> {
    let world = at(name)?;
    let world = world.borrow();
    let Some(versions) = world.turn.objects.get(name) else { return Ok(None) };
    let found = match version {
        Some(number) => versions.get(&number),
        None => versions.values().next_back(),
    };
    Ok(found.map(|(content, _)| content.clone()))
}

pub(crate) fn versions(name: &str, after: Option<u64>, limit: u32) -> Result<Vec<Version>, Error> {
    let world = at(name)?;
    let limit = bounded(limit)?;
    let world = world.borrow();
    let Some(versions) = world.turn.objects.get(name) else { return Ok(Vec::new()) };
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    let rows = versions.range((from, Bound::Unbounded)).take(limit);
    Ok(rows
        .map(|(number, (content, kept))| Version { number: *number, size: content.len() as u64, kept: *kept })
        .collect())
}

pub(crate) fn prune(name: &str, leave: u64) -> Result<u64, Error> {
    let world = at(name)?;
    if leave == 0 {
        return Err(Error::Invalid("leave".to_owned()));
    }
    let mut world = world.borrow_mut();
    let Some(versions) = world.turn.objects.get_mut(name) else { return Ok(0) };
    let gone = (versions.len() as u64).saturating_sub(leave);
    (0..gone).for_each(|_| drop(versions.pop_first()));
    Ok(gone)
}

pub(crate) fn delete(name: &str) -> Result<bool, Error> {
    Ok(at(name)?.borrow_mut().turn.objects.remove(name).is_some())
}

pub(crate) fn objects(prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<Object>, Error> {
    let world = open("workspace")?;
    let limit = bounded(limit)?;
    let world = world.borrow();
    let rows = world.turn.objects.range::<str, _>((start(prefix, after), Bound::Unbounded));
    let within = rows.take_while(|(name, _)| name.starts_with(prefix)).take(limit);
    Ok(within
        .map(|(name, versions)| Object {
            name: name.clone(),
            latest: versions.keys().next_back().copied().unwrap_or_default(),
            versions: versions.len() as u64,
            size: versions.values().map(|(content, _)| content.len() as u64).sum(),
        })
        .collect())
}

/// What all of it counts as.
pub(crate) fn size(world: &World) -> u64 {
    let files = world.turn.files.iter().map(|(path, (content, _))| path.len() + content.len() + 128);
    let versions = |kept: &Kept| kept.0.len() + 64;
    let objects = world.turn.objects.iter();
    let objects = objects.map(|(name, kept)| name.len() + 128 + kept.values().map(versions).sum::<usize>());
    files.chain(objects).sum::<usize>() as u64
}

fn at(path: &str) -> Result<Rc<RefCell<World>>, Error> {
    let world = open("workspace")?;
    check(path)?;
    Ok(world)
}

fn put(world: &mut World, path: &str, content: Vec<u8>) {
    let now = world.accepted;
    world.turn.files.insert(path.to_owned(), (content, now));
}

/// Makes a change, or none if it does not fit.
fn change<T>(world: &mut World, work: impl FnOnce(&mut World) -> T) -> Result<T, Error> {
    let (before, size) = (world.turn.clone(), world.held());
    let done = work(world);
    if world.held() > world.storage.max(size) {
        world.turn = before;
        return Err(full());
    }
    Ok(done)
}

/// Looks before a file is made so large in memory.
fn has_room(world: &World, more: u64) -> Result<(), Error> {
    if more > 0 && world.held().saturating_add(more) > world.storage {
        return Err(full());
    }
    Ok(())
}

fn full() -> Error {
    Error::Limit(Limit { what: "storage".to_owned(), retry_after: None })
}

fn file(path: &str, (content, modified): &Kept) -> File {
    File { path: path.to_owned(), size: content.len() as u64, modified: *modified }
}

fn no_file(path: &str) -> Error {
    Error::NotFound(path.to_owned())
}

fn start<'a>(prefix: &'a str, after: Option<&'a str>) -> Bound<&'a str> {
    match after {
        Some(after) if after >= prefix => Bound::Excluded(after),
        _ => Bound::Included(prefix),
    }
}

fn bounded(limit: u32) -> Result<usize, Error> {
    match limit {
        0 => Err(Error::Invalid("limit".to_owned())),
        limit => Ok(limit.min(LISTED) as usize),
    }
}

fn short(content: &[u8]) -> Result<(), Error> {
    if content.len() > LONGEST {
        return Err(Error::Invalid("more than 16 MiB at once".to_owned()));
    }
    Ok(())
}

fn small(size: u64) -> Result<u64, Error> {
    if size > LARGEST {
        return Err(Error::Invalid("a file of more than 1 TiB".to_owned()));
    }
    Ok(size)
}

fn check(path: &str) -> Result<(), Error> {
    let good = |part: &str| !matches!(part, "" | "." | "..") && part.len() <= 255;
    if path.len() <= 512 && path.split('/').all(good) && !path.contains(char::is_control) {
        return Ok(());
    }
    Err(Error::Invalid(format!("the path or name {path:?}")))
}
