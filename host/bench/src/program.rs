//! The program as a whole, from outside.

use crate::density::resident;
use crate::report::{Bar, Row, percentile, sorted};
use crate::village::{ECHO, Village, ask, io};
use crate::{Error, Plan, Rows};
use guest::Pool;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

pub(crate) fn measure(plan: &Plan) -> Rows {
    let runs = if plan.quick { 5 } else { 40 };
    let folder = tempfile::tempdir()?;
    let component = folder.path().join("echo.wasm");
    std::fs::write(&component, ECHO)?;
    let cache = folder.path().join("cache");
    let mut times = Vec::new();
    for run in 0..=runs {
        let begun = Instant::now();
        let status = Command::new(&plan.program)
            .args(["run", "--skill", "echo", "--input", "hello"])
            .arg(&component)
            .env("VILLAGE_CACHE", &cache)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        if !status.success() {
            return Err(format!("village run: {status}").into());
        }
        // The first run compiles.
        if run > 0 {
            times.push(begun.elapsed().as_nanos() as f64 / 1e6);
        }
    }
    let bare = sorted((0..runs).map(|_| bare(&plan.program)).collect::<Result<_, _>>()?);
    let mut rows = vec![Row::of(
        "program: village run, version cached, start to exit",
        "ms",
        times,
        format!("village --version takes {:.1} ms", percentile(&bare, 0.5)),
        Bar::AtMost(25.0),
    )];
    rows.push(Row::judged(
        "program: resident memory of an idle host",
        "MiB",
        idle(&plan.program)?,
        "an engine for as many agents as the machine allows",
        Bar::AtMost(40.0),
    ));
    let size = std::fs::metadata(&plan.program)?.len() as f64 / f64::from(1 << 20);
    rows.push(Row::judged("program: size of this build", "MiB", size, "the dist profile's is smaller", Bar::Stated));
    Ok(rows)
}

fn bare(program: &Path) -> Result<f64, Error> {
    let begun = Instant::now();
    Command::new(program).arg("--version").stdout(Stdio::null()).status()?;
    Ok(begun.elapsed().as_nanos() as f64 / 1e6)
}

/// Resident MiB of a host that was made and does nothing, in a process of its own.
fn idle(program: &Path) -> Result<f64, Error> {
    let output = Command::new(program).arg(IDLE).stdin(Stdio::null()).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// The command of the program that makes it such a process.
const IDLE: &str = "idle-host";

/// Makes a host for as many agents as the machine allows, with one agent that has answered; says how many MiB are resident.
pub fn idle_host() -> Result<f64, Error> {
    io(1)?.block_on(async {
        let village = Village::new(Pool::Machine, None)?;
        let agent = village.agent(&village.load(ECHO).await?, "", None).await?;
        ask(&agent, "echo", "hello").await?;
        Ok(resident()? as f64 / f64::from(1 << 20))
    })
}
