//! Hosts that are villages of one mesh, in one process: each with its own store, which survives it, over memory as the way.

use crate::builder;
use crate::lasting::{EAGER, Lasting};
use guest::Books;
use mesh::fault::Weather;
use mesh::{Asks, Mesh, Multiaddr, Pace, PeerId, Settings};
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use store::fault::FaultyDisk;
use store::{Options, Store};
use tempfile::TempDir;

/// A village.
pub struct Place {
    /// Its agents: none while it is down.
    pub village: Option<Lasting>,
    /// Its way to others: none while it is down.
    pub mesh: Option<Mesh>,
    /// What the weather is over it.
    pub weather: Weather,
    /// Where everything is kept.
    pub disk: FaultyDisk,
    /// How many messages of each other village it knows at once, from its next life on.
    pub known: u64,
    /// What others ask, until somebody answers it.
    asks: Mutex<Option<Asks>>,
    settings: Settings,
    _folder: TempDir,
    peer: PeerId,
}

/// Nothing takes longer, unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(100);

fn address() -> Multiaddr {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = 5_000_000_000 + NEXT.fetch_add(1, Ordering::Relaxed);
    format!("/memory/{number}").parse().expect("an address")
}

/// How a mesh is set that is quick, in a folder.
pub fn settings(folder: &Path, weather: &Weather, seed: u64) -> Settings {
    Settings {
        listen: vec![address()],
        pace: Pace {
            look: Duration::from_millis(20),
            back_off: Duration::from_millis(30),
            back_off_most: Duration::from_millis(300),
            hello: Duration::from_millis(200),
            ping: Duration::from_millis(200),
            lobby: Duration::from_millis(400),
        },
        weather: Some(weather.clone()),
        seed,
        ..Settings::new(folder)
    }
}

impl Place {
    /// A village of its own.
    pub async fn new(seed: u64) -> Place {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let weather = Weather::new(seed | 1);
        let settings = settings(folder.path(), &weather, seed | 1);
        let (mesh, asks) = Mesh::start(settings.clone()).await.unwrap_or_else(|error| panic!("{error}"));
        let peer = mesh.peer();
        let disk = FaultyDisk::new();
        let asked = Mutex::default();
        let mut place = Place {
            village: None,
            mesh: None,
            weather,
            disk,
            known: 1_000_000,
            asks: asked,
            settings,
            _folder: folder,
            peer,
        };
        let books = place.books().await.expect("nothing is wrong with the disk");
        place.begin(mesh, asks, books).await;
        place
    }

    async fn books(&self) -> Option<Arc<Books>> {
        let (disk, options) = (Arc::new(self.disk.clone()), Options { checkpoint: 64 << 10, ..Options::default() });
        let opened = tokio::task::spawn_blocking(move || Store::open_with(disk, Path::new("/village"), options));
        let store = opened.await.expect("it does not panic").ok()?;
        Books::open(store).await.ok()
    }

    async fn begin(&mut self, mesh: Mesh, asks: Asks, books: Arc<Books>) {
        let village = Lasting::on(builder(64).mesh(mesh.clone()).known(self.known), books).await;
        (self.village, self.mesh, *self.asks.lock()) = (Some(village), Some(mesh), Some(asks));
    }

    /// Answers others from now on: its agents are there.
    pub fn serve(&self) {
        let Some(mut asks) = self.asks.lock().take() else { return };
        let host = Arc::downgrade(&self.village().host);
        tokio::spawn(async move {
            while let Some(ask) = asks.next().await {
                let Some(host) = host.upgrade() else { return };
                tokio::spawn(async move { host.received(ask).await });
            }
        });
    }

    /// Who it is.
    pub fn peer(&self) -> PeerId {
        self.peer
    }

    /// The address of one of its agents, as others write it.
    pub fn address(&self, agent: &str) -> String {
        format!("{agent}@{}", self.peer)
    }

    /// Its agents.
    pub fn village(&self) -> &Lasting {
        self.village.as_ref().expect("it is up")
    }

    /// Its way to others.
    pub fn mesh(&self) -> &Mesh {
        self.mesh.as_ref().expect("it is up")
    }

    /// Enrols clerks that others may send to, and that may send to all.
    pub async fn clerks(&self, names: &[&str]) {
        let village = self.village();
        let clerk = village.host.load(crate::guest("clerk")).await.unwrap_or_else(|error| panic!("{error}"));
        for name in names {
            village.enrol_with(name, clerk.clone(), EAGER, &["state", "agents=*", "agents=*@*", "public"]);
        }
        self.serve();
    }

    /// It is there no more, in the midst of what it does.
    pub async fn fall(&mut self) {
        let mesh = self.mesh.take();
        drop(self.village.take());
        drop(self.asks.lock().take());
        if let Some(mesh) = mesh {
            mesh.stop().await;
        }
    }

    /// It is there again, with what the disk has; answers whether it could be.
    pub async fn rise(&mut self, disk: FaultyDisk) -> bool {
        self.disk = disk;
        let Some(books) = self.books().await else { return false };
        let begun = Instant::now();
        let (mesh, asks) = loop {
            match Mesh::start(self.settings.clone()).await {
                Ok(started) => break started,
                // What was there before may still hold the address.
                Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        self.begin(mesh, asks, books).await;
        true
    }

    /// Becomes one of the other's village.
    pub async fn join(&self, other: &Place) {
        let invitation = other.mesh().invite(1, PATIENCE).await.unwrap_or_else(|error| panic!("{error}"));
        self.mesh().join(&invitation).await.unwrap_or_else(|error| panic!("{error}"));
    }
}

/// So many villages that know each other.
pub async fn places(count: usize, seed: u64) -> Vec<Place> {
    let mut all = vec![Place::new(seed).await];
    for n in 1..count {
        let new = Place::new(seed.wrapping_add(n as u64)).await;
        new.join(&all[0]).await;
        all.push(new);
    }
    until("all know each other", || async {
        for each in &all {
            let (members, links) = (each.mesh().members().await, each.mesh().links().await);
            if members.is_ok_and(|members| members.len() < count - 1) || links.is_ok_and(|links| links.is_empty()) {
                return false;
            }
        }
        true
    })
    .await;
    all
}

/// Waits until it is so.
pub async fn until<F: Future<Output = bool>>(what: &str, mut so: impl FnMut() -> F) {
    let begun = Instant::now();
    while !so().await {
        assert!(begun.elapsed() < PATIENCE, "not so after {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A seed: `VILLAGE_SEED`, or a new one. It is printed, so that what fails can be had again.
pub fn seed() -> u64 {
    let given = std::env::var("VILLAGE_SEED").ok().and_then(|seed| seed.parse().ok());
    let clock = || {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(7, |since| since.as_nanos() as u64)
    };
    let seed = given.unwrap_or_else(clock);
    println!("VILLAGE_SEED={seed}");
    seed
}
