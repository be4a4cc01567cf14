//! Records of the journal, and the chain of hashes over them.

use crate::Error;
use crate::table::{self, Table};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The blake3 hash of some bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Hash(pub(crate) [u8; 32]);

impl Hash {
    /// What the chain begins with.
    pub const ZERO: Hash = Hash([0; 32]);

    /// The hash of `bytes`.
    pub fn of(bytes: &[u8]) -> Hash {
        Hash(blake3::hash(bytes).into())
    }

    /// Its 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The hash with these bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Hash {
        Hash(bytes)
    }

    /// Its 64 hexadecimal digits.
    pub fn hex(&self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }

    pub(crate) fn parse(hex: &str) -> Option<Hash> {
        blake3::Hash::from_hex(hex).ok().map(|hash| Hash(hash.into()))
    }

    /// The next link of the chain: over the link before, and over a record's number, time and body.
    pub fn next(&self, seq: u64, time: u64, body: &Hash) -> Hash {
        let mut link = [0; 80];
        link[..32].copy_from_slice(&self.0);
        link[32..40].copy_from_slice(&seq.to_le_bytes());
        link[40..48].copy_from_slice(&time.to_le_bytes());
        link[48..].copy_from_slice(&body.0);
        Hash::of(&link)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "blake3:{}", self.hex())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// What a record says.
#[derive(Clone, PartialEq, Eq)]
pub enum Body {
    /// Its bytes.
    Kept(Vec<u8>),
    /// They were erased; this is their hash, so that the chain still verifies.
    Erased(Hash),
}

/// One record of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its number: the first is 1, and none is left out.
    pub seq: u64,
    /// When it was made, in milliseconds since 1970, as its maker's clock had it.
    pub time: u64,
    /// Its link of the chain.
    pub hash: Hash,
    /// What it says.
    pub body: Body,
}

/// A record's bytes before its body: format, what the body is, time, link.
pub(crate) const OVERHEAD: usize = 2 + 8 + 32;
const FORMAT: u8 = 1;
const KEPT: u8 = 0;
const ERASED: u8 = 1;

/// Sorts before all other tables.
pub(crate) const JOURNAL: Table<u64, ()> = Table::own(".journal");
/// Where the journal begins after it was cut: the last record that is gone.
pub(crate) const ANCHOR: Table<u8, Anchor> = Table::own(".journal-anchor");
/// The version of what [`Change::record`](crate::Change::record) makes of a value.
pub(crate) const VALUE: u8 = 1;

/// The last record that was cut off: its number, and its link of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// Its number; 0 if nothing was cut.
    pub seq: u64,
    /// Its link.
    pub hash: Hash,
}

impl Anchor {
    /// Where a journal begins from which nothing was cut.
    pub const START: Anchor = Anchor { seq: 0, hash: Hash::ZERO };
}

impl Record {
    /// Reads what [`Change::record`](crate::Change::record) wrote; nothing if it was erased.
    pub fn read<V: DeserializeOwned>(&self) -> Result<Option<V>, Error> {
        match &self.body {
            Body::Kept(bytes) => table::decode(JOURNAL.name(), VALUE, bytes).map(Some),
            Body::Erased(_) => Ok(None),
        }
    }

    /// Its body's bytes; nothing if they were erased.
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.body {
            Body::Kept(bytes) => Some(bytes),
            Body::Erased(_) => None,
        }
    }

    /// Whether it follows a record with that link.
    pub fn follows(&self, link: &Hash) -> bool {
        let body = match &self.body {
            Body::Kept(bytes) => Hash::of(bytes),
            Body::Erased(hash) => *hash,
        };
        link.next(self.seq, self.time, &body) == self.hash
    }

    /// The row that it is kept in.
    pub(crate) fn encode(time: u64, link: &Hash, body: &[u8], erased: bool) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(OVERHEAD + body.len());
        bytes.extend_from_slice(&[FORMAT, if erased { ERASED } else { KEPT }]);
        bytes.extend_from_slice(&time.to_le_bytes());
        bytes.extend_from_slice(&link.0);
        bytes.extend_from_slice(body);
        bytes
    }

    /// The record in a row; nothing if it isn't one.
    pub(crate) fn decode(seq: u64, row: &[u8]) -> Option<Record> {
        let ([FORMAT, kind], rest) = row.split_first_chunk()? else { return None };
        let (time, rest) = rest.split_first_chunk()?;
        let (link, body) = rest.split_first_chunk()?;
        let body = match *kind {
            KEPT => Body::Kept(body.into()),
            ERASED => Body::Erased(Hash(body.try_into().ok()?)),
            _ => return None,
        };
        Some(Record { seq, time: u64::from_le_bytes(*time), hash: Hash(*link), body })
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Body::Kept(bytes) => write!(f, "{} bytes", bytes.len()),
            Body::Erased(hash) => write!(f, "erased {hash}"),
        }
    }
}
