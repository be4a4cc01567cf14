//! The components that are kept beside their sources, so that the program can carry them: which source each is made of.
//!
//! `plugins/bundled` has a line for each: its name, the digest of its sources, the digest of the component.

use crate::root;
use base::Digest;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The agents that come inside the program.
pub const NAMES: [&str; 8] =
    ["apprentice", "curator", "journeyman", "messenger", "mischief", "navigator", "polyglot", "sage"];

/// Where a bundled component is kept.
pub fn component(name: &str) -> PathBuf {
    root().join("plugins").join(name).join(format!("{name}.wasm"))
}

/// Where it is written down what each was made of.
pub fn list() -> PathBuf {
    root().join("plugins/bundled")
}

/// The line that says what `name` was made of, and what came of it.
pub fn line(name: &str) -> String {
    let component = std::fs::read(component(name)).map(|bytes| Digest::of(&bytes).to_string());
    format!("{name} {} {}", sources(name), component.unwrap_or_else(|_| "missing".into()))
}

/// The digest of everything that a component is made of: its package, the crates that it shares with others, the contract.
fn sources(name: &str) -> Digest {
    let mut text = String::new();
    let all = ["plugins/Cargo.toml", "plugins/Cargo.lock", &format!("plugins/{name}"), "sdk/rust", "wit"];
    for part in all {
        digest(&root(), Path::new(part), &mut text);
    }
    Digest::of(text.as_bytes())
}

/// What a file could be made of: neither what was built, nor what only tests read.
fn counts(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    !matches!(name, "target" | "tests" | "examples" | "cases.toml" | "agent.toml") && !matches!(ending, "wasm" | "md")
}

fn digest(root: &Path, path: &Path, text: &mut String) {
    let full = root.join(path);
    if !counts(path) {
        return;
    }
    if full.is_dir() {
        let entries = std::fs::read_dir(&full).unwrap_or_else(|error| panic!("{}: {error}", full.display()));
        let mut names: Vec<_> = entries.map(|entry| entry.expect("it can be read").file_name()).collect();
        names.sort();
        for name in names {
            digest(root, &path.join(name), text);
        }
        return;
    }
    let bytes = std::fs::read(&full).unwrap_or_else(|error| panic!("{}: {error}", full.display()));
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{} {}", path.display(), Digest::of(&bytes));
}
