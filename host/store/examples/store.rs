//! Measures the store on this machine: `cargo run -p store --example store [CHANGES]`.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, process};
use store::{Change, Options, Store, Table};

const AGENTS: u64 = 10_000;
const STATE: Table<(u64, String), Vec<u8>> = Table::new("state");
const MAIL: Table<(u64, u64), Vec<u8>> = Table::new("mail");
const LIVES: Table<u64, Vec<u8>> = Table::new("lives");

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [word, folder, changes] = arguments.as_slice()
        && word == "fill"
    {
        return fill(Path::new(folder), changes.parse()?);
    }
    let changes: u64 = arguments.first().map_or(Ok(1_000_000), |text| text.parse())?;
    let folder = env::temp_dir().join(format!("store-{}", process::id()));
    idle(&folder)?;
    for tasks in [1, 64, 1024, 10_000] {
        load(&folder, tasks)?;
    }
    reopen(&folder, changes)
}

/// What one turn changes: a field of its agent's state, a message taken, one sent, its own row, a record.
fn change(number: u64) -> Change {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let agent = mixed % AGENTS;
    let mut change = Change::new();
    change.put(&STATE, (agent, &format!("field {}", mixed % 20)), &noise(number, 100));
    change.put(&MAIL, (number % AGENTS, number), &noise(number, 200));
    if let Some(old) = number.checked_sub(20_000) {
        change.delete(&MAIL, (old % AGENTS, old));
    }
    change.put(&LIVES, agent, &noise(number, 60)).journal(number, noise(number, 300));
    change
}

/// Bytes that do not compress, so that no file system flatters.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0xbf58_476d_1ce4_e5b9) | 1;
    let mut noise = Vec::with_capacity(bytes + 8);
    while noise.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise.extend_from_slice(&state.to_le_bytes());
    }
    noise.truncate(bytes);
    noise
}

/// One durable commit on a quiet machine, beside one sync of a file that grows as much.
fn idle(folder: &Path) -> Outcome<()> {
    fs::create_dir_all(folder)?;
    let file = fs::File::create(folder.join("plain"))?;
    let mut bare: Vec<Duration> = Vec::new();
    for number in 0..2000 {
        let bytes = noise(number, 900);
        let begun = Instant::now();
        std::os::unix::fs::FileExt::write_all_at(&file, &bytes, number * 900)?;
        file.sync_data()?;
        bare.push(begun.elapsed());
    }
    fs::remove_file(folder.join("plain"))?;
    let store = Store::open(folder, Options::default())?;
    let mut ours = Vec::new();
    for number in 0..2000 {
        let change = change(number);
        let begun = Instant::now();
        store.commit(change).wait()?;
        ours.push(begun.elapsed());
    }
    println!("one write and sync of a file: p50 {:?}, p99 {:?}", at(&mut bare, 50), at(&mut bare, 99));
    println!("one durable commit:           p50 {:?}, p99 {:?}", at(&mut ours, 50), at(&mut ours, 99));
    drop(store);
    Ok(fs::remove_dir_all(folder)?)
}

fn at(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[times.len() * percent / 100]
}

/// So many tasks, each of which commits a change when its last one is durable.
fn load(folder: &Path, tasks: u64) -> Outcome<()> {
    let store = Store::open(folder, Options::default())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let next = Arc::new(AtomicU64::new(0));
    let (begun, cpu) = (Instant::now(), cpu());
    let deadline = begun + Duration::from_secs(5);
    let mut times = runtime.block_on(async {
        let work = |store: Store, next: Arc<AtomicU64>| async move {
            let mut times = Vec::new();
            while Instant::now() < deadline {
                let change = change(next.fetch_add(1, Ordering::Relaxed));
                let begun = Instant::now();
                store.commit(change).await?;
                times.push(begun.elapsed());
            }
            Ok::<_, store::Error>(times)
        };
        let tasks: Vec<_> = (0..tasks).map(|_| tokio::spawn(work(store.clone(), next.clone()))).collect();
        let mut all = Vec::new();
        for task in tasks {
            all.extend(task.await??);
        }
        Ok::<_, Box<dyn std::error::Error>>(all)
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    let done = times.len();
    println!(
        "{tasks:>6} tasks: {:>6.0} changes/s, p50 {:?}, p99 {:?}, CPU {:.1} µs a change, of that {}",
        done as f64 / seconds,
        at(&mut times, 50),
        at(&mut times, 99),
        (self::cpu() - cpu).as_secs_f64() * 1e6 / done as f64,
        threads(done as f64)
    );
    drop(store);
    Ok(fs::remove_dir_all(folder)?)
}

/// CPU time of this process so far, ended threads included.
fn cpu() -> Duration {
    ticks("/proc/self/stat")
}

fn ticks(path: &str) -> Duration {
    let stat = fs::read_to_string(path).unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// What the store's own threads used.
fn threads(done: f64) -> String {
    let mut parts = Vec::new();
    for entry in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let path = entry.path();
        let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
        if name.starts_with("store-") {
            let used = ticks(&path.join("stat").display().to_string()).as_secs_f64();
            parts.push(format!("{} {:.1}", name.trim(), used * 1e6 / done));
        }
    }
    parts.join(", ")
}

/// How long it takes to open a store with so many records after its process was killed.
fn reopen(folder: &Path, changes: u64) -> Outcome<()> {
    fs::create_dir_all(folder)?;
    let mut child = process::Command::new(env::current_exe()?)
        .args(["fill", &folder.display().to_string(), &changes.to_string()])
        .stdout(process::Stdio::piped())
        .spawn()?;
    let mut ready = [0; 1];
    std::io::Read::read_exact(child.stdout.as_mut().ok_or("no output")?, &mut ready)?;
    child.kill()?;
    child.wait()?;
    for how in ["after kill -9", "after closing"] {
        let begun = Instant::now();
        let store = Store::open(folder, Options::default())?;
        let opened = begun.elapsed();
        let rows = store.read().scan(LIVES.all(), None, usize::MAX)?.len();
        let scanned = begun.elapsed() - opened;
        println!(
            "{how}: opened in {opened:?}; {} records; {rows} agents' rows read in {scanned:?}; {} MB on disk",
            store.read().head()?.seq,
            size(folder)? / 1_000_000
        );
    }
    let store = Store::open(folder, Options::default())?;
    let begun = Instant::now();
    store.read().verify()?;
    println!("the chain verified in {:?}", begun.elapsed());
    drop(store);
    Ok(fs::remove_dir_all(folder)?)
}

fn fill(folder: &Path, changes: u64) -> Outcome<()> {
    let store = Store::open(folder, Options::default())?;
    for first in (0..changes).step_by(1000) {
        let commits: Vec<_> = (first..first + 1000).map(|number| store.commit(change(number))).collect();
        for commit in commits {
            commit.wait()?;
        }
    }
    print!("x");
    std::io::Write::flush(&mut std::io::stdout())?;
    for number in changes.. {
        store.commit(change(number)).wait()?;
    }
    Ok(())
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
