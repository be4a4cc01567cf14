//! Compiled components, kept on disk.
//!
//! What is kept here is native code that this process will run, so the folder must belong to this user alone, and
//! each file carries a seal made with a key that only this user can read. A file without a good seal is not used.

use crate::engine::Error;
use base::Digest;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirBuilder, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// More than this is not kept: the oldest go first.
const MOST_BYTES: u64 = 1 << 30;

const SEAL: usize = blake3::OUT_LEN;

pub(crate) struct Cache {
    folder: Dir,
    path: PathBuf,
    key: [u8; 32],
}

/// Holding this, nobody else compiles.
pub(crate) struct CompilingTurn(#[allow(dead_code, reason = "the lock ends when it is dropped")] std::fs::File);

impl Cache {
    /// Opens the folder, and makes it if it isn't there.
    pub(crate) fn open(path: &Path) -> Result<Cache, Error> {
        let problem = |reason: String| Error::Cache { path: path.into(), reason };
        let folder = open_folder(path).map_err(|error| problem(error.to_string()))?;
        owner_only(&folder, path).map_err(problem)?;
        let key = key(&folder).map_err(|error| problem(format!("its key: {error}")))?;
        Ok(Cache { folder, path: path.into(), key })
    }

    /// The name of what `digest` compiles to, for an engine with the given compatibility.
    pub(crate) fn name(&self, digest: &Digest, compatibility: u64) -> String {
        format!("{}-{compatibility:016x}.native", digest.hex())
    }

    /// What was put under `name`, if it is there and its seal is good.
    pub(crate) fn get(&self, name: &str) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut file = self.folder.open(name).ok()?;
        bytes.reserve_exact(usize::try_from(file.metadata().ok()?.len()).ok()?);
        file.read_to_end(&mut bytes).ok()?;
        let body = bytes.len().checked_sub(SEAL)?;
        let seal = blake3::Hash::from_slice(&bytes[body..]).ok()?;
        // The comparison takes the same time wherever they differ.
        (self.seal(name, &bytes[..body]) == seal).then(|| {
            bytes.truncate(body);
            bytes
        })
    }

    /// Keeps `native` under `name`. It is there whole or not at all.
    pub(crate) fn put(&self, name: &str, native: &[u8]) -> Result<(), Error> {
        let problem = |error: std::io::Error| Error::Cache { path: self.path.clone(), reason: error.to_string() };
        self.make_room(native.len() as u64);
        let unfinished = unfinished(name);
        let write = || {
            let mut file = self.folder.open_with(&unfinished, &mine_alone())?;
            file.write_all(native)?;
            file.write_all(self.seal(name, native).as_bytes())?;
            file.sync_all()?;
            self.folder.rename(&unfinished, &self.folder, name)
        };
        write().map_err(|error| {
            let _ = self.folder.remove_file(&unfinished);
            problem(error)
        })
    }

    /// Waits for the right to compile: one at a time, among all that share this cache.
    pub(crate) async fn turn(&self) -> Result<CompilingTurn, Error> {
        let problem = |error: std::io::Error| Error::Cache { path: self.path.clone(), reason: error.to_string() };
        let mut options = OpenOptions::new();
        options.write(true).create(true);
        let file = self.folder.open_with("compiling", &options).map_err(problem)?.into_std();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(CompilingTurn(file)),
                Err(std::fs::TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(10)).await,
                Err(std::fs::TryLockError::Error(error)) => return Err(problem(error)),
            }
        }
    }

    fn seal(&self, name: &str, native: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        // The name too, so that no file can stand in for another.
        hasher.update(name.as_bytes()).update(native).finalize()
    }

    /// Removes the oldest until `more` bytes fit.
    fn make_room(&self, more: u64) {
        let Ok(entries) = self.folder.entries() else { return };
        let mut kept: Vec<_> = entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let name = entry.file_name().into_string().ok().filter(|name| name.contains(".native"))?;
                let about = entry.metadata().ok()?;
                Some((about.modified().ok()?.into_std(), about.len(), name))
            })
            .collect();
        kept.sort();
        let mut sum = more + kept.iter().map(|(_, bytes, _)| bytes).sum::<u64>();
        for (_, bytes, name) in kept {
            if sum <= MOST_BYTES {
                return;
            }
            if self.folder.remove_file(&name).is_ok() {
                sum -= bytes;
            }
        }
    }
}

fn open_folder(path: &Path) -> std::io::Result<Dir> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let name = path.file_name().ok_or_else(|| std::io::Error::other("it is no name of a folder"))?;
    let parent = Dir::open_ambient_dir(parent, ambient_authority())?;
    match parent.create_dir_with(name, &private_folder()) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => parent.open_dir(name),
    }
}

/// A name that nobody else uses, in this process or another, for a file that is being written.
fn unfinished(name: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{name}.{}.{}", std::process::id(), COUNT.fetch_add(1, Relaxed))
}

/// The key that seals are made with; made when it is first needed.
fn key(folder: &Dir) -> std::io::Result<[u8; 32]> {
    loop {
        match folder.open("key") {
            Ok(mut file) => {
                let mut key = [0; 32];
                file.read_exact(&mut key)?;
                return Ok(key);
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(std::io::Error::other)?;
        let unfinished = unfinished("key");
        let mut file = folder.open_with(&unfinished, &mine_alone())?;
        file.write_all(&key)?;
        file.sync_all()?;
        // Whoever links first wins; everybody then reads the winner's.
        let linked = folder.hard_link(&unfinished, folder, "key");
        folder.remove_file(&unfinished)?;
        match linked {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
}

#[cfg(unix)]
fn private_folder() -> DirBuilder {
    use cap_std::fs::DirBuilderExt;
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}

#[cfg(not(unix))]
fn private_folder() -> DirBuilder {
    DirBuilder::new()
}

#[cfg(unix)]
fn mine_alone() -> OpenOptions {
    use cap_std::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options
}

#[cfg(not(unix))]
fn mine_alone() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    options
}

/// Refuses a folder that somebody else owns or could write to.
#[cfg(unix)]
fn owner_only(folder: &Dir, path: &Path) -> Result<(), String> {
    use cap_std::fs::MetadataExt;
    let about = folder.dir_metadata().map_err(|error| error.to_string())?;
    let me = rustix::process::geteuid().as_raw();
    if about.uid() != me {
        return Err(format!("it belongs to user {}, and must belong to you (user {me})", about.uid()));
    }
    if about.mode() & 0o077 != 0 {
        return Err(format!("others can reach it; run `chmod 700 {}`", path.display()));
    }
    Ok(())
}

#[cfg(not(unix))]
fn owner_only(_folder: &Dir, _path: &Path) -> Result<(), String> {
    // The user's own profile folder is private by default.
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> (tempfile::TempDir, Cache) {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::open(&folder.path().join("native")).expect("a cache");
        (folder, cache)
    }

    #[test]
    fn what_is_put_comes_back() {
        let (folder, cache) = cache();
        cache.put("a", b"code").expect("kept");
        assert_eq!(cache.get("a").as_deref(), Some(&b"code"[..]));
        let again = Cache::open(&folder.path().join("native")).expect("a cache");
        assert_eq!(again.get("a").as_deref(), Some(&b"code"[..]), "the key is kept too");
    }

    #[test]
    fn a_changed_file_is_not_used() {
        let (folder, cache) = cache();
        cache.put("a", b"code").expect("kept");
        let path = folder.path().join("native/a");
        let good = std::fs::read(&path).expect("a file");
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, bad).expect("written");
            assert_eq!(cache.get("a"), None, "byte {at}");
        }
        std::fs::write(&path, &good[..10]).expect("written");
        assert_eq!(cache.get("a"), None, "truncated");
    }

    #[test]
    fn a_file_under_another_name_is_not_used() {
        let (folder, cache) = cache();
        cache.put("a", b"code").expect("kept");
        std::fs::copy(folder.path().join("native/a"), folder.path().join("native/b")).expect("copied");
        assert_eq!(cache.get("b"), None);
    }

    #[test]
    fn another_key_opens_nothing() {
        let (folder, cache) = cache();
        cache.put("a", b"code").expect("kept");
        std::fs::remove_file(folder.path().join("native/key")).expect("removed");
        let other = Cache::open(&folder.path().join("native")).expect("a cache");
        assert_eq!(other.get("a"), None);
    }

    #[test]
    fn one_folder_may_be_opened_many_times_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("native");
        let keys = std::thread::scope(|scope| {
            let open: Vec<_> = (0..16).map(|_| scope.spawn(|| Cache::open(&path).map(|cache| cache.key))).collect();
            open.into_iter().map(|one| one.join().expect("it ends").expect("a cache")).collect::<Vec<_>>()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_others_can_reach_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("native");
        Cache::open(&path).expect("a cache");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("set");
        let refusal = Cache::open(&path).err().expect("it is refused").to_string();
        assert!(refusal.contains("chmod 700"), "{refusal}");
    }
}
