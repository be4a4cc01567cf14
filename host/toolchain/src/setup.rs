//! Setting up a toolchain on a machine that has none.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::cargo::{clear, lock};
use crate::machine::{PACKAGES, Toolchain, fix};
use crate::{Error, TARGET, find};

/// The target is some 20 MB: whoever cannot fetch them in this time is better served by another way.
const RUSTUP: Duration = Duration::from_secs(180);

/// The packages are some 300 MB, unpacked by dpkg.
const APT: Duration = Duration::from_secs(1800);

/// A command that was to set something up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// As it would be typed.
    pub command: String,
    /// Why it did not do.
    pub said: String,
}

impl fmt::Display for Attempt {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "`{}` said: {}", self.command, self.said)
    }
}

/// Sets up a toolchain: rustup's target if rustup can fetch it, else the distribution's packages.
///
/// One process does so at a time; another that waited finds it done. Says nothing while it works.
pub fn install() -> Result<Toolchain, Error> {
    let _lock = cargo_home().map(|home| lock(&home, ".wasm32-wasip2")).transpose()?;
    if let Ok(found) = find() {
        return Ok(found);
    }
    let mut attempts = Vec::new();
    for step in [rustup, apt] {
        match step() {
            Ok(()) => match find() {
                Ok(found) => return Ok(found),
                Err(error) => {
                    attempts.push(Attempt { command: "all is installed".to_owned(), said: error.to_string() })
                }
            },
            Err(attempt) => attempts.extend(attempt),
        }
    }
    Err(Error::Install { attempts, fix: fix() })
}

/// An error of none says that there is no such way here.
type Step = Result<(), Option<Attempt>>;

fn rustup() -> Step {
    // One retry, not three: this is one of two ways.
    let mut command = Command::new("rustup");
    command.args(["target", "add", TARGET]).env("RUSTUP_MAX_RETRIES", "1");
    run(command, RUSTUP)
}

fn apt() -> Step {
    if !Path::new("/usr/bin/apt-get").is_file() {
        return Err(None);
    }
    let Some(prefix) = root() else {
        let command = "apt-get install".to_owned();
        return Err(Some(Attempt { command, said: "only root may, and sudo asks for a password".to_owned() }));
    };
    let apt = |args: &[&str]| {
        let mut words = prefix.iter().copied().chain(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        let mut command = Command::new(words.next().unwrap_or("env"));
        command.args(words).args(["-q", "-o", "DPkg::Lock::Timeout=600"]).args(args);
        run(command, APT)
    };
    // The lists of another day may do: what counts is whether the packages come.
    let updated = apt(&["update"]);
    let install: Vec<_> = ["install", "-y", "--no-install-recommends"].into_iter().chain(PACKAGES).collect();
    apt(&install).map_err(|attempt| attempt.or(updated.err().flatten()))
}

/// What to put before a command that only root may run: nothing, sudo, or there is no way.
fn root() -> Option<&'static [&'static str]> {
    if is_root() {
        return Some(&[]);
    }
    let mut sudo = Command::new("sudo");
    sudo.args(["-n", "true"]);
    run(sudo, Duration::from_secs(10)).ok().map(|()| ["sudo", "-n"].as_slice())
}

#[cfg(unix)]
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    // Linux shows each process its own folder, owned by whom it runs as.
    fs::metadata("/proc/self").is_ok_and(|about| about.uid() == 0)
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}

fn cargo_home() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")))
}

/// Runs a command to its end, for `limit` at most, and quotes it if it fails.
fn run(mut command: Command, limit: Duration) -> Step {
    clear(&mut command);
    let words: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
    let name = words.join(OsStr::new(" ")).to_string_lossy().into_owned();
    let attempt = |said: String| Err(Some(Attempt { command: name.clone(), said }));

    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(None),
        Err(error) => return attempt(error.to_string()),
    };
    let errors = child.stderr.take();
    let reader = thread::spawn(move || {
        let mut text = Vec::new();
        // What can't be read is not said.
        let _ = errors.map(|mut errors| errors.read_to_end(&mut text));
        text
    });
    let end = Instant::now() + limit;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < end => thread::sleep(Duration::from_millis(50)),
            Ok(None) => {
                // It may have ended just now, which is as good.
                let _ = child.kill();
                let _ = child.wait();
                return attempt(format!("nothing within {} s", limit.as_secs()));
            }
            Err(error) => return attempt(error.to_string()),
        }
    };
    if status.success() {
        return Ok(());
    }
    attempt(told(&reader.join().unwrap_or_default()).unwrap_or_else(|| status.to_string()))
}

/// Of a program's errors: the first line that calls itself one, as rustup and apt do, else the last that says anything.
fn told(errors: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(errors);
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let called = |line: &&str| line.starts_with("error:") || line.starts_with("E: ");
    let line = lines.clone().find(called).or_else(|| lines.next_back())?;
    Some(line.to_owned())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn said(step: Step) -> String {
        step.expect_err("it fails").expect("it was tried").said
    }

    #[test]
    fn a_command_that_fails_is_quoted_with_its_last_words() {
        let step = run(shell("echo first >&2; echo >&2; echo no such target >&2; exit 3"), Duration::from_secs(60));

        assert_eq!(said(step), "no such target");
    }

    #[test]
    fn a_command_that_names_its_error_is_quoted_with_that() {
        let script = "echo info: trying >&2; echo error: no network >&2; echo 1: a frame of a stack >&2; exit 1";

        assert_eq!(said(run(shell(script), Duration::from_secs(60))), "error: no network");
    }

    #[test]
    fn a_command_that_fails_without_a_word_is_quoted_with_its_status() {
        assert_eq!(said(run(shell("exit 3"), Duration::from_secs(60))), "exit status: 3");
    }

    #[test]
    fn a_command_that_hangs_is_ended() {
        assert_eq!(said(run(shell("exec sleep 60"), Duration::ZERO)), "nothing within 0 s");
    }

    #[test]
    fn a_program_that_is_not_there_is_no_way_at_all() {
        assert_eq!(run(Command::new("no-such-program-anywhere"), Duration::from_secs(60)), Err(None));
    }
}
