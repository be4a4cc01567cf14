//! `wasi:filesystem/types`: wasmtime's, with what a guest adds to granted folders taken from its `storage`.
//!
//! What it truncates is given back at once. What it deletes is given back when it has no file open, since until then it
//! may be one of those that were deleted. Neither gives back more than it added.

use super::streams::{self, Filling};
use crate::ctx::Ctx;
use runtime::Held;
use std::sync::Arc;
use wasmtime::component::Resource;
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::filesystem::types::{
    Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, DirectoryEntryStream, ErrorCode, Filesize,
    Host, HostDescriptor, HostDirectoryEntryStream, MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsError, FsResult};

/// What a name in a folder is counted as.
const NAME: u64 = 256;

/// What an entry of a listing is counted as beside its name.
const ENTRY: u64 = 64;

type Fd = Resource<Descriptor>;

/// What a folder held when it was read: a copy in the host's memory, which counts. It stands behind the handle of a
/// [`DirectoryEntryStream`].
struct Listing {
    entries: std::vec::IntoIter<FsResult<DirectoryEntry>>,
    _held: Held,
}

impl Host for Ctx {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        self.filesystem().convert_error_code(error)
    }

    fn filesystem_error_code(&mut self, error: Resource<wasmtime::Error>) -> wasmtime::Result<Option<ErrorCode>> {
        if self.table.get(&error)?.is::<runtime::Full>() {
            return Ok(Some(ErrorCode::InsufficientSpace));
        }
        self.filesystem().filesystem_error_code(error)
    }
}

impl Ctx {
    fn grow(&mut self, bytes: u64) -> FsResult<()> {
        self.settle();
        self.accounts.files.grow(bytes).map_err(|_| ErrorCode::InsufficientSpace.into())
    }

    /// Gives back what was deleted, if none of it can be open any more.
    fn settle(&mut self) {
        if self.open == 0 && Arc::strong_count(&self.streams) == 1 {
            self.accounts.files.shrink(std::mem::take(&mut self.deleted));
        }
    }

    /// Makes a new name, which counts if it could be made.
    async fn name<O>(&mut self, make: impl AsyncFnOnce(&mut Ctx) -> FsResult<O>) -> FsResult<O> {
        self.grow(NAME)?;
        let made = make(self).await;
        if made.is_err() {
            self.accounts.files.shrink(NAME);
        }
        made
    }

    /// The file behind a descriptor, with its size; none for a folder.
    fn file(&self, fd: &Fd) -> FsResult<Option<(Arc<std::fs::File>, u64)>> {
        match self.table.get(fd)? {
            Descriptor::Dir(_) => Ok(None),
            Descriptor::File(file) => {
                let size = file.file.metadata().map_err(|error| ErrorCode::from(&error))?.len();
                Ok(Some((file.file.clone(), size)))
            }
        }
    }

    fn is_file(&self, fd: &Fd) -> bool {
        matches!(self.table.get(fd), Ok(Descriptor::File(_)))
    }

    /// What deleting the name `path`, or putting another file in its place, will free; nothing if it isn't there.
    async fn freed_by(&mut self, fd: &Fd, path: &str) -> u64 {
        match self.filesystem().stat_at(borrow(fd), PathFlags::empty(), path.into()).await {
            Ok(stat) if stat.link_count <= 1 => stat.size + NAME,
            Ok(_) => NAME,
            Err(_) => 0,
        }
    }

    /// Whether two names are of one file; so it is taken to be where that can't be found out.
    async fn same(&mut self, fd: &Fd, path: &str, other_fd: &Fd, other: &str) -> bool {
        let one = self.filesystem().metadata_hash_at(borrow(fd), PathFlags::empty(), path.into()).await;
        let two = self.filesystem().metadata_hash_at(borrow(other_fd), PathFlags::empty(), other.into()).await;
        match (one, two) {
            (Ok(one), Ok(two)) => (one.lower, one.upper) == (two.lower, two.upper),
            _ => true,
        }
    }
}

/// Whether a file that is open has no name any more: its bytes are among those that were deleted.
#[cfg(unix)]
fn nameless(file: &std::fs::File) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    file.metadata().is_ok_and(|about| about.nlink() == 0)
}

/// Where a file can't lose its name while it is open.
#[cfg(not(unix))]
fn nameless(_file: &std::fs::File) -> bool {
    false
}

impl HostDescriptor for Ctx {
    async fn write(&mut self, fd: Fd, bytes: Vec<u8>, offset: Filesize) -> FsResult<Filesize> {
        let size = self.file(&fd)?.map_or(0, |(_, size)| size);
        let growth = offset.saturating_add(bytes.len() as u64).saturating_sub(size);
        self.grow(growth)?;
        let written = self.filesystem().write(fd, bytes, offset).await;
        let grown = written.as_ref().map_or(0, |written| offset.saturating_add(*written).saturating_sub(size));
        self.accounts.files.shrink(growth - grown.min(growth));
        written
    }

    async fn set_size(&mut self, fd: Fd, size: Filesize) -> FsResult<()> {
        let file = self.file(&fd)?;
        let before = file.as_ref().map_or(0, |(_, size)| *size);
        let growth = size.saturating_sub(before);
        self.grow(growth)?;
        let done = self.filesystem().set_size(fd, size).await;
        match done {
            Ok(()) if file.is_some_and(|(file, _)| nameless(&file)) => {}
            Ok(()) => self.accounts.files.shrink(before.saturating_sub(size)),
            Err(_) => self.accounts.files.shrink(growth),
        }
        done
    }

    fn write_via_stream(&mut self, fd: Fd, offset: Filesize) -> FsResult<Resource<DynOutputStream>> {
        let file = self.file(&fd)?;
        let stream = self.filesystem().write_via_stream(fd, offset)?;
        self.filling(stream, file, Some(offset))
    }

    fn append_via_stream(&mut self, fd: Fd) -> FsResult<Resource<DynOutputStream>> {
        let file = self.file(&fd)?;
        let stream = self.filesystem().append_via_stream(fd)?;
        self.filling(stream, file, None)
    }

    fn read_via_stream(&mut self, fd: Fd, offset: Filesize) -> FsResult<Resource<DynInputStream>> {
        let stream = self.filesystem().read_via_stream(fd, offset)?;
        let inner = self.table.delete(stream)?;
        let stream = streams::reading(inner, &self.accounts.memory, self.streams.clone())
            .map_err(|_| ErrorCode::InsufficientMemory)?;
        Ok(self.table.push(stream)?)
    }

    async fn open_at(
        &mut self,
        fd: Fd,
        path_flags: PathFlags,
        path: String,
        open: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Fd> {
        let touched = open.intersects(OpenFlags::CREATE | OpenFlags::TRUNCATE);
        let before = match touched {
            true => self.filesystem().stat_at(borrow(&fd), path_flags, path.clone()).await.ok(),
            false => None,
        };
        let named = open.contains(OpenFlags::CREATE) && before.is_none();
        if named {
            self.grow(NAME)?;
        }
        let opened = self.filesystem().open_at(fd, path_flags, path, open, flags).await;
        match (&opened, before) {
            (Ok(_), Some(stat)) if open.contains(OpenFlags::TRUNCATE) => self.accounts.files.shrink(stat.size),
            (Err(_), _) if named => self.accounts.files.shrink(NAME),
            _ => {}
        }
        let opened = opened?;
        self.open += usize::from(self.is_file(&opened));
        Ok(opened)
    }

    async fn create_directory_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        self.name(async move |ctx| ctx.filesystem().create_directory_at(fd, path).await).await
    }

    async fn symlink_at(&mut self, fd: Fd, from: String, to: String) -> FsResult<()> {
        self.name(async move |ctx| ctx.filesystem().symlink_at(fd, from, to).await).await
    }

    async fn link_at(&mut self, fd: Fd, flags: PathFlags, from: String, to_fd: Fd, to: String) -> FsResult<()> {
        self.name(async move |ctx| ctx.filesystem().link_at(fd, flags, from, to_fd, to).await).await
    }

    async fn unlink_file_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        let freed = self.freed_by(&fd, &path).await;
        self.filesystem().unlink_file_at(fd, path).await?;
        self.deleted += freed;
        Ok(())
    }

    async fn remove_directory_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        self.filesystem().remove_directory_at(fd, path).await?;
        self.deleted += NAME;
        Ok(())
    }

    async fn rename_at(&mut self, fd: Fd, from: String, to_fd: Fd, to: String) -> FsResult<()> {
        // Between two names of one file a rename changes nothing.
        let replaced = match self.same(&fd, &from, &to_fd, &to).await {
            true => 0,
            false => self.freed_by(&to_fd, &to).await,
        };
        self.filesystem().rename_at(fd, from, to_fd, to).await?;
        self.deleted += replaced;
        Ok(())
    }

    async fn read(&mut self, fd: Fd, length: Filesize, offset: Filesize) -> FsResult<(Vec<u8>, bool)> {
        self.filesystem().read(fd, length, offset).await
    }

    async fn advise(&mut self, fd: Fd, offset: Filesize, length: Filesize, advice: Advice) -> FsResult<()> {
        self.filesystem().advise(fd, offset, length, advice).await
    }

    async fn sync_data(&mut self, fd: Fd) -> FsResult<()> {
        self.filesystem().sync_data(fd).await
    }

    async fn sync(&mut self, fd: Fd) -> FsResult<()> {
        self.filesystem().sync(fd).await
    }

    async fn get_flags(&mut self, fd: Fd) -> FsResult<DescriptorFlags> {
        self.filesystem().get_flags(fd).await
    }

    async fn get_type(&mut self, fd: Fd) -> FsResult<DescriptorType> {
        self.filesystem().get_type(fd).await
    }

    async fn set_times(&mut self, fd: Fd, access: NewTimestamp, change: NewTimestamp) -> FsResult<()> {
        self.filesystem().set_times(fd, access, change).await
    }

    async fn set_times_at(
        &mut self,
        fd: Fd,
        flags: PathFlags,
        path: String,
        access: NewTimestamp,
        change: NewTimestamp,
    ) -> FsResult<()> {
        self.filesystem().set_times_at(fd, flags, path, access, change).await
    }

    async fn read_directory(&mut self, fd: Fd) -> FsResult<Resource<DirectoryEntryStream>> {
        let stream = self.filesystem().read_directory(fd).await?;
        let entries: Vec<_> = self.table.delete(stream)?.into_iter().collect();
        let bytes = entries.iter().map(|entry| ENTRY + entry.as_ref().map_or(0, |entry| entry.name.len() as u64)).sum();
        let held = self.accounts.memory.hold(bytes).map_err(|_| ErrorCode::InsufficientMemory)?;
        let listing = self.table.push(Listing { entries: entries.into_iter(), _held: held })?;
        Ok(Resource::new_own(listing.rep()))
    }

    async fn stat(&mut self, fd: Fd) -> FsResult<DescriptorStat> {
        self.filesystem().stat(fd).await
    }

    async fn stat_at(&mut self, fd: Fd, flags: PathFlags, path: String) -> FsResult<DescriptorStat> {
        self.filesystem().stat_at(fd, flags, path).await
    }

    async fn readlink_at(&mut self, fd: Fd, path: String) -> FsResult<String> {
        self.filesystem().readlink_at(fd, path).await
    }

    async fn is_same_object(&mut self, a: Fd, b: Fd) -> wasmtime::Result<bool> {
        self.filesystem().is_same_object(a, b).await
    }

    async fn metadata_hash(&mut self, fd: Fd) -> FsResult<MetadataHashValue> {
        self.filesystem().metadata_hash(fd).await
    }

    async fn metadata_hash_at(&mut self, fd: Fd, flags: PathFlags, path: String) -> FsResult<MetadataHashValue> {
        self.filesystem().metadata_hash_at(fd, flags, path).await
    }

    fn drop(&mut self, fd: Fd) -> wasmtime::Result<()> {
        self.open -= usize::from(self.is_file(&fd));
        HostDescriptor::drop(&mut self.filesystem(), fd)
    }
}

impl Ctx {
    fn filling(
        &mut self,
        stream: Resource<DynOutputStream>,
        file: Option<(Arc<std::fs::File>, u64)>,
        position: Option<u64>,
    ) -> FsResult<Resource<DynOutputStream>> {
        let inner = self.table.delete(stream)?;
        let Some((file, _)) = file else { return Err(ErrorCode::IsDirectory.into()) };
        let filling = Filling::new(inner, file, self.accounts.clone(), position, self.streams.clone());
        let stream: DynOutputStream = Box::new(filling.map_err(|_| ErrorCode::InsufficientMemory)?);
        Ok(self.table.push(stream)?)
    }
}

fn borrow(fd: &Fd) -> Fd {
    Resource::new_borrow(fd.rep())
}

impl HostDirectoryEntryStream for Ctx {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<DirectoryEntryStream>,
    ) -> FsResult<Option<DirectoryEntry>> {
        let listing: Resource<Listing> = Resource::new_borrow(stream.rep());
        self.table.get_mut(&listing)?.entries.next().transpose()
    }

    fn drop(&mut self, stream: Resource<DirectoryEntryStream>) -> wasmtime::Result<()> {
        self.table.delete(Resource::<Listing>::new_own(stream.rep()))?;
        Ok(())
    }
}
