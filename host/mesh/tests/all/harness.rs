//! Villages for tests: quick, in one process, with a seed that is printed.

use mesh::fault::Weather;
use mesh::{Ask, Asks, Error, Event, Mesh, Multiaddr, Pace, PeerId, Settings};
use std::future::Future;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::broadcast::Receiver;

/// The longest that a test waits for something.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Peer {
    pub(crate) mesh: Mesh,
    pub(crate) asks: Option<Asks>,
    pub(crate) weather: Weather,
    pub(crate) events: Receiver<Event>,
    pub(crate) folder: TempDir,
    settings: Settings,
}

/// An address in memory that nobody else has.
pub(crate) fn place() -> Multiaddr {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    // Above what the transport gives out by itself, far below its end.
    let number = 1_000_000_000 + NEXT.fetch_add(1, Ordering::Relaxed);
    format!("/memory/{number}").parse().unwrap()
}

pub(crate) fn pace() -> Pace {
    Pace {
        look: Duration::from_millis(20),
        back_off: Duration::from_millis(30),
        back_off_most: Duration::from_millis(500),
        hello: Duration::from_millis(300),
        ping: Duration::from_millis(200),
        lobby: Duration::from_millis(400),
    }
}

pub(crate) async fn peer() -> Peer {
    peer_with(|_| {}).await
}

pub(crate) async fn peer_with(change: impl FnOnce(&mut Settings)) -> Peer {
    let folder = tempfile::tempdir().unwrap();
    let weather = Weather::new(seed());
    let mut settings = Settings::new(folder.path());
    settings.listen = vec![place()];
    settings.pace = pace();
    settings.weather = Some(weather.clone());
    settings.seed = seed();
    change(&mut settings);
    let (mesh, asks) = Mesh::start(settings.clone()).await.unwrap();
    let events = mesh.events();
    Peer { mesh, asks: Some(asks), weather, events, folder, settings }
}

/// A new seed, printed so that a failure can be repeated with it (`VILLAGE_SEED`).
fn seed() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    static START: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    let start = *START.get_or_init(|| {
        let given = std::env::var("VILLAGE_SEED").ok().and_then(|text| text.parse().ok());
        let clock = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
        let start = given.unwrap_or_else(clock);
        println!("VILLAGE_SEED={start}");
        start
    });
    (start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)).wrapping_mul(0x9E37_79B9_7F4A_7C15)) | 1
}

impl Peer {
    pub(crate) fn id(&self) -> PeerId {
        self.mesh.peer()
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The same peer, stopped and started again.
    pub(crate) async fn restart(self) -> Peer {
        self.mesh.stop().await;
        drop(self.mesh);
        let (mesh, asks) = Mesh::start(self.settings.clone()).await.unwrap();
        let events = mesh.events();
        Peer { mesh, asks: Some(asks), events, ..self }
    }

    pub(crate) async fn join(&self, other: &Peer) -> Result<(), Error> {
        let invitation = other.mesh.invite(1, Duration::from_secs(60)).await?;
        self.mesh.join(&invitation).await
    }

    pub(crate) async fn linked(&self, other: &Peer) -> bool {
        self.mesh.links().await.unwrap().iter().any(|link| link.peer == other.id())
    }

    pub(crate) async fn links(&self) -> usize {
        self.mesh.links().await.unwrap().len()
    }

    pub(crate) async fn members(&self) -> usize {
        self.mesh.members().await.unwrap().len()
    }

    pub(crate) fn turned_away(&self, why: mesh::Why) -> u64 {
        self.mesh.counts().turned_away.get(&why).copied().unwrap_or(0)
    }

    /// Waits for an event.
    pub(crate) async fn event(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        let find = async {
            loop {
                match self.events.recv().await {
                    Ok(event) if wanted(&event) => return event,
                    Ok(_) | Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        };
        tokio::time::timeout(PATIENCE, find).await.expect("the event comes")
    }

    /// Answers all asks by this.
    pub(crate) fn serve(&mut self, answer: impl Fn(Ask) + Send + 'static) {
        let mut asks = self.asks.take().expect("it serves nobody yet");
        tokio::spawn(async move {
            while let Some(ask) = asks.next().await {
                answer(ask);
            }
        });
    }

    pub(crate) fn echo(&mut self) {
        self.serve(|ask| {
            let body = ask.frame.body.clone();
            ask.answer(body).unwrap();
        });
    }
}

/// So many peers; all have joined through the first.
pub(crate) async fn village(size: usize) -> Vec<Peer> {
    village_with(size, |_| {}).await
}

pub(crate) async fn village_with(size: usize, change: impl Fn(&mut Settings)) -> Vec<Peer> {
    let mut all = vec![peer_with(&change).await];
    for _ in 1..size {
        let new = peer_with(&change).await;
        new.join(&all[0]).await.unwrap();
        all.push(new);
    }
    until("all know each other", || async {
        for each in &all {
            if each.members().await != size - 1 || each.links().await == 0 {
                return false;
            }
        }
        true
    })
    .await;
    all
}

/// Waits until it is so.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, so: impl Fn() -> F) {
    let start = Instant::now();
    while !so().await {
        assert!(start.elapsed() < PATIENCE, "not so after {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Whether it stays so for a while.
pub(crate) async fn stays<F: Future<Output = bool>>(what: &str, time: Duration, so: impl Fn() -> F) {
    let start = Instant::now();
    while start.elapsed() < time {
        assert!(so().await, "not so any more: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
