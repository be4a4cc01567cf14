//! Blobs: bytes found by their BLAKE3 hash, in verified chunks. Here is what a chunk and an outline are, and how they are read.

use crate::raw;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use blake3::Hasher;
use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};

/// The name of a blob: the BLAKE3 of its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BlobHash([u8; 32]);

/// The bytes of a chunk, all but the last: a power of two, so that chunks are subtrees of the hash.
pub const CHUNK: usize = 512 << 10;
/// The most chunks of a blob: what their hashes take still fits into one answer.
pub(crate) const CHUNKS: usize = 32 << 10;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Want {
    /// The hashes of its chunks.
    Outline(BlobHash),
    /// One chunk.
    Chunk(BlobHash, u32),
}

/// What is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Give {
    /// The blob has one chunk: this.
    Whole(#[serde(with = "raw")] Vec<u8>),
    /// The hashes of its chunks, two at least.
    Outline(Vec<ChainingValue>),
    /// The chunk.
    Chunk(#[serde(with = "raw")] Vec<u8>),
    /// It is not here.
    Nothing,
    /// Too much is under way.
    Busy,
}

impl BlobHash {
    /// The hash of these bytes.
    pub fn of(bytes: &[u8]) -> BlobHash {
        BlobHash(blake3::hash(bytes).into())
    }

    /// The hash with these bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> BlobHash {
        BlobHash(bytes)
    }

    /// Its 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Where a blob is in a folder: under the 64 digits of its hash, as in the store's.
    pub(crate) fn path(&self, folder: &Path) -> PathBuf {
        folder.join(self.to_string())
    }
}

impl fmt::Display for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for BlobHash {
    type Err = crate::Error;

    fn from_str(text: &str) -> Result<BlobHash, crate::Error> {
        let parsed = blake3::Hash::from_hex(text).map_err(|_| crate::Error::Setting {
            setting: "hash",
            what: format!("`{text}`: the hash of a blob has 64 hexadecimal digits"),
        })?;
        Ok(BlobHash(parsed.into()))
    }
}

/// The hash of one chunk of a blob with several.
pub(crate) fn chunk_hash(index: u32, bytes: &[u8]) -> ChainingValue {
    let mut hasher = Hasher::new();
    hasher.set_input_offset(u64::from(index) * CHUNK as u64);
    hasher.update(bytes).finalize_non_root()
}

/// Whether this can be chunk `index` of a blob with this outline.
pub(crate) fn is_chunk(outline: &[ChainingValue], index: u32, bytes: &[u8]) -> bool {
    let last = index as usize + 1 == outline.len();
    let fits = if last { (1..=CHUNK).contains(&bytes.len()) } else { bytes.len() == CHUNK };
    fits && outline.get(index as usize).is_some_and(|hash| *hash == chunk_hash(index, bytes))
}

/// The hash of the blob whose chunks have these hashes: two at least.
pub(crate) fn root(outline: &[ChainingValue]) -> Option<BlobHash> {
    if outline.len() < 2 || outline.len() > CHUNKS {
        return None;
    }
    let (left, right) = outline.split_at(left_part(outline.len()));
    Some(BlobHash(merge_subtrees_root(&merge(left), &merge(right), Mode::Hash).into()))
}

fn merge(part: &[ChainingValue]) -> ChainingValue {
    match part {
        [one] => *one,
        more => {
            let (left, right) = more.split_at(left_part(more.len()));
            merge_subtrees_non_root(&merge(left), &merge(right), Mode::Hash)
        }
    }
}

/// The left subtree is the largest full one that leaves something for the right.
fn left_part(chunks: usize) -> usize {
    chunks.next_power_of_two() / 2
}

/// Reads what others get of a blob first: all of it, or its outline. Nothing if it is not here or has changed.
pub(crate) fn outline(folder: &Path, hash: &BlobHash) -> io::Result<Option<Give>> {
    let mut file = match File::open(hash.path(folder)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let mut outline = Vec::new();
    loop {
        let chunk = read_chunk(&mut file)?;
        if outline.is_empty() && chunk.len() < CHUNK {
            return Ok((BlobHash::of(&chunk) == *hash).then_some(Give::Whole(chunk)));
        }
        if chunk.is_empty() || outline.len() == CHUNKS {
            break;
        }
        outline.push(chunk_hash(outline.len() as u32, &chunk));
    }
    if let [_] = outline[..] {
        // Of just one full chunk: as a whole it has another hash than as a part.
        file.seek(SeekFrom::Start(0))?;
        let whole = read_chunk(&mut file)?;
        return Ok((BlobHash::of(&whole) == *hash).then_some(Give::Whole(whole)));
    }
    Ok((root(&outline) == Some(*hash)).then_some(Give::Outline(outline)))
}

/// Reads one chunk. That it is right is for whoever asks to see.
pub(crate) fn chunk(folder: &Path, hash: &BlobHash, index: u32) -> io::Result<Option<Vec<u8>>> {
    let mut file = match File::open(hash.path(folder)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    file.seek(SeekFrom::Start(u64::from(index) * CHUNK as u64))?;
    let chunk = read_chunk(&mut file)?;
    Ok((!chunk.is_empty()).then_some(chunk))
}

/// Up to a chunk's bytes, fewer only at the end.
pub(crate) fn read_chunk(file: &mut File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(CHUNK);
    file.take(CHUNK as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use super::*;

    #[test]
    fn the_outline_of_any_size_leads_to_the_plain_hash() {
        let folder = tempfile::tempdir().unwrap();
        let sizes = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK - 7, 5 * CHUNK + 1, 8 * CHUNK];
        for size in sizes {
            let bytes: Vec<u8> = (0..size).map(|n| (n * 31 + n / 251) as u8).collect();
            let hash = BlobHash::of(&bytes);
            std::fs::write(hash.path(folder.path()), &bytes).unwrap();
            match outline(folder.path(), &hash).unwrap() {
                Some(Give::Whole(whole)) => assert!(size <= CHUNK && whole == bytes),
                Some(Give::Outline(outline)) => {
                    assert!(size > CHUNK && outline.len() == size.div_ceil(CHUNK));
                    for index in 0..outline.len() as u32 {
                        let chunk = chunk(folder.path(), &hash, index).unwrap().unwrap();
                        assert!(is_chunk(&outline, index, &chunk));
                        assert!(!is_chunk(&outline, index, &chunk[1..]));
                        let mut changed = chunk.clone();
                        changed[0] ^= 1;
                        assert!(!is_chunk(&outline, index, &changed));
                    }
                    let mut changed = outline.clone();
                    changed[0][0] ^= 1;
                    assert_ne!(root(&changed), Some(hash));
                }
                other => panic!("{size}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_has_changed_on_disk_is_not_offered() {
        let folder = tempfile::tempdir().unwrap();
        for size in [100, CHUNK, 3 * CHUNK] {
            let bytes = vec![7; size];
            let hash = BlobHash::of(&bytes);
            let mut changed = bytes;
            changed[size / 2] ^= 1;
            std::fs::write(hash.path(folder.path()), &changed).unwrap();
            assert_eq!(outline(folder.path(), &hash).unwrap(), None, "{size}");
        }
        assert_eq!(outline(folder.path(), &BlobHash::of(b"away")).unwrap(), None);
    }
}
