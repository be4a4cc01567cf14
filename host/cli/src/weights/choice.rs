//! Which back end `auto` means: measured once, and remembered in the folder where compiled components are.

use kernels::Backend;
#[cfg(feature = "gpu")]
use kernels::Mixed;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Measured anew after this: drivers and cards change.
const STALE: Duration = Duration::from_secs(7 * 24 * 3600);

/// The file's name. A version of the program measures for itself.
const NAME: &str = concat!("backends-", env!("CARGO_PKG_VERSION"));

/// A graphics processor for what it was faster at when that was measured, and the CPU for the rest; none means the CPU.
#[cfg(feature = "gpu")]
pub(crate) fn device() -> Option<Box<dyn Backend + Send>> {
    let boxed = |mixed: Mixed| -> Box<dyn Backend + Send> { Box::new(mixed) };
    let memory = memory();
    match memory.as_deref().and_then(recall) {
        Some(word) if word == CPU => return None,
        Some(word) => {
            if let Some(mixed) = Mixed::recall(&word) {
                return Some(boxed(mixed));
            }
        }
        None => {}
    }
    let since = std::time::Instant::now();
    let threads = std::thread::available_parallelism().unwrap_or(std::num::NonZeroUsize::MIN);
    let mixed = Mixed::measure(&kernels::Threads(threads), &|| since.elapsed());
    if let Some(memory) = &memory {
        remember(memory, &mixed.as_ref().map_or_else(|| CPU.to_owned(), Mixed::memo));
    }
    mixed.map(boxed)
}

#[cfg(not(feature = "gpu"))]
pub(crate) fn device() -> Option<Box<dyn Backend + Send>> {
    None
}

const CPU: &str = "cpu";

fn memory() -> Option<PathBuf> {
    Some(guest::cache_folder()?.join(NAME))
}

/// What was measured, if that was not long ago.
fn recall(memory: &Path) -> Option<String> {
    let age = std::fs::metadata(memory).ok()?.modified().ok()?.elapsed().ok()?;
    if age > STALE { None } else { std::fs::read_to_string(memory).ok().filter(|word| !word.is_empty()) }
}

/// If it can't be kept, it is measured again.
fn remember(memory: &Path, word: &str) {
    if let Some(folder) = memory.parent() {
        let _ = std::fs::create_dir_all(folder);
    }
    let _ = std::fs::write(memory, word);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_is_remembered_for_a_while() {
        let folder = tempfile::tempdir().expect("a folder");
        let memory = folder.path().join("cache/choice");
        assert_eq!(recall(&memory), None);
        remember(&memory, CPU);
        assert_eq!(recall(&memory).as_deref(), Some(CPU));
        let file = std::fs::File::options().write(true).open(&memory).expect("opens");
        file.set_modified(std::time::SystemTime::now() - STALE - Duration::from_secs(1)).expect("aged");
        assert_eq!(recall(&memory), None);
        remember(&memory, "");
        assert_eq!(recall(&memory), None, "a file that was not written whole says nothing");
    }
}
