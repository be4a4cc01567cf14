//! Whether a share is what is got: once the burst is spent, over seconds, by the system's own count of CPU time.

use crate::report::{Bar, Row, percentile, sorted};
use crate::village::{CPU, Village, ask, io};
use crate::{Error, Plan, Rows, process_cpu};
use base::Group;
use guest::{Agent, Pool};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) fn measure(plan: &Plan) -> Rows {
    let window = Duration::from_secs(if plan.quick { 2 } else { 10 });
    io(1)?.block_on(async {
        let mut rows = Vec::new();
        for percent in [5, 10, 50] {
            rows.extend(spinners(1, percent, window).await?);
        }
        for percent in [2, 5] {
            rows.extend(spinners(20, percent, window).await?);
        }
        rows.extend(too_many(window).await?);
        rows.push(short_turns(window).await?);
        rows.push(group(window).await?);
        Ok(rows)
    })
}

/// What spinners got while a window lasted.
struct Got {
    /// Of one core, by the system's count for this process.
    process: f64,
    /// Of one core, charged to each.
    charged: Vec<f64>,
    /// Thousands of rounds that each one did.
    rounds: Vec<f64>,
}

/// Long enough for twenty bursts to be spent on one core. A burst that is not tiny makes up for what other work on the
/// machine takes in between.
const SPEND: Duration = Duration::from_millis(2500);

/// Spends the bursts, then lets all agents count rounds for the window, by their own clocks.
async fn spin(agents: &[Arc<Agent>], window: Duration) -> Result<Got, Error> {
    count(agents, SPEND).await?;
    let (begun, process) = (Instant::now(), process_cpu());
    let charged: Vec<_> = agents.iter().map(|agent| agent.cpu()).collect();
    let rounds = count(agents, window).await?;
    let passed = begun.elapsed().as_secs_f64();
    let share = |nanos: f64| nanos / 1e9 / passed;
    Ok(Got {
        process: share((process_cpu() - process) as f64),
        charged: agents
            .iter()
            .zip(charged)
            .map(|(agent, before)| share((agent.cpu() - before).as_nanos() as f64))
            .collect(),
        rounds,
    })
}

async fn count(agents: &[Arc<Agent>], window: Duration) -> Result<Vec<f64>, Error> {
    let mut turns = Vec::new();
    for agent in agents {
        let (agent, body) = (agent.clone(), window.as_millis().to_string());
        turns.push(tokio::spawn(async move { ask(&agent, "count-for", &body).await }));
    }
    let mut rounds = Vec::new();
    for turn in turns {
        rounds.push(turn.await??.trim().parse()?);
    }
    Ok(rounds)
}

async fn some(
    village: &Village,
    count: usize,
    budget: &str,
    group: Option<&guest::Group>,
) -> Result<Vec<Arc<Agent>>, Error> {
    let version = village.load(CPU).await?;
    let mut agents = Vec::new();
    for _ in 0..count {
        agents.push(Arc::new(village.agent(&version, budget, group).await?));
    }
    Ok(agents)
}

async fn spinners(count: usize, percent: u32, window: Duration) -> Rows {
    let village = Village::new(Pool::Slots(32), None)?;
    let agents = some(&village, count, &format!("cpu={percent}%,burst=100ms,deadline=60s"), None).await?;
    let got = spin(&agents, window).await?;
    let wanted = f64::from(percent) / 100.0;
    let all = wanted * count as f64;
    let off = |got: f64, wanted: f64| (got / wanted - 1.0).abs() * 100.0;
    let sum: f64 = got.charged.iter().sum();
    let name = format!("share: {count} at {percent} %");
    // One guest has nothing to be split among; several should have done the same number of rounds.
    let mean = got.rounds.iter().sum::<f64>() / count as f64;
    let splits: Vec<_> = got.rounds.iter().map(|rounds| off(*rounds, mean)).collect();
    let worst = percentile(&sorted(splits.clone()), 1.0);
    let host = (got.process - sum).max(0.0) * 100.0;
    let each: Vec<_> = got.charged.iter().map(|share| share / wanted * 100.0 - 100.0).collect();
    let mut rows = vec![
        Row::judged(
            format!("{name}: the process's total, off by"),
            "%",
            off(got.process, all),
            format!("the system counted {:.2} % of a core, the host's own included", got.process * 100.0),
            Bar::AtMost(2.0),
        ),
        Row::judged(
            format!("{name}: the guests' total as charged, off by"),
            "%",
            off(sum, all),
            "the CPU clocks of the threads that run guests",
            Bar::Stated,
        )
        .spread(&each),
        Row::judged(
            format!("{name}: the host's own"),
            "% of a core",
            host,
            "the process less its guests",
            Bar::AtMost(5.0),
        ),
    ];
    if count > 1 {
        rows.push(
            Row::judged(
                format!("{name}: worst agent's rounds, off by"),
                "%",
                worst,
                "the mean of all",
                Bar::AtMost(10.0),
            )
            .spread(&splits),
        );
    }
    Ok(rows)
}

async fn too_many(window: Duration) -> Rows {
    let village = Village::new(Pool::Slots(32), None)?;
    let agents = some(&village, 20, "cpu=50%,burst=100ms,deadline=60s", None).await?;
    let got = spin(&agents, window).await?;
    let mean = got.charged.iter().sum::<f64>() / 20.0;
    let off: Vec<_> = got.charged.iter().map(|share| (share / mean - 1.0).abs() * 100.0).collect();
    let worst = percentile(&sorted(off.clone()), 1.0);
    let baseline = format!("a twentieth of {:.0} % of a core", got.process * 100.0);
    Ok(vec![
        Row::judged("share: 20 at 50 %, worst off its part by", "%", worst, baseline, Bar::AtMost(20.0)).spread(&off),
    ])
}

/// Turns far shorter than a tick, one after the other as fast as they are answered.
async fn short_turns(window: Duration) -> Result<Row, Error> {
    let village = Village::new(Pool::Slots(4), None)?;
    let agents = some(&village, 1, "cpu=10%,burst=100ms,deadline=60s", None).await?;
    let agent = &agents[0];
    let run = async |window: Duration| -> Result<(), Error> {
        let begun = Instant::now();
        while begun.elapsed() < window {
            ask(agent, "tight", "10000").await?;
        }
        Ok(())
    };
    run(SPEND).await?;
    let (begun, before) = (Instant::now(), agent.cpu());
    run(window).await?;
    let share = (agent.cpu() - before).as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0;
    let off = (share / 10.0 - 1.0).abs() * 100.0;
    // Who asks is in the same process, so this is what was charged.
    let charged = format!("{share:.2} % of a core charged");
    Ok(Row::judged("share: short turns at 10 %, off by", "%", off, charged, Bar::AtMost(5.0)))
}

async fn group(window: Duration) -> Result<Row, Error> {
    let village = Village::new(Pool::Slots(16), None)?;
    let mut limits = Group::default();
    limits.set("cpu", "20%")?;
    limits.set("burst", "100ms")?;
    let parent = village.host.group(&limits, None);
    let agents = some(&village, 10, "cpu=50%,burst=100ms,deadline=60s", Some(&parent)).await?;
    count(&agents, SPEND).await?;
    let (begun, before) = (Instant::now(), process_cpu());
    count(&agents, window).await?;
    let share = (process_cpu() - before) as f64 / 1e7 / begun.elapsed().as_secs_f64();
    let off = (share / 20.0 - 1.0).abs() * 100.0;
    Ok(Row::judged(
        "share: group of 10 at 20 %, off by",
        "%",
        off,
        format!("the system counted {share:.2} % of a core for the process"),
        Bar::AtMost(3.0),
    ))
}
