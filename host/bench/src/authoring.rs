//! What it takes to write an agent: from an empty folder to a reply, from an edit to a tested component; and what the SDK
//! costs the component.

use crate::plain::{Instance, Plain};
use crate::report::{Bar, Row, percentile, sorted};
use crate::village::io;
use crate::{Error, Plan, Rows};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// The smallest agent on the SDK, and its twin on bare bindings.
const SDK: &[u8] = include_bytes!("../guests/greet-sdk.wasm");
const BARE: &[u8] = include_bytes!("../guests/greet-bare.wasm");

const BODY: &[u8] = br#"{"name": "Ada"}"#;

pub(crate) fn measure(plan: &Plan) -> Rows {
    let mut rows = match toolchain::find() {
        Ok(_) => projects(plan)?,
        Err(error) => vec![Row::skipped("authoring: new, build, test, run; edit, test", error.to_string())],
    };
    let kilobytes = |bytes: &[u8]| bytes.len() as f64 / 1000.0;
    let beside = format!("{:.1} KB on bare bindings", kilobytes(BARE));
    rows.push(Row::judged(
        "authoring: the smallest agent on the SDK",
        "KB",
        kilobytes(SDK),
        beside,
        Bar::AtMost(120.0),
    ));
    rows.push(calls(plan)?);
    Ok(rows)
}

/// Projects that are made, built, tested, run and edited as their author would.
fn projects(plan: &Plan) -> Rows {
    let runs = if plan.quick { 1 } else { 5 };
    let folder = tempfile::tempdir()?;
    let village = |arguments: &[&str]| village(&plan.program, folder.path(), arguments);
    let (mut first, mut again) = (Vec::new(), Vec::new());
    let mut cold = 0.0;
    for run in 0..=runs {
        let name = format!("agent-{run}");
        let begun = Instant::now();
        village(&["new", &name])?;
        village(&["build", &name])?;
        village(&["test", &name])?;
        village(&["run", &name, "--skill", "greet", "--input", r#"{"name": "Ada"}"#])?;
        let took = begun.elapsed().as_secs_f64();
        // The first finds nothing that another has built.
        if run == 0 {
            cold = took;
            continue;
        }
        first.push(took);
        let source = folder.path().join(&name).join("src/lib.rs");
        let text = std::fs::read_to_string(&source)?;
        let edited = text.replacen("is empty", "is without a letter", 1);
        if edited == text {
            return Err("the template has changed: there is nothing to edit".into());
        }
        std::fs::write(&source, edited)?;
        let begun = Instant::now();
        village(&["test", &name])?;
        again.push(begun.elapsed().as_secs_f64());
    }
    let beside = format!("{cold:.1} s for the first agent of all");
    Ok(vec![
        Row::of("authoring: new, build, test and run of another agent", "s", first, beside, Bar::AtMost(30.0)),
        Row::of("authoring: from an edit to a tested component", "s", again, "", Bar::AtMost(5.0)),
    ])
}

/// Calls the program in `folder`, with a cache of the benchmark's own.
fn village(program: &Path, folder: &Path, arguments: &[&str]) -> Result<(), Error> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env("VILLAGE_CACHE", folder.join("cache"))
        .env_remove("CARGO_TARGET_DIR")
        .stdin(Stdio::null())
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(format!("village {}: {}", arguments.join(" "), String::from_utf8_lossy(&said)).into())
}

/// One call, JSON in and out, of the agent on the SDK against its twin, both on the plain engine.
fn calls(plan: &Plan) -> Result<Row, Error> {
    let (rounds, calls) = if plan.quick { (5, 500) } else { (21, 5_000) };
    io(1)?.block_on(async {
        let plain = Plain::new(8, true)?;
        let mut sdk = Instance::start(&plain.load(SDK)?).await?;
        let mut bare = Instance::start(&plain.load(BARE)?).await?;
        if sdk.handle("greet", BODY).await? != bare.handle("greet", BODY).await? {
            return Err("the two don't answer the same".into());
        }
        let (mut ratios, mut bares) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let one = micros(&mut bare, calls).await?;
            ratios.push(micros(&mut sdk, calls).await? / one);
            bares.push(one);
        }
        let beside = format!("bare bindings, {:.2} µs", percentile(&sorted(bares), 0.5));
        Ok(Row::of("authoring: a call of the smallest agent on the SDK", "×", ratios, beside, Bar::AtMost(1.3)))
    })
}

/// Microseconds of a call.
async fn micros(instance: &mut Instance, calls: u32) -> Result<f64, Error> {
    let begun = Instant::now();
    for _ in 0..calls {
        instance.handle("greet", BODY).await?;
    }
    Ok(begun.elapsed().as_secs_f64() * 1e6 / f64::from(calls))
}
