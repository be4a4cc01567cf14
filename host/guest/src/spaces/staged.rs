//! What a turn does to spaces, and is not kept yet.

use super::Spaces;
use super::rows::{self, Document};
use base::Digest;
use memory::Index;
use runtime::Held;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use store::Change;

/// What a turn does to spaces. Dropping it undoes all of it.
pub(crate) struct Staged {
    spaces: Arc<Spaces>,
    /// What sources become, by space and name; none is one that is forgotten.
    changed: BTreeMap<(String, String), Option<Arc<Document>>>,
    /// The same in digests, for who compares turns.
    touched: BTreeMap<(String, String), Option<[u8; 32]>>,
    /// By space, what can be found of it.
    found: HashMap<String, Index>,
    /// What it takes in memory, and of storage until it is kept.
    held: Held,
    room: Held,
    /// It is in a change that may be kept.
    recorded: bool,
}

/// Why something can't be staged.
pub(crate) enum Full {
    Memory,
    Storage,
}

/// A turn stages no more than this: it goes into one change with what else the turn writes.
const TOGETHER: u64 = 16 << 20;

impl Staged {
    pub(crate) fn new(spaces: Arc<Spaces>, held: Held, room: Held) -> Staged {
        let (changed, touched, found) = Default::default();
        Staged { spaces, changed, touched, found, held, room, recorded: false }
    }

    /// What a source becomes; the outer none if the turn does nothing to it.
    pub(crate) fn find(&self, space: &str, source: &str) -> Option<Option<&Arc<Document>>> {
        self.changed.get(&(space.to_owned(), source.to_owned())).map(Option::as_ref)
    }

    /// Says what a source becomes. `payer` is who pays for it.
    pub(crate) fn set(
        &mut self,
        (space, source): (&str, &str),
        document: Option<Document>,
        digest: Option<[u8; 32]>,
        payer: &str,
    ) -> Result<(), Full> {
        let key = (space.to_owned(), source.to_owned());
        let before = self.changed.get(&key).cloned();
        let model = self.spaces.model();
        let document = document.map(Arc::new);
        self.changed.insert(key.clone(), document.clone());
        let index = self.found.entry(space.to_owned()).or_default();
        match &document {
            Some(document) => document.add_to(index, source, model),
            None => drop(index.remove(source)),
        }
        let outcome = self.count(payer);
        if outcome.is_err() {
            match before {
                Some(before) => self.changed.insert(key, before),
                None => self.changed.remove(&key),
            };
            self.rebuild(space);
            let _ = self.count(payer);
            return outcome;
        }
        self.touched.insert(key, digest);
        Ok(())
    }

    /// Notes what a turn that is run again would change.
    pub(crate) fn pretend(&mut self, space: &str, source: &str, digest: Option<[u8; 32]>) {
        self.touched.insert((space.to_owned(), source.to_owned()), digest);
    }

    /// Takes the room for all that is staged.
    fn count(&mut self, payer: &str) -> Result<(), Full> {
        let sizes = self.changed.iter().map(|((space, source), document)| {
            let own = (space.len() + source.len()) as u64 + 192;
            own + document.as_ref().map_or(0, |document| document.head.bytes)
        });
        let staged: u64 = sizes.sum();
        let indexes: u64 = self.found.values().map(Index::bytes).sum();
        if staged > TOGETHER || self.held.resize(staged + indexes).is_err() {
            return Err(Full::Memory);
        }
        let more: i64 = self
            .changed
            .iter()
            .map(|((space, source), document)| {
                let bytes = document.as_ref().map_or(0, |document| document.head.bytes) as i64;
                bytes - self.spaces.pays(payer, space, source) as i64
            })
            .sum();
        self.room.resize(u64::try_from(more).unwrap_or(0)).map_err(|_| Full::Storage)
    }

    fn rebuild(&mut self, space: &str) {
        let mut index = Index::new();
        for ((_, source), document) in self.changed.iter().filter(|((other, _), _)| other == space) {
            if let Some(document) = document {
                document.add_to(&mut index, source, self.spaces.model());
            }
        }
        self.found.insert(space.to_owned(), index);
    }

    /// What the turn adds to a space, and what it hides there.
    pub(crate) fn layer(&self, space: &str) -> (Option<&Index>, HashSet<String>) {
        let its = self.changed.keys().filter(|(other, _)| other == space);
        (self.found.get(space), its.map(|(_, source)| source.clone()).collect())
    }

    /// Passages and bytes that a space has more of with this.
    pub(crate) fn more(&self, space: &str) -> (u64, u64) {
        let documents =
            self.changed.iter().filter(|((other, _), _)| other == space).filter_map(|(_, one)| one.as_ref());
        documents.fold((0, 0), |sum, one| (sum.0 + u64::from(one.head.passages), sum.1 + one.head.bytes))
    }

    /// Adds it to what is to be kept; answers how many sources that are.
    pub(crate) fn record(&mut self, change: &mut Change) -> u32 {
        for ((space, source), document) in &self.changed {
            rows::put(change, space, source, document.as_deref());
        }
        self.recorded = true;
        self.changed.len() as u32
    }

    /// What it changed, in words and digests.
    pub(crate) fn touched(&self) -> impl Iterator<Item = (String, Option<[u8; 32]>)> + '_ {
        self.touched.iter().map(|((space, source), digest)| (format!("`{source}` in the space `{space}`"), *digest))
    }

    /// It is kept.
    pub(crate) fn commit(mut self) {
        let changed = std::mem::take(&mut self.changed);
        self.room.force(0);
        match std::mem::take(&mut self.recorded) {
            true => self.spaces.note(changed.into_keys()),
            // An agent that goes with its host.
            false => self.spaces.keep(changed),
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.recorded {
            // Nobody has heard what became of the change.
            self.spaces.doubt(std::mem::take(&mut self.changed).into_keys().collect());
        }
    }
}

/// A digest of a document, as it was given.
pub(crate) fn digest(content_type: &str, body: &[u8], tags: &[String]) -> [u8; 32] {
    let mut parts = Digest::of(body).as_bytes().to_vec();
    for part in std::iter::once(content_type).chain(tags.iter().map(String::as_str)) {
        parts.extend_from_slice(Digest::of(part.as_bytes()).as_bytes());
    }
    *Digest::of(&parts).as_bytes()
}
