//! A file being written: under a temporary name until it is whole, at any place and from any thread.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::{gguf, safetensors};
use crate::{Error, Format, Metadata, Result};

/// A model's file that does not exist under its name until [`Self::finish`]. Dropped before, it leaves nothing.
pub struct Output {
    file: tempfile::NamedTempFile,
    path: PathBuf,
    places: Vec<u64>,
    length: u64,
}

/// A tensor to be written: name, row-major shape, format.
pub type Plan = (String, Vec<u64>, Format);

impl Output {
    /// Begins a file that will hold these tensors; its kind is the metadata's. Every tensor must then be written.
    pub fn create(path: &Path, tensors: &[Plan], metadata: &Metadata) -> Result<Self> {
        let (header, places, length) = match metadata {
            Metadata::Safetensors(pairs) => {
                let (header, places) = safetensors::header(tensors, pairs)?;
                let bytes: u64 = tensors.iter().filter_map(|(_, shape, format)| format.bytes(shape).ok()).sum();
                let length = header.len() as u64 + bytes;
                (header, places, length)
            }
            Metadata::Gguf(pairs) => gguf::header(tensors, pairs)?,
        };
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new().prefix(".partial-").tempfile_in(folder).map_err(Error::io(folder))?;
        file.write_all(&header).map_err(Error::io(path))?;
        // Room is asked for now: a full disk is known before hours of work, and gaps between tensors read as zero.
        file.as_file().set_len(length).map_err(Error::io(path))?;
        Ok(Self { file, path: path.to_path_buf(), places, length })
    }

    /// Writes part of tensor `number`, from byte `offset` of it.
    pub fn write(&self, number: usize, offset: u64, bytes: &[u8]) -> Result<()> {
        write_at(self.file.as_file(), bytes, self.places[number] + offset).map_err(Error::io(&self.path))
    }

    /// Bytes the file will have.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Makes the file appear under its name, all at once. What was there before is replaced.
    pub fn finish(self) -> Result<()> {
        let path = self.path;
        readable(self.file.as_file()).map_err(Error::io(&path))?;
        self.file.as_file().sync_data().map_err(Error::io(&path))?;
        self.file.persist(&path).map_err(|e| Error::io(&path)(e.error))?;
        Ok(())
    }
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], at: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, at)
}

#[cfg(windows)]
fn write_at(file: &File, mut bytes: &[u8], mut at: u64) -> std::io::Result<()> {
    while !bytes.is_empty() {
        let written = std::os::windows::fs::FileExt::seek_write(file, bytes, at)?;
        if written == 0 {
            return Err(std::io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[written..];
        at += written as u64;
    }
    Ok(())
}

/// A temporary file is its owner's alone; a model is a file like any other.
#[cfg(unix)]
pub(crate) fn readable(file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
pub(crate) fn readable(_: &File) -> std::io::Result<()> {
    Ok(())
}
