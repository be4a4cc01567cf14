//! A question of an agent to one of another village, and its answer, beside plain libp2p's.

use super::Size;
use super::bare::{Bare, Way};
use super::pair::{Pair, Peers};
use crate::report::{Bar, Row, percentile, sorted};
use crate::{Error, Rows};
use std::time::Instant;
use store::{Change, Options, Store};

/// Asks under way at once: as many as the mesh sends to one peer at once.
const TOGETHER: usize = 32;

pub(super) async fn measure(size: Size) -> Rows {
    let pair = Pair::new(Way::Tcp.listen()).await?;
    let (mut bare, mut open) = (Bare::new(Way::Tcp).await?, Bare::new(Way::Open).await?);
    let peers = Peers::new(Way::Tcp.listen()).await?;
    let mut rows = one_by_one(size, (&pair, &peers), (&mut bare, &mut open)).await?;
    drop(peers);
    rows.push(pipelined(size, &pair, &mut bare).await?);
    pair.close().await?;
    drop((bare, open));
    let pair = Pair::new(Way::Quic.listen()).await?;
    let mut bare = Bare::new(Way::Quic).await?;
    rows.push(over_quic(size, &pair, &mut bare).await?);
    pair.close().await?;
    Ok(rows)
}

/// What one round of a kind came to, in microseconds.
#[derive(Default)]
struct Times {
    p50: Vec<f64>,
    p99: Vec<f64>,
}

impl Times {
    /// Takes a round's nanoseconds.
    fn take(&mut self, nanos: Vec<f64>) {
        let nanos = sorted(nanos);
        self.p50.push(percentile(&nanos, 0.5) / 1e3);
        self.p99.push(percentile(&nanos, 0.99) / 1e3);
    }

    fn typical(&self) -> f64 {
        percentile(&sorted(self.p50.clone()), 0.5)
    }

    fn worst(&self) -> f64 {
        percentile(&sorted(self.p99.clone()), 0.5)
    }
}

fn ratios(ours: &[f64], theirs: &[f64]) -> Vec<f64> {
    ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect()
}

async fn one_by_one(size: Size, (pair, peers): (&Pair, &Peers), (bare, open): (&mut Bare, &mut Bare)) -> Rows {
    let folder = tempfile::tempdir()?;
    let store = Store::open(folder.path(), Options::default())?;
    // A new store writes its log longer first, which those of the villages have done.
    appends(&store, size.asks).await?;
    let (mut plain, mut unsealed, mut fast, mut mesh, mut kept, mut append): (
        Times,
        Times,
        Times,
        Times,
        Times,
        Times,
    ) = Default::default();
    for _ in 0..size.rounds {
        plain.take(bare.asks(size.asks, 1).await?);
        fast.take(pair.asks(size.asks, 1, true).await?);
        unsealed.take(open.asks(size.asks, 1).await?);
        mesh.take(peers.asks(size.asks).await?);
        kept.take(pair.asks(size.asks / 5, 1, false).await?);
        append.take(appends(&store, size.asks / 5).await?);
    }
    let beside = format!(
        "plain libp2p's request-response, p50 {:.0} µs, p99 {:.0} µs; ours {:.0} and {:.0} µs, by the asking agent's clock",
        plain.typical(),
        plain.worst(),
        fast.typical(),
        fast.worst()
    );
    let most: Vec<f64> = fast.p50.iter().zip(&append.p50).map(|(fast, append)| fast + 2.0 * append).collect();
    let durable =
        format!("a fast one and two appends of {:.0} µs; ours takes {:.0} µs", append.typical(), kept.typical());
    let seal: Vec<f64> = plain.p50.iter().zip(&unsealed.p50).map(|(sealed, open)| (sealed - open) / 2e3).collect();
    let sealed =
        format!("the same asks over TCP without Noise, p50 {:.0} µs; an ask is two messages", unsealed.typical());
    Ok(vec![
        Row::of(
            "mesh: an agent's fast ask of one elsewhere, 1 KiB: p50",
            "x",
            ratios(&fast.p50, &plain.p50),
            beside,
            Bar::AtMost(1.5),
        ),
        Row::of(
            "mesh: an agent's fast ask of one elsewhere, 1 KiB: p99",
            "x",
            ratios(&fast.p99, &plain.p99),
            "plain libp2p's p99",
            Bar::AtMost(1.5),
        ),
        Row::of(
            "mesh: an agent's fast ask of one elsewhere: p99",
            "ms",
            fast.p99.iter().map(|micros| micros / 1e3).collect(),
            "the same",
            Bar::AtMost(10.0),
        ),
        Row::of(
            "mesh: an ask of the mesh alone, without villages and agents: p50",
            "x",
            ratios(&mesh.p50, &plain.p50),
            format!("plain libp2p's; ours takes {:.0} µs", mesh.typical()),
            Bar::Stated,
        ),
        Row::of(
            "mesh: an agent's durable ask of one elsewhere: p50",
            "x",
            ratios(&kept.p50, &most),
            durable,
            Bar::AtMost(1.0),
        ),
        Row::of("mesh: that a message is sealed", "ms", seal, sealed, Bar::AtMost(1.0)),
    ])
}

/// Nanoseconds of appends, one at a time.
async fn appends(store: &Store, times: usize) -> Result<Vec<f64>, Error> {
    let mut took = Vec::with_capacity(times);
    for _ in 0..times {
        let mut change = Change::new();
        change.journal(0, vec![7; 300]);
        let begun = Instant::now();
        store.commit(change).await?;
        took.push(begun.elapsed().as_nanos() as f64);
    }
    Ok(took)
}

async fn pipelined(size: Size, pair: &Pair, bare: &mut Bare) -> Result<Row, Error> {
    let (mut parts, mut rates) = (vec![], vec![]);
    for _ in 0..size.rounds {
        let begun = Instant::now();
        bare.asks(size.pipelined, TOGETHER).await?;
        let theirs = size.pipelined as f64 / begun.elapsed().as_secs_f64();
        let begun = Instant::now();
        pair.asks(size.pipelined, TOGETHER, true).await?;
        let ours = size.pipelined as f64 / begun.elapsed().as_secs_f64();
        parts.push(ours / theirs);
        rates.push(ours);
    }
    let beside = format!(
        "plain libp2p with as many; ours {:.0} a second, the limit of each member lifted",
        percentile(&sorted(rates), 0.5)
    );
    let name = format!("mesh: fast asks of one agent a second, {TOGETHER} under way");
    Ok(Row::of(name, "x", parts, beside, Bar::AtLeast(0.7)))
}

async fn over_quic(size: Size, pair: &Pair, bare: &mut Bare) -> Result<Row, Error> {
    let (mut plain, mut fast) = (Times::default(), Times::default());
    for _ in 0..size.rounds {
        plain.take(bare.asks(size.asks, 1).await?);
        fast.take(pair.asks(size.asks, 1, true).await?);
    }
    let beside = format!("plain libp2p's over QUIC, {:.0} µs; ours {:.0} µs", plain.typical(), fast.typical());
    Ok(Row::of("mesh: an agent's fast ask over QUIC: p50", "x", ratios(&fast.p50, &plain.p50), beside, Bar::Stated))
}
