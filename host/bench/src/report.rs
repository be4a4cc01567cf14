//! Rows of figures, each with its baseline, its spread and its bar.

use serde::Serialize;

/// What was measured, on what.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The machine, in words.
    pub machine: String,
    /// The figures.
    pub rows: Vec<Row>,
}

/// One figure.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What it is.
    pub name: String,
    /// The figure: the median, unless the name says otherwise.
    pub value: f64,
    /// What it counts.
    pub unit: &'static str,
    /// What it is compared with, measured in the same run.
    pub baseline: String,
    /// The least and the most of the repetitions.
    pub spread: [f64; 2],
    /// What it should be.
    pub bar: String,
    /// Whether it is.
    pub pass: bool,
}

/// What a figure should be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bar {
    AtMost(f64),
    AtLeast(f64),
    /// Stated, and not judged.
    Stated,
}

impl Row {
    /// A row from repeated measurements: their median, and their spread.
    pub(crate) fn of(
        name: impl Into<String>,
        unit: &'static str,
        mut values: Vec<f64>,
        baseline: impl Into<String>,
        bar: Bar,
    ) -> Row {
        values.sort_by(f64::total_cmp);
        let value = percentile(&values, 0.5);
        let spread = [values.first().copied().unwrap_or(f64::NAN), values.last().copied().unwrap_or(f64::NAN)];
        Row { spread, ..Row::judged(name, unit, value, baseline, bar) }
    }

    pub(crate) fn judged(
        name: impl Into<String>,
        unit: &'static str,
        value: f64,
        baseline: impl Into<String>,
        bar: Bar,
    ) -> Row {
        let (pass, bar) = match bar {
            Bar::AtMost(most) => (value <= most, format!("≤ {most}")),
            Bar::AtLeast(least) => (value >= least, format!("≥ {least}")),
            Bar::Stated => (true, "stated".into()),
        };
        Row { name: name.into(), value, unit, baseline: baseline.into(), spread: [value, value], bar, pass }
    }

    /// A row that could not be measured here, and why. It passes no judgement.
    pub(crate) fn skipped(name: impl Into<String>, why: String) -> Row {
        let bar = "skipped".into();
        Row { name: name.into(), value: f64::NAN, unit: "", baseline: why, spread: [f64::NAN; 2], bar, pass: true }
    }

    /// The same with the least and the most of what it was made from.
    pub(crate) fn spread(mut self, values: &[f64]) -> Row {
        let (least, most) = values.iter().fold((f64::MAX, f64::MIN), |(a, b), value| (a.min(*value), b.max(*value)));
        self.spread = [least, most];
        self
    }
}

/// The value below which that part of the sorted values lies.
pub(crate) fn percentile(sorted: &[f64], part: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * part).round() as usize).copied().unwrap_or(f64::NAN)
}

pub(crate) fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

impl Report {
    pub(crate) fn of_this_machine() -> Report {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let info = read("/proc/cpuinfo");
        let model =
            info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim()));
        let memory = read("/proc/meminfo");
        let kib = memory
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        let load = read("/proc/loadavg");
        let machine = format!(
            "{} {}, {cpus} CPUs ({}), {} MiB, load {}",
            std::env::consts::OS,
            std::env::consts::ARCH,
            model.unwrap_or("unknown"),
            kib.unwrap_or(0) >> 10,
            load.split(' ').next().unwrap_or("unknown"),
        );
        Report { machine, rows: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_judged_by_its_median() {
        let row = Row::of("a", "x", vec![3.0, 1.0, 2.0], "b", Bar::AtMost(2.0));
        assert!(row.pass && row.value == 2.0 && row.spread == [1.0, 3.0]);
        assert!(!Row::of("a", "x", vec![3.0], "b", Bar::AtMost(2.0)).pass);
        assert!(!Row::of("a", "x", vec![], "b", Bar::AtLeast(2.0)).pass, "nothing measured is nothing shown");
    }
}
