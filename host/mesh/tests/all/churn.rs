//! Peers that are killed in the midst of what they do and begin again, and a village that falls into two halves. These are short;
//! `cargo run -p mesh --example storm` is as long as it is to be, and `village bench mesh` is in between.

use mesh::Pace;
use mesh::storm::Storm;
use std::time::Duration;
use tempfile::TempDir;

/// As many links as a village has unless it is said: half as many as there are others, each of whom is asked.
const DEFAULT: usize = 10;

fn storm(peers: usize, pace: Pace) -> (TempDir, Storm) {
    let given = std::env::var("VILLAGE_SEED").ok().and_then(|text| text.parse().ok());
    let clock = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let seed = given.unwrap_or_else(clock);
    println!("seed {seed}");
    let folder = tempfile::tempdir().unwrap();
    let storm = Storm { folder: folder.path().into(), peers, connections: DEFAULT, pace, seed };
    (folder, storm)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_live_are_answered_while_a_third_of_twenty_is_killed_again_and_again() {
    let (_folder, storm) = storm(20, Pace::default());
    let figures = storm.churn(Duration::from_secs(4), Duration::from_secs(12)).await.unwrap();
    println!("{figures:?}");
    assert!(figures.asks > 200, "{figures:?}");
    assert_eq!((figures.doubled, figures.made_up), (0, 0), "{figures:?}");
    assert!(figures.part() >= 0.999, "{figures:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_halves_of_ten_serve_apart_and_are_whole_soon_after() {
    // They forget whom they have not heard of for four hellos: sooner than they are apart.
    let (_folder, storm) = storm(10, Pace { hello: Duration::from_millis(300), ..Pace::default() });
    let figures = storm.partition(Duration::from_secs(5)).await.unwrap();
    println!("{figures:?}");
    assert!(figures.asks.0 > 20 && figures.asks.1 == figures.asks.0, "{figures:?}");
    assert!(figures.directory.max(figures.topics) <= Duration::from_secs(10), "{figures:?}");
}
