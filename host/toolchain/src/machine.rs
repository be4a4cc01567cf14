//! What this machine has for building guests, and which of it is used.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Error, TARGET, cargo};

/// What the distribution's packages are called on Debian and what descends from it.
pub(crate) const PACKAGES: [&str; 6] =
    ["rustc-web", "cargo-web", "rust-web-src", "rust-web-llvm", "lld-22", "wasi-libc"];

/// What building guests for the distribution's compiler needs, below the root, and what it is.
const PARTS: [(&str, &str); 5] = [
    ("usr/bin/rustc", "its compiler"),
    ("usr/bin/cargo", "its cargo"),
    ("usr/lib/rustlib/src/rust/library/std/Cargo.toml", "the source of its standard library"),
    (LIBC, "a C library for wasm"),
    (LINKER, "a linker for components"),
];
const LIBC: &str = "usr/lib/wasm32-wasi/libc.a";
/// `*` stands for the host's own target.
const LINKER: &str = "usr/lib/rustlib/*/bin/wasm-component-ld";

/// A way to build for wasm32-wasip2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Toolchain {
    /// The Rust that a plain `cargo` runs has the target's standard library, as `rustup target add` brings it.
    Plain,
    /// The distribution's own Rust, below this root, building the standard library from its source.
    Distribution(PathBuf),
}

impl Toolchain {
    /// What it is, for people.
    pub fn describe(&self) -> String {
        match self {
            Self::Plain => format!("the Rust on the path, which has {TARGET}"),
            Self::Distribution(root) => {
                format!("the distribution's Rust in {}", root.join("usr/bin").display())
            }
        }
    }

    /// The program to run as cargo.
    pub(crate) fn cargo(&self) -> PathBuf {
        match self {
            Self::Plain => PathBuf::from("cargo"),
            Self::Distribution(root) => root.join("usr/bin/cargo"),
        }
    }

    /// What a build needs beside the ordinary arguments.
    pub(crate) fn prepare(&self, command: &mut Command) {
        let Self::Distribution(root) = self else {
            return;
        };
        let libraries = root.join(LIBC);
        let libraries = libraries.parent().unwrap_or(root).display();
        command.arg("-Zbuild-std=std,panic_abort").env("RUSTC", root.join("usr/bin/rustc"));
        // The source that is shipped with a stable compiler may be built by that compiler only with this.
        command.env("RUSTC_BOOTSTRAP", "1");
        // Rust's own copy of the C library is not in the packages: the distribution's takes its place.
        command.env("RUSTFLAGS", format!("-Clink-self-contained=no -Clink-arg=-L{libraries}"));
        // Whoever runs under another Rust's cargo has its libraries on this path.
        command.env_remove("LD_LIBRARY_PATH");
    }
}

/// One thing that `doctor` looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What it is about.
    pub name: String,
    /// Whether it is there.
    pub found: bool,
    /// What was found, or what is missing.
    pub detail: String,
    /// What to do if it is not there; empty if it is.
    pub fix: String,
}

/// What was found on the machine: all that the choice depends on.
pub(crate) struct Machine {
    /// What cargo says of itself; none if there is none.
    pub(crate) cargo: Option<String>,
    /// Where plain `rustc` would have the target's libraries; none if there is no rustc or it does not know the target.
    pub(crate) libraries: Option<PathBuf>,
    /// What the distribution's folders are below: `/`.
    pub(crate) root: PathBuf,
}

impl Machine {
    pub(crate) fn here() -> Self {
        Self {
            cargo: answer("cargo", ["--version"]),
            libraries: answer("rustc", ["--print", "target-libdir", "--target", TARGET]).map(PathBuf::from),
            root: PathBuf::from("/"),
        }
    }

    pub(crate) fn find(&self) -> Result<Toolchain, Error> {
        if self.cargo.is_some() && self.libraries.as_deref().is_some_and(has_std) {
            return Ok(Toolchain::Plain);
        }
        if self.lacks().is_empty() {
            return Ok(Toolchain::Distribution(self.root.clone()));
        }
        Err(Error::Missing { missing: self.missing(), fix: fix() })
    }

    pub(crate) fn checks(&self) -> Vec<Check> {
        let cargo = Check {
            name: "cargo".to_owned(),
            found: self.cargo.is_some(),
            detail: self.cargo.clone().unwrap_or_else(|| "it is not on the path".to_owned()),
            fix: if self.cargo.is_some() { String::new() } else { INSTALL_RUST.to_owned() },
        };
        let target = match self.find() {
            Ok(toolchain) => {
                Check { name: TARGET.to_owned(), found: true, detail: toolchain.describe(), fix: String::new() }
            }
            Err(_) => Check { name: TARGET.to_owned(), found: false, detail: self.missing(), fix: fix() },
        };
        vec![cargo, target]
    }

    /// Which of the distribution's parts are not there.
    fn lacks(&self) -> Vec<(&'static str, &'static str)> {
        PARTS.into_iter().filter(|(path, _)| !there(&self.root, path)).collect()
    }

    fn missing(&self) -> String {
        let plain = match (&self.cargo, &self.libraries) {
            (None, _) => "there is no cargo on the path".to_owned(),
            (_, None) => format!("rustc on the path is missing or does not know {TARGET}"),
            (_, Some(folder)) => format!("rustc has no libstd in {}", folder.display()),
        };
        let parts: Vec<_> =
            self.lacks().iter().map(|(path, what)| format!("{} ({what})", self.root.join(path).display())).collect();
        format!("{plain}, and the distribution's Rust lacks {}", parts.join(", "))
    }
}

const INSTALL_RUST: &str = "install Rust, as https://rustup.rs says";

/// What to do where nothing compiles for the target.
pub(crate) fn fix() -> String {
    format!(
        "run `rustup target add {TARGET}`, or on Debian, as root, `apt-get install --no-install-recommends {}`",
        PACKAGES.join(" ")
    )
}

/// The first line that a program answers on success. It sees the environment that a build sees.
fn answer<const N: usize>(program: &str, args: [&str; N]) -> Option<String> {
    let mut command = Command::new(program);
    cargo::clear(&mut command);
    let output = command.args(args).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line = text.lines().next()?.trim();
    (output.status.success() && !line.is_empty()).then(|| line.to_owned())
}

/// rustc names the folder whether or not it is there.
fn has_std(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else {
        return false;
    };
    entries.flatten().any(|entry| {
        let path = entry.path();
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        name.starts_with("libstd-") && name.ends_with(".rlib")
    })
}

/// Whether there is a file at `path` below `root`; one part of it may be `*`.
fn there(root: &Path, path: &str) -> bool {
    let Some((before, behind)) = path.split_once("/*/") else {
        return root.join(path).is_file();
    };
    let Ok(entries) = fs::read_dir(root.join(before)) else {
        return false;
    };
    entries.flatten().any(|entry| entry.path().join(behind).is_file())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// A machine of folders: a root with the distribution's `parts`, and the libraries of a plain rustc with `std` or none.
    fn machine(parts: &[&str], std: Option<&str>) -> (TempDir, Machine) {
        let root = TempDir::new().expect("a temporary folder can be made");
        for part in parts {
            touch(&root.path().join(part.replace('*', "x86_64-unknown-linux-gnu")));
        }
        let libraries = root.path().join("rustup/lib");
        if let Some(name) = std {
            touch(&libraries.join(name));
        }
        let machine = Machine {
            cargo: Some("cargo 1.95.0".to_owned()),
            libraries: Some(libraries),
            root: root.path().to_owned(),
        };
        (root, machine)
    }

    fn touch(path: &Path) {
        fs::create_dir_all(path.parent().expect("the path has a folder")).expect("folders can be made");
        fs::write(path, "").expect("files can be written");
    }

    fn all() -> Vec<&'static str> {
        PARTS.iter().map(|(path, _)| *path).collect()
    }

    #[test]
    fn the_plain_rust_goes_first_if_it_has_the_target() {
        let (_root, machine) = machine(&all(), Some("libstd-0123456789abcdef.rlib"));

        assert_eq!(machine.find().expect("it is there"), Toolchain::Plain);
    }

    #[test]
    fn a_folder_that_rustc_names_but_that_is_not_there_is_no_target() {
        let (root, machine) = machine(&all(), None);

        let found = machine.find().expect("the distribution's is there");
        assert_eq!(found, Toolchain::Distribution(root.path().to_owned()));
    }

    #[test]
    fn a_folder_without_the_standard_library_is_no_target() {
        let (root, machine) = machine(&all(), Some("libcore-0123456789abcdef.rlib"));

        let found = machine.find().expect("the distribution's is there");
        assert_eq!(found, Toolchain::Distribution(root.path().to_owned()));
    }

    #[test]
    fn the_distribution_alone_is_enough() {
        let (root, mut machine) = machine(&all(), None);
        machine.cargo = None;
        machine.libraries = None;

        let found = machine.find().expect("the distribution's is there");
        assert_eq!(found, Toolchain::Distribution(root.path().to_owned()));
    }

    #[test]
    fn each_missing_part_of_the_distribution_is_named_with_both_fixes() {
        for (absent, _) in PARTS {
            let parts: Vec<_> = all().into_iter().filter(|part| *part != absent).collect();
            let (_root, machine) = machine(&parts, None);

            let error = machine.find().expect_err("a part is missing").to_string();

            assert!(error.contains(absent), "{error} names {absent}");
            assert!(parts.iter().all(|part| !error.contains(&format!("{part} ("))), "{error}");
            assert!(error.contains("rustup target add wasm32-wasip2"), "{error}");
            assert!(error.contains("apt-get install"), "{error}");
        }
    }

    #[test]
    fn the_doctor_says_what_is_missing_and_what_to_do() {
        let (_root, mut machine) = machine(&[], None);
        machine.cargo = None;

        for check in machine.checks() {
            assert!(!check.found && !check.detail.is_empty() && !check.fix.is_empty(), "{check:?}");
        }
    }

    #[test]
    fn the_doctor_has_nothing_to_fix_where_all_is_there() {
        let (_root, machine) = machine(&[], Some("libstd-0.rlib"));

        for check in machine.checks() {
            assert!(check.found && !check.detail.is_empty() && check.fix.is_empty(), "{check:?}");
        }
    }
}
