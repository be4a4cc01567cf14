//! An author's own package: what cargo knows of it, and building it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::cargo::{Line, Progress, Ran, check, component, lock};
use crate::diagnostic::Diagnostic;
use crate::machine::Toolchain;
use crate::{Error, TARGET};

/// A package that a component can be made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Where its Cargo.toml is.
    pub folder: PathBuf,
    /// Where the Cargo.toml of its workspace is.
    pub workspace: PathBuf,
    /// Where cargo puts what it builds of it.
    pub target: PathBuf,
    /// Whether that folder was chosen, by a setting or by making a workspace of several packages.
    pub chosen: bool,
    product: Product,
}

/// What a component comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Product {
    Library,
    Program(String),
}

/// A component that was built. As long as this is there, nobody builds in the same folder.
#[derive(Debug)]
pub struct Made {
    /// The file.
    pub path: PathBuf,
    /// What the compiler warned of.
    pub warnings: Vec<Diagnostic>,
    _lock: File,
}

/// What `cargo metadata` answers: what we read of it.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Described>,
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct Described {
    name: String,
    manifest_path: PathBuf,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

impl Toolchain {
    /// Looks at the package whose Cargo.toml is in this folder. Nothing is built or fetched.
    pub fn package(&self, folder: &Path) -> Result<Package, Error> {
        let files = |source| Error::Files { path: folder.to_owned(), source };
        let folder = folder.canonicalize().map_err(files)?;
        let mut command = self.start(&folder);
        command.args(["metadata", "--no-deps", "--format-version", "1"]);
        let (ran, answer) = self.answer(command)?;
        if !ran.well {
            return Err(Error::Build { workspace: folder, output: ran.said, diagnostics: Vec::new() });
        }
        let manifest = folder.join("Cargo.toml");
        let none = || Error::NoProduct { manifest: manifest.clone() };
        let metadata: Metadata = serde_json::from_str(&answer).map_err(|_| none())?;
        let several = metadata.packages.len() > 1;
        let package =
            metadata.packages.into_iter().find(|package| package.manifest_path == manifest).ok_or_else(none)?;
        let elsewhere = metadata.target_directory != metadata.workspace_root.join("target");
        Ok(Package {
            product: product(&package.targets).ok_or_else(none)?,
            name: package.name,
            chosen: elsewhere || several || metadata.workspace_root != folder,
            workspace: metadata.workspace_root,
            target: metadata.target_directory,
            folder,
        })
    }

    /// Builds a package in release mode, in this target folder.
    ///
    /// One build in a folder runs at a time, over all processes; the others wait.
    pub fn make(&self, package: &Package, target: &Path, progress: Progress) -> Result<Made, Error> {
        let lock = lock(target, ".building")?;
        let ran = self.run(self.building(package, target, progress), progress)?;
        crate::shelf::remember(target, package, &ran.lines);
        let mut diagnostics = diagnostics(&ran.lines, package);
        if !ran.well {
            diagnostics.retain(|found| found.error);
            return Err(Error::Build {
                workspace: package.folder.clone(),
                output: told(&ran, &diagnostics),
                diagnostics,
            });
        }
        let own = ran.lines.iter().filter(|line| line.manifest_path == package.folder.join("Cargo.toml"));
        let made = own.filter_map(component).next();
        let path = made.ok_or_else(|| Error::Nothing { workspace: package.folder.clone() })?.path;
        check(&path)?;
        Ok(Made { path, warnings: diagnostics, _lock: lock })
    }

    fn building(&self, package: &Package, target: &Path, progress: Progress) -> Command {
        let mut command = self.start(&package.folder);
        command.args(["build", "--release", "--target", TARGET, "--package", &package.name]);
        // Shown, cargo and the compiler speak for themselves; else what they say is kept in parts.
        let format = if progress == Progress::Shown { "json-render-diagnostics" } else { "json" };
        command.args(["--message-format", format, "--target-dir"]);
        command.arg(std::path::absolute(target).unwrap_or_else(|_| target.to_owned()));
        match &package.product {
            Product::Library => command.arg("--lib"),
            Product::Program(name) => command.args(["--bin", name]),
        };
        self.prepare(&mut command);
        command
    }

    /// Runs cargo, and keeps its answer as it is.
    fn answer(&self, mut command: Command) -> Result<(Ran, String), Error> {
        let failed = |source| Error::Run { program: self.cargo().display().to_string(), source };
        let output = command.stderr(std::process::Stdio::piped()).output().map_err(failed)?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let ran = Ran { well: output.status.success(), said, lines: Vec::new() };
        Ok((ran, String::from_utf8_lossy(&output.stdout).into_owned()))
    }
}

/// A library that other languages can call goes before a program.
fn product(targets: &[Target]) -> Option<Product> {
    let is = |target: &&Target, kind: &str| target.kind.iter().any(|known| known == kind);
    if targets.iter().any(|target| is(&target, "cdylib")) {
        return Some(Product::Library);
    }
    targets.iter().find(|target| is(target, "bin")).map(|target| Product::Program(target.name.clone()))
}

fn diagnostics(lines: &[Line], package: &Package) -> Vec<Diagnostic> {
    let found = lines.iter().filter(|line| line.reason == "compiler-message").filter_map(|line| {
        let own = line.manifest_path.parent().unwrap_or(&package.folder);
        line.message.as_ref()?.diagnostic(&[&package.workspace, own])
    });
    found.collect()
}

/// What was kept of a failed build, as it would have been shown: the compiler's words, then cargo's.
fn told(ran: &Ran, diagnostics: &[Diagnostic]) -> String {
    let rendered = diagnostics.iter().map(|found| found.rendered.trim_end().to_owned() + "\n\n");
    let cargo = ran.said.lines().filter(|line| !is_progress(line)).map(|line| line.to_owned() + "\n");
    rendered.chain(cargo).collect()
}

/// Whether cargo only says how far it is: a verb set flush right in twelve columns.
fn is_progress(line: &str) -> bool {
    let verb = line.get(..12).map(str::trim_start).unwrap_or_default();
    line.starts_with(' ') && verb.starts_with(char::is_uppercase) && !verb.contains(' ') && line[12..].starts_with(' ')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn package(text: &str, source: &str) -> (tempfile::TempDir, Result<Package, Error>) {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        fs::create_dir(folder.path().join("src")).expect("it is empty");
        fs::write(folder.path().join("Cargo.toml"), text).expect("it can be written");
        fs::write(folder.path().join("src").join(source), "").expect("it can be written");
        let found = Toolchain::Plain.package(folder.path());
        (folder, found)
    }

    const HEAD: &str = "[workspace]\n[package]\nname = \"one\"\nedition = \"2024\"\n";

    #[test]
    fn a_package_of_its_own_may_be_built_anywhere() {
        let (_folder, found) = package(&format!("{HEAD}[lib]\ncrate-type = [\"cdylib\"]\n"), "lib.rs");
        let found = found.expect("it is a package");

        assert_eq!((found.name.as_str(), found.chosen, &found.product), ("one", false, &Product::Library));
    }

    #[test]
    fn a_chosen_target_folder_is_kept() {
        let (folder, _) = package(HEAD, "main.rs");
        fs::create_dir(folder.path().join(".cargo")).expect("it is not there");
        fs::write(folder.path().join(".cargo/config.toml"), "build.target-dir = \"made\"\n").expect("written");
        let found = Toolchain::Plain.package(folder.path()).expect("it is a package");

        assert!(found.chosen && found.target.ends_with("made"), "{found:?}");
        assert_eq!(found.product, Product::Program("one".into()));
    }

    #[test]
    fn a_package_that_makes_no_component_is_told_what_it_lacks() {
        let (_folder, found) = package(HEAD, "lib.rs");
        let said = found.expect_err("it is a plain library").to_string();

        assert!(said.contains("Cargo.toml: ") && said.contains("crate-type = [\"cdylib\""), "{said}");
    }

    #[test]
    fn what_cargo_has_against_a_manifest_is_passed_on() {
        let (_folder, found) = package("[package\n", "lib.rs");

        assert!(matches!(&found, Err(Error::Build { output, .. }) if output.contains("Cargo.toml:1")), "{found:?}");
    }

    #[test]
    fn what_cargo_says_of_its_progress_is_left_out() {
        assert!(is_progress("   Compiling one v0.1.0 (/tmp/one)"));
        assert!(is_progress("    Finished `release` profile"));
        assert!(!is_progress("error: could not compile `one` (lib) due to 1 previous error"));
        assert!(!is_progress("  |"));
        assert!(!is_progress("Caused by:") && !is_progress("  failed to select a version for `serde`"));
    }
}
