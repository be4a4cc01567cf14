//! The end of the demo: a better version takes over an agent while it is asked, and nothing that was asked is lost.

use super::cast::{Row, named};
use crate::problem::Problem;
use guest::{Agent, Answer, Host, Message, Payload, Plan, Priority, Sender, SwapEvent, Switch};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Who asks, and how often each.
const CLIENTS: usize = 4;
const EVERY: Duration = Duration::from_millis(10);

/// How long each version is asked.
pub(super) const EACH: Duration = Duration::from_millis(750);

const QUESTION: &str = r#"{"below": 20000}"#;

/// An answer: which one the agent says that it is, when it was asked for, and how long that took.
struct Answered {
    number: u64,
    asked: Instant,
    took: Duration,
}

/// Replaces `apprentice` by `journeyman` while it is asked.
pub(super) async fn play(host: &Host) -> Result<Row, Problem> {
    let (old, new) = (named("apprentice")?, named("journeyman")?);
    let manifest = old.manifest()?;
    let (before, after) = (host.load(old.component).await?, host.load(new.component).await?);
    let agent = Arc::new(host.start(&before, manifest.budget, manifest.grants, None)?);
    agent.warm().await??;
    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS).map(|client| ask(agent.clone(), client, over.clone())).collect();
    tokio::time::sleep(EACH).await;
    let end = agent.swap(&after, Plan::default())?.end().await;
    let swapped = Instant::now();
    tokio::time::sleep(EACH).await;
    over.store(true, Relaxed);
    let mut all = Vec::new();
    for client in clients {
        all.push(client.await.map_err(|error| Problem::new("internal", error.to_string()))??);
    }
    match end {
        SwapEvent::Live(switch) => Ok(row(&all, &switch, swapped)),
        other => Err(Problem::new("swap", format!("the new version did not take over: {other:?}"))),
    }
}

/// One client: a question after the answer to the one before.
fn ask(agent: Arc<Agent>, client: usize, over: Arc<AtomicBool>) -> JoinHandle<Result<Vec<Option<Answered>>, Problem>> {
    tokio::spawn(async move {
        let mut answers = Vec::new();
        let mut clock = tokio::time::interval(EVERY);
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !over.load(Relaxed) {
            clock.tick().await;
            let message = Message {
                id: String::new(),
                sender: Sender::Client(format!("client {client}")),
                skill: "primes".into(),
                payload: Payload { content_type: "application/json".into(), body: QUESTION.into() },
                priority: Priority::Normal,
                attempt: 1,
                accepted: 0,
            };
            let asked = Instant::now();
            let answer = agent.ask(message).await?;
            let took = asked.elapsed();
            answers.push(number(&answer).map(|number| Answered { number, asked, took }));
        }
        Ok(answers)
    })
}

/// Which answer the agent says that this is; none if it is no good one.
fn number(answer: &Answer) -> Option<u64> {
    let reply: Value = serde_json::from_slice(&answer.outcome.as_ref().ok()?.payload.body).ok()?;
    (reply["primes"] == 2262).then(|| reply["answers"].as_u64()).flatten()
}

fn row(clients: &[Vec<Option<Answered>>], switch: &Switch, swapped: Instant) -> Row {
    let all: Vec<_> = clients.iter().flatten().collect();
    let good: Vec<_> = all.iter().filter_map(|answer| answer.as_ref()).collect();
    // The agent counts its answers in memory, which the new version took over.
    let mut numbers: Vec<_> = good.iter().map(|answer| answer.number).collect();
    numbers.sort_unstable();
    let whole = numbers.iter().copied().eq(1..=all.len() as u64);
    let ordered = clients.iter().all(|answers| {
        answers.iter().flatten().map(|answer| answer.number).is_sorted_by(|before, after| before < after)
    });
    let median = |late: bool| {
        let mut took: Vec<_> =
            good.iter().filter(|answer| (answer.asked > swapped) == late).map(|answer| answer.took).collect();
        took.sort_unstable();
        crate::json::ms(took.get(took.len() / 2).copied().unwrap_or_default())
    };
    let (lost, pause) = (all.len() - good.len(), crate::json::ms(switch.pause));
    let (before, after) = (median(false), median(true));
    Row {
        agent: "apprentice",
        tried: format!("to be replaced while it is asked {} times", all.len()),
        budget: "nothing lost, in order".into(),
        got: format!("pause {pause:.3} ms; {lost} lost; p50 {before:.2} ms, then {after:.2} ms; its count went on"),
        held: lost == 0 && whole && ordered,
        figures: json!({
            "asked": all.len(),
            "lost": lost,
            "pause_ms": pause,
            "before": { "p50_ms": before },
            "after": { "p50_ms": after },
        }),
    }
}
