//! The data folder: its owner's alone, and of one village at a time.

use crate::error::Error;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::Path;

/// A data folder that this village has. It is free again when this is dropped, or the process ends.
pub(crate) struct Folder {
    _lock: File,
}

impl Folder {
    /// Takes a folder, made if it isn't there.
    pub(crate) fn take(path: &Path) -> Result<Folder, Error> {
        let broken = |error: std::io::Error| Error::Kept(format!("{}: {error}", path.display()));
        private(path).map_err(broken)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut lock = options.open(path.join("lock")).map_err(broken)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let _ = (&lock).take(32).read_to_string(&mut text);
                return Err(Error::Busy { folder: path.display().to_string(), pid: text.trim().parse().ok() });
            }
            Err(TryLockError::Error(error)) => return Err(broken(error)),
        }
        // For whoever comes next and finds it locked; nobody decides anything by it.
        let _ = lock.set_len(0);
        let _ = lock.write_all(std::process::id().to_string().as_bytes());
        Ok(Folder { _lock: lock })
    }
}

/// Makes a folder for this user alone. One that is there and that others can enter is refused.
pub fn private(path: &Path) -> std::io::Result<()> {
    if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) {
        std::fs::create_dir_all(above)?;
    }
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => check(path),
        Err(error) => Err(error),
    }
}

#[cfg(unix)]
fn check(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path)?.permissions().mode() & 0o777;
    match mode & 0o077 {
        0 => Ok(()),
        _ => Err(std::io::Error::other(format!(
            "others may enter it (mode {mode:o}), and what a village keeps is its owner's alone: chmod 700, or name another folder"
        ))),
    }
}

#[cfg(not(unix))]
fn check(_path: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_of_one_village_at_a_time() {
        let within = tempfile::tempdir().expect("a folder");
        let path = within.path().join("new/data");
        let first = Folder::take(&path).expect("it is free");
        let second = Folder::take(&path).err().expect("it is taken");
        let own = std::process::id();
        assert!(matches!(second, Error::Busy { pid, .. } if pid == Some(own)), "{second}");
        drop(first);
        Folder::take(&path).expect("it is free again");
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_others_can_enter_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let within = tempfile::tempdir().expect("a folder");
        std::fs::set_permissions(within.path(), std::fs::Permissions::from_mode(0o755)).expect("set");
        let refused = Folder::take(within.path()).err().expect("it is refused");
        assert!(refused.to_string().contains("chmod 700"), "{refused}");
        let path = within.path().join("data");
        Folder::take(&path).expect("it is made");
        assert_eq!(std::fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o700);
    }
}
