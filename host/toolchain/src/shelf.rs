//! A target folder for each project of an author, in one place, of which none begins from nothing.
//!
//! Cargo can't tell two packages of one name and place in their workspaces apart, so one target folder for all projects
//! would give one project what another one built. Instead each gets a folder of its own, that begins with what another
//! has built of packages that are not its author's: these are the same for all, and are most of the work.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::cargo::Line;
use crate::package::Package;

/// The folder that has a target folder for each project.
pub struct Shelf(PathBuf);

/// A target folder on the shelf.
#[derive(Debug)]
pub struct Place {
    /// The folder.
    pub folder: PathBuf,
    /// As long as the very first is being built, the next ones wait: they can begin with what it has built.
    _first: Option<File>,
}

/// What is remembered of a target folder, in a file in it.
#[derive(Default, Deserialize, Serialize)]
struct Known {
    project: PathBuf,
    /// Packages that were built from folders: those of the author.
    own: BTreeSet<String>,
}

const KNOWN: &str = ".village.json";

impl Shelf {
    /// The shelf in this folder.
    pub fn new(folder: impl Into<PathBuf>) -> Shelf {
        Shelf(folder.into())
    }

    /// The target folder of a project, begun with what others have built if it is new.
    pub fn place(&self, package: &Package) -> Result<Place, Error> {
        let mut hasher = DefaultHasher::new();
        package.folder.hash(&mut hasher);
        let folder = self.0.join(format!("{}-{:016x}", package.name, hasher.finish()));
        if folder.is_dir() {
            return Ok(Place { folder, _first: None });
        }
        let failed = |source| Error::Files { path: self.0.clone(), source };
        let lock = crate::cargo::lock(&self.0, ".placing")?;
        let others = self.others().map_err(failed)?;
        if others.is_empty() {
            return Ok(Place { folder, _first: Some(lock) });
        }
        // Unfinished, it has another name. Without it the first build takes longer, and that is all.
        let begun = self.0.join(format!(".begun-{}", std::process::id()));
        let latest = others.iter().rev();
        // If all are being built in, the latest is waited for.
        let busy = latest.clone().take(1).map(|other| (other, true));
        for ((_, from, known), wait) in latest.map(|other| (other, false)).chain(busy) {
            match begin(from, &begun, &known.own, wait).and_then(|()| fs::rename(&begun, &folder)) {
                Ok(()) => break,
                Err(_) => _ = fs::remove_dir_all(&begun),
            }
        }
        self.tidy(&others);
        Ok(Place { folder, _first: None })
    }

    /// The target folders that are there, the latest last.
    fn others(&self) -> io::Result<Vec<(SystemTime, PathBuf, Known)>> {
        let mut others = Vec::new();
        for entry in fs::read_dir(&self.0)?.flatten() {
            let file = entry.path().join(KNOWN);
            let known = fs::read(&file).ok().and_then(|bytes| serde_json::from_slice::<Known>(&bytes).ok());
            if let (Some(known), Ok(time)) = (known, fs::metadata(&file).and_then(|about| about.modified())) {
                others.push((time, entry.path(), known));
            }
        }
        others.sort_by_key(|(time, ..)| *time);
        Ok(others)
    }

    /// Removes what was built of projects that are no more; the latest stays, for others to begin with.
    fn tidy(&self, others: &[(SystemTime, PathBuf, Known)]) {
        let earlier = others.split_last().map_or(&[][..], |(_, earlier)| earlier);
        for (_, folder, _) in earlier.iter().filter(|(_, _, known)| !known.project.is_dir()) {
            // What can't be removed is removed another time.
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// Notes in a target folder whose it is, and which packages in it are the author's own. Only for the next that begins.
pub(crate) fn remember(target: &Path, package: &Package, lines: &[Line]) {
    let file = target.join(KNOWN);
    let before =
        fs::read(&file).ok().and_then(|bytes| serde_json::from_slice::<Known>(&bytes).ok()).unwrap_or_default();
    let own = lines.iter().filter(|line| is_own(&line.package_id));
    let mut names: BTreeSet<_> = own.flat_map(|line| [name(&line.package_id), line.target.name.clone()]).collect();
    names.insert(package.name.clone());
    names.extend(before.own);
    let known = Known { project: package.folder.clone(), own: names };
    // Where it can't be written, nobody begins with this folder.
    let _ = serde_json::to_vec(&known).map(|bytes| fs::write(&file, bytes));
}

/// Whether a package was built from a folder, and is not the standard library.
fn is_own(package: &str) -> bool {
    package.starts_with("path+") && !package.contains("/rustlib/src/rust/")
}

/// The name in a package's identity: `path+file:///a/one#0.1.0` or `path+file:///a/b#one@0.1.0`.
fn name(package: &str) -> String {
    let (path, version) = package.rsplit_once('#').unwrap_or((package, ""));
    let name = version.split_once('@').map(|(name, _)| name);
    name.unwrap_or_else(|| path.rsplit('/').next().unwrap_or(path)).to_owned()
}

/// Gives `new` all of `from` that is neither a project's own nor a final product.
fn begin(from: &Path, new: &Path, own: &BTreeSet<String>, wait: bool) -> io::Result<()> {
    // While its owner builds, it is in no state to be taken from.
    let lock = File::open(from.join(".building"))?;
    match wait {
        true => lock.lock()?,
        false => lock.try_lock().map_err(io::Error::other)?,
    }
    fs::create_dir_all(new)?;
    take(from, from, new, own)
}

fn take(root: &Path, from: &Path, new: &Path, own: &BTreeSet<String>) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let path = entry.path();
        let relative = path.strip_prefix(root).unwrap_or(&path);
        if !is_taken(relative, entry.file_type()?.is_dir(), own) {
            continue;
        }
        let to = new.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir(&to)?;
            take(root, &path, &to, own)?;
        } else {
            keep(&path, &to)?;
        }
    }
    Ok(())
}

/// The folders in which cargo keeps what it has built, each file or folder by the name of its package.
const BUILT: [&str; 3] = ["deps", ".fingerprint", "build"];

fn is_taken(relative: &Path, folder: bool, own: &BTreeSet<String>) -> bool {
    let parts: Vec<_> = relative
        .components()
        .filter_map(|part| if let Component::Normal(part) = part { part.to_str() } else { None })
        .collect();
    match parts.iter().position(|part| BUILT.contains(part)) {
        Some(at) => parts.get(at + 1).is_none_or(|name| !own.iter().any(|own| belongs(name, own))),
        None if folder => parts.last().is_some_and(|part| *part != "examples" && *part != "incremental"),
        None => parts == [".rustc_info.json"] || parts == ["CACHEDIR.TAG"],
    }
}

/// Whether a file or folder is named after a package. One that is so by chance is built again, which does no harm.
fn belongs(file: &str, package: &str) -> bool {
    let plain = |text: &str| text.replace('-', "_");
    let (file, package) = (plain(file), plain(package));
    file.starts_with(&package) || file.strip_prefix("lib").is_some_and(|file| file.starts_with(&package))
}

/// Large files, which are only ever replaced whole, are shared; those that are written in place are copied. Times stay.
fn keep(from: &Path, to: &Path) -> io::Result<()> {
    let whole = from
        .extension()
        .and_then(OsStr::to_str)
        .is_some_and(|end| matches!(end, "rlib" | "rmeta" | "so" | "dylib" | "dll"));
    if whole && fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    fs::copy(from, to)?;
    let time = fs::metadata(from)?.modified()?;
    File::options().write(true).open(to)?.set_modified(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_named_by_its_identity() {
        assert_eq!(name("path+file:///a/one#0.1.0"), "one");
        assert_eq!(name("path+file:///a/b#one@0.1.0"), "one");
        assert!(is_own("path+file:///a/one#0.1.0"));
        assert!(!is_own("registry+https://an.index#serde@1.0.0"));
        assert!(!is_own("path+file:///usr/lib/rustlib/src/rust/library/core#0.0.0"));
    }

    #[test]
    fn only_what_is_not_the_authors_own_is_taken() {
        let own = BTreeSet::from(["my-agent".to_owned()]);
        let taken = |path: &str, folder| is_taken(Path::new(path), folder, &own);
        for (path, folder) in [
            ("release", true),
            ("release/deps", true),
            ("release/deps/libserde-0123.rlib", false),
            ("wasm32-wasip2/release/.fingerprint/serde-0123", true),
            ("wasm32-wasip2/release/.fingerprint/serde-0123/lib-serde", false),
            (".rustc_info.json", false),
        ] {
            assert!(taken(path, folder), "{path}");
        }
        for (path, folder) in [
            ("wasm32-wasip2/release/deps/my_agent.wasm", false),
            ("wasm32-wasip2/release/deps/libmy_agent.rlib", false),
            ("wasm32-wasip2/release/.fingerprint/my-agent-0123", true),
            ("wasm32-wasip2/release/my_agent.wasm", false),
            ("wasm32-wasip2/release/other.wasm", false),
            ("release/incremental", true),
            (".building", false),
            (KNOWN, false),
        ] {
            assert!(!taken(path, folder), "{path}");
        }
    }

    #[test]
    fn what_is_taken_keeps_its_time() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let then = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        for name in ["a.rlib", "a.d"] {
            let (from, to) = (folder.path().join(name), folder.path().join(format!("new-{name}")));
            fs::write(&from, "x").expect("written");
            File::options().write(true).open(&from).and_then(|file| file.set_modified(then)).expect("set");
            keep(&from, &to).expect("kept");
            assert_eq!(fs::metadata(&to).and_then(|about| about.modified()).expect("a time"), then, "{name}");
        }
    }

    /// A package in a folder of its own.
    fn package(name: &str) -> (tempfile::TempDir, Package) {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let manifest = format!("[workspace]\n[package]\nname = \"{name}\"\nedition = \"2024\"\n");
        fs::create_dir(folder.path().join("src")).expect("it is empty");
        fs::write(folder.path().join("Cargo.toml"), manifest).expect("written");
        fs::write(folder.path().join("src/main.rs"), "").expect("written");
        let package = crate::Toolchain::Plain.package(folder.path()).expect("a package");
        (folder, package)
    }

    /// As if cargo had built a package there, its own and one of a registry.
    fn build(place: &Path, package: &Package) {
        let deps = place.join("release/deps");
        fs::create_dir_all(&deps).expect("made");
        for file in ["libserde-1.rlib", &format!("lib{}.rlib", package.name)] {
            fs::write(deps.join(file), file).expect("written");
        }
        fs::write(place.join(".building"), "").expect("written");
        remember(place, package, &[]);
    }

    #[test]
    fn another_project_begins_with_what_is_nobodys_own() {
        let shelf = tempfile::tempdir().expect("a temporary folder can be made");
        let shelf = Shelf::new(shelf.path().join("build"));
        let ((gone, one), (_two, two), (_third, third)) = (package("same"), package("same"), package("third"));
        let first = shelf.place(&one).expect("a place");
        build(&first.folder, &one);
        drop(first);

        let second = shelf.place(&two).expect("a place").folder;
        assert_ne!(second, shelf.place(&one).expect("a place").folder, "of one name, and not the same");
        let files: Vec<_> = fs::read_dir(second.join("release/deps")).expect("it began").flatten().collect();
        assert_eq!(files.iter().map(fs::DirEntry::file_name).collect::<Vec<_>>(), ["libserde-1.rlib"]);

        // What is no more is removed as soon as somebody else can be begun with.
        build(&second, &two);
        gone.close().expect("removed");
        let before = shelf.0.read_dir().expect("a folder").count();
        assert!(shelf.place(&third).expect("a place").folder.join("release/deps/libserde-1.rlib").is_file());
        assert_eq!(shelf.0.read_dir().expect("a folder").count(), before, "one more, and one less");
    }

    #[test]
    fn nothing_is_begun_with_what_is_being_built() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let (_one, one) = package("one");
        let from = folder.path().join("from");
        build(&from, &one);
        let lock = File::open(from.join(".building")).expect("a file");
        lock.lock().expect("nobody holds it");

        assert!(begin(&from, &folder.path().join("new"), &BTreeSet::new(), false).is_err());
        drop(lock);
        assert!(begin(&from, &folder.path().join("new"), &BTreeSet::new(), false).is_ok());
    }
}
