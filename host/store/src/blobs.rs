//! Blobs: bytes found by their hash, a file each. A row that names one is committed after it, and deleted before it.

use crate::Error;
use crate::files::{self, Files};
use crate::record::Hash;
use parking_lot::{RwLock, RwLockReadGuard};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The blobs of a store. Everything here blocks.
#[derive(Clone, Debug)]
pub struct Blobs {
    files: Arc<dyn Files>,
    folder: PathBuf,
    shared: Arc<Removing>,
}

/// While a backup copies blobs, none is removed.
#[derive(Debug, Default)]
struct Removing {
    lock: RwLock<()>,
    parts: AtomicU64,
}

/// The most bytes of one blob: it is in memory as a whole.
pub const BLOB_LIMIT: u64 = 1 << 30;

impl Blobs {
    pub(crate) fn open(files: Arc<dyn Files>, folder: PathBuf) -> Result<Blobs, Error> {
        files.make_folder(&folder).map_err(|error| Error::io(&folder, error))?;
        for name in files.names(&folder).map_err(|error| Error::io(&folder, error))? {
            // Begun by a process that ended before it was whole.
            if name.ends_with(".part") {
                let _ = files.remove(&folder.join(name));
            }
        }
        Ok(Blobs { files, folder, shared: Arc::default() })
    }

    fn path(&self, hash: &Hash) -> PathBuf {
        self.folder.join(hash.hex())
    }

    /// Keeps these bytes. They are durable when this returns.
    pub fn put(&self, bytes: &[u8]) -> Result<Hash, Error> {
        if bytes.len() as u64 > BLOB_LIMIT {
            return Err(Error::TooLarge { bytes: bytes.len(), limit: BLOB_LIMIT as usize });
        }
        let hash = Hash::of(bytes);
        let path = self.path(&hash);
        // What is there and damaged is written anew.
        if matches!(self.get(&hash), Ok(Some(_))) {
            // Whoever put it there may not have come to this, or not yet.
            self.files.sync_folder(&self.folder).map_err(|error| Error::io(&self.folder, error))?;
            return Ok(hash);
        }
        let number = self.shared.parts.fetch_add(1, Ordering::Relaxed);
        let part = self.folder.join(format!("{}-{number}.part", hash.hex()));
        files::replace_through(&*self.files, &part, &path, bytes).map_err(|error| Error::io(&path, error))?;
        Ok(hash)
    }

    /// The bytes with that hash, which was verified; nothing if they are not here.
    pub fn get(&self, hash: &Hash) -> Result<Option<Vec<u8>>, Error> {
        let path = self.path(hash);
        match files::read_all(&*self.files, &path, BLOB_LIMIT) {
            Ok(bytes) if Hash::of(&bytes) == *hash => Ok(Some(bytes)),
            Ok(_) => Err(Error::damaged(&path, "its bytes have another hash")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(&path, error)),
        }
    }

    /// Removes the bytes with that hash. They need not be there.
    pub fn remove(&self, hash: &Hash) -> Result<(), Error> {
        let _none_is_copied = self.shared.lock.write();
        let path = self.path(hash);
        match self.files.remove(&path) {
            Ok(()) => self.files.sync_folder(&self.folder).map_err(|error| Error::io(&self.folder, error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Error::io(&path, error)),
        }
    }

    /// The hashes of all blobs, in order.
    pub fn list(&self) -> Result<Vec<Hash>, Error> {
        let names = self.files.names(&self.folder).map_err(|error| Error::io(&self.folder, error))?;
        let mut hashes: Vec<Hash> = names.iter().filter_map(|name| Hash::parse(name)).collect();
        hashes.sort_unstable();
        Ok(hashes)
    }

    /// Keeps all blobs that are there as long as this is held.
    pub(crate) fn hold(&self) -> RwLockReadGuard<'_, ()> {
        self.shared.lock.read()
    }

    /// Where they are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}
