//! The file system as the store uses it: small enough to be replaced by one that fails on purpose.

use std::any::Any;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

/// A lock that is held until this is dropped.
pub type Lock = Box<dyn Any + Send + Sync>;

/// A file system.
pub trait Files: fmt::Debug + Send + Sync + 'static {
    /// Opens a file for reading and writing; with `create`, an empty one if there is none.
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn File>>;
    /// Makes a folder that only its owner can enter, and those above it.
    fn make_folder(&self, path: &Path) -> io::Result<()>;
    /// The names of the files in a folder.
    fn names(&self, folder: &Path) -> io::Result<Vec<String>>;
    /// Renames a file, replacing what has that name. Durable after [`sync_folder`](Files::sync_folder).
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file. Durable after [`sync_folder`](Files::sync_folder).
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    /// Takes a file's exclusive lock, or nothing if somebody else has it.
    fn lock(&self, path: &Path) -> io::Result<Option<Lock>>;
}

/// An open file. What was written is durable after [`sync`](File::sync).
pub trait File: fmt::Debug + Send + Sync {
    /// Its length.
    fn len(&self) -> io::Result<u64>;
    /// Whether it is empty.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Fills `out` from `offset` on; an error if the file is too short.
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;
    /// Writes all of `bytes` from `offset` on.
    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Cuts it, or extends it with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes contents and length durable.
    fn sync(&self) -> io::Result<()>;
}

/// The file system of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

#[derive(Debug)]
struct Opened(fs::File);

impl Files for Disk {
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn File>> {
        let file =
            fs::OpenOptions::new().read(true).write(true).create(create).truncate(false).mode(0o600).open(path)?;
        Ok(Arc::new(Opened(file)))
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                names.extend(entry.file_name().into_string());
            }
        }
        Ok(names)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        fs::File::open(folder)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }
}

impl File for Opened {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// Reads a whole file, refusing one of more than `limit` bytes.
pub(crate) fn read_all(files: &dyn Files, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = files.open(path, false)?;
    let len = file.len()?;
    if len > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("{len} bytes, and {limit} is the most")));
    }
    let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
    file.read(0, &mut bytes)?;
    Ok(bytes)
}

/// Puts a file there whole: whatever happens, its name stands for the old contents or for the new ones.
pub(crate) fn replace(files: &dyn Files, path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_through(files, &path.with_extension("part"), path, bytes)
}

/// The same through a file `part` that nobody else uses meanwhile.
pub(crate) fn replace_through(files: &dyn Files, part: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or_else(|| io::Error::other("a file is in a folder"))?;
    let write = || {
        let file = files.open(part, true)?;
        file.set_len(0)?;
        file.write(0, bytes)?;
        file.sync()?;
        files.rename(part, path)
    };
    if let Err(error) = write() {
        // Half a file must not keep a full disk full.
        let _ = files.remove(part);
        return Err(error);
    }
    files.sync_folder(folder)
}
