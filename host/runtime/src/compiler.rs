//! Compiling, in a child process with limits of its own.
//!
//! A component of a few hundred bytes can make a compiler use gigabytes and minutes. So the program starts itself again
//! as a compiler that reads a component from its input and writes native code to its output, and that is stopped at
//! [`MEMORY`] and [`TIME`]. It costs the component its load, and nobody else anything.

use crate::engine::{Error, Layout, config, make};
use std::hash::{Hash, Hasher};
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What the compiler may use of memory.
pub const MEMORY: u64 = 1 << 30;

/// How long it may take, and how much CPU time it may use.
pub const TIME: Duration = Duration::from_secs(30);

/// The first argument that makes a program a compiler.
const ROLE: &str = "--village-compiler";

/// Where components are compiled.
#[derive(Debug, Clone)]
pub enum Compiler {
    /// In a child process of this program, whose `main` begins with [`enter`].
    ThisProgram,
    /// In a child process of another program whose `main` begins with [`enter`].
    Program(PathBuf),
    /// In this process, without limits: for components that are trusted, such as a test's own.
    InProcess,
}

/// Whether `main` began with [`enter`].
static ENTERED: AtomicBool = AtomicBool::new(false);

/// Call this first in `main`: if the program was started as a compiler, it compiles, and the code is to be returned.
pub fn enter() -> Option<ExitCode> {
    ENTERED.store(true, Ordering::Relaxed);
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != ROLE {
        return None;
    }
    let layout = match arguments.next() {
        Some(word) if word == "compact" => Layout::Compact,
        _ => Layout::Reserved,
    };
    match child(layout) {
        Ok(()) => Some(ExitCode::SUCCESS),
        Err(reason) => {
            eprintln!("{reason}");
            Some(ExitCode::from(REFUSED))
        }
    }
}

/// The exit code for a component that isn't sound.
const REFUSED: u8 = 3;

fn child(layout: Layout) -> Result<(), String> {
    use std::io::{Read, Write};
    limit_myself();
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    let engine = make(&config(layout, None)).map_err(|error| error.to_string())?;
    let native = engine.precompile_component(&bytes).map_err(|error| format!("{error:#}"))?;
    std::io::stdout().lock().write_all(&native).map_err(|error| error.to_string())
}

/// The system holds the child to its memory and time.
#[cfg(unix)]
fn limit_myself() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let limit = |most: u64| Rlimit { current: Some(most), maximum: Some(most) };
    let _ = setrlimit(Resource::As, limit(MEMORY));
    let _ = setrlimit(Resource::Cpu, limit(TIME.as_secs()));
    let _ = setrlimit(Resource::Core, limit(0));
}

/// Where the system has no such limits, only time is bounded, by the parent.
#[cfg(not(unix))]
fn limit_myself() {}

/// What decides whether native code fits an engine: its version, its settings, the processor.
pub(crate) fn compatibility(engine: &wasmtime::Engine) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.finish()
}

impl Compiler {
    pub(crate) async fn compile(
        &self,
        engine: &wasmtime::Engine,
        layout: Layout,
        bytes: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let program = match self {
            Compiler::InProcess => {
                return engine
                    .precompile_component(bytes)
                    .map_err(|error| Error::Compile { reason: format!("{error:#}") });
            }
            Compiler::ThisProgram if !ENTERED.load(Ordering::Relaxed) => {
                let reason = "this program's main does not begin with runtime::compiler::enter()";
                return Err(Error::Engine(reason.into()));
            }
            Compiler::ThisProgram => {
                std::env::current_exe().map_err(|error| Error::Engine(format!("this program's path: {error}")))?
            }
            Compiler::Program(path) => path.clone(),
        };
        in_child(&program, layout, bytes).await
    }
}

async fn in_child(program: &std::path::Path, layout: Layout, bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let broken = |error: std::io::Error| Error::Engine(format!("the compiler {}: {error}", program.display()));
    let layout = if layout == Layout::Compact { "compact" } else { "reserved" };
    let mut child = tokio::process::Command::new(program)
        .args([ROLE, layout])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(broken)?;
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(mut input), Some(mut output), Some(errors)) = pipes else {
        return Err(Error::Engine("the compiler has no pipes".into()));
    };
    let (mut native, mut said) = (Vec::new(), String::new());
    let work = async {
        let feed = async {
            // A compiler that has given up reads no further; its exit says why.
            let _ = input.write_all(bytes).await;
            drop(input);
        };
        let mut errors = errors.take(64 << 10);
        let (_, read, _) = tokio::join!(feed, output.read_to_end(&mut native), errors.read_to_string(&mut said));
        read?;
        child.wait().await
    };
    let Ok(ended) = tokio::time::timeout(TIME, work).await else {
        return Err(Error::Compile { reason: format!("it took longer than {} s", TIME.as_secs()) });
    };
    let status = ended.map_err(broken)?;
    if status.success() {
        return Ok(native);
    }
    let said = said.trim();
    let reason = match status.code() {
        Some(code) if code == i32::from(REFUSED) => said.to_string(),
        _ => format!("the compiler was stopped at its limits of {} MiB and {} s", MEMORY >> 20, TIME.as_secs()),
    };
    Err(Error::Compile { reason })
}
