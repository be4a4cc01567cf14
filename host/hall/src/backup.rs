//! Backups of a running village, and a data folder from one.

use crate::error::Error;
use crate::folder::Folder;
use crate::registry::{Note, apart};
use crate::village::Village;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a backup has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// Where it is.
    pub folder: String,
    /// Bytes of all rows, the journal's among them.
    pub bytes: u64,
    /// Components and other blobs.
    pub blobs: u64,
    /// The number of the journal's last entry.
    pub head: u64,
}

impl Backup {
    fn of(folder: &Path, manifest: &store::Manifest) -> Backup {
        Backup {
            folder: folder.display().to_string(),
            bytes: manifest.bytes,
            blobs: manifest.blobs.len() as u64,
            head: manifest.journal.1.seq,
        }
    }
}

impl Village {
    /// Copies all that is kept, as it is at one moment, into a folder that is empty or not there. The village goes on.
    pub async fn backup(&self, to: PathBuf) -> Result<Backup, Error> {
        if !to.is_absolute() {
            return Err(Error::Bad(format!("{}: a backup goes to a folder by its whole path", to.display())));
        }
        let store = self.books().store().clone();
        let folder = to.clone();
        let manifest = apart(move || {
            // It has what agents keep, and is their owner's alone.
            crate::folder::private(&folder)
                .map_err(|source| store::Error::Io { file: folder.clone(), source: Arc::new(source) })?;
            store.backup(&folder)
        })
        .await?;
        let mut change = store::Change::new();
        Note::new("backup", serde_json::json!({ "folder": to.display().to_string() })).write("", &mut change);
        self.books().store().commit(change).await?;
        Ok(Backup::of(&to, &manifest))
    }

    /// Makes a data folder from a backup, every byte of which is verified first. There must be nothing in it yet.
    pub async fn restore(from: PathBuf, data: PathBuf) -> Result<Backup, Error> {
        let folder = Folder::take(&data)?;
        let to = data.join("store");
        let manifest = apart(move || store::restore(Arc::new(store::Disk), &from, &to)).await?;
        drop(folder);
        Ok(Backup::of(&data, &manifest))
    }
}
