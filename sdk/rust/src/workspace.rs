//! The agent's own workspace: files, and objects that are kept in versions. Grant: `workspace`. Budget: `storage`, together
//! with the state's.
//!
//! Not the folders that a manifest grants: those are `std::fs`'s, belong to somebody else, and are outside of the turn. A turn
//! reads its own writes; they take effect together with those of [`state`](crate::state) when the turn ends well and are
//! dropped otherwise. A file may be far larger than the agent's memory: it is read and written in pieces.
//!
//! A path is 1 to 512 bytes: parts with `/` between them, none of them empty, `.` or `..`, and no control characters. Names of
//! objects follow the same rules. Every function fails with `denied` without the grant, with `invalid` for a bad path, and those that
//! write with `limit` (`storage` or `memory`), changing nothing, if it does not fit.
//!
//! ```
//! use village::{Error, test, workspace};
//!
//! fn note(line: &str) -> Result<u64, Error> {
//!     workspace::append("notes/today.txt", format!("{line}\n"))
//! }
//!
//! test::Host::new().with_workspace().enter(|| {
//!     assert_eq!(note("rain"), Ok(5));
//!     assert_eq!(note("sun"), Ok(9));
//!     assert_eq!(workspace::read_all("notes/today.txt"), Ok(b"rain\nsun\n".to_vec()));
//!
//!     let first = workspace::keep("plan", "walk").unwrap();
//!     workspace::keep("plan", "drive").unwrap();
//!     assert_eq!(workspace::get("plan"), Ok(Some(b"drive".to_vec())));
//!     assert_eq!(workspace::version("plan", first), Ok(Some(b"walk".to_vec())));
//! });
//! ```

use std::collections::VecDeque;
use std::fmt;

use crate::imports::workspace as host;
use crate::types::Error;

pub use crate::bindings::village::agent::workspace::{File, Object, Version};

/// What one call reads at most.
const PIECE: u32 = 1 << 20;

/// How many are listed at once.
const PAGE: u32 = 128;

/// `length` bytes of a file from `offset` on; fewer if it ends before, none if it ends at or before `offset`.
///
/// At most 1 MiB is answered, however large `length` is: go on behind it. Fails with `not-found` if there is no such file.
pub fn read(path: &str, offset: u64, length: u32) -> Result<Vec<u8>, Error> {
    host::read(path, offset, length)
}

/// All of a file, which must fit into the agent's memory. Fails with `not-found` if there is no such file.
pub fn read_all(path: &str) -> Result<Vec<u8>, Error> {
    let mut all = host::read(path, 0, PIECE)?;
    let mut last = all.len();
    while last == PIECE as usize {
        let piece = host::read(path, all.len() as u64, PIECE)?;
        last = piece.len();
        all.extend_from_slice(&piece);
    }
    Ok(all)
}

/// Makes `content` all that the file has, whether there was one or not. More than 16 MiB fails with `invalid`: [`append`] the rest.
pub fn write(path: &str, content: impl AsRef<[u8]>) -> Result<(), Error> {
    host::write(path, content.as_ref())
}

/// Adds `content` at the file's end, and makes the file if there is none; answers the size that it has then.
///
/// More than 16 MiB, or a file of more than 1 TiB, fails with `invalid`.
pub fn append(path: &str, content: impl AsRef<[u8]>) -> Result<u64, Error> {
    host::append(path, content.as_ref())
}

/// Puts `content` into the file from `offset` on, over what is there. The file grows if need be; behind its end, zeros fill the gap.
///
/// Fails with `not-found` if there is no such file, and as [`append`] does.
pub fn write_at(path: &str, offset: u64, content: impl AsRef<[u8]>) -> Result<(), Error> {
    host::write_at(path, offset, content.as_ref())
}

/// Cuts the file after `size` bytes, or lengthens it with zeros. Fails with `not-found` if there is no such file.
pub fn truncate(path: &str, size: u64) -> Result<(), Error> {
    host::truncate(path, size)
}

/// Gives a file another path. A file that had that path is gone then.
///
/// Fails with `not-found` if there is no file at `source`.
pub fn rename(source: &str, target: &str) -> Result<(), Error> {
    host::rename(source, target)
}

/// Takes a file away; answers whether there was one.
pub fn remove(path: &str) -> Result<bool, Error> {
    host::remove(path)
}

/// A file's size and time; none if there is no such file.
pub fn stat(path: &str) -> Result<Option<File>, Error> {
    host::stat(path)
}

/// The files in `folder` and in the folders within it, in byte order of their paths; an empty `folder` is the whole
/// workspace. They are fetched as they are asked for.
///
/// ```
/// use village::{test, workspace};
///
/// test::Host::new().with_workspace().enter(|| {
///     for path in ["maps/b", "maps/a/1", "mapsfold"] {
///         workspace::write(path, "x").unwrap();
///     }
///     let paths: Result<Vec<_>, _> = workspace::files("maps").map(|file| file.map(|file| file.path)).collect();
///     assert_eq!(paths.unwrap(), ["maps/a/1", "maps/b"]);
/// });
/// ```
pub fn files(folder: &str) -> List<File> {
    let folder = folder.to_owned();
    List::new(move |last: Option<&File>| host::files(&folder, last.map(|file| file.path.as_str()), PAGE))
}

/// Keeps `content` as the newest version of an object, which is made if there is none; answers the version's number.
///
/// Numbers grow, with gaps, and none is ever given twice. More than 16 MiB fails with `invalid`.
pub fn keep(name: &str, content: impl AsRef<[u8]>) -> Result<u64, Error> {
    host::keep(name, content.as_ref())
}

/// What the newest version of an object has; none if there is no such object.
pub fn get(name: &str) -> Result<Option<Vec<u8>>, Error> {
    host::get(name, None)
}

/// What a version of an object has; none if there is no such object, or it has no such version.
pub fn version(name: &str, number: u64) -> Result<Option<Vec<u8>>, Error> {
    host::get(name, Some(number))
}

/// The versions of an object, the oldest first. One that is not there has none.
pub fn versions(name: &str) -> List<Version> {
    let name = name.to_owned();
    List::new(move |last: Option<&Version>| host::versions(&name, last.map(|version| version.number), PAGE))
}

/// Drops all versions of an object but the newest `leave`; answers how many are gone. A `leave` of 0 fails with `invalid`.
///
/// ```
/// use village::{test, workspace};
///
/// test::Host::new().with_workspace().enter(|| {
///     let numbers: Vec<u64> = ["a", "b", "c"].iter().map(|text| workspace::keep("plan", text).unwrap()).collect();
///     assert_eq!(workspace::prune("plan", 2), Ok(1));
///     let left: Vec<u64> = workspace::versions("plan").map(|version| version.unwrap().number).collect();
///     assert_eq!(left, numbers[1..]);
/// });
/// ```
pub fn prune(name: &str, leave: u64) -> Result<u64, Error> {
    host::prune(name, leave)
}

/// Takes an object away, with all its versions; answers whether there was one.
pub fn delete(name: &str) -> Result<bool, Error> {
    host::delete(name)
}

/// The objects whose names begin with `prefix`, in byte order of their names; an empty prefix matches every object.
pub fn objects(prefix: &str) -> List<Object> {
    let prefix = prefix.to_owned();
    List::new(move |last: Option<&Object>| host::objects(&prefix, last.map(|object| object.name.as_str()), PAGE))
}

type Fetch<T> = Box<dyn FnMut(Option<&T>) -> Result<Vec<T>, Error>>;

/// What [`files`], [`versions`] and [`objects`] answer: one after the other, or why there are no more. A page is fetched when it is
/// needed.
pub struct List<T> {
    /// The page behind this one, or the first.
    fetch: Fetch<T>,
    page: VecDeque<T>,
    last: Option<T>,
    done: bool,
}

impl<T> List<T> {
    fn new(fetch: impl FnMut(Option<&T>) -> Result<Vec<T>, Error> + 'static) -> List<T> {
        List { fetch: Box::new(fetch), page: VecDeque::new(), last: None, done: false }
    }
}

impl<T: Clone> Iterator for List<T> {
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.is_empty() && !self.done {
            match (self.fetch)(self.last.as_ref()) {
                Ok(page) => {
                    self.done = page.is_empty();
                    self.last = page.last().cloned();
                    self.page = page.into();
                }
                Err(error) => {
                    self.done = true;
                    return Some(Err(error));
                }
            }
        }
        self.page.pop_front().map(Ok)
    }
}

impl<T> fmt::Debug for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("List").field("done", &self.done).finish_non_exhaustive()
    }
}
