//! Peers that are killed in the midst of what they do and begin again, and a village that falls into two halves. The test is
//! short; `cargo run -p mesh --example storm` is as long as it is to be.

use mesh::fault::Weather;
use mesh::{Mesh, Message, Multiaddr, Pace, Settings};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// An ask between two that live has its answer within this.
const ANSWER: Duration = Duration::from_secs(5);
/// One ask after so long.
const ASKS: Duration = Duration::from_millis(20);
/// As many links as a village has unless it is said: half as many as there are others, each of whom is asked.
pub(crate) const DEFAULT: usize = 10;
/// How long the dead stay dead.
const DEAD: Duration = Duration::from_secs(1);

/// Which life of a peer handled which ask.
type Handled = Arc<Mutex<HashMap<u64, Vec<u32>>>>;

/// A peer with threads of its own, so that it can be killed: nothing of it says good-bye.
struct Node {
    folder: TempDir,
    place: Multiaddr,
    weather: Weather,
    seed: u64,
    pace: Pace,
    connections: usize,
    life: u32,
    running: Option<(Runtime, Mesh)>,
    handled: Handled,
}

/// What came of the asks between peers that lived from question to answer.
#[derive(Debug, Default)]
pub(crate) struct Churned {
    /// How many there were.
    pub(crate) asks: usize,
    /// Of these, how many were answered in time.
    pub(crate) answered: usize,
    /// Asks that one life of a peer handled more than once.
    pub(crate) doubled: usize,
    /// Answers to what nobody handled.
    pub(crate) made_up: usize,
    /// The longest that an answer took.
    pub(crate) slowest: Duration,
}

/// What came of a partition.
#[derive(Debug)]
pub(crate) struct Healed {
    /// Asks within the halves while they were apart, and those of them that were answered.
    pub(crate) asks: (usize, usize),
    /// After the way was open again: until all knew of all, and until what one published reached all.
    pub(crate) directory: Duration,
    /// Until what one published then had reached all.
    pub(crate) topics: Duration,
}

impl Node {
    fn new(seed: u64, pace: Pace, connections: usize) -> Node {
        // A port that was free just now: whoever was killed comes back to it.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let place = format!("/ip4/127.0.0.1/tcp/{free}").parse().unwrap();
        let (folder, weather) = (tempfile::tempdir().unwrap(), Weather::new(seed));
        Node { folder, place, weather, seed, pace, connections, life: 0, running: None, handled: Handled::default() }
    }

    async fn start(&mut self) {
        let mut settings = Settings::new(self.folder.path());
        settings.listen = vec![self.place.clone()];
        settings.weather = Some(self.weather.clone());
        settings.seed = self.seed;
        settings.pace = self.pace;
        settings.connections = self.connections;
        self.life += 1;
        let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (handled, life) = (self.handled.clone(), self.life);
        let started = threads.spawn(async move {
            let (mesh, mut asks) = again(settings).await;
            tokio::spawn(async move {
                while let Some(ask) = asks.next().await {
                    let body = ask.frame.body.clone();
                    let number = u64::from_le_bytes(body[..8].try_into().unwrap());
                    handled.lock().unwrap().entry(number).or_default().push(life);
                    let _ = ask.answer(body);
                }
            });
            mesh
        });
        let mesh = started.await.unwrap();
        self.running = Some((threads, mesh));
    }

    fn kill(&mut self) {
        self.life += 1;
        if let Some((threads, _)) = self.running.take() {
            threads.shutdown_background();
        }
    }

    fn mesh(&self) -> Option<&Mesh> {
        self.running.as_ref().map(|(_, mesh)| mesh)
    }
}

/// Starts a peer where another life of it may still be about to end.
async fn again(settings: Settings) -> (Mesh, mesh::Asks) {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        match Mesh::start(settings.clone()).await {
            Ok(started) => return started,
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Chance, repeatable.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}

/// A village of so many, each of which knows each.
async fn village(count: usize, seed: u64, pace: Pace, connections: usize) -> Vec<Node> {
    println!("seed {seed}");
    let new = |n| Node::new(seed.wrapping_add(n).max(1), pace, connections);
    let mut nodes: Vec<Node> = (0..count as u64).map(new).collect();
    for node in &mut nodes {
        node.start().await;
    }
    let founder = nodes[0].mesh().unwrap().clone();
    let open = founder.invite(count as u32, Duration::from_secs(600)).await.unwrap();
    for node in &nodes[1..] {
        node.mesh().unwrap().join(&open).await.unwrap();
    }
    whole(&nodes, Duration::from_secs(60)).await;
    nodes
}

/// Waits until each has heard of each.
async fn whole(nodes: &[Node], patience: Duration) {
    let wait = async {
        for node in nodes {
            while node.mesh().unwrap().present().await.unwrap().len() + 1 < nodes.len() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    };
    tokio::time::timeout(patience, wait).await.expect("each hears of each");
}

struct Asked {
    from: (usize, u32),
    to: (usize, u32),
    number: u64,
    took: Duration,
    good: bool,
}

fn ask(nodes: &[Node], from: usize, to: usize, number: u64) -> Option<impl Future<Output = Asked> + use<>> {
    let (mesh, peer) = (nodes[from].mesh()?.clone(), nodes[to].mesh()?.peer());
    let (from, to) = ((from, nodes[from].life), (to, nodes[to].life));
    Some(async move {
        let began = Instant::now();
        let answer = mesh.ask(peer, Message::new("echo", number.to_le_bytes()).lasting(ANSWER)).await;
        let good = answer.is_ok_and(|body| body == number.to_le_bytes());
        Asked { from, to, number, took: began.elapsed(), good }
    })
}

/// A third of the peers is killed each so often, and begins again; all the time some ask each other.
pub(crate) async fn churn(
    (count, connections): (usize, usize),
    every: Duration,
    lasting: Duration,
    seed: u64,
) -> Churned {
    let mut nodes = village(count, seed, Pace::default(), connections).await;
    // Whom each has met is written down every five seconds: who is killed before that knows fewer afterwards.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let (mut dice, mut figures, mut asking, mut number) = (Dice(seed), Churned::default(), JoinSet::new(), 0);
    let (end, mut next_kill, mut next_birth) = (Instant::now() + lasting, Instant::now() + every / 2, None);
    let mut tick = tokio::time::interval(ASKS);
    while Instant::now() < end {
        tick.tick().await;
        number += 1;
        let (from, to) = (dice.below(count), dice.below(count));
        if let (true, Some(asked)) = (from != to, ask(&nodes, from, to, number)) {
            asking.spawn(asked);
        }
        while let Some(asked) = asking.try_join_next() {
            figures.take(&nodes, asked.unwrap());
        }
        if Instant::now() >= next_kill {
            next_kill += every;
            next_birth = Some(Instant::now() + DEAD);
            for _ in 0..count / 3 {
                let living: Vec<usize> = (0..count).filter(|n| nodes[*n].running.is_some()).collect();
                nodes[living[dice.below(living.len())]].kill();
            }
        }
        if next_birth.is_some_and(|at| Instant::now() >= at) {
            next_birth = None;
            for node in nodes.iter_mut().filter(|node| node.running.is_none()) {
                node.start().await;
            }
        }
    }
    while let Some(asked) = asking.join_next().await {
        figures.take(&nodes, asked.unwrap());
    }
    for node in &nodes {
        for lives in node.handled.lock().unwrap().values() {
            let mut once = lives.clone();
            once.sort_unstable();
            once.dedup();
            figures.doubled += usize::from(once.len() < lives.len());
        }
    }
    figures
}

impl Churned {
    fn take(&mut self, nodes: &[Node], asked: Asked) {
        let lives = |(n, life): (usize, u32)| nodes[n].life == life;
        self.made_up +=
            usize::from(asked.good && !nodes[asked.to.0].handled.lock().unwrap().contains_key(&asked.number));
        if lives(asked.from) && lives(asked.to) {
            self.asks += 1;
            self.answered += usize::from(asked.good);
            self.slowest = self.slowest.max(asked.took);
        }
    }
}

/// So many fall into two halves for so long, and are put together again.
pub(crate) async fn partition(count: usize, lasting: Duration, pace: Pace, seed: u64) -> Healed {
    let nodes = village(count, seed, pace, DEFAULT).await;
    let ids: Vec<_> = nodes.iter().map(|node| node.mesh().unwrap().peer()).collect();
    let half = count / 2;
    let mut topics = Vec::new();
    for node in &nodes {
        topics.push(node.mesh().unwrap().subscribe("news").await.unwrap());
    }
    for (n, node) in nodes.iter().enumerate() {
        node.weather.cut(if n < half { ids[half..].to_vec() } else { ids[..half].to_vec() });
    }
    // Links that were there break now; what was asked in that moment is not meant.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (mut dice, mut asks, end) = (Dice(seed), (0, 0), Instant::now() + lasting);
    while Instant::now() < end {
        let side = if dice.below(2) == 0 { 0..half } else { half..count };
        let (from, to) = (side.start + dice.below(side.len()), side.start + dice.below(side.len()));
        if from != to {
            let asked = ask(&nodes, from, to, asks.0 as u64).unwrap().await;
            asks = (asks.0 + 1, asks.1 + usize::from(asked.good));
        }
        tokio::time::sleep(ASKS).await;
    }
    let healed = Instant::now();
    nodes.iter().for_each(|node| node.weather.cut([]));
    whole(&nodes, Duration::from_secs(60)).await;
    let directory = healed.elapsed();
    let first = nodes[0].mesh().unwrap();
    first.publish(Message::new("news", "whole").lasting(Duration::from_secs(60))).await.unwrap();
    for topic in &mut topics {
        let heard = tokio::time::timeout(Duration::from_secs(60), topic.next()).await.expect("it comes").unwrap().0;
        assert_eq!(heard.frame.body, b"whole");
    }
    Healed { asks, directory, topics: healed.elapsed() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed() -> u64 {
        let given = std::env::var("VILLAGE_SEED").ok().and_then(|text| text.parse().ok());
        let clock = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
        given.unwrap_or_else(clock)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn those_who_live_are_answered_while_a_third_of_twenty_is_killed_again_and_again() {
        let figures = churn((20, DEFAULT), Duration::from_secs(4), Duration::from_secs(12), seed()).await;
        println!("{figures:?}");
        assert!(figures.asks > 200, "{figures:?}");
        assert_eq!((figures.doubled, figures.made_up), (0, 0), "{figures:?}");
        assert!(figures.answered * 1000 >= figures.asks * 999, "{figures:?}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn two_halves_of_ten_serve_apart_and_are_whole_soon_after() {
        // They forget whom they have not heard of for four hellos: sooner than they are apart.
        let pace = Pace { hello: Duration::from_millis(300), ..Pace::default() };
        let figures = partition(10, Duration::from_secs(5), pace, seed()).await;
        println!("{figures:?}");
        assert!(figures.asks.0 > 20 && figures.asks.1 == figures.asks.0, "{figures:?}");
        assert!(figures.directory.max(figures.topics) <= Duration::from_secs(10), "{figures:?}");
    }
}
