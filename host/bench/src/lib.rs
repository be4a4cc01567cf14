//! Measures this machine: what a budget, a grant and a turn cost, beside the plain engine in the same run.
//!
//! Times on shared machines wander, so each figure is a ratio or a percentile of repeated runs that take turns with
//! their baseline, and carries its spread. A row that misses its bar says so.

mod authoring;
mod deadline;
mod density;
mod durable;
mod fairness;
mod http;
mod mesh;
mod metering;
mod models;
mod native;
mod plain;
mod program;
mod report;
mod running;
mod shares;
mod spawn;
mod swap;
mod turns;
mod village;
mod weights;

pub use program::idle_host;
pub use report::{Report, Row};

use std::path::PathBuf;

/// What to measure, and how long to take over it.
pub struct Plan {
    /// Groups of rows, by name; none means all.
    pub only: Vec<String>,
    /// A look rather than a measurement: a tenth of the repetitions.
    pub quick: bool,
    /// The program `village`, for what is measured from outside. Its cache is one of the benchmark's own.
    pub program: PathBuf,
}

/// Why something could not be measured.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
type Rows = Result<Vec<Row>, Error>;

/// The groups of rows, in the order in which they are measured.
pub const GROUPS: [&str; 16] = [
    "spawn",
    "turn",
    "durable",
    "metering",
    "shares",
    "fairness",
    "deadline",
    "density",
    "swap",
    "http",
    "kernels",
    "models",
    "program",
    "village",
    "mesh",
    "authoring",
];

/// Measures, telling `said` of each row as it is done.
pub fn run(plan: &Plan, said: &mut dyn FnMut(&Row)) -> Result<Report, Error> {
    let mut report = Report::of_this_machine();
    for group in GROUPS {
        if !plan.only.is_empty() && !plan.only.iter().any(|name| name == group) {
            continue;
        }
        let rows = match group {
            "spawn" => spawn::measure(plan)?,
            "turn" => turns::measure(plan)?,
            "durable" => durable::measure(plan)?,
            "metering" => metering::measure(plan)?,
            "shares" => shares::measure(plan)?,
            "fairness" => fairness::measure(plan)?,
            "deadline" => deadline::measure(plan)?,
            "density" => density::measure(plan)?,
            "swap" => swap::measure(plan)?,
            "http" => http::measure(plan)?,
            "kernels" => weights::measure(plan)?,
            "models" => models::measure(plan)?,
            "program" => program::measure(plan)?,
            "village" => running::measure(plan)?,
            "mesh" => mesh::measure(plan)?,
            _ => authoring::measure(plan)?,
        };
        for row in rows {
            said(&row);
            report.rows.push(row);
        }
    }
    Ok(report)
}

/// The processor time of this whole process, in nanoseconds, as the system counts it.
fn process_cpu() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
