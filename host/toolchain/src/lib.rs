//! From an agent's source to a checked component on disk.
//!
//! Finds a compiler that can build for wasm32-wasip2, sets one up where there is none, and runs cargo with it. What the
//! component may do, and whether it is sound, is for whoever loads it to say.

mod cargo;
mod diagnostic;
mod machine;
mod package;
mod setup;
mod shelf;

use std::io;
use std::path::{Path, PathBuf};

pub use cargo::{Component, Progress, Wanted};
pub use diagnostic::Diagnostic;
pub use machine::{Check, Toolchain};
pub use package::{Made, Package};
pub use setup::{Attempt, install};
pub use shelf::{Place, Shelf};

use machine::Machine;

/// What guests are compiled for.
pub const TARGET: &str = "wasm32-wasip2";

/// The toolchain that this machine builds guests with, if it has one.
pub fn find() -> Result<Toolchain, Error> {
    Machine::here().find()
}

/// As [`find`], and sets a toolchain up where there is none: what a fresh machine needs, and nothing on any other.
pub fn ready() -> Result<Toolchain, Error> {
    find().or_else(|_| install())
}

/// Builds what is `wanted` of a workspace, with whatever [`ready`] answers.
pub fn build(workspace: &Path, wanted: Wanted<'_>, progress: Progress) -> Result<Vec<Component>, Error> {
    ready()?.build(workspace, wanted, progress)
}

/// What building agents needs on this machine: whether it is there, and what to do if it is not.
pub fn doctor() -> Vec<Check> {
    Machine::here().checks()
}

/// Why there is no component.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing here compiles for wasm32-wasip2, and there was no attempt to change that.
    #[error("no compiler here builds for {TARGET}: {missing}; to have one, {fix}")]
    Missing {
        /// What was looked for and not found.
        missing: String,
        /// What to do about it.
        fix: String,
    },
    /// Nothing here compiles for wasm32-wasip2, and setting it up failed.
    #[error("could not set up a compiler for {TARGET}: {}; {fix}", attempts.iter().map(Attempt::to_string).collect::<Vec<_>>().join("; "))]
    Install {
        /// Each command, and how it ended.
        attempts: Vec<Attempt>,
        /// What to do about it.
        fix: String,
    },
    /// The program is not there, or could not be started.
    #[error("could not run {program}")]
    Run {
        /// As it was called.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// Cargo failed.
    #[error("cargo could not build {}{}", workspace.display(), after(output))]
    Build {
        /// What was to be built.
        workspace: PathBuf,
        /// What cargo said; empty if it was shown already.
        output: String,
        /// The compiler's errors, each with its place; empty if it was cargo that failed, or if they were not asked for.
        diagnostics: Vec<Diagnostic>,
    },
    /// The package is of a kind that no component comes from.
    #[error("{}: this package makes no component: add a line `[lib]`, and below it `crate-type = [\"cdylib\", \"rlib\"]`", manifest.display())]
    NoProduct {
        /// Its Cargo.toml.
        manifest: PathBuf,
    },
    /// Cargo succeeded, and no component came out of it.
    #[error("nothing in {} became a component: a package or example needs crate-type = [\"cdylib\"]", workspace.display())]
    Nothing {
        /// What was built.
        workspace: PathBuf,
    },
    /// What came out is not a component.
    #[error("{} is not a component", path.display())]
    NotComponent {
        /// The file.
        path: PathBuf,
    },
    /// A file or folder could not be used.
    #[error("could not use {}", path.display())]
    Files {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Text that follows a sentence, on lines of its own.
fn after(output: &str) -> String {
    if output.is_empty() { String::new() } else { format!(":\n{}", output.trim_end()) }
}
