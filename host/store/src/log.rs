//! The log: every change since the last checkpoint, in segments. A group of changes is one frame, synced before any of
//! them is acknowledged.

use crate::Error;
use crate::files::{File, Files};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The format of segments that is written here.
pub(crate) const FORMAT: u32 = 1;
const MAGIC: &[u8; 12] = b"village log\n";
/// A segment's head: magic, format, its number, the number of its first frame, salt, check.
const HEAD: usize = 12 + 4 + 8 + 8 + 16 + 16;
/// A frame's head: length, number, check.
pub(crate) const FRAME: usize = 4 + 8 + 16;

/// One row as the log has it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entry<'a> {
    Put(&'a [u8], &'a [u8]),
    Delete(&'a [u8]),
    Clear(&'a [u8]),
}

/// The segment that is written to.
#[derive(Debug)]
pub(crate) struct Log {
    files: Arc<dyn Files>,
    folder: PathBuf,
    path: PathBuf,
    file: Arc<dyn File>,
    number: u64,
    salt: [u8; 16],
    /// Where the next frame goes. Everything before is synced.
    end: u64,
    /// How long the file is: there are zeros from `end` to here.
    ready: u64,
    next: u64,
    /// Whether there may be something behind `end`.
    torn: bool,
}

impl Log {
    /// Makes a segment, durable before it is used.
    pub(crate) fn create(files: Arc<dyn Files>, folder: &Path, number: u64, next: u64) -> Result<Log, Error> {
        let path = path(folder, number);
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|error| Error::io(&path, io::Error::other(error)))?;
        let mut head = Vec::with_capacity(HEAD);
        head.extend_from_slice(MAGIC);
        head.extend_from_slice(&FORMAT.to_le_bytes());
        head.extend_from_slice(&number.to_le_bytes());
        head.extend_from_slice(&next.to_le_bytes());
        head.extend_from_slice(&salt);
        head.extend_from_slice(&check(&[&head]));
        let make = || {
            let file = files.open(&path, true)?;
            file.set_len(0)?;
            file.write(0, &head)?;
            file.sync()?;
            files.sync_folder(folder)?;
            Ok(file)
        };
        let file = make().map_err(|error| Error::io(&path, error))?;
        let end = HEAD as u64;
        Ok(Log { folder: folder.into(), path, file, number, salt, end, ready: end, next, torn: false, files })
    }

    /// Its number.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// How many bytes of frames it has.
    pub(crate) fn bytes(&self) -> u64 {
        self.end - HEAD as u64
    }

    /// Goes on with a new segment.
    pub(crate) fn rotate(&mut self) -> Result<(), Error> {
        self.trim();
        *self = Log::create(self.files.clone(), &self.folder, self.number + 1, self.next)?;
        Ok(())
    }

    /// Takes the zeros behind the frames away. They do no harm, but they take room.
    pub(crate) fn trim(&mut self) {
        if self.file.set_len(self.end).is_ok() {
            self.ready = self.end;
        }
    }

    /// Writes and syncs one frame, whose head's place is left free at the front of `frame`. After an error nothing of it
    /// is there, or will be gone before anything else is written.
    pub(crate) fn append(&mut self, frame: &mut [u8]) -> Result<(), Error> {
        self.heal()?;
        let (head, body) = frame.split_at_mut(FRAME);
        let length = u32::try_from(body.len()).map_err(|_| Error::TooLarge { bytes: body.len(), limit: LIMIT })?;
        head[..4].copy_from_slice(&length.to_le_bytes());
        head[4..12].copy_from_slice(&self.next.to_le_bytes());
        head[12..].copy_from_slice(&check(&[&self.salt, &self.next.to_le_bytes(), body]));
        self.torn = true;
        let written = self.file.write(self.end, frame);
        if let Err(error) =
            written.and_then(|()| self.prepare(self.end + frame.len() as u64)).and_then(|()| self.file.sync())
        {
            let error = Error::io(&self.path, error);
            // Where this fails too, the next append tries again.
            let _ = self.heal();
            return Err(error);
        }
        self.torn = false;
        self.end += frame.len() as u64;
        self.ready = self.ready.max(self.end);
        self.next += 1;
        Ok(())
    }

    /// Writes zeros ahead of the frames that are to come, once those up to `end` have used up what was there. A sync within
    /// a file that does not grow waits for nobody: where it grows, it waits for whatever else the file system has to write.
    fn prepare(&mut self, end: u64) -> io::Result<()> {
        if end <= self.ready {
            return Ok(());
        }
        let ahead = (end - HEAD as u64).clamp(AHEAD.0, AHEAD.1);
        let zeros = vec![0; ahead as usize];
        match self.file.write(end, &zeros) {
            Ok(()) => self.ready = end + ahead,
            // A disk without room for zeros may have some for frames.
            Err(_) => {
                self.file.set_len(end)?;
                self.ready = end;
            }
        }
        Ok(())
    }

    /// Takes away what a failed append may have left.
    fn heal(&mut self) -> Result<(), Error> {
        if self.torn {
            let cut = || {
                self.file.set_len(self.end)?;
                self.file.sync()
            };
            cut().map_err(|error| Error::io(&self.path, error))?;
            self.ready = self.end;
            self.torn = false;
        }
        Ok(())
    }
}

/// So many zeros are written ahead: as many as there are frames, within these.
const AHEAD: (u64, u64) = (64 << 10, 1 << 20);

/// The most bytes of one frame.
pub(crate) const LIMIT: usize = 1 << 30;

/// Appends an entry to a frame.
pub(crate) fn push(frame: &mut Vec<u8>, entry: &Entry<'_>) {
    let (tag, key, value): (u8, &[u8], Option<&[u8]>) = match *entry {
        Entry::Put(key, value) => (1, key, Some(value)),
        Entry::Delete(key) => (2, key, None),
        Entry::Clear(prefix) => (3, prefix, None),
    };
    frame.push(tag);
    for part in [Some(key), value].into_iter().flatten() {
        // Fits: no frame has more than `LIMIT` bytes.
        frame.extend_from_slice(&(part.len() as u32).to_le_bytes());
        frame.extend_from_slice(part);
    }
}

fn pull<'a>(frame: &mut &'a [u8]) -> Option<Entry<'a>> {
    let (&tag, rest) = frame.split_first()?;
    *frame = rest;
    let mut part = || {
        let (length, rest) = frame.split_first_chunk()?;
        let (part, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        *frame = rest;
        Some(part)
    };
    match tag {
        1 => Some(Entry::Put(part()?, part()?)),
        2 => Some(Entry::Delete(part()?)),
        3 => Some(Entry::Clear(part()?)),
        _ => None,
    }
}

fn check(parts: &[&[u8]]) -> [u8; 16] {
    let mut hash = blake3::Hasher::new();
    for part in parts {
        hash.update(part);
    }
    let mut check = [0; 16];
    hash.finalize_xof().fill(&mut check);
    check
}

pub(crate) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:012}.log"))
}

/// The numbers of the segments in a folder, in order.
pub(crate) fn segments(files: &dyn Files, folder: &Path) -> Result<Vec<u64>, Error> {
    let names = files.names(folder).map_err(|error| Error::io(folder, error))?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| name.strip_suffix(".log")?.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Shows every entry behind segment `applied` to `each`, in order, and opens the log to go on.
pub(crate) fn replay(
    files: &Arc<dyn Files>,
    folder: &Path,
    applied: u64,
    each: &mut dyn FnMut(Entry<'_>) -> Result<(), Error>,
) -> Result<Log, Error> {
    let mut log: Option<Log> = None;
    // What a process that was killed has left is not durable until it is synced, and from now on it is shown.
    files.sync_folder(folder).map_err(|error| Error::io(folder, error))?;
    let numbers = segments(&**files, folder)?;
    let last = numbers.last().copied();
    for number in numbers {
        let path = path(folder, number);
        if number <= applied {
            // Left by a process that ended between a checkpoint and this.
            files.remove(&path).map_err(|error| Error::io(&path, error))?;
            continue;
        }
        let expected = log.as_ref().map_or(applied + 1, |log| log.number + 1);
        if number != expected {
            return Err(Error::damaged(&self::path(folder, expected), "it is missing"));
        }
        let segment = Segment { files, folder, path, number, last: Some(number) == last };
        let Some(read) = segment.read(log.as_ref().map(|log| log.next), each)? else { break };
        log = Some(read);
    }
    match log {
        Some(log) => {
            log.file.sync().map_err(|error| Error::io(&log.path, error))?;
            Ok(log)
        }
        // The next segment is durable before a checkpoint begins.
        None if applied > 0 => Err(Error::damaged(&path(folder, applied + 1), "it is missing")),
        None => Log::create(files.clone(), folder, 1, 1),
    }
}

struct Segment<'a> {
    files: &'a Arc<dyn Files>,
    folder: &'a Path,
    path: PathBuf,
    number: u64,
    /// Only the last one can end in the middle of a frame.
    last: bool,
}

impl Segment<'_> {
    /// Nothing if it never came to be used.
    fn read(
        self,
        next: Option<u64>,
        each: &mut dyn FnMut(Entry<'_>) -> Result<(), Error>,
    ) -> Result<Option<Log>, Error> {
        let file = self.files.open(&self.path, false).map_err(|error| Error::io(&self.path, error))?;
        let len = file.len().map_err(|error| Error::io(&self.path, error))?;
        let mut bytes = vec![0; usize::try_from(len).map_err(|_| Error::damaged(&self.path, "it is too long"))?];
        file.read(0, &mut bytes).map_err(|error| Error::io(&self.path, error))?;
        let Some((first, salt)) = self.head(&bytes)? else { return Ok(None) };
        if next.is_some_and(|next| next != first) {
            return Err(Error::damaged(&self.path, format!("it begins with frame {first}")));
        }
        let mut log = Log {
            files: self.files.clone(),
            folder: self.folder.into(),
            path: self.path.clone(),
            file,
            number: self.number,
            salt,
            end: HEAD as u64,
            ready: len,
            next: first,
            torn: false,
        };
        while let Some(body) = frame(&bytes[log.end as usize..], &log.salt, log.next) {
            log.end += (FRAME + body.len()) as u64;
            log.next += 1;
            let mut rest = body;
            while !rest.is_empty() {
                let entry =
                    pull(&mut rest).ok_or_else(|| Error::damaged(&self.path, "a frame has an unknown entry"))?;
                each(entry)?;
            }
        }
        let rest = &bytes[log.end as usize..];
        if rest.iter().any(|byte| *byte != 0) {
            self.judge(rest, &log)?;
            log.torn = true;
            log.heal()?;
        }
        Ok(Some(log))
    }

    /// The number of the first frame, and the salt.
    fn head(&self, bytes: &[u8]) -> Result<Option<(u64, [u8; 16])>, Error> {
        let damaged = || Error::damaged(&self.path, "its head is not what was written");
        let whole =
            bytes.split_first_chunk::<HEAD>().filter(|(head, _)| head[HEAD - 16..] == check(&[&head[..HEAD - 16]]));
        let Some((head, _)) = whole else {
            // Its head is synced before any frame is written.
            return if self.last && bytes.len() <= HEAD { Ok(None) } else { Err(damaged()) };
        };
        let number = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().unwrap_or_default());
        let format = u32::from_le_bytes(head[12..16].try_into().unwrap_or_default());
        if &head[..12] != MAGIC || (format == FORMAT && number(16) != self.number) {
            return Err(damaged());
        }
        if format > FORMAT {
            return Err(Error::Newer { file: self.path.clone(), found: format, known: FORMAT });
        }
        Ok(Some((number(24), head[32..48].try_into().unwrap_or_default())))
    }

    /// What is behind the last whole frame was torn by a crash, or it is damage: frames behind it that are whole were
    /// acknowledged, and so was what was before them.
    fn judge(&self, rest: &[u8], log: &Log) -> Result<(), Error> {
        let at = || format!("frame {} at byte {} is not what was written", log.next, log.end);
        if !self.last {
            return Err(Error::damaged(&self.path, at()));
        }
        let found = (1..rest.len().saturating_sub(FRAME)).any(|offset| {
            let number = rest[offset + 4..offset + 12].try_into().map(u64::from_le_bytes).unwrap_or_default();
            number > log.next && number < log.next + (1 << 32) && frame(&rest[offset..], &log.salt, number).is_some()
        });
        if found { Err(Error::damaged(&self.path, at())) } else { Ok(()) }
    }
}

/// The body of the frame that `bytes` begin with.
fn frame<'a>(bytes: &'a [u8], salt: &[u8; 16], number: u64) -> Option<&'a [u8]> {
    let (head, rest) = bytes.split_first_chunk::<FRAME>()?;
    let length = u32::from_le_bytes(head[..4].try_into().ok()?) as usize;
    let body = rest.get(..length)?;
    let whole = head[4..12] == number.to_le_bytes() && head[12..] == check(&[salt, &number.to_le_bytes(), body]);
    whole.then_some(body)
}
