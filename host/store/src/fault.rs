//! For tests: a disk in memory that can lose its power, run full, and fail.
//!
//! It is as unkind as a disk may be: what was not synced is lost or kept sector by sector, whatever its order, and names
//! that were not synced with their folder are lost or kept one by one.

use crate::files::{File, Files, Lock};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a disk writes whole, or not at all.
const SECTOR: usize = 512;

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct FaultyDisk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// All files that have or had a name, by number: an open file stays when its name goes.
    files: Vec<Contents>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    locks: HashSet<PathBuf>,
    capacity: Option<u64>,
    /// How many more operations succeed before the power fails.
    power: Option<u64>,
    dead: bool,
    /// How many more operations succeed before one fails, and how many fail then.
    failing: Option<(u64, u64)>,
    counts: Counts,
}

/// What was done on a disk so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Files written to.
    pub writes: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Files synced.
    pub syncs: u64,
    /// Folders synced.
    pub folder_syncs: u64,
}

#[derive(Debug, Default)]
struct Contents {
    now: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Pending>,
}

#[derive(Debug)]
enum Pending {
    Write(u64, Vec<u8>),
    Length(u64),
}

/// Small, and the same for the same seed everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// True so many times out of 256.
    fn chance(&mut self, of256: u64) -> bool {
        self.next() % 256 < of256
    }
}

impl FaultyDisk {
    /// An empty disk without faults.
    pub fn new() -> FaultyDisk {
        FaultyDisk::default()
    }

    /// Lets the power fail after so many more operations that change something. Then everything fails.
    pub fn cut_power_after(&self, operations: u64) {
        self.0.lock().power = Some(operations);
    }

    /// Whether the power has failed.
    pub fn is_dead(&self) -> bool {
        self.0.lock().dead
    }

    /// Cuts the power now, and answers with the disk as it is found when the power is back. What was not synced is there,
    /// gone, or torn, as the seed has it.
    pub fn power_cycle(&self, seed: u64) -> FaultyDisk {
        let mut state = self.0.lock();
        state.dead = true;
        let mut random = Random(seed);
        // From none of what is pending to all of it, and between.
        let kept = [0, 256, 128, 20, 236][(random.next() % 5) as usize];
        let names = surviving_names(&state, &mut random, kept);
        let files = state.files.iter().map(|contents| contents.torn(&mut random, kept)).collect();
        let next = State { files, durable_names: names.clone(), names, ..State::default() };
        FaultyDisk(Arc::new(Mutex::new(next)))
    }

    /// Answers with the disk as a process finds it that is started after this one was killed: nothing is lost, and what was
    /// not synced still is not.
    pub fn restart(&self) -> FaultyDisk {
        let mut state = self.0.lock();
        state.dead = true;
        let next = State {
            files: std::mem::take(&mut state.files),
            names: std::mem::take(&mut state.names),
            durable_names: std::mem::take(&mut state.durable_names),
            ..State::default()
        };
        FaultyDisk(Arc::new(Mutex::new(next)))
    }

    /// Lets the disk have room for so many bytes in all, or for whatever comes.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.0.lock().capacity = bytes;
    }

    /// How many bytes its files have.
    pub fn used(&self) -> u64 {
        self.0.lock().used()
    }

    /// Lets `count` operations that change something fail with an I/O error, after `after` more have succeeded.
    pub fn fail(&self, after: u64, count: u64) {
        self.0.lock().failing = Some((after, count));
    }

    /// What was done so far.
    pub fn counts(&self) -> Counts {
        self.0.lock().counts
    }

    /// Changes one bit of a file, in what is synced and in what is not.
    ///
    /// # Panics
    /// If there is no such file, or it is too short.
    pub fn flip(&self, path: &Path, byte: usize) {
        let mut state = self.0.lock();
        let number = *state.names.get(path).expect("there is such a file");
        let contents = &mut state.files[number];
        contents.now[byte] ^= 1;
        if let Some(byte) = contents.durable.get_mut(byte) {
            *byte ^= 1;
        }
    }

    /// The files and their lengths.
    pub fn list(&self) -> Vec<(PathBuf, u64)> {
        let state = self.0.lock();
        let length = |number: &usize| state.files[*number].now.len() as u64;
        state.names.iter().map(|(path, number)| (path.clone(), length(number))).collect()
    }
}

/// Names that were synced, but for those changed since, which are as before or as after.
fn surviving_names(state: &State, random: &mut Random, kept: u64) -> BTreeMap<PathBuf, usize> {
    let mut names = state.durable_names.clone();
    let changed: Vec<&PathBuf> = state
        .names
        .keys()
        .chain(state.durable_names.keys())
        .filter(|path| state.names.get(*path) != state.durable_names.get(*path))
        .collect();
    for path in changed {
        if random.chance(kept) {
            match state.names.get(path) {
                Some(number) => drop(names.insert(path.clone(), *number)),
                None => drop(names.remove(path)),
            }
        }
    }
    names
}

impl Contents {
    /// What is left of it when the power fails.
    fn torn(&self, random: &mut Random, kept: u64) -> Contents {
        let mut left = self.durable.clone();
        for pending in &self.pending {
            match pending {
                Pending::Length(length) if random.chance(kept) => left.resize(*length as usize, 0),
                Pending::Length(_) => {}
                Pending::Write(offset, bytes) => {
                    let mut at = 0;
                    while at < bytes.len() {
                        let start = *offset as usize + at;
                        let end = ((start / SECTOR + 1) * SECTOR).min(*offset as usize + bytes.len());
                        if random.chance(kept) {
                            if left.len() < end {
                                left.resize(end, 0);
                            }
                            left[start..end].copy_from_slice(&bytes[at..at + (end - start)]);
                        }
                        at += end - start;
                    }
                }
            }
        }
        Contents { now: left.clone(), durable: left, pending: Vec::new() }
    }

    fn sync(&mut self) {
        for pending in std::mem::take(&mut self.pending) {
            match pending {
                Pending::Length(length) => self.durable.resize(length as usize, 0),
                Pending::Write(offset, bytes) => put(&mut self.durable, offset, &bytes),
            }
        }
    }
}

fn put(contents: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let end = offset as usize + bytes.len();
    if contents.len() < end {
        contents.resize(end, 0);
    }
    contents[offset as usize..end].copy_from_slice(bytes);
}

impl State {
    fn used(&self) -> u64 {
        self.names.values().map(|number| self.files[*number].now.len() as u64).sum()
    }

    fn alive(&self) -> io::Result<()> {
        if self.dead { Err(io::Error::other("the power is off")) } else { Ok(()) }
    }

    /// Counts an operation that changes something, which may be the one that fails.
    fn operate(&mut self) -> io::Result<()> {
        if let Some(left) = &mut self.power {
            if *left == 0 {
                self.dead = true;
            }
            *left = left.saturating_sub(1);
        }
        self.alive()?;
        match &mut self.failing {
            Some((0, 0)) | None => Ok(()),
            Some((0, count)) => {
                *count -= 1;
                Err(io::Error::from_raw_os_error(5))
            }
            Some((after, _)) => {
                *after -= 1;
                Ok(())
            }
        }
    }

    /// How long a file can become.
    fn room(&self, number: usize) -> u64 {
        let len = self.files[number].now.len() as u64;
        self.capacity.map_or(u64::MAX, |capacity| len + capacity.saturating_sub(self.used()))
    }
}

#[derive(Debug)]
struct Opened {
    disk: FaultyDisk,
    number: usize,
}

struct Locked {
    disk: FaultyDisk,
    path: PathBuf,
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.disk.0.lock().locks.remove(&self.path);
    }
}

impl Files for FaultyDisk {
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn File>> {
        let mut state = self.0.lock();
        state.alive()?;
        let number = match state.names.get(path) {
            Some(number) => *number,
            None if !create => return Err(io::ErrorKind::NotFound.into()),
            None => {
                state.operate()?;
                state.files.push(Contents::default());
                let number = state.files.len() - 1;
                state.names.insert(path.into(), number);
                number
            }
        };
        Ok(Arc::new(Opened { disk: self.clone(), number }))
    }

    fn make_folder(&self, _: &Path) -> io::Result<()> {
        self.0.lock().alive()
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        let state = self.0.lock();
        state.alive()?;
        let inside = state.names.keys().filter(|path| path.parent() == Some(folder));
        Ok(inside.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.operate()?;
        let number = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.into(), number);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.operate()?;
        state.names.remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.operate()?;
        state.counts.folder_syncs += 1;
        state.durable_names.retain(|path, _| path.parent() != Some(folder));
        let synced: Vec<_> = state
            .names
            .iter()
            .filter(|(path, _)| path.parent() == Some(folder))
            .map(|(p, n)| (p.clone(), *n))
            .collect();
        state.durable_names.extend(synced);
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        let mut state = self.0.lock();
        state.alive()?;
        let free = state.locks.insert(path.into());
        Ok(free.then(|| Box::new(Locked { disk: self.clone(), path: path.into() }) as Lock))
    }
}

impl File for Opened {
    fn len(&self) -> io::Result<u64> {
        let state = self.disk.0.lock();
        state.alive()?;
        Ok(state.files[self.number].now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.disk.0.lock();
        state.alive()?;
        let contents = &state.files[self.number].now;
        let read = usize::try_from(offset).ok().and_then(|offset| contents.get(offset..offset + out.len()));
        out.copy_from_slice(read.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        // A write that fails may have reached the disk in part: all of it, where the power or the disk has failed, and
        // what there was room for.
        state.alive()?;
        let outcome = state.operate();
        let room = state.room(self.number);
        let end = (offset + bytes.len() as u64).min(room);
        let written = &bytes[..end.saturating_sub(offset) as usize];
        state.counts.writes += 1;
        state.counts.bytes += written.len() as u64;
        let contents = &mut state.files[self.number];
        if !written.is_empty() {
            put(&mut contents.now, offset, written);
            contents.pending.push(Pending::Write(offset, written.into()));
        }
        outcome?;
        if written.len() < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        state.operate()?;
        if len > state.room(self.number) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let contents = &mut state.files[self.number];
        contents.now.resize(len as usize, 0);
        contents.pending.push(Pending::Length(len));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        state.operate()?;
        state.counts.syncs += 1;
        state.files[self.number].sync();
        Ok(())
    }
}
