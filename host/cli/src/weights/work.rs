//! With what weights are computed: threads, a back end, and a bar that shows how far it is.

use super::choice;
use super::draft::Draft;
use crate::arguments::{Means, Wish};
use crate::problem::Problem;
use indicatif::{ProgressBar, ProgressStyle};
use kernels::job::{Report, Watch};
use kernels::{Backend, Cpu, Format, Kind, Threads};
use serde_json::{Map, Value, json};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// The means for one piece of work, and when it began.
pub(super) struct Work {
    backend: Box<dyn Backend + Send>,
    pool: Threads,
    bar: ProgressBar,
    since: Instant,
}

/// Below this the CPU is done before a graphics processor is awake.
const SMALL: u64 = 256 << 20;

impl Work {
    /// `bytes` are all that will be read, and `kind` the hardest of the work.
    pub(super) fn new(means: &Means, bytes: u64, kind: Kind) -> Result<Work, Problem> {
        let since = Instant::now();
        let backend: Box<dyn Backend + Send> = match means.backend {
            Wish::Auto if bytes >= SMALL => choice::device(kind).unwrap_or_else(|| Box::new(Cpu::default())),
            Wish::Auto | Wish::Cpu => Box::new(Cpu::default()),
            Wish::Gpu => gpu()?,
        };
        let threads = match means.threads {
            Some(threads) => NonZeroUsize::from(threads),
            None => std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        };
        // It draws on the standard error, and only on a terminal.
        let bar = ProgressBar::new(bytes);
        let style = "{bar:32} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        Ok(Work { backend, pool: Threads(threads), bar, since })
    }

    /// Does it, under the eyes of the bar and of Ctrl-C.
    pub(super) fn run(
        &self,
        draft: &Draft,
        job: impl FnOnce(kernels::job::Means<'_>) -> kernels::Result<Report>,
    ) -> Result<Report, Problem> {
        let eyes = Eyes { bar: &self.bar, stopped: draft.stopped() };
        let means = kernels::job::Means { backend: &*self.backend, pool: &self.pool, watch: &eyes };
        let done = job(means).map_err(|error| draft.problem(error));
        self.bar.finish_and_clear();
        done
    }

    /// What was done, for programs.
    pub(super) fn object(&self, report: &Report) -> Map<String, Value> {
        let tensors = report.tensors.iter().map(|line| {
            json!({
                "name": line.name,
                "shape": line.shape,
                "from": line.from.name(),
                "to": line.to.to_string(),
                "bytes_before": line.before,
                "bytes_after": line.after,
                "snr_db": line.snr,
            })
        });
        let known = [
            ("bytes_before", json!(report.before)),
            ("bytes_after", json!(report.after)),
            ("ratio", json!(report.ratio())),
            ("file_bytes", json!(report.file)),
            ("seconds", json!(self.since.elapsed().as_secs_f64())),
            ("backend", json!(self.backend.name())),
            ("threads", json!(self.pool.0)),
            ("tensors", tensors.collect()),
        ];
        known.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
    }

    /// What was done, in a line or two.
    pub(super) fn summary(&self, report: &Report) -> String {
        let size = |bytes| base::Size::bytes(bytes).to_string();
        let (before, after, seconds) = (size(report.before), size(report.after), self.since.elapsed().as_secs_f64());
        let worst = report.tensors.iter().filter_map(|line| Some((line.snr?, line))).min_by(|a, b| a.0.total_cmp(&b.0));
        let worst = worst.map(|(snr, line)| format!("\nleast like before: {} as {}, {snr:.1} dB", line.name, line.to));
        format!(
            "{} tensors, {before} → {after} ({:.0} %), {seconds:.1} s, {}{}",
            report.tensors.len(),
            100.0 / report.ratio(),
            self.backend.name(),
            worst.unwrap_or_default()
        )
    }
}

#[cfg(feature = "gpu")]
fn gpu() -> Result<Box<dyn Backend + Send>, Problem> {
    Ok(Box::new(kernels::Gpu::open()?))
}

#[cfg(not(feature = "gpu"))]
fn gpu() -> Result<Box<dyn Backend + Send>, Problem> {
    Err(Problem::new("gpu", "this program was built without its part for graphics processors"))
}

struct Eyes<'a> {
    bar: &'a ProgressBar,
    stopped: &'a AtomicBool,
}

impl Watch for Eyes<'_> {
    fn advance(&self, bytes: u64) -> ControlFlow<()> {
        self.bar.inc(bytes);
        if self.stopped.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// The format that most bytes of a report are kept in, if it is one of numbers as they are.
pub(super) fn main_format(report: &Report) -> Option<Format> {
    let largest = report.tensors.iter().max_by_key(|line| line.after)?;
    largest.to.format.is_float().then_some(largest.to.format)
}
