//! Spaces of memory: what agents keep there together, who pays for it, and the indexes that find it.
//!
//! What lasts is in the store. An index is made of it when it is first wanted, learns what was changed when it is next wanted, and
//! is let go when nobody wants it for long, or others need the room.

mod clearing;
mod embedder;
mod ledger;
pub(crate) mod rows;
mod staged;

use agents::Books;
pub(crate) use embedder::Embedder;
pub use embedder::local_model;
use ledger::{Ledger, Volume};
use memory::{Index, Layer, Query};
use parking_lot::{Mutex, RwLock};
use rows::{Document, Kept, Row};
use runtime::{Held, Quota};
pub(crate) use staged::{Full, Staged, digest};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use store::Change;
use tokio::runtime::Handle;

/// A space keeps no more than this, as it counts to `storage`.
const SPACE: u64 = 256 << 20;

/// An index takes no more than this, and all of them together.
const INDEX: u64 = 384 << 20;
const INDEXES: u64 = 512 << 20;

/// After so long without a search an index is let go.
const IDLE: Duration = Duration::from_secs(300);

/// When it is looked again at what may have been kept without a word.
const DOUBT: Duration = Duration::from_secs(1);

/// All spaces of a host.
pub(crate) struct Spaces {
    kept: Kept,
    embedder: Option<Embedder>,
    io: Handle,
    /// What is known of sources, who pays, and who of them lives change together. None until it is read.
    ledger: Mutex<(Option<Ledger>, HashMap<String, Living>)>,
    open: Mutex<HashMap<String, Arc<Space>>>,
}

/// An agent that lives, and what its storage is charged with.
struct Living {
    storage: Arc<Quota>,
    held: Held,
}

/// A space that somebody searches.
#[derive(Default)]
struct Space {
    /// Sources that have changed since the index was made.
    stale: Mutex<HashSet<String>>,
    index: RwLock<Option<Index>>,
    /// When it was last wanted.
    used: AtomicU64,
}

/// Why a space can't be searched.
#[derive(Debug)]
pub(crate) enum Unsearched {
    Store(store::Error),
    /// Its index would be too large.
    TooLarge,
}

impl From<store::Error> for Unsearched {
    fn from(error: store::Error) -> Unsearched {
        Unsearched::Store(error)
    }
}

/// A passage that was found.
pub(crate) struct Found {
    pub(crate) source: String,
    pub(crate) row: Row,
    pub(crate) tags: Vec<String>,
    pub(crate) score: f32,
}

/// On whose storage it counts what an agent puts into a space: on that of the one above all that created it.
pub(crate) fn payer(agent: &str) -> &str {
    agent.split('/').next().unwrap_or(agent)
}

impl Spaces {
    pub(crate) fn new(books: Option<Arc<Books>>, embedder: Option<Embedder>, io: Handle) -> Arc<Spaces> {
        let kept = books.map_or_else(|| Kept::Here(Mutex::default()), Kept::There);
        Arc::new(Spaces { kept, embedder, io, ledger: Mutex::default(), open: Mutex::default() })
    }

    pub(crate) fn embedder(&self) -> Option<&Embedder> {
        self.embedder.as_ref()
    }

    /// The model that makes vectors, if there is one.
    pub(crate) fn model(&self) -> Option<&str> {
        self.embedder.as_ref().map(Embedder::model)
    }

    /// Reads what there is, if that was not done before.
    fn with_ledger<T>(
        &self,
        work: impl FnOnce(&mut Ledger, &mut HashMap<String, Living>) -> T,
    ) -> Result<T, store::Error> {
        let mut guard = self.ledger.lock();
        let (ledger, living) = &mut *guard;
        if ledger.is_none() {
            let mut all = Ledger::default();
            for ((space, source), head) in self.kept.heads()? {
                all.set(&space, &source, Some(&head));
            }
            for (name, agent) in living.iter_mut() {
                agent.held.force(all.paid.get(name).copied().unwrap_or(0));
            }
            *ledger = Some(all);
        }
        Ok(work(ledger.get_or_insert_default(), living))
    }

    /// What an agent's storage is charged with here, from now on until it ends.
    pub(crate) fn attach(&self, agent: &str, storage: &Arc<Quota>) {
        if agent != payer(agent) {
            return;
        }
        let Ok(mut held) = storage.hold(0) else { return };
        // Where nothing can be read, the first search says so.
        let paid = self.with_ledger(|ledger, _| ledger.paid.get(agent).copied().unwrap_or(0)).unwrap_or(0);
        held.force(paid);
        let living = Living { storage: storage.clone(), held };
        let before = self.ledger.lock().1.insert(agent.to_owned(), living);
        drop(before);
    }

    /// The agent has ended.
    pub(crate) fn detach(&self, agent: &str, storage: &Arc<Quota>) {
        let mut ledger = self.ledger.lock();
        // Its next life may have begun.
        if ledger.1.get(agent).is_some_and(|agent| Arc::ptr_eq(&agent.storage, storage)) {
            ledger.1.remove(agent);
        }
    }

    /// Bytes that an agent pays for here.
    pub(crate) fn paid(&self, agent: &str) -> Result<u64, store::Error> {
        self.with_ledger(|ledger, _| ledger.paid.get(agent).copied().unwrap_or(0))
    }

    /// What an agent pays for a source.
    fn pays(&self, agent: &str, space: &str, source: &str) -> u64 {
        let pays = self.with_ledger(|ledger, _| {
            let known = ledger.spaces.get(space)?.sources.get(source)?;
            (known.payer == agent).then_some(known.bytes)
        });
        pays.ok().flatten().unwrap_or(0)
    }

    /// Whether a space has room for so many passages and bytes more.
    pub(crate) fn has_room(&self, space: &str, passages: u64, bytes: u64) -> Result<bool, store::Error> {
        self.with_ledger(|ledger, _| {
            let (known, kept) = ledger.spaces.get(space).map_or((0, 0), |volume| (volume.passages, volume.bytes));
            known + passages <= memory::PASSAGES as u64 && kept + bytes <= SPACE
        })
    }

    /// Whether there is such a source.
    pub(crate) fn has(&self, space: &str, source: &str) -> Result<bool, store::Error> {
        Ok(self.kept.head(space, source)?.is_some())
    }

    /// Spaces with their sources, passages and bytes.
    pub(crate) fn list(&self) -> Result<Vec<(String, [u64; 3])>, store::Error> {
        self.with_ledger(|ledger, _| {
            let figures = |volume: &Volume| [volume.sources.len() as u64, volume.passages, volume.bytes];
            let mut all: Vec<_> = ledger.spaces.iter().map(|(name, volume)| (name.clone(), figures(volume))).collect();
            all.sort();
            all
        })
    }

    /// These sources may have changed: what is known of them is learned anew, from what is kept.
    fn note(&self, changed: impl Iterator<Item = (String, String)>) {
        for (space, source) in changed {
            let learned = self.with_ledger(|ledger, living| {
                // Read under the lock: of two that note the same, the later one has the last word.
                let head = self.kept.head(&space, &source)?;
                for payer in ledger.set(&space, &source, head.as_ref()).into_iter().flatten() {
                    if let Some(agent) = living.get_mut(&payer) {
                        agent.held.force(ledger.paid.get(&payer).copied().unwrap_or(0));
                    }
                }
                Ok::<_, store::Error>(())
            });
            if !matches!(learned, Ok(Ok(()))) {
                self.ledger.lock().0 = None;
            }
            let open = self.open.lock().get(&space).cloned();
            if let Some(open) = open {
                open.stale.lock().insert(source);
            }
        }
    }

    /// The same after a while: nobody knows whether they were kept.
    fn doubt(self: &Arc<Spaces>, changed: Vec<(String, String)>) {
        let spaces = self.clone();
        self.io.spawn(async move {
            tokio::time::sleep(DOUBT).await;
            spaces.note(changed.into_iter());
        });
    }

    /// Keeps what an agent did that is not kept itself.
    fn keep(self: &Arc<Spaces>, changed: BTreeMap<(String, String), Option<Arc<Document>>>) {
        match &self.kept {
            Kept::Here(all) => {
                let mut all = all.lock();
                for (key, document) in &changed {
                    match document {
                        Some(document) => all.insert(key.clone(), document.clone()),
                        None => all.remove(key),
                    };
                }
                drop(all);
                self.note(changed.into_keys());
            }
            Kept::There(books) => {
                let mut change = Change::new();
                for ((space, source), document) in &changed {
                    rows::put(&mut change, space, source, document.as_deref());
                }
                let (spaces, io) = (self.clone(), self.io.clone());
                // Not in the store's own thread, which waits meanwhile.
                let note = move |_| drop(io.spawn(async move { spaces.note(changed.into_keys()) }));
                books.store().submit(change, note);
            }
        }
    }

    /// The passages of a space nearest to a question; what `staged` does to it is seen.
    pub(crate) fn search(
        &self,
        space: &str,
        staged: Option<&Staged>,
        query: &Query<'_>,
    ) -> Result<Vec<Found>, Unsearched> {
        let open = self.open.lock().entry(space.to_owned()).or_default().clone();
        open.used.store(runtime::clock::now(), Relaxed);
        self.refresh(space, &open)?;
        let guard = open.index.read();
        let nothing = Index::new();
        let below = guard.as_ref().unwrap_or(&nothing);
        let (above, hidden) = staged.map(|staged| staged.layer(space)).unwrap_or_default();
        let none = HashSet::new();
        let mut layers = vec![Layer { index: below, hidden: &hidden }];
        layers.extend(above.map(|index| Layer { index, hidden: &none }));
        let hits = memory::search(&layers, query);
        drop(guard);
        let mut found = Vec::with_capacity(hits.len());
        for hit in hits {
            let passage = match (hit.layer, staged) {
                (1, Some(staged)) => staged.find(space, &hit.source).flatten().and_then(|document| {
                    Some((document.rows.get(hit.part as usize)?.clone(), document.head.tags.clone()))
                }),
                _ => self.kept.passage(space, &hit.source, hit.part)?,
            };
            // One that was taken away this moment is not there.
            if let Some((row, tags)) = passage {
                found.push(Found { source: hit.source, row, tags, score: hit.score });
            }
        }
        Ok(found)
    }

    /// Makes the index of a space, or has it learn what has changed.
    fn refresh(&self, space: &str, open: &Space) -> Result<(), Unsearched> {
        if open.stale.lock().is_empty() && open.index.read().is_some() {
            return Ok(());
        }
        let mut index = open.index.write();
        // Before anything is read: what changes from here on is stale again.
        let stale = std::mem::take(&mut *open.stale.lock());
        let refreshed = match index.take() {
            None => self.load(space),
            Some(known) => self.learn(space, known, stale),
        };
        *index = Some(refreshed?);
        drop(index);
        self.make_room(Some(space));
        Ok(())
    }

    fn load(&self, space: &str) -> Result<Index, Unsearched> {
        let mut index = Index::new();
        self.kept.each(space, |source, document| {
            document.add_to(&mut index, source, self.model());
            index.bytes() <= INDEX
        })?;
        if index.bytes() > INDEX { Err(Unsearched::TooLarge) } else { Ok(index) }
    }

    fn learn(&self, space: &str, mut index: Index, stale: HashSet<String>) -> Result<Index, Unsearched> {
        for source in stale {
            match self.kept.document(space, &source)? {
                Some(document) => document.add_to(&mut index, &source, self.model()),
                None => drop(index.remove(&source)),
            }
        }
        if index.bytes() > INDEX { Err(Unsearched::TooLarge) } else { Ok(index) }
    }

    /// Lets indexes go that nobody has wanted for long, and the oldest of those that are too many.
    pub(crate) fn rest(&self) {
        self.make_room(None);
    }

    fn make_room(&self, keep: Option<&str>) {
        let now = runtime::clock::now();
        let mut open = self.open.lock();
        if open.is_empty() {
            return;
        }
        let bytes = |space: &Space| space.index.try_read().map_or(0, |index| index.as_ref().map_or(0, Index::bytes));
        let mut all: Vec<_> =
            open.iter().map(|(name, one)| (one.used.load(Relaxed), name.clone(), bytes(one))).collect();
        all.sort_unstable();
        let mut sum: u64 = all.iter().map(|(_, _, bytes)| bytes).sum();
        let mut gone = Vec::new();
        for (used, name, bytes) in all {
            let idle = now.saturating_sub(used) > IDLE.as_nanos() as u64;
            if (idle || sum > INDEXES) && keep != Some(name.as_str()) {
                sum -= bytes;
                gone.extend(open.remove(&name));
            }
        }
        drop(open);
        // Who searches one of them still has it.
        drop(gone);
    }

    /// Bytes of memory that the indexes take.
    pub(crate) fn indexed(&self) -> u64 {
        let open = self.open.lock();
        let bytes =
            |space: &Arc<Space>| space.index.try_read().map_or(0, |index| index.as_ref().map_or(0, Index::bytes));
        open.values().map(bytes).sum()
    }
}

impl crate::host::Host {
    /// Spaces of memory, each with its sources, its passages, and the bytes that they count as.
    pub fn spaces(&self) -> Result<Vec<(String, [u64; 3])>, store::Error> {
        self.house().spaces.list()
    }

    /// Bytes of memory that the indexes of spaces take now.
    pub fn indexed(&self) -> u64 {
        self.house().spaces.indexed()
    }
}
