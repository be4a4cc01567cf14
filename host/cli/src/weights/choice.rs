//! Which back end `auto` means: measured once, and remembered in the folder where compiled components are.

use kernels::Backend;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Measured anew after this: drivers and cards change.
const STALE: Duration = Duration::from_secs(7 * 24 * 3600);

/// The file's name. A version of the program measures for itself.
const NAME: &str = concat!("backend-", env!("CARGO_PKG_VERSION"));

/// A graphics processor, if it was faster than the CPU when that was measured; none means the CPU.
#[cfg(feature = "gpu")]
pub(crate) fn device() -> Option<Box<dyn Backend + Send>> {
    let boxed = |gpu: kernels::Gpu| -> Box<dyn Backend + Send> { Box::new(gpu) };
    let memory = memory();
    match memory.as_deref().and_then(recall) {
        Some(word) if word == CPU => return None,
        Some(word) => {
            if let Some(gpu) = kernels::Gpu::open().ok().filter(|gpu| gpu.name() == word) {
                return Some(boxed(gpu));
            }
        }
        None => {}
    }
    let since = std::time::Instant::now();
    let faster = kernels::backend::faster(&|| since.elapsed());
    if let Some(memory) = &memory {
        remember(memory, &faster.as_ref().map_or_else(|| CPU.to_owned(), Backend::name));
    }
    faster.map(boxed)
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
