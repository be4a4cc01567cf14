//! What replacing an agent's version costs those who send to it.

use crate::report::{Bar, Row, percentile, sorted};
use crate::village::{Village, ask, io, message};
use crate::{Error, Plan, Rows};
use base::Part;
use guest::{Agent, Carried, Message, Pool, Sender, Swap, SwapEvent as Event, Switch, Version};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

const FIRST: &[u8] = include_bytes!("../guests/tally.wasm");
const NEXT: &[u8] = include_bytes!("../guests/tally-next.wasm");

/// Who sends while versions are replaced.
const CLIENTS: usize = 8;

pub(crate) fn measure(plan: &Plan) -> Rows {
    io(1)?.block_on(async {
        let mut rows = Vec::new();
        let times = if plan.quick { 30 } else { 300 };
        // What an agent without state has is what it needs to count.
        rows.extend(pauses("no state", 0, times, [Bar::AtMost(0.1), Bar::AtMost(2.0)]).await?);
        rows.extend(pauses("1 MiB", 1 << 20, times / 3, [Bar::AtMost(0.5), Bar::Stated]).await?);
        rows.extend(pauses("64 MiB", 64 << 20, times / 15, [Bar::AtMost(100.0), Bar::Stated]).await?);
        rows.extend(under_load(if plan.quick { 100 } else { 1_000 }).await?);
        rows.extend(beside(plan).await?);
        Ok(rows)
    })
}

/// A swap that may lose skills: every second one goes back to a version that has one less.
fn freely() -> guest::Plan {
    guest::Plan { fewer_skills: true, ..guest::Plan::default() }
}

struct Versions {
    village: Village,
    both: [Version; 2],
}

impl Versions {
    async fn new() -> Result<Versions, Error> {
        let village = Village::new(Pool::Slots(16), None)?;
        let both = [village.load(FIRST).await?, village.load(NEXT).await?];
        Ok(Versions { village, both })
    }

    async fn agent(&self, memory: &str) -> Result<Agent, Error> {
        self.village.agent(&self.both[0], &format!("cpu=100%,burst=1h,deadline=30s,memory={memory}"), None).await
    }

    /// Swaps to whichever version does not serve.
    async fn swap(&self, agent: &Agent) -> Result<Switch, Error> {
        let next = usize::from(agent.version().digest() == self.both[0].digest());
        match agent.swap(&self.both[next], freely())?.end().await {
            Event::Live(switch) => Ok(switch),
            other => Err(format!("a swap came to {other:?}").into()),
        }
    }
}

/// The pause of swaps of an agent that rests, with so much to hand over.
async fn pauses(what: &str, bytes: u64, times: usize, [p50, p99]: [Bar; 2]) -> Rows {
    let versions = Versions::new().await?;
    let agent = versions.agent(if bytes > 8 << 20 { "512MiB" } else { "16MiB" }).await?;
    ask(&agent, "keep", &bytes.to_string()).await?;
    let mut pauses = Vec::new();
    for _ in 0..times.max(5) {
        ask(&agent, "count", "").await?;
        let switch = versions.swap(&agent).await?;
        if !matches!(switch.memory, Carried::Restored(carried) if carried >= bytes) {
            return Err(format!("{what} were not handed over: {switch:?}").into());
        }
        pauses.push(switch.pause.as_nanos() as f64 / 1e6);
    }
    let pauses = sorted(pauses);
    let count = format!("{} swaps", pauses.len());
    let row = |name: &str, part, bar| {
        Row::judged(format!("pause of a swap, {what}: {name}"), "ms", percentile(&pauses, part), &*count, bar)
    };
    Ok(vec![row("p50", 0.5, p50).spread(&pauses), row("p99", 0.99, p99)])
}

fn from(client: usize, skill: &str, body: &str) -> Message {
    Message { sender: Sender::Client(format!("client {client}")), ..message(skill, body) }
}

/// A client's messages, each after the answer to the one before; answers how many there were and how many came to harm.
async fn client(agent: Arc<Agent>, name: usize, over: Arc<AtomicBool>, harmed: Arc<AtomicU64>) -> u64 {
    for number in 1.. {
        if over.load(Relaxed) {
            return number - 1;
        }
        let answer = agent.ask(from(name, "order", &number.to_string())).await;
        // The agent itself says no to a number that is not the one after the last.
        let good = answer.is_ok_and(|answer| answer.outcome.is_ok());
        harmed.fetch_add(u64::from(!good), Relaxed);
    }
    0
}

/// Swaps while clients send as fast as they are answered, each message checked to come after the one before it.
async fn under_load(swaps: usize) -> Rows {
    let versions = Versions::new().await?;
    let agent = Arc::new(versions.agent("16MiB").await?);
    let (over, harmed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let clients: Vec<_> =
        (0..CLIENTS).map(|name| tokio::spawn(client(agent.clone(), name, over.clone(), harmed.clone()))).collect();
    let mut pauses = Vec::new();
    for _ in 0..swaps {
        pauses.push(versions.swap(&agent).await?.pause.as_nanos() as f64 / 1e6);
    }
    over.store(true, Relaxed);
    let mut sent = 0;
    for client in clients {
        sent += client.await?;
    }
    let (pauses, harmed) = (sorted(pauses), harmed.load(Relaxed));
    let during = format!("{sent} messages of {CLIENTS} senders during {swaps} swaps");
    Ok(vec![
        Row::judged("messages lost or out of order under load", "", harmed as f64, &*during, Bar::AtMost(0.0)),
        Row::judged("pause of a swap under load: p50", "ms", percentile(&pauses, 0.5), &*during, Bar::Stated)
            .spread(&pauses),
    ])
}

/// What asks take while another version shadows the one that serves, or is on trial.
async fn beside(plan: &Plan) -> Rows {
    let (asks, rounds) = if plan.quick { (300, 1) } else { (2_000, 5) };
    let versions = Versions::new().await?;
    let agent = versions.agent("16MiB").await?;
    let shadow = guest::Plan { shadow: guest::MOST_SHADOWED, ..freely() };
    let canary = guest::Plan { canary: Part::percent(50), window: guest::MOST_JUDGED, ..freely() };
    let (mut shadowed, mut tried, mut alone) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let before = p99(&agent, asks).await?;
        let (shadow, canary) =
            (during(&versions, &agent, shadow, asks).await?, during(&versions, &agent, canary, asks).await?);
        let base = (before + p99(&agent, asks).await?) / 2.0;
        alone.push(base);
        shadowed.push(shadow / base);
        tried.push(canary / base);
    }
    let alone = format!("{:.0} µs alone", percentile(&sorted(alone), 0.5));
    Ok(vec![
        Row::of("p99 of asks while another version shadows, against alone", "×", shadowed, &*alone, Bar::AtMost(1.2)),
        Row::of("p99 of asks while another version is tried, against alone", "×", tried, &*alone, Bar::AtMost(1.2)),
    ])
}

/// The 99th percentile while a swap waits for more messages than come; it is cancelled then.
async fn during(versions: &Versions, agent: &Agent, plan: guest::Plan, asks: usize) -> Result<f64, Error> {
    let mut swap: Swap = agent.swap(&versions.both[1], plan)?;
    while let Some(event) = swap.next().await {
        if matches!(event, Event::Shadowing { .. } | Event::Trying { .. }) {
            break;
        }
    }
    let took = p99(agent, asks).await?;
    agent.cancel_swap();
    match swap.end().await {
        Event::Refused(guest::Reason::Asked) | Event::Back { reason: guest::Reason::Asked, .. } => Ok(took),
        other => Err(format!("it should have been cancelled: {other:?}").into()),
    }
}

/// Microseconds that 99 of 100 asks take at most, of one client after the other, with a little time between.
async fn p99(agent: &Agent, asks: usize) -> Result<f64, Error> {
    let mut times = Vec::new();
    for turn in 0..asks {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let begun = Instant::now();
        agent.ask(from(turn % 32, "say", "hello")).await?.outcome?;
        times.push(begun.elapsed().as_nanos() as f64 / 1e3);
    }
    Ok(percentile(&sorted(times), 0.99))
}
