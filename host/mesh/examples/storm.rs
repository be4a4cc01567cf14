//! The mesh in a storm: a third of 20 peers killed each 10 s for 2 minutes, and ten that fall into two halves for a minute.
//!
//! `cargo run -p mesh --example storm [SEED [CONNECTIONS]]`

use mesh::storm::{Healed, Storm};
use mesh::{Pace, Settings};
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let seed = words.next().map_or(Ok(42), |text| text.parse())?;
    let connections = words.next().map_or(Ok(Settings::new("").connections), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let storm =
        |name: &str, peers| Storm { folder: folder.path().join(name), peers, connections, pace: Pace::default(), seed };
    let churned = storm("churn", 20).churn(Duration::from_secs(10), Duration::from_secs(120)).await?;
    let (part, asks) = (100.0 * churned.part(), churned.asks);
    println!("churn: {part:.3} % of {asks} asks between the living were answered within 5 s; {churned:?}");
    let healed = storm("partition", 10).partition(Duration::from_secs(60)).await?;
    let Healed { asks: (asked, answered), directory, topics } = healed;
    println!("partition: {answered} of {asked} asks within the halves answered; after it the directory was whole in");
    println!("{directory:?}, and what was published then had reached all {topics:?} after it");
    Ok(())
}
