//! Peers that are killed and begin again, and a mesh that falls into two halves: shorter than `cargo run -p mesh --example storm`.

use super::Size;
use crate::Rows;
use crate::report::{Bar, Row};
use ::mesh::storm::Storm;
use ::mesh::{Pace, Settings};
use std::time::Duration;

/// What chance decides is the same each time.
const SEED: u64 = 42;

pub(super) async fn measure(size: Size) -> Rows {
    let folder = tempfile::tempdir()?;
    let storm = |name: &str, peers| {
        let (folder, connections) = (folder.path().join(name), Settings::new("").connections);
        Storm { folder, peers, connections, pace: Pace::default(), seed: SEED }
    };
    let (peers, every) = (size.churned, Duration::from_secs(4));
    let churned = storm("churn", peers).churn(every, size.storm).await?;
    let asks = format!("{} asks in {} s, a third killed each 4 s, 10 links each", churned.asks, size.storm.as_secs());
    let slowest = churned.slowest.as_secs_f64();
    let mut rows = vec![
        Row::judged(
            format!("mesh: churn of {peers} peers: asks between the living, answered within 5 s"),
            "%",
            churned.part() * 100.0,
            format!("{asks}; the slowest took {slowest:.2} s"),
            Bar::AtLeast(99.9),
        ),
        Row::judged(
            format!("mesh: churn of {peers} peers: asks handled twice, or answered by nobody"),
            "asks",
            (churned.doubled + churned.made_up) as f64,
            asks,
            Bar::AtMost(0.0),
        ),
    ];
    let peers = size.parted;
    let healed = storm("partition", peers).partition(size.storm).await?;
    let beside = format!("apart for {} s; {} asks", size.storm.as_secs(), healed.asks.0);
    rows.push(Row::judged(
        format!("mesh: partition of {peers} peers: asks within the halves, answered"),
        "%",
        100.0 * healed.asks.1 as f64 / healed.asks.0.max(1) as f64,
        beside.clone(),
        Bar::AtLeast(100.0),
    ));
    rows.push(Row::judged(
        format!("mesh: partition of {peers} peers: directory and topics whole after it"),
        "s",
        healed.directory.max(healed.topics).as_secs_f64(),
        beside,
        Bar::AtMost(10.0),
    ));
    Ok(rows)
}
