//! What is being made, out of sight until it is whole; and Ctrl-C, after which nothing of it is left.

use crate::problem::Problem;
use crate::{print, source};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tempfile::TempDir;

/// Something that does not exist under its name until [`Draft::finish`]. Dropped before, it leaves nothing.
pub(super) struct Draft {
    out: PathBuf,
    /// The folder beside it that it is made in; none once it is finished, or once Ctrl-C took it.
    folder: Arc<Mutex<Option<TempDir>>>,
    path: PathBuf,
    stopped: Arc<AtomicBool>,
    /// Waits for Ctrl-C.
    signals: Option<tokio::runtime::Runtime>,
    _lock: Option<std::fs::File>,
}

/// What is being made lies in a folder whose name begins so.
const PARTIAL: &str = ".partial-";

/// A folder that is younger may not have been locked yet by whoever made it.
const YOUNG: Duration = Duration::from_secs(10);

/// Removes what was being made beside `out` when its program was killed: nobody holds its lock any more.
fn clear(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(PARTIAL)) {
        let Ok(about) = std::fs::symlink_metadata(entry.path()) else { continue };
        let old = about.modified().ok().and_then(|time| time.elapsed().ok()).is_some_and(|age| age > YOUNG);
        if !about.is_dir() || !old {
            continue;
        }
        let path = entry.path();
        let abandoned = std::fs::File::open(&path).is_ok_and(|folder| folder.try_lock().is_ok());
        if abandoned && std::fs::remove_dir_all(&path).is_ok() {
            print::err(&format!("village: removed {}, left by a program that was killed", path.display()));
        }
    }
}

/// After Ctrl-C the work may end by itself for so long; then it is ended.
const GRACE: Duration = Duration::from_secs(2);

/// Refuses what is there already, before anything is read or computed.
pub(super) fn vacant(out: &Path, force: bool) -> Result<(), Problem> {
    match std::fs::symlink_metadata(out) {
        Err(_) => Ok(()),
        Ok(there) if there.is_dir() => Err(exists(out, "there is such a folder already, and folders are not replaced")),
        Ok(_) if force => Ok(()),
        Ok(_) => Err(exists(out, "there is such a file already; --force replaces it")),
    }
}

fn exists(out: &Path, reason: &str) -> Problem {
    Problem::new("exists", format!("{}: {reason}", out.display()))
}

impl Draft {
    /// Begins what will be `out`.
    pub(super) fn begin(out: &Path, json: bool) -> Result<Draft, Problem> {
        let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = out.file_name().ok_or_else(|| Problem::file(out, "it has no name"))?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let signals = runtime.map_err(|error| Problem::new("internal", format!("no threads can be had: {error}")))?;
        let folder = Arc::new(Mutex::new(None));
        let stopped = Arc::new(AtomicBool::new(false));
        signals.block_on(heed(Waiting { folder: folder.clone(), stopped: stopped.clone(), json }));
        clear(parent);
        let made = tempfile::Builder::new().prefix(PARTIAL).tempdir_in(parent);
        let made = made.map_err(|error| Problem::file(parent, source::reason(&error)))?;
        let path = made.path().join(name);
        // Held until it is finished: whoever finds it locked knows that it is being made.
        let lock = std::fs::File::open(made.path()).ok().filter(|folder| folder.try_lock().is_ok());
        *folder.lock().unwrap_or_else(PoisonError::into_inner) = Some(made);
        Ok(Draft { out: out.into(), folder, path, stopped, signals: Some(signals), _lock: lock })
    }

    /// Where it is made.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether Ctrl-C was pressed.
    pub(super) fn stopped(&self) -> &AtomicBool {
        &self.stopped
    }

    /// What went wrong, under the name that the caller knows.
    pub(super) fn problem(&self, error: kernels::Error) -> Problem {
        match error {
            kernels::Error::Io { path, source } if path.starts_with(self.path.parent().unwrap_or(&self.path)) => {
                Problem::file(&self.out, source::reason(&source))
            }
            other => other.into(),
        }
    }

    /// Makes it appear under its name, all at once.
    pub(super) fn finish(self, force: bool) -> Result<(), Problem> {
        // While the lock is held, Ctrl-C finds either all of it or nothing.
        let mut folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        if folder.is_none() || self.stopped.load(Ordering::Relaxed) {
            return Err(kernels::Error::Stopped.into());
        }
        vacant(&self.out, force)?;
        std::fs::rename(&self.path, &self.out).map_err(|error| Problem::file(&self.out, source::reason(&error)))?;
        *folder = None;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Whoever waits for Ctrl-C holds the folder too, and is not waited for.
        drop(self.folder.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(signals) = self.signals.take() {
            signals.shutdown_background();
        }
    }
}

/// What Ctrl-C has to know.
struct Waiting {
    folder: Arc<Mutex<Option<TempDir>>>,
    stopped: Arc<AtomicBool>,
    json: bool,
}

/// From here on Ctrl-C is heeded: before there is anything that it could leave behind.
async fn heed(waiting: Waiting) {
    let mut pressed = Box::pin(tokio::signal::ctrl_c());
    tokio::select! {
        biased;
        // It takes hold when it is asked for the first time.
        done = &mut pressed => if done.is_ok() {
            waiting.stopped.store(true, Ordering::Relaxed);
        },
        () = std::future::ready(()) => {
            tokio::spawn(async move {
                if pressed.await.is_ok() {
                    waiting.stop().await;
                }
            });
        }
    }
}

impl Waiting {
    /// Stops the work, and ends the program if the work takes long to notice.
    async fn stop(self) {
        self.stopped.store(true, Ordering::Relaxed);
        tokio::time::sleep(GRACE).await;
        // Held to the end: nothing can be finished meanwhile.
        let mut folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = folder.take() {
            let path = made.path().to_path_buf();
            if made.close().is_err() {
                print::err(&format!("village: {} could not be removed", path.display()));
            }
            let _: ExitCode = Problem::from(kernels::Error::Stopped).report(self.json);
            std::process::exit(1);
        }
    }
}
