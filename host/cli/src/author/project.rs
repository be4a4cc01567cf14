//! The project of an agent: its manifest, its sources if there are any, and where its component goes.

use crate::print;
use crate::problem::Problem;
use crate::source::{MANIFEST, load};
use guest::Manifest;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// An agent's folder, known by its agent.toml.
pub(super) struct Project {
    /// Where its agent.toml is.
    pub(super) folder: PathBuf,
    /// Its agent.toml.
    pub(super) path: PathBuf,
    pub(super) manifest: Manifest,
}

impl Project {
    /// The project that this file or folder belongs to: the nearest agent.toml, here or in a folder above.
    pub(super) fn find(from: &Path) -> Result<Project, Problem> {
        if from.extension().is_some_and(|end| end == "wasm") {
            return Err(Problem::usage(format!(
                "{} is a component: name the folder with its agent.toml; `village inspect` looks at a component",
                from.display()
            )));
        }
        if !from.exists() {
            return Err(Problem::file(from, "no such file or folder; `village new NAME` makes a project"));
        }
        let path = if from.is_file() && from.extension().is_some_and(|end| end == "toml") {
            from.to_path_buf()
        } else {
            Self::above(from)?
        };
        let manifest = load(&path)?;
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
            _ => PathBuf::from("."),
        };
        Ok(Project { folder, path, manifest })
    }

    fn above(from: &Path) -> Result<PathBuf, Problem> {
        if from.join(MANIFEST).is_file() {
            return Ok(from.join(MANIFEST));
        }
        let whole = std::path::absolute(from).map_err(|error| Problem::file(from, crate::source::reason(&error)))?;
        let found = whole.ancestors().map(|folder| folder.join(MANIFEST)).find(|path| path.is_file());
        found.map(|path| PathBuf::from(print::path(&path))).ok_or_else(|| {
            let place = print::path(&whole);
            Problem::file(
                Path::new(MANIFEST),
                format!(
                    "there is none in {place}, nor in a folder above it; `village new NAME` makes a project with one"
                ),
            )
        })
    }

    /// Where its component is, or goes.
    pub(super) fn component(&self) -> PathBuf {
        self.folder.join(&self.manifest.component)
    }

    /// Whether cargo builds it; else its component comes from elsewhere.
    pub(super) fn has_sources(&self) -> bool {
        has_sources(&self.folder)
    }
}

fn has_sources(folder: &Path) -> bool {
    folder.join("Cargo.toml").is_file()
}

/// What to type to build the agent of this manifest, if it has sources here.
pub(crate) fn to_build(manifest: &Path) -> Option<String> {
    let folder = manifest.parent()?;
    has_sources(folder).then(|| format!("village build {}", print::path(folder)))
}

/// A source of the agent in this folder that is newer than its component.
pub(crate) fn newer_source(folder: &Path, component: &Path) -> Option<PathBuf> {
    if !has_sources(folder) {
        return None;
    }
    let built = std::fs::metadata(component).and_then(|about| about.modified()).ok()?;
    let sources = ["Cargo.toml", "build.rs", "src"].map(|name| folder.join(name));
    let newest = sources.iter().filter_map(|source| newest(source, 0)).max_by_key(|(time, _)| *time);
    newest.filter(|(time, _)| *time > built).map(|(_, path)| path)
}

/// No source lies deeper, and links that lead in a circle end.
const DEEPEST: usize = 32;

fn newest(path: &Path, depth: usize) -> Option<(SystemTime, PathBuf)> {
    let about = std::fs::metadata(path).ok()?;
    if !about.is_dir() {
        return Some((about.modified().ok()?, path.into()));
    }
    let entries = std::fs::read_dir(path).ok().filter(|_| depth < DEEPEST)?;
    entries.flatten().filter_map(|entry| newest(&entry.path(), depth + 1)).max_by_key(|(time, _)| *time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn project() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(folder.path().join("src/deep")).expect("made");
        for (file, text) in [
            ("agent.toml", "[agent]\nname = \"a\"\ncomponent = \"a.wasm\"\n"),
            ("Cargo.toml", ""),
            ("src/deep/a.rs", ""),
            ("a.wasm", ""),
        ] {
            std::fs::write(folder.path().join(file), text).expect("written");
        }
        folder
    }

    #[test]
    fn a_project_is_found_from_any_folder_in_it() {
        let folder = project();
        for from in ["", "src", "src/deep", "agent.toml", "src/deep/a.rs"] {
            let found = Project::find(&folder.path().join(from)).map_err(|problem| problem.to_string());
            assert_eq!(found.map(|found| found.component()), Ok(folder.path().join("a.wasm")), "{from}");
        }
        for (from, said) in [("a.wasm", "is a component"), ("nowhere", "no such file or folder")] {
            let refused = Project::find(&folder.path().join(from)).map(|_| ()).map_err(|problem| problem.to_string());
            assert!(refused.is_err_and(|refused| refused.contains(said)), "{from}");
        }
    }

    #[test]
    fn a_source_that_was_changed_after_the_component_was_built_is_newer() {
        let folder = project();
        let set = |file: &str, seconds| {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let file = std::fs::File::options().write(true).open(folder.path().join(file)).expect("a file");
            file.set_modified(time).expect("set");
        };
        let component = folder.path().join("a.wasm");
        for (file, seconds) in [("Cargo.toml", 10), ("src/deep/a.rs", 20), ("a.wasm", 30)] {
            set(file, seconds);
        }
        assert_eq!(newer_source(folder.path(), &component), None);
        set("src/deep/a.rs", 40);
        assert_eq!(newer_source(folder.path(), &component), Some(folder.path().join("src/deep/a.rs")));
        std::fs::remove_file(folder.path().join("Cargo.toml")).expect("removed");
        assert_eq!(newer_source(folder.path(), &component), None, "what has no sources is not built here");
    }
}
