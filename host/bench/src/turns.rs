//! What a turn costs: request and reply with one host import, in memory, a thousand agents at once.

use crate::native::Actor;
use crate::plain::{Instance, Plain};
use crate::report::{Bar, Row, percentile, sorted};
use crate::village::{ECHO, Village, io, message};
use crate::{Error, Plan, Rows, process_cpu};
use guest::{Agent, Pool};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

const SKILL: &str = "remaining";
const BODY: &str = "sixteen bytes ok";

pub(crate) fn measure(plan: &Plan) -> Rows {
    let mut rows = few(plan)?;
    rows.extend(many(plan)?);
    Ok(rows)
}

/// A thousand agents, against the bare engine and against no sandbox.
fn few(plan: &Plan) -> Rows {
    const AGENTS: usize = 1000;
    let (rounds, each) = if plan.quick { (3, 10) } else { (9, 60) };
    io(2)?.block_on(async {
        let plain = Plain::new(AGENTS as u32 + 8, true)?;
        let pre = plain.load(ECHO)?;
        let mut bare = Vec::new();
        for _ in 0..AGENTS {
            bare.push(Arc::new(Mailbox::start(Instance::start(&pre).await?)));
        }
        let village = Village::new(Pool::Slots(AGENTS as u32 + 8), None)?;
        let ours = agents(&village, AGENTS).await?;
        let natives: Vec<_> = (0..AGENTS).map(|_| Arc::new(Actor::start())).collect();
        let (mut to_bare, mut to_native, mut costs, mut outside) = (vec![], vec![], vec![], vec![]);
        for _ in 0..rounds {
            let bare = cost(&on_tokio, &bare, each, |mailbox| async move { mailbox.ask().await.is_some() }).await?;
            let our = cost(&|asker| village.host.among_guests(asker), &ours, each, ask).await?;
            let native =
                cost(&on_tokio, &natives, each, |actor| async move { actor.ask(message(SKILL, BODY)).await.is_some() })
                    .await?;
            to_bare.push(bare / our * 100.0);
            to_native.push(native / our * 100.0);
            costs.push(our);
            outside.push(bare / cost(&on_tokio, &ours, each, ask).await? * 100.0);
        }
        let cost = format!("bare mailbox and call_async; ours costs {:.2} µs of CPU", percentile(&sorted(costs), 0.5));
        Ok(vec![
            Row::of(
                "turn: 1 000 agents, of the bare mailbox's throughput per CPU",
                "%",
                to_bare,
                cost,
                Bar::AtLeast(80.0),
            ),
            Row::of(
                "turn: the same, asked from the I/O threads",
                "%",
                outside,
                "bare mailbox and call_async",
                Bar::Stated,
            ),
            Row::of(
                "turn: 1 000 agents, of a native actor's",
                "%",
                to_native,
                "native tokio actor",
                Bar::AtLeast(18.0),
            ),
        ])
    })
}

/// Ten thousand agents, against no sandbox.
fn many(plan: &Plan) -> Rows {
    let (agents_count, rounds, each) = if plan.quick { (1000, 3, 3) } else { (10_000, 5, 10) };
    io(2)?.block_on(async {
        let village = Village::new(Pool::Machine, None)?;
        let ours = agents(&village, agents_count).await?;
        let natives: Vec<_> = (0..agents_count).map(|_| Arc::new(Actor::start())).collect();
        let mut to_native = vec![];
        for _ in 0..rounds {
            let our = cost(&|asker| village.host.among_guests(asker), &ours, each, ask).await?;
            let native =
                cost(&on_tokio, &natives, each, |actor| async move { actor.ask(message(SKILL, BODY)).await.is_some() })
                    .await?;
            to_native.push(native / our * 100.0);
        }
        let name = format!("turn: {agents_count} agents, of a native actor's");
        Ok(vec![Row::of(name, "%", to_native, "native tokio actor", Bar::AtLeast(13.0))])
    })
}

async fn agents(village: &Village, count: usize) -> Result<Vec<Arc<Agent>>, Error> {
    let version = village.load(ECHO).await?;
    let mut agents = Vec::new();
    for _ in 0..count {
        agents.push(Arc::new(village.agent(&version, "cpu=100%,burst=10s", None).await?));
    }
    Ok(agents)
}

async fn ask(agent: Arc<Agent>) -> bool {
    let message = message(SKILL, BODY);
    agent.ask(message).await.is_ok_and(|answer| answer.outcome.is_ok())
}

/// Where those who ask run: on the threads that those who answer run on, as one agent that asks another does.
type Spawn<'a> = &'a dyn Fn(Pin<Box<dyn Future<Output = ()> + Send>>);

fn on_tokio(asker: Pin<Box<dyn Future<Output = ()> + Send>>) {
    tokio::spawn(asker);
}

/// Microseconds of CPU for each message, when each agent is asked `each` times in a row and all of them at once.
async fn cost<A, F>(
    spawn: Spawn<'_>,
    agents: &[Arc<A>],
    each: usize,
    ask: impl Fn(Arc<A>) -> F + Copy + Send + 'static,
) -> Result<f64, Error>
where
    A: Send + Sync + 'static,
    F: Future<Output = bool> + Send + 'static,
{
    let (done, mut all) = mpsc::channel::<bool>(agents.len());
    let before = process_cpu();
    for agent in agents {
        let (agent, done) = (agent.clone(), done.clone());
        spawn(Box::pin(async move {
            let mut good = true;
            for _ in 0..each {
                good &= ask(agent.clone()).await;
            }
            let _ = done.send(good).await;
        }));
    }
    drop(done);
    let mut answered = 0;
    while let Some(good) = all.recv().await {
        answered += usize::from(good);
    }
    if answered < agents.len() {
        return Err("an agent did not answer".into());
    }
    Ok((process_cpu() - before) as f64 / 1e3 / (agents.len() * each) as f64)
}

/// A bare mailbox before a bare instance.
struct Mailbox(mpsc::Sender<oneshot::Sender<Vec<u8>>>);

impl Mailbox {
    fn start(mut instance: Instance) -> Mailbox {
        let (sender, mut mailbox) = mpsc::channel::<oneshot::Sender<Vec<u8>>>(256);
        tokio::spawn(async move {
            while let Some(reply) = mailbox.recv().await {
                if let Ok(answer) = instance.handle(SKILL, BODY.as_bytes()).await {
                    let _ = reply.send(answer);
                }
            }
        });
        Mailbox(sender)
    }

    async fn ask(&self) -> Option<Vec<u8>> {
        let (reply, answer) = oneshot::channel();
        self.0.send(reply).await.ok()?;
        answer.await.ok()
    }
}
