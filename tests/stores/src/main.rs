//! Measures engines that a store could be built on: the same changes, the same groups, the same machine, one run.
//! `stores [CHANGES [ENGINE…]]`

mod engines;
mod load;

use engines::{Outcome, open};
use load::Load;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

const ENGINES: [&str; 5] = ["sqlite", "redb", "redb-quick", "fjall", "village"];

fn main() -> Outcome<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [word, engine, folder, changes] = arguments.as_slice()
        && word == "fill"
    {
        return fill(engine, Path::new(folder), changes.parse()?);
    }
    let changes: u64 = arguments.first().map_or(Ok(1_000_000), |text| text.parse())?;
    let folder = env::temp_dir().join(format!("stores-{}", std::process::id()));
    println!(
        "| engine | 1 waiting | 64 waiting | 1024 waiting | CPU a change | after {changes} changes: on disk | opened after kill -9 |"
    );
    println!("|---|---|---|---|---|---|---|");
    let chosen: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    for engine in ENGINES.into_iter().filter(|engine| chosen.is_empty() || chosen.contains(engine)) {
        let (one, _) = appends(engine, &folder, 1)?;
        let (few, _) = appends(engine, &folder, 64)?;
        let (many, cpu) = appends(engine, &folder, 1024)?;
        let (bytes, opened) = recovery(engine, &folder, changes)?;
        println!(
            "| {engine} | {one:.0}/s | {few:.0}/s | {many:.0}/s | {:.1} µs | {} MB | {:.0} ms |",
            cpu.as_secs_f64() * 1e6,
            bytes / 1_000_000,
            opened.as_secs_f64() * 1e3
        );
    }
    Ok(())
}

/// Changes a second that are durable when `waiting` share one sync, and the CPU time of one, on a base of 20 000.
fn appends(engine: &str, folder: &Path, waiting: usize) -> Outcome<(f64, Duration)> {
    fs::create_dir_all(folder)?;
    let mut store = open(engine, folder)?;
    let mut load = Load::new(7);
    for _ in 0..20 {
        group(&mut *store, &mut load, 1000)?;
    }
    let (begun, cpu, first) = (Instant::now(), cpu(), load.seq());
    while begun.elapsed() < Duration::from_secs(4) {
        group(&mut *store, &mut load, waiting)?;
    }
    let done = load.seq() - first;
    let rate = done as f64 / begun.elapsed().as_secs_f64();
    let cpu = self::cpu().saturating_sub(cpu) / done as u32;
    drop(store);
    fs::remove_dir_all(folder)?;
    Ok((rate, cpu))
}

/// Bytes on disk after so many changes, and the time to open and read what a process killed at once had written.
fn recovery(engine: &str, folder: &Path, changes: u64) -> Outcome<(u64, Duration)> {
    fs::create_dir_all(folder)?;
    let mut child = Command::new(env::current_exe()?)
        .args(["fill", engine, &folder.display().to_string(), &changes.to_string()])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut ready = [0; 1];
    std::io::Read::read_exact(child.stdout.as_mut().ok_or("no output")?, &mut ready)?;
    child.kill()?;
    child.wait()?;
    let bytes = size(folder)?;
    let begun = Instant::now();
    let last = open(engine, folder)?.last()?;
    let opened = begun.elapsed();
    if last < Some(changes - 1) {
        return Err(format!("{engine} lost changes: {last:?} of {changes}").into());
    }
    fs::remove_dir_all(folder)?;
    Ok((bytes, opened))
}

/// Writes so many changes in groups of 1024, says so, and goes on until it is killed.
fn fill(engine: &str, folder: &Path, changes: u64) -> Outcome<()> {
    let mut store = open(engine, folder)?;
    let mut load = Load::new(11);
    while load.seq() < changes {
        group(&mut *store, &mut load, 1024)?;
    }
    print!("x");
    std::io::Write::flush(&mut std::io::stdout())?;
    loop {
        group(&mut *store, &mut load, 1)?;
        thread::sleep(Duration::from_millis(1));
    }
}

fn group(store: &mut dyn engines::Engine, load: &mut Load, changes: usize) -> Outcome<()> {
    store.commit((0..changes).map(|_| load.change()).collect())
}

/// CPU time of this process so far, from the kernel's own count of ticks.
fn cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

fn size(folder: &Path) -> Outcome<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.metadata()?;
        sum += if kind.is_dir() { size(&entry.path())? } else { kind.blocks() * 512 };
    }
    Ok(sum)
}
