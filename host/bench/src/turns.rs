//! What a turn costs: request and reply with one host import, in memory, a thousand agents at once.

use crate::native::Actor;
use crate::plain::{Instance, Plain};
use crate::report::{Bar, Row, percentile, sorted};
use crate::village::{ECHO, Village, io, message};
use crate::{Error, Plan, Rows, process_cpu};
use guest::{Agent, Pool};
use std::future::Future;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

const SKILL: &str = "remaining";
const BODY: &[u8] = b"sixteen bytes ok";

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
        let (mut to_bare, mut to_native, mut costs) = (vec![], vec![], vec![]);
        for _ in 0..rounds {
            let bare = cost(&bare, each, |mailbox| async move { mailbox.ask().await.is_some() }).await?;
            let our = cost(&ours, each, ask).await?;
            let native = cost(&natives, each, |actor| async move { actor.ask(BODY).await.is_some() }).await?;
            to_bare.push(bare / our * 100.0);
            to_native.push(native / our * 100.0);
            costs.push(our);
        }
        let cost = format!("bare mailbox and call_async; ours costs {:.2} µs of CPU", percentile(&sorted(costs), 0.5));
        Ok(vec![
            Row::of("turn: 1 000 agents, of the bare mailbox's throughput per CPU", "%", to_bare, cost, Bar::AtLeast(80.0)),
            Row::of("turn: 1 000 agents, of a native actor's", "%", to_native, "native tokio actor", Bar::AtLeast(18.0)),
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
            let our = cost(&ours, each, ask).await?;
            let native = cost(&natives, each, |actor| async move { actor.ask(BODY).await.is_some() }).await?;
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
    let message = message(SKILL, "sixteen bytes ok");
    agent.ask(message).await.is_ok_and(|answer| answer.outcome.is_ok())
}

/// Microseconds of CPU for each message, when each agent is asked `each` times in a row and all of them at once.
async fn cost<A, F>(agents: &[Arc<A>], each: usize, ask: impl Fn(Arc<A>) -> F + Copy + Send + 'static) -> Result<f64, Error>
where
    A: Send + Sync + 'static,
    F: Future<Output = bool> + Send + 'static,
{
    let before = process_cpu();
    let mut askers = JoinSet::new();
    for agent in agents {
        let agent = agent.clone();
        askers.spawn(async move {
            for _ in 0..each {
                if !ask(agent.clone()).await {
                    return false;
                }
            }
            true
        });
    }
    while let Some(good) = askers.join_next().await {
        if !good? {
            return Err("an agent did not answer".into());
        }
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
                if let Ok(answer) = instance.handle(SKILL, BODY).await {
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
