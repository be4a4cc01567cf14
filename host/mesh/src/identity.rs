//! A peer's own keys, in a file that only its owner can read.

use crate::Error;
use libp2p::identity::Keypair;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

const FILE: &str = "identity";

/// Reads the keys in this folder, making folder and keys if there are none.
///
/// A file that others can read is refused: whoever has it can speak as this peer.
pub(crate) fn load(folder: &Path) -> Result<Keypair, Error> {
    fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))?;
    let path = folder.join(FILE);
    match fs::read(&path) {
        Ok(bytes) => {
            check_owner(&path)?;
            Keypair::from_protobuf_encoding(&bytes)
                .ok()
                .filter(|keys| keys.clone().try_into_ed25519().is_ok())
                .ok_or(Error::Damaged { file: path, what: "it holds no ed25519 key" })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let keys = Keypair::generate_ed25519();
            let bytes = keys.to_protobuf_encoding().expect("an ed25519 key can be written");
            replace(&path, &bytes)?;
            Ok(keys)
        }
        Err(error) => Err(Error::io(&path, error)),
    }
}

#[cfg(unix)]
fn check_owner(path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(path).map_err(|source| Error::io(path, source))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(Error::Exposed { file: path.into(), mode: mode & 0o777 });
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_owner(_: &Path) -> Result<(), Error> {
    Ok(())
}

/// Puts these bytes in the place of a file, whole or not at all; only the owner can read them.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let part = path.with_extension("part");
    let write = || {
        // A part that is there may have been made readable for others.
        match fs::remove_file(&part) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&part, path)?;
        match path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    };
    write().map_err(|source| Error::io(path, source))
}
