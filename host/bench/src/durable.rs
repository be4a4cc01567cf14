//! What it costs that nothing is lost: turns that are kept, beside the bare store and beside turns that are not.

use crate::report::{Bar, Row, percentile, sorted};
use crate::village::{ECHO, Village, io, message};
use crate::{Error, Plan, Rows, process_cpu};
use agents::Books;
use base::Budget;
use guest::{Compiler, Enrolment, Grants, Host, Message, Pool, Retry, Version};
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::{Change, Options, Store, Table};
use tokio::sync::mpsc;

const RELAY: &[u8] = include_bytes!("../guests/relay.wasm");

/// Agents in the ring, and messages that go round it at once: as many as keep two cores busy. More would only wait longer.
const AGENTS: usize = 1000;
const UNDER_WAY: usize = 100;

/// Another agent of the same kind.
const BESIDE: &str = "relay-beside";

/// What waits for the bare store at once.
const WAITING: usize = 1000;
const LIMITS: [(&str, &str); 4] = [("cpu", "100%"), ("burst", "10s"), ("messages", "1000000/s"), ("memory", "8MiB")];

pub(crate) fn measure(plan: &Plan) -> Rows {
    let (rounds, hops) = if plan.quick { (2, 10) } else { (5, 60) };
    io(2)?.block_on(async {
        let mut rows = ring(rounds, hops).await?;
        rows.push(alone(plan).await?);
        rows.push(fast(plan).await?);
        Ok(rows)
    })
}

/// A host that keeps what its agents do, in a folder of its own.
struct Keeping {
    host: Host,
    books: Arc<Books>,
    _folder: tempfile::TempDir,
}

impl Keeping {
    async fn new(slots: usize) -> Result<Keeping, Error> {
        let folder = tempfile::tempdir()?;
        let books = Books::open(Store::open(&folder.path().join("store"), Options::default())?).await?;
        let builder = Host::builder().pool(Pool::Slots(slots as u32 + 8)).cache(folder.path().join("native"));
        let host = builder.compiler(Compiler::ThisProgram).books(books.clone()).build()?;
        Ok(Keeping { host, books, _folder: folder })
    }

    fn enrol(&self, name: &str, version: &Version) -> Result<(), Error> {
        let mut budget = Budget::default();
        for (field, value) in LIMITS {
            budget.set(field, value)?;
        }
        let mut grants = Grants { state: true, budget: true, ..Grants::default() };
        grants.open("agents=*")?;
        let grants = Arc::new(grants);
        let enrolment = Enrolment {
            version: version.clone(),
            budget,
            grants,
            group: None,
            retry: Retry::default(),
            record: false,
            care: agents::Care::default(),
            replicas: guest::Replicas::default(),
        };
        Ok(self.host.enrol(name, enrolment)?)
    }

    fn agent(&self, name: &str) -> Result<Arc<guest::Agent>, Error> {
        Ok(self.host.wake(name)?.ok_or("the agent is there")?)
    }

    /// Waits until the journal has so many records.
    async fn reaches(&self, records: u64) -> Result<(), Error> {
        let mut tail = self.books.store().tail();
        tail.wait_for(|last| *last >= records).await?;
        Ok(())
    }

    fn records(&self) -> u64 {
        *self.books.store().tail().borrow()
    }
}

/// Messages go round a ring; each turn writes one key and tells one message.
async fn ring(rounds: usize, rings: usize) -> Rows {
    let hops = rings * AGENTS / UNDER_WAY;
    let keeping = Keeping::new(AGENTS).await?;
    let version = keeping.host.load(RELAY).await?;
    for place in 0..AGENTS {
        keeping.enrol(&format!("relay-{place}"), &version)?;
        keeping.agent(&format!("relay-{place}"))?.warm().await??;
    }
    keeping.enrol(BESIDE, &version)?;
    keeping.agent(BESIDE)?.warm().await??;
    let (mut rates, mut ratios, mut alike, mut cpus, mut waits) = (vec![], vec![], vec![], vec![], vec![]);
    for _ in 0..rounds {
        let bare = appends(keeping.books.store(), AGENTS * rings / 4, record).await?;
        let same = appends(keeping.books.store(), AGENTS * rings / 4, what_a_turn_keeps).await?;
        let before = keeping.records();
        let (cpu, begun) = (process_cpu(), Instant::now());
        // All are accepted before the first turns can crowd them out.
        let accepted = (0..UNDER_WAY).map(|number| send(&keeping, number * AGENTS / UNDER_WAY, hops));
        for accepted in accepted.collect::<Result<Vec<_>, _>>()? {
            accepted.await.map_err(|_| "the store answers")??;
        }
        let asking = asked_meanwhile(&keeping, &mut waits);
        // One record for each that was accepted, one for each turn.
        let turns = (UNDER_WAY * (hops + 1)) as u64;
        tokio::select! {
            done = keeping.reaches(before + UNDER_WAY as u64 + turns) => done?,
            failed = asking => failed?,
        }
        let rate = turns as f64 / begun.elapsed().as_secs_f64();
        cpus.push((process_cpu() - cpu) as f64 / 1e3 / turns as f64);
        rates.push(rate);
        ratios.push(rate / bare * 100.0);
        alike.push(rate / same * 100.0);
    }
    let each = format!("{:.1} µs of CPU each, the store's included", percentile(&sorted(cpus), 0.5));
    let waits = sorted(waits);
    let (count, mut late) = (waits.len(), percentile(&waits, 0.99));
    if waits.is_empty() {
        late = f64::NAN;
    }
    Ok(vec![
        Row::of(
            "durable: turns with a state write and a message, 1 000 agents",
            "/s",
            rates,
            each,
            Bar::AtLeast(10_000.0),
        ),
        Row::of(
            "durable: the same, of the bare store's appends",
            "%",
            ratios,
            "a record of 300 bytes, 1 000 waiting at once",
            Bar::AtLeast(50.0),
        ),
        Row::of(
            "durable: the same, of the bare store's changes as large as a turn's",
            "%",
            alike,
            "two rows, one deleted, and the record; 1 000 waiting at once",
            Bar::Stated,
        ),
        Row::judged(
            "durable: an ask of another agent meanwhile, p99",
            "ms",
            late,
            format!("{count} asks, with {UNDER_WAY} messages under way; p50 {:.2} ms", percentile(&waits, 0.5)),
            Bar::AtMost(20.0),
        )
        .spread(&waits),
    ])
}

type Accepted = tokio::sync::oneshot::Receiver<Result<(), store::Error>>;

fn send(keeping: &Keeping, place: usize, hops: usize) -> Result<Accepted, Error> {
    let (tell, told) = tokio::sync::oneshot::channel();
    let message = message("pass", &format!("{hops} {place} {AGENTS}"));
    let agent = keeping.agent(&format!("relay-{place}"))?;
    agent.tell(message, move |kept| drop(tell.send(kept)))?;
    Ok(told)
}

/// Asks an agent beside the ring again and again: one of the ring would hold up all that goes round. Never ends well:
/// whoever has enough drops it.
async fn asked_meanwhile(keeping: &Keeping, waits: &mut Vec<f64>) -> Result<(), Error> {
    let agent = keeping.agent(BESIDE)?;
    loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let begun = Instant::now();
        agent.call(message("pass", "0 0 1")).await?.1.await?.outcome?;
        waits.push(begun.elapsed().as_secs_f64() * 1e3);
    }
}

/// What the store does alone: appends a second, when a thousand wait for theirs at once.
async fn appends(store: &Store, count: usize, change: fn(u64) -> Change) -> Result<f64, Error> {
    let (done, mut all) = mpsc::channel::<bool>(WAITING);
    let begun = Instant::now();
    for number in 0..WAITING {
        let (store, done) = (store.clone(), done.clone());
        tokio::spawn(async move {
            let mut good = true;
            for _ in 0..count / WAITING {
                good &= store.commit(change(number as u64)).await.is_ok();
            }
            let _ = done.send(good).await;
        });
    }
    drop(done);
    while let Some(good) = all.recv().await {
        if !good {
            return Err("the store keeps a record".into());
        }
    }
    Ok((count / WAITING * WAITING) as f64 / begun.elapsed().as_secs_f64())
}

const BARE: Table<u64, Vec<u8>> = Table::new("bare");

fn record(_: u64) -> Change {
    let mut change = Change::new();
    change.journal(0, vec![7; 300]);
    change
}

/// A state row, a message that leaves, the end of the one that came, and the record.
fn what_a_turn_keeps(number: u64) -> Change {
    let mut change = record(number);
    change.put(&BARE, number, &vec![7; 20]).put(&BARE, 2 * WAITING as u64 + number, &vec![7; 100]);
    change.delete(&BARE, WAITING as u64 + number);
    change
}

/// One ask at a time, beside an append and a turn.
async fn alone(plan: &Plan) -> Result<Row, Error> {
    let each = if plan.quick { 100 } else { 500 };
    let keeping = Keeping::new(1).await?;
    let version = keeping.host.load(ECHO).await?;
    keeping.enrol("echo", &version)?;
    let agent = keeping.agent("echo")?;
    let body = || message("remaining", "");
    let (mut ratios, mut times) = (vec![], vec![]);
    for _ in 0..7 {
        let begun = Instant::now();
        for _ in 0..each {
            agent.call(body()).await?.1.await?.outcome?;
        }
        let ours = begun.elapsed();
        let begun = Instant::now();
        for _ in 0..each {
            keeping.books.store().commit(record(0)).await?;
        }
        let append = begun.elapsed();
        let begun = Instant::now();
        for _ in 0..each {
            agent.ask(body()).await?.outcome?;
        }
        let turn = begun.elapsed();
        ratios.push(ours.as_secs_f64() / (append + turn).as_secs_f64());
        times.push(ours.as_secs_f64() * 1e6 / f64::from(each));
    }
    let baseline = format!("a bare append and a bare turn; ours takes {:.0} µs", percentile(&sorted(times), 0.5));
    Ok(Row::of("durable: one ask, nothing else going on", "x", ratios, baseline, Bar::AtMost(2.0)))
}

/// Messages that are not kept, against a host that keeps nothing.
async fn fast(plan: &Plan) -> Result<Row, Error> {
    const AGENTS: usize = 200;
    let (rounds, each) = if plan.quick { (3, 20) } else { (9, 150) };
    let keeping = Keeping::new(AGENTS).await?;
    let version = keeping.host.load(ECHO).await?;
    let plain = Village::new(Pool::Slots(AGENTS as u32 + 8), None)?;
    let loaded = plain.load(ECHO).await?;
    let (mut ours, mut theirs) = (vec![], vec![]);
    for number in 0..AGENTS {
        let name = format!("echo-{number}");
        keeping.enrol(&name, &version)?;
        let agent = keeping.agent(&name)?;
        agent.warm().await??;
        ours.push(agent);
        theirs.push(Arc::new(plain.agent(&loaded, "cpu=100%,burst=10s", None).await?));
    }
    let mut ratios = vec![];
    for _ in 0..rounds {
        let without = cost(&plain.host, &theirs, each).await?;
        ratios.push(without / cost(&keeping.host, &ours, each).await? * 100.0);
    }
    let name = "durable: a fast message, of a turn's throughput where nothing is kept";
    Ok(Row::of(name, "%", ratios, "the same agents on a host without a store", Bar::AtLeast(80.0)))
}

/// Microseconds of CPU for each message.
async fn cost(host: &Host, agents: &[Arc<guest::Agent>], each: usize) -> Result<f64, Error> {
    let (done, mut all) = mpsc::channel::<bool>(agents.len());
    let before = process_cpu();
    for agent in agents {
        let (agent, done) = (agent.clone(), done.clone());
        host.among_guests(async move {
            let mut good = true;
            for _ in 0..each {
                let message: Message = message("remaining", "sixteen bytes ok");
                good &= agent.ask(message).await.is_ok_and(|answer| answer.outcome.is_ok());
            }
            let _ = done.send(good).await;
        });
    }
    drop(done);
    while let Some(good) = all.recv().await {
        if !good {
            return Err("an agent did not answer".into());
        }
    }
    Ok((process_cpu() - before) as f64 / 1e3 / (agents.len() * each) as f64)
}
