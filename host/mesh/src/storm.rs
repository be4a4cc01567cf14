//! Foul times for a village, to try it with: peers that are killed in the midst of what they do and begin again, and one that
//! falls into two halves. What is counted is what those who lived got.

use crate::fault::Weather;
use crate::timers::Dice;
use crate::{Asks, Error, Mesh, Message, Pace, Settings};
use libp2p::Multiaddr;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// An ask between two that live has its answer within this.
pub const ANSWER: Duration = Duration::from_secs(5);
/// One ask after so long.
const ASKS: Duration = Duration::from_millis(20);
/// How long the dead stay dead.
const DEAD: Duration = Duration::from_secs(1);
/// The longest that peers may take to know of each other, or to begin again.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is tried.
#[derive(Clone, Debug)]
pub struct Storm {
    /// Where the peers keep what they keep.
    pub folder: PathBuf,
    /// How many there are.
    pub peers: usize,
    /// How many links each may have.
    pub connections: usize,
    /// How fast they do what they do by themselves.
    pub pace: Pace,
    /// What chance decides.
    pub seed: u64,
}

/// What came of the asks between peers that lived from question to answer.
#[derive(Debug, Default)]
pub struct Churned {
    /// How many there were.
    pub asks: usize,
    /// Of these, how many were answered in time.
    pub answered: usize,
    /// Asks that one life of a peer handled more than once.
    pub doubled: usize,
    /// Answers to what nobody handled.
    pub made_up: usize,
    /// The longest that an answer took.
    pub slowest: Duration,
}

/// What came of a partition.
#[derive(Debug)]
pub struct Healed {
    /// Asks within the halves while they were apart, and those of them that were answered.
    pub asks: (usize, usize),
    /// After the way was open again: until all knew of all.
    pub directory: Duration,
    /// Until what one published then had reached all.
    pub topics: Duration,
}

impl Storm {
    /// A third of the peers is killed each so often, and begins again; all the time some ask each other.
    pub async fn churn(&self, every: Duration, lasting: Duration) -> Result<Churned, Error> {
        let mut nodes = self.village().await?;
        // Whom each has met is written down every five seconds: who is killed before that knows fewer afterwards.
        tokio::time::sleep(Duration::from_secs(6)).await;
        let (mut dice, mut figures, mut asking) = (Dice::new(self.seed | 1), Churned::default(), JoinSet::new());
        let (end, mut next_kill, mut next_birth) = (Instant::now() + lasting, Instant::now() + every / 2, None);
        let (mut tick, mut number) = (tokio::time::interval(ASKS), 0);
        while Instant::now() < end {
            tick.tick().await;
            number += 1;
            let (from, to) = (dice.below(nodes.len()), dice.below(nodes.len()));
            if let (true, Some(asked)) = (from != to, ask(&nodes, from, to, number)) {
                asking.spawn(asked);
            }
            while let Some(Ok(asked)) = asking.try_join_next() {
                figures.take(&nodes, asked);
            }
            if Instant::now() >= next_kill {
                next_kill += every;
                next_birth = Some(Instant::now() + DEAD);
                for _ in 0..nodes.len() / 3 {
                    let living: Vec<usize> = (0..nodes.len()).filter(|n| nodes[*n].running.is_some()).collect();
                    nodes[living[dice.below(living.len())]].kill();
                }
            }
            if next_birth.is_some_and(|at| Instant::now() >= at) {
                next_birth = None;
                for node in nodes.iter_mut().filter(|node| node.running.is_none()) {
                    node.start().await?;
                }
            }
        }
        while let Some(Ok(asked)) = asking.join_next().await {
            figures.take(&nodes, asked);
        }
        figures.doubled = nodes.iter().map(Node::doubled).sum();
        Ok(figures)
    }

    /// The peers fall into two halves for so long, and are put together again.
    pub async fn partition(&self, lasting: Duration) -> Result<Healed, Error> {
        let nodes = self.village().await?;
        let mut ids = Vec::new();
        let mut topics = Vec::new();
        for node in &nodes {
            let mesh = node.mesh().ok_or(Error::Stopped)?;
            ids.push(mesh.peer());
            topics.push(mesh.subscribe("news").await?);
        }
        let (count, half) = (nodes.len(), nodes.len() / 2);
        for (n, node) in nodes.iter().enumerate() {
            node.weather.cut(if n < half { ids[half..].to_vec() } else { ids[..half].to_vec() });
        }
        // Links that were there break now; what was asked in that moment is not meant.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (mut dice, mut asks, end) = (Dice::new(self.seed | 1), (0, 0), Instant::now() + lasting);
        while Instant::now() < end {
            let side = if dice.below(2) == 0 { 0..half } else { half..count };
            let (from, to) = (side.start + dice.below(side.len()), side.start + dice.below(side.len()));
            if let (true, Some(asked)) = (from != to, ask(&nodes, from, to, asks.0 as u64)) {
                asks = (asks.0 + 1, asks.1 + usize::from(asked.await.good));
            }
            tokio::time::sleep(ASKS).await;
        }
        let healed = Instant::now();
        nodes.iter().for_each(|node| node.weather.cut([]));
        whole(&nodes).await?;
        let directory = healed.elapsed();
        let first = nodes.first().and_then(Node::mesh).ok_or(Error::Stopped)?;
        first.publish(Message::new("news", "whole").lasting(PATIENCE)).await?;
        for topic in &mut topics {
            let heard = async {
                while topic.next().await.ok_or(Error::Stopped)?.0.frame.body != b"whole" {}
                Ok::<(), Error>(())
            };
            tokio::time::timeout(PATIENCE, heard).await.map_err(|_| Error::Expired { sent: true })??;
        }
        Ok(Healed { asks, directory, topics: healed.elapsed() })
    }

    /// The peers, each of which knows each.
    async fn village(&self) -> Result<Vec<Node>, Error> {
        let mut nodes = Vec::new();
        for number in 0..self.peers {
            let mut node = Node::new(self, number)?;
            node.start().await?;
            nodes.push(node);
        }
        let founder = nodes.first().and_then(Node::mesh).ok_or(Error::Stopped)?;
        let open = founder.invite(self.peers as u32, Duration::from_secs(600)).await?;
        for mesh in nodes[1..].iter().filter_map(Node::mesh) {
            mesh.join(&open).await?;
        }
        whole(&nodes).await?;
        Ok(nodes)
    }
}

impl Churned {
    fn take(&mut self, nodes: &[Node], asked: Asked) {
        let lives = |(n, life): (usize, u32)| nodes[n].life == life;
        let handled = nodes[asked.to.0].handled.lock().contains_key(&asked.number);
        self.made_up += usize::from(asked.good && !handled);
        if lives(asked.from) && lives(asked.to) {
            self.asks += 1;
            self.answered += usize::from(asked.good);
            self.slowest = self.slowest.max(asked.took);
        }
    }

    /// The part that was answered in time, 0 to 1.
    pub fn part(&self) -> f64 {
        self.answered as f64 / self.asks.max(1) as f64
    }
}

/// Which life of a peer handled which ask.
type Handled = Arc<Mutex<HashMap<u64, Vec<u32>>>>;

/// A peer with threads of its own, so that it can be killed: nothing of it says good-bye.
struct Node {
    settings: Settings,
    weather: Weather,
    life: u32,
    running: Option<(Runtime, Mesh)>,
    handled: Handled,
}

impl Node {
    fn new(storm: &Storm, number: usize) -> Result<Node, Error> {
        let folder = storm.folder.join(number.to_string());
        let seed = storm.seed.wrapping_add(number as u64).max(1);
        let (place, weather) = (place(&folder)?, Weather::new(seed));
        let settings = Settings {
            listen: vec![place],
            weather: Some(weather.clone()),
            seed,
            pace: storm.pace,
            connections: storm.connections,
            ..Settings::new(folder)
        };
        Ok(Node { settings, weather, life: 0, running: None, handled: Handled::default() })
    }

    async fn start(&mut self) -> Result<(), Error> {
        self.life += 1;
        let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let threads = threads.map_err(|error| Error::io(&self.settings.folder, error))?;
        let (settings, handled, life) = (self.settings.clone(), self.handled.clone(), self.life);
        let started = threads.spawn(async move {
            let (mesh, asks) = again(settings).await?;
            tokio::spawn(serve(asks, handled, life));
            Ok::<Mesh, Error>(mesh)
        });
        let mesh = started.await.map_err(|_| Error::Stopped)??;
        self.running = Some((threads, mesh));
        Ok(())
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

    /// Asks that one life of it handled more than once.
    fn doubled(&self) -> usize {
        let twice = |lives: &&Vec<u32>| (1..lives.len()).any(|at| lives[..at].contains(&lives[at]));
        self.handled.lock().values().filter(twice).count()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that was free just now: whoever was killed comes back to it.
fn place(folder: &Path) -> Result<Multiaddr, Error> {
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let port = free.map_err(|error| Error::io(folder, error))?.port();
    Ok(format!("/ip4/127.0.0.1/tcp/{port}").parse().expect("an address"))
}

/// Starts a peer where another life of it may still be about to end.
async fn again(settings: Settings) -> Result<(Mesh, Asks), Error> {
    let until = Instant::now() + PATIENCE;
    loop {
        match Mesh::start(settings.clone()).await {
            Err(_) if Instant::now() < until => tokio::time::sleep(Duration::from_millis(20)).await,
            other => return other,
        }
    }
}

async fn serve(mut asks: Asks, handled: Handled, life: u32) {
    while let Some(ask) = asks.next().await {
        let body = ask.frame.body.clone();
        if let Some(number) = body.first_chunk() {
            handled.lock().entry(u64::from_le_bytes(*number)).or_default().push(life);
        }
        // Who has died meanwhile hears nothing.
        drop(ask.answer(body));
    }
}

/// Waits until each has heard of each.
async fn whole(nodes: &[Node]) -> Result<(), Error> {
    let wait = async {
        for mesh in nodes.iter().filter_map(Node::mesh) {
            while mesh.present().await?.len() + 1 < nodes.len() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Ok::<(), Error>(())
    };
    tokio::time::timeout(PATIENCE, wait).await.map_err(|_| Error::Expired { sent: true })?
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
