//! `village bench`: the measurements, as a table or as JSON.

use crate::arguments::Bench;
use crate::print;
use crate::problem::Problem;
use ::bench::{Plan, Row};
use std::process::ExitCode;

/// Measures, and prints each row as it is done.
pub(crate) fn bench(options: &Bench, json: bool) -> Result<ExitCode, Problem> {
    let broken = |error: ::bench::Error| Problem::new("bench", error.to_string());
    let program = std::env::current_exe().map_err(|error| Problem::new("internal", error.to_string()))?;
    let plan = Plan { only: options.only.clone(), quick: options.quick, program };
    let report = ::bench::run(&plan, &mut |row| {
        if !json {
            print::out(line(row).as_bytes());
        }
    })
    .map_err(broken)?;
    if json {
        let text = serde_json::to_string_pretty(&report).map_err(|error| broken(error.into()))?;
        print::out(format!("{text}\n").as_bytes());
    } else {
        let missed = report.rows.iter().filter(|row| !row.pass).count();
        print::out(
            format!("{} rows, {missed} below their bar. Machine: {}\n", report.rows.len(), report.machine).as_bytes(),
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn line(row: &Row) -> String {
    let verdict = if row.pass { "    " } else { "MISS" };
    let (value, [least, most]) = (figure(row.value), row.spread.map(figure));
    let baseline = if row.baseline.is_empty() { String::new() } else { format!("  ({})", row.baseline) };
    format!("{verdict} {:<70} {value:>8} {:<11} {:<9} [{least} … {most}]{baseline}\n", row.name, row.unit, row.bar)
}

/// Three digits that count.
fn figure(value: f64) -> String {
    match value.abs() {
        big if big >= 100.0 => format!("{value:.0}"),
        middling if middling >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Makes this process an idle host, for [`bench`] to look at from outside.
pub(crate) fn idle_host() -> Result<ExitCode, Problem> {
    let resident = ::bench::idle_host().map_err(|error| Problem::new("bench", error.to_string()))?;
    print::out(format!("{resident:.2}\n").as_bytes());
    Ok(ExitCode::SUCCESS)
}
