//! Running cargo on a workspace of guests, and reading from it what came out.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::thread;

use serde::Deserialize;

use crate::diagnostic::Message;
use crate::machine::Toolchain;
use crate::{Error, TARGET};

/// What to build of a workspace.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// Every package.
    Workspace,
    /// These packages; none of them is none.
    Packages(&'a [&'a str]),
    /// Every example.
    Examples,
    /// These examples.
    Example(&'a [&'a str]),
}

/// Where cargo's own words go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// To standard error, as they come.
    Shown,
    /// Into the error, if there is one.
    Kept,
}

/// A component that was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// As the manifest names it: a package, or an example.
    pub name: String,
    /// The file.
    pub path: PathBuf,
}

impl Toolchain {
    /// Builds what is `wanted` of the workspace in this folder, by its lock file and in release mode.
    ///
    /// One build of a workspace runs at a time, over all processes; the others wait. It may run inside `cargo run` and
    /// `cargo test`, but not inside a build script, whose cargo holds a lock of its own.
    pub fn build(&self, workspace: &Path, wanted: Wanted<'_>, progress: Progress) -> Result<Vec<Component>, Error> {
        let folder = workspace.join("target");
        let _lock = lock(&folder, ".building")?;
        let ran = self.run(self.command(workspace, &folder, wanted), progress)?;
        if !ran.well {
            return Err(Error::Build { workspace: workspace.to_owned(), output: ran.said, diagnostics: Vec::new() });
        }
        let mut built: Vec<_> = ran.lines.iter().filter_map(component).collect();
        built.sort_by(|a, b| a.name.cmp(&b.name));
        if built.is_empty() {
            return Err(Error::Nothing { workspace: workspace.to_owned() });
        }
        built.iter().try_for_each(|component| check(&component.path))?;
        Ok(built)
    }

    /// Runs cargo to its end.
    pub(crate) fn run(&self, mut command: Command, progress: Progress) -> Result<Ran, Error> {
        if progress == Progress::Kept {
            command.stderr(Stdio::piped());
        }
        let failed = |source| Error::Run { program: self.cargo().display().to_string(), source };
        let mut child = command.spawn().map_err(failed)?;
        let errors = child.stderr.take();
        // Both pipes are read at once: cargo stops as soon as either is full.
        let reader = thread::spawn(move || {
            let mut text = Vec::new();
            errors.map(|mut errors| errors.read_to_end(&mut text)).transpose().map(|_| text)
        });
        let lines = child.stdout.take().map(lines).transpose();
        let status = child.wait().map_err(failed)?;
        let said = reader.join().unwrap_or_else(|_| Ok(Vec::new())).map_err(failed)?;
        let said = String::from_utf8_lossy(&said).into_owned();
        Ok(Ran { well: status.success(), said, lines: lines.map_err(failed)?.unwrap_or_default() })
    }

    /// Cargo, started in a folder without what is around us, answering on a pipe.
    pub(crate) fn start(&self, folder: &Path) -> Command {
        let mut command = Command::new(self.cargo());
        clear(&mut command);
        command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }

    fn command(&self, workspace: &Path, folder: &Path, wanted: Wanted<'_>) -> Command {
        let mut command = self.start(workspace);
        command.args(["build", "--release", "--locked", "--target", TARGET]);
        command.args(["--message-format", "json-render-diagnostics", "--target-dir"]);
        // As it is from here: cargo resolves it in the workspace.
        command.arg(std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()));
        match wanted {
            Wanted::Workspace => _ = command.arg("--workspace"),
            Wanted::Packages(names) => _ = command.args(names.iter().flat_map(|name| ["--package", name])),
            Wanted::Examples => _ = command.arg("--examples"),
            Wanted::Example(names) => _ = command.args(names.iter().flat_map(|name| ["--example", name])),
        }
        self.prepare(&mut command);
        command
    }
}

/// Takes out of a command's environment what a cargo or rustup around us has put there for the host's build.
///
/// Cargo's home, registries, network and proxies stay: without them it may not reach what it needs.
pub(crate) fn clear(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_ours) {
            command.env_remove(&name);
        }
    }
}

/// Whether a variable speaks of the build that we are part of.
fn is_ours(name: &str) -> bool {
    const KEPT: [&str; 6] =
        ["CARGO_HOME", "CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTR", "CARGO_SOURCE_", "CARGO_TERM_"];
    const TAKEN: [&str; 5] = ["CARGO", "RUSTC", "RUSTFLAGS", "RUSTUP_TOOLCHAIN", "RUST_RECURSION_COUNT"];
    TAKEN.iter().any(|taken| name.starts_with(taken)) && !KEPT.iter().any(|kept| name.starts_with(kept))
}

/// Waits for, and takes, the lock file `name` in `folder`. Dropping the file gives it back.
pub(crate) fn lock(folder: &Path, name: &str) -> Result<File, Error> {
    let path = folder.join(name);
    let failed = |source| Error::Files { path: path.clone(), source };
    fs::create_dir_all(folder).map_err(failed)?;
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    file.lock().map_err(failed)?;
    Ok(file)
}

/// What came of running cargo.
pub(crate) struct Ran {
    pub(crate) well: bool,
    /// Its standard error, unless that was shown.
    pub(crate) said: String,
    pub(crate) lines: Vec<Line>,
}

/// A line of cargo's answer: what we read of it.
#[derive(Deserialize)]
pub(crate) struct Line {
    pub(crate) reason: String,
    #[serde(default)]
    pub(crate) package_id: String,
    #[serde(default)]
    pub(crate) manifest_path: PathBuf,
    #[serde(default)]
    pub(crate) target: Target,
    #[serde(default)]
    pub(crate) filenames: Vec<PathBuf>,
    pub(crate) message: Option<Message>,
}

#[derive(Default, Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
}

/// All that cargo says, to the end of its answer.
fn lines(answer: ChildStdout) -> io::Result<Vec<Line>> {
    let mut found = Vec::new();
    for line in BufReader::new(answer).lines() {
        // Build scripts and macros may print anything between cargo's own lines.
        found.extend(serde_json::from_str::<Line>(&line?));
    }
    Ok(found)
}

/// The component that a line tells of.
pub(crate) fn component(line: &Line) -> Option<Component> {
    if line.reason != "compiler-artifact" {
        return None;
    }
    let path = line.filenames.iter().find(|path| path.extension().is_some_and(|end| end == "wasm"))?;
    Some(Component { name: line.target.name.clone(), path: path.clone() })
}

/// The first eight bytes tell a component from a core module: the same magic, another layer.
pub(crate) fn check(path: &Path) -> Result<(), Error> {
    let mut start = [0; 8];
    File::open(path)
        .and_then(|mut file| file.read_exact(&mut start))
        .map_err(|source| Error::Files { path: path.to_owned(), source })?;
    if start != *b"\0asm\x0d\0\x01\0" {
        return Err(Error::NotComponent { path: path.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_outer_cargo_set_is_taken_and_what_reaches_the_network_stays() {
        for taken in [
            "CARGO",
            "CARGO_TARGET_DIR",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_PKG_NAME",
            "CARGO_BUILD_TARGET",
            "RUSTC",
            "RUSTC_WRAPPER",
            "RUSTC_BOOTSTRAP",
            "RUSTFLAGS",
            "RUSTUP_TOOLCHAIN",
            "CARGO_PROFILE_RELEASE_LTO",
        ] {
            assert!(is_ours(taken), "{taken}");
        }
        for kept in [
            "PATH",
            "HOME",
            "CARGO_HOME",
            "RUSTUP_HOME",
            "CARGO_HTTP_PROXY",
            "CARGO_NET_OFFLINE",
            "HTTPS_PROXY",
            "RUST_LOG",
            "CARGO_REGISTRIES_MINE_INDEX",
            "CARGO_REGISTRY_TOKEN",
        ] {
            assert!(!is_ours(kept), "{kept}");
        }
    }

    #[test]
    fn only_wasm_that_the_compiler_made_is_a_component() {
        let made = r#"{"reason":"compiler-artifact","target":{"name":"start-loop","kind":["example"]},"filenames":["/t/start_loop.wasm"],"fresh":true}"#;
        let expected = Component { name: "start-loop".to_owned(), path: "/t/start_loop.wasm".into() };

        let component = |line: &str| component(&serde_json::from_str(line).expect("a line of cargo's"));
        assert_eq!(component(made), Some(expected));
        assert_eq!(component(&made.replace(".wasm", ".rlib")), None);
        assert_eq!(component(r#"{"reason":"build-finished","success":true}"#), None);
    }

    #[test]
    fn a_core_module_is_not_taken_for_a_component() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
        fs::write(file.path(), b"\0asm\x01\0\0\0").expect("it can be written");
        assert!(matches!(check(file.path()), Err(Error::NotComponent { .. })));

        fs::write(file.path(), b"\0asm\x0d\0\x01\0").expect("it can be written");
        check(file.path()).expect("this is how a component begins");

        fs::write(file.path(), b"\0asm").expect("it can be written");
        assert!(matches!(check(file.path()), Err(Error::Files { .. })));
    }

    #[test]
    fn a_second_build_waits_for_the_first() {
        let folder = tempfile::TempDir::new().expect("a temporary folder can be made");
        let held = lock(folder.path(), "held").expect("nobody holds it");
        let again = File::open(folder.path().join("held")).expect("the file is there");

        assert!(again.try_lock().is_err());
        drop(held);
        again.try_lock().expect("it was given back");
    }

    /// A distribution's Rust whose cargo is this script.
    #[cfg(unix)]
    fn fake(script: &str) -> (tempfile::TempDir, Toolchain) {
        let root = tempfile::TempDir::new().expect("a temporary folder can be made");
        let cargo = root.path().join("usr/bin/cargo");
        // A shell writes it: were the file open for writing here, a process forked meanwhile could keep it from running.
        let write = r#"mkdir -p "$(dirname "$0")" && printf '#!/bin/sh\n%s\n' "$1" > "$0" && chmod +x "$0""#;
        let status = Command::new("sh").arg("-c").arg(write).arg(&cargo).arg(script).status();
        assert!(status.expect("there is a shell").success());
        let toolchain = Toolchain::Distribution(root.path().to_owned());
        (root, toolchain)
    }

    #[cfg(unix)]
    fn build(script: &str) -> Result<Vec<Component>, Error> {
        let (root, toolchain) = fake(script);
        toolchain.build(root.path(), Wanted::Example(&["one"]), Progress::Kept)
    }

    #[cfg(unix)]
    #[test]
    fn a_failed_build_is_told_in_cargos_words() {
        let error = build("echo 'error: mismatched types' >&2; exit 101").expect_err("cargo fails");

        assert!(matches!(&error, Error::Build { output, .. } if output.contains("mismatched types")), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_build_without_a_component_is_told_so() {
        assert!(matches!(build("exit 0"), Err(Error::Nothing { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn a_build_that_says_much_on_both_streams_does_not_stall() {
        let script = "i=0; while [ $i -lt 20000 ]; do echo 'a line that fills a pipe'; echo 'and one that fills the other' >&2; i=$((i+1)); done; exit 1";

        assert!(matches!(build(script), Err(Error::Build { output, .. }) if output.len() > 500_000));
    }

    #[cfg(unix)]
    #[test]
    fn the_distributions_cargo_is_told_which_compiler_to_use_and_what_to_build() {
        let error =
            build(r#"echo "$RUSTC|$RUSTC_BOOTSTRAP|$RUSTFLAGS|$CARGO_PKG_NAME|$*" >&2; exit 1"#).expect_err("it fails");

        let text = error.to_string();
        assert!(text.contains("/usr/bin/rustc|1|-Clink-self-contained=no -Clink-arg=-L"), "{text}");
        assert!(text.contains("/usr/lib/wasm32-wasi||build --release --locked --target wasm32-wasip2"), "{text}");
        assert!(text.contains("--example one -Zbuild-std=std,panic_abort"), "{text}");
    }
}
