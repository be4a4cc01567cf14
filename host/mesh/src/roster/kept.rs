//! How that is kept: the file, its versions, and that what is written late does not overwrite what is newer.

use super::Member;
use crate::Error;
use crate::identity;
use crate::key::Key;
use crate::leave::Leave;
use crate::pass::Pass;
use crate::votes::Matter;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub(super) const FILE: &str = "village";
const MAGIC: &[u8; 8] = b"vlg-mesh";
const VERSION: u8 = 2;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) pass: Pass,
    pub(super) members: BTreeMap<Key, Member>,
    pub(super) invitations: BTreeMap<[u8; 16], Issued>,
    pub(super) blocked: BTreeSet<Key>,
    /// How this peer has voted, until nobody asks any more.
    pub(super) cast: BTreeMap<Matter, Cast>,
    /// Who has left; this peer itself while it tells the others.
    pub(super) left: BTreeMap<Key, Leave>,
}

/// What version 1 kept.
#[derive(Deserialize)]
struct Kept1 {
    pass: Pass,
    members: BTreeMap<Key, Member>,
    invitations: BTreeMap<[u8; 16], Issued>,
    blocked: BTreeSet<Key>,
    cast: BTreeMap<Matter, Cast>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Cast {
    pub(super) yes: bool,
    pub(super) deadline: u64,
}

/// An invitation that was given.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Issued {
    pub(super) expires: u64,
    pub(super) uses: u32,
    /// Those who have used it: they may ask again if the answer got lost.
    pub(super) taken: BTreeSet<Key>,
}

/// The file, and the turn of what is in it: what comes late never overwrites what is newer.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    last: Mutex<u64>,
}

impl Place {
    pub(super) fn new(path: PathBuf) -> Place {
        Place { path, last: Mutex::new(0) }
    }

    pub(super) fn write(&self, turn: u64, bytes: &[u8]) -> Result<(), Error> {
        let mut last = self.last.lock();
        if turn > *last {
            identity::replace(&self.path, bytes)?;
            *last = turn;
        }
        Ok(())
    }
}

impl Kept {
    pub(super) fn found(own: Key) -> Kept {
        Kept {
            pass: Pass::found(own),
            members: BTreeMap::new(),
            invitations: BTreeMap::new(),
            blocked: BTreeSet::new(),
            cast: BTreeMap::new(),
            left: BTreeMap::new(),
        }
    }
}

impl Kept1 {
    fn later(self) -> Kept {
        let Kept1 { pass, members, invitations, blocked, cast } = self;
        Kept { pass, members, invitations, blocked, cast, left: BTreeMap::new() }
    }
}

/// Eight bytes that say what it is, the version, the content, and the hash of all that.
pub(super) fn write(kept: &Kept) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.push(VERSION);
    let mut bytes = postcard::to_extend(kept, bytes).expect("it has nothing that cannot be written");
    let hash = blake3::hash(&bytes);
    bytes.extend_from_slice(hash.as_bytes());
    bytes
}

pub(super) fn read(file: &Path, bytes: &[u8]) -> Result<Kept, Error> {
    let damaged = |what| Error::Damaged { file: file.into(), what };
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| damaged("it is another kind of file"))?;
    let version = match rest.first() {
        Some(&found @ 1..=VERSION) => found,
        Some(&found) => return Err(Error::Newer { file: file.into(), found, known: VERSION }),
        None => return Err(damaged("it was cut")),
    };
    let content = bytes.len().checked_sub(32).filter(|&end| end > MAGIC.len()).ok_or_else(|| damaged("it was cut"))?;
    if blake3::hash(&bytes[..content]).as_bytes() != &bytes[content..] {
        return Err(damaged("its bytes are not those that were written"));
    }
    let content = &bytes[MAGIC.len() + 1..content];
    let kept =
        if version == 1 { postcard::from_bytes(content).map(Kept1::later) } else { postcard::from_bytes(content) };
    let kept: Kept = kept.map_err(|_| damaged("it cannot be read"))?;
    let village = kept.pass.village();
    let good = kept.pass.is_of(&village) && kept.members.iter().all(|(key, member)| member.pass.holder() == *key);
    if !good {
        return Err(damaged("a pass in it is wrong"));
    }
    Ok(kept)
}
