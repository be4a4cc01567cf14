//! The mesh in a storm: a third of 20 peers killed each 10 s for 2 minutes, and ten that fall into two halves for a minute.
//!
//! `cargo run -p mesh --example storm [SEED [CONNECTIONS]]`

#![allow(clippy::unwrap_used, reason = "it is a test that takes long")]

#[path = "../tests/all/churn.rs"]
mod churn;

use std::time::Duration;

#[tokio::main]
async fn main() {
    let seed = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(42);
    let connections = std::env::args().nth(2).and_then(|text| text.parse().ok()).unwrap_or(churn::DEFAULT);
    let churned = churn::churn((20, connections), Duration::from_secs(10), Duration::from_secs(120), seed).await;
    let part = 100.0 * churned.answered as f64 / churned.asks.max(1) as f64;
    println!("churn: {part:.3} % of {} asks between the living were answered within 5 s; {churned:?}", churned.asks);
    let healed = churn::partition(10, Duration::from_secs(60), mesh::Pace::default(), seed).await;
    let churn::Healed { asks: (asked, answered), directory, topics } = healed;
    println!("partition: {answered} of {asked} asks within the halves answered; after it the directory was whole in");
    println!("{directory:?}, and what was published then had reached all {topics:?} after it");
}
