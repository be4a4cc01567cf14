//! Objects, by their names, in versions that never change.

use super::content::drop_pieces;
use super::{Answer, OBJECT, PIECE, Refused, VERSION, Workspace, bounded, content, hex, name, put, short_enough};
use crate::state::Batch;
use serde::{Deserialize, Serialize};

/// What an object is known by. Its number comes first, as that of a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Object {
    id: u64,
    /// The newest version.
    pub(crate) latest: u64,
    pub(crate) versions: u64,
    /// Bytes of all versions.
    pub(crate) size: u64,
}

/// What is known of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Version {
    pub(crate) size: u64,
    /// Unix milliseconds.
    pub(crate) kept: u64,
}

/// What an object counts as beside its name, and each version beside its size.
const OBJECT_COST: u64 = 128;
const VERSION_COST: u64 = 64;

/// So many versions are looked at together when they are dropped.
const PAGE: u32 = 256;

fn key(name: &str) -> String {
    format!("{OBJECT}{name}")
}

fn cost(name: &str, object: &Object) -> i64 {
    (name.len() as u64 + OBJECT_COST + object.size + object.versions * VERSION_COST) as i64
}

impl Object {
    fn version(&self, number: u64) -> String {
        format!("{VERSION}{}{}", hex(self.id), hex(number))
    }

    /// Whose a version's content is.
    fn owner(&self, number: u64) -> String {
        hex(self.id) + &hex(number)
    }
}

impl Workspace<'_> {
    fn object(&mut self, name: &str) -> Answer<Option<Object>> {
        name::check("a name", name)?;
        self.read_row(&key(name))
    }

    /// Keeps the newest version of an object; answers its number.
    pub(crate) fn keep(&mut self, name: &str, bytes: &[u8]) -> Answer<u64> {
        short_enough(bytes)?;
        let before = self.object(name)?;
        let mut batch = Batch::default();
        let number = self.number(&mut batch)?;
        let mut object = before.unwrap_or(Object { id: number, latest: number, versions: 0, size: 0 });
        object.latest = number;
        object.versions += 1;
        object.size += bytes.len() as u64;
        batch.more = cost(name, &object) - before.map_or(0, |before| cost(name, &before));
        put(&mut batch, object.version(number), &Version { size: bytes.len() as u64, kept: self.now });
        self.put_content(&mut batch, &object.owner(number), 0, 0, bytes)?;
        put(&mut batch, key(name), &object);
        self.apply(batch)?;
        Ok(number)
    }

    /// What a version has, or the newest one.
    pub(crate) fn version(&mut self, name: &str, number: Option<u64>) -> Answer<Option<Vec<u8>>> {
        let Some(object) = self.object(name)? else { return Ok(None) };
        let number = number.unwrap_or(object.latest);
        let Some(version) = self.read_row::<Version>(&object.version(number))? else { return Ok(None) };
        self.content(&object.owner(number), 0..version.size).map(Some)
    }

    /// The versions of an object with their numbers, the oldest first.
    pub(crate) fn versions(&mut self, name: &str, after: Option<u64>, limit: u32) -> Answer<Vec<(u64, Version)>> {
        let limit = bounded(limit)?;
        match self.object(name)? {
            Some(object) => self.versions_of(&object, after, limit),
            None => Ok(Vec::new()),
        }
    }

    fn versions_of(&mut self, object: &Object, after: Option<u64>, limit: u32) -> Answer<Vec<(u64, Version)>> {
        let prefix = format!("{VERSION}{}", hex(object.id));
        let after = after.map(|number| object.version(number));
        let rows = self.rows::<Version>(&prefix, after.as_deref(), limit)?;
        let number = |key: &str| u64::from_str_radix(&key[prefix.len()..], 16).ok();
        let numbered = |(key, version): (String, Version)| match number(&key) {
            Some(number) => Ok((number, version)),
            None => Err(Refused::Unreadable("the versions of an object".into())),
        };
        rows.into_iter().map(numbered).collect()
    }

    /// Drops all versions but the newest; answers how many are gone.
    pub(crate) fn prune(&mut self, name: &str, leave: u64) -> Answer<u64> {
        if leave == 0 {
            return Err(Refused::Invalid("`leave` must not be 0: `delete` takes the object away".into()));
        }
        let Some(before) = self.object(name)? else { return Ok(0) };
        let drop = before.versions.saturating_sub(leave);
        let (mut batch, mut object, mut last) = (Batch::default(), before, None);
        while before.versions - object.versions < drop {
            let left = drop - (before.versions - object.versions);
            let page = self.versions_of(&object, last, left.min(PAGE.into()) as u32)?;
            if page.is_empty() {
                return Err(Refused::Unreadable(format!("the versions of the object `{name}`")));
            }
            for (number, version) in page {
                object.versions -= 1;
                object.size -= version.size;
                batch.rows.push((object.version(number), None));
                drop_pieces(&mut batch, &object.owner(number), 0..version.size.div_ceil(content::SIZE));
                last = Some(number);
            }
        }
        if drop > 0 {
            batch.more = cost(name, &object) - cost(name, &before);
            put(&mut batch, key(name), &object);
            self.apply(batch)?;
        }
        Ok(drop)
    }

    /// Takes an object away; answers whether there was one.
    pub(crate) fn delete(&mut self, name: &str) -> Answer<bool> {
        let Some(object) = self.object(name)? else { return Ok(false) };
        let owned = |kind: char| format!("{kind}{}", hex(object.id));
        let (cleared, rows) = (vec![owned(VERSION), owned(PIECE)], vec![(key(name), None)]);
        self.apply(Batch { cleared, rows, more: -cost(name, &object) })?;
        Ok(true)
    }

    /// Objects, with their names.
    pub(crate) fn objects(&mut self, prefix: &str, after: Option<&str>, limit: u32) -> Answer<Vec<(String, Object)>> {
        let rows = self.rows(&key(prefix), after.map(key).as_deref(), bounded(limit)?)?;
        Ok(rows.into_iter().map(|(key, object)| (key[1..].into(), object)).collect())
    }
}
