//! Whether an honest agent is served promptly beside spinners.

use crate::plain::{Instance, Plain};
use crate::report::{Bar, Row, percentile, sorted};
use crate::village::{CPU, ECHO, Village, ask, io, message};
use crate::{Error, Plan, Rows};
use guest::{Agent, Pool};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

const SPINNERS: usize = 50;

pub(crate) fn measure(plan: &Plan) -> Rows {
    let asks = if plan.quick { 100 } else { 1000 };
    let (alone, beside) = io(1)?.block_on(honest(asks, None))?;
    let (pinned_alone, pinned) = on_one_cpu(move || io(1)?.block_on(honest(asks, NonZeroUsize::new(1))))?;
    let threads = on_threads(asks)?;
    let (a, b) = (p99(&alone), p99(&beside));
    Ok(vec![
        Row::judged(
            "honest beside 50 spinners: p99 against its p99 alone",
            "×",
            b / a,
            format!("{a:.0} µs alone, {b:.0} µs beside"),
            Bar::AtMost(2.0),
        ),
        Row::judged("honest beside 50 spinners: p99", "ms", b / 1e3, "", Bar::AtMost(3.0)).spread(&ms(&beside)),
        Row::judged(
            "honest beside 50 spinners, all on one CPU: p99",
            "ms",
            p99(&pinned) / 1e3,
            format!("{:.0} µs alone", p99(&pinned_alone)),
            Bar::AtMost(3.0),
        )
        .spread(&ms(&pinned)),
        Row::judged(
            "honest beside 50 spinners: p99 against an OS thread each",
            "×",
            b / p99(&threads),
            format!("{:.0} µs with threads", p99(&threads)),
            Bar::AtMost(1.0),
        ),
    ])
}

fn p99(times: &[f64]) -> f64 {
    percentile(times, 0.99)
}

fn ms(micros: &[f64]) -> Vec<f64> {
    micros.iter().map(|micros| micros / 1e3).collect()
}

/// Microseconds of each honest turn, alone and beside the spinners.
async fn honest(asks: usize, workers: Option<NonZeroUsize>) -> Result<(Vec<f64>, Vec<f64>), Error> {
    let village = Village::new(Pool::Slots(64), workers)?;
    let honest = village.agent(&village.load(ECHO).await?, "", None).await?;
    let alone = times(&honest, asks).await?;
    let spinner = village.load(CPU).await?;
    let mut spinners = Vec::new();
    for _ in 0..SPINNERS {
        let agent = std::sync::Arc::new(village.agent(&spinner, "deadline=1h", None).await?);
        let spinning = agent.clone();
        tokio::spawn(async move { drop(spinning.ask(message("spin", "")).await) });
        spinners.push(agent);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let beside = times(&honest, asks).await?;
    for spinner in spinners {
        spinner.stop();
    }
    Ok((alone, beside))
}

async fn times(agent: &Agent, asks: usize) -> Result<Vec<f64>, Error> {
    let mut times = Vec::new();
    for _ in 0..asks {
        tokio::time::sleep(Duration::from_millis(2)).await;
        let begun = Instant::now();
        ask(agent, "echo", "hello").await?;
        times.push(begun.elapsed().as_nanos() as f64 / 1e3);
    }
    Ok(sorted(times))
}

/// The same guests, each on an OS thread of its own, with no budget.
fn on_threads(asks: usize) -> Result<Vec<f64>, Error> {
    let plain = Plain::new(64, true)?;
    let (echo, cpu) = (plain.load(ECHO)?, plain.load(CPU)?);
    let (sender, requests) = std::sync::mpsc::channel::<std::sync::mpsc::Sender<()>>();
    std::thread::spawn(move || {
        block_on(async {
            let Ok(mut instance) = Instance::start(&echo).await else { return };
            for reply in requests {
                if instance.handle("echo", b"hello").await.is_ok() {
                    let _ = reply.send(());
                }
            }
        });
    });
    let over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    for _ in 0..SPINNERS {
        let (cpu, over) = (cpu.clone(), over.clone());
        std::thread::spawn(move || {
            block_on(async {
                let Ok(mut instance) = Instance::start(&cpu).await else { return };
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    let _ = instance.handle("work", b"200000").await;
                }
            });
        });
    }
    std::thread::sleep(Duration::from_millis(300));
    let mut times = Vec::new();
    for _ in 0..asks.min(300) {
        std::thread::sleep(Duration::from_millis(2));
        let begun = Instant::now();
        let (reply, answer) = std::sync::mpsc::channel();
        sender.send(reply)?;
        answer.recv()?;
        times.push(begun.elapsed().as_nanos() as f64 / 1e3);
    }
    over.store(true, std::sync::atomic::Ordering::Relaxed);
    Ok(sorted(times))
}

fn block_on(work: impl Future<Output = ()>) {
    if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
        runtime.block_on(work);
    }
}

/// Does it on a thread that, with all that it starts, has one CPU.
fn on_one_cpu<O: Send + 'static>(work: impl FnOnce() -> Result<O, Error> + Send + 'static) -> Result<O, Error> {
    let thread = std::thread::spawn(move || {
        pin();
        work()
    });
    thread.join().map_err(|_| "the measurement panicked")?
}

#[cfg(target_os = "linux")]
fn pin() {
    let mut one = rustix::thread::CpuSet::new();
    let allowed = rustix::thread::sched_getaffinity(None).unwrap_or(one);
    let last = (0..rustix::thread::CpuSet::MAX_CPU).rev().find(|cpu| allowed.is_set(*cpu));
    one.set(last.unwrap_or(0));
    let _ = rustix::thread::sched_setaffinity(None, &one);
}

#[cfg(not(target_os = "linux"))]
fn pin() {}
