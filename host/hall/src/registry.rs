//! What the village keeps of its agents: a row for each, and the components that they are made of. Whatever is changed
//! is noted in the journal, in the same change.

use crate::error::Error;
use crate::ring::millis;
use agents::{Books, Event};
use base::{Budget, Digest};
use guest::Grants;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use store::{Change, Hash, Table};

/// The agents, by name.
const AGENTS: Table<String, Registration> = Table::new("agents");

/// The components, by digest.
const COMPONENTS: Table<String, Component> = Table::new("components");

/// An agent, as it was deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// Its name.
    pub name: String,
    /// Its component.
    pub digest: String,
    /// What it may use, field by field, to the last digit.
    pub budget: Vec<(String, String)>,
    /// What it may reach, as grants are written on a command line.
    pub grants: Vec<String>,
    /// The group that it shares a budget with.
    pub group: Option<String>,
    /// Whether it is to take messages.
    pub wanted: Wanted,
    /// When it was deployed, in Unix milliseconds.
    pub deployed: u64,
    /// Since when this component serves.
    pub since: u64,
    /// Components that served before, the oldest first.
    pub before: Vec<Before>,
}

/// A component that an agent was made of before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    /// Its digest.
    pub digest: String,
    /// Until when it served, in Unix milliseconds.
    pub until: u64,
}

/// Whether an agent is to take messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wanted {
    /// It is.
    Running,
    /// It is not, until somebody starts it.
    Stopped,
}

/// A component that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Component {
    /// What its bytes are found by.
    blob: [u8; 32],
    size: u64,
}

impl Registration {
    /// What it may use.
    pub(crate) fn budget(&self) -> Result<Budget, Error> {
        let mut budget = Budget::default();
        for (field, text) in &self.budget {
            budget.set(field, text)?;
        }
        Ok(budget)
    }

    /// What it may reach. Folders must be there, and variables set.
    pub(crate) fn grants(&self) -> Result<Grants, Error> {
        let mut grants = Grants::default();
        for text in &self.grants {
            grants.open(text)?;
        }
        Ok(grants)
    }

    pub(crate) fn digest(&self) -> Result<Digest, Error> {
        self.digest.parse().map_err(|bad: base::Bad| Error::Kept(format!("the agent `{}`: {bad}", self.name)))
    }
}

/// A budget as it is kept.
pub(crate) fn kept(budget: &Budget) -> Vec<(String, String)> {
    budget.exact().into_iter().map(|(field, text)| (field.to_string(), text)).collect()
}

/// What is done to an agent, for the journal.
pub(crate) struct Note {
    /// In a word.
    pub(crate) what: String,
    /// More, as JSON.
    pub(crate) details: serde_json::Value,
}

impl Note {
    pub(crate) fn new(what: &str, details: serde_json::Value) -> Note {
        Note { what: what.into(), details }
    }

    /// A step of a swap.
    pub(crate) fn swap(step: &str, details: serde_json::Value) -> Note {
        Note { what: format!("swap-{step}"), details }
    }

    /// Adds it to a change.
    pub(crate) fn write(self, agent: &str, change: &mut Change) {
        let details = if self.details.is_null() { String::new() } else { self.details.to_string() };
        let noted = Event::Noted { what: self.what, agent: agent.into(), by: OPERATOR.into(), details };
        change.record(millis(), &noted);
    }
}

/// Whoever has the token.
const OPERATOR: &str = "operator";

/// The rows and the components.
pub(crate) struct Registry {
    books: Arc<Books>,
    /// How often something was erased from the journal.
    erasures: AtomicU64,
}

impl Registry {
    pub(crate) fn new(books: Arc<Books>) -> Registry {
        Registry { books, erasures: AtomicU64::new(0) }
    }

    pub(crate) fn books(&self) -> &Arc<Books> {
        &self.books
    }

    /// How often something was erased from the journal.
    pub(crate) fn erasures(&self) -> u64 {
        self.erasures.load(Relaxed)
    }

    /// Something was.
    pub(crate) fn erased(&self) {
        self.erasures.fetch_add(1, Relaxed);
    }

    pub(crate) fn row(&self, name: &str) -> Result<Option<Registration>, Error> {
        Ok(self.books.store().read().get(&AGENTS, name)?)
    }

    /// Those whose names come after `after`, in order.
    pub(crate) fn rows(&self, after: &str, most: usize) -> Result<Vec<Registration>, Error> {
        let rows = self.books.store().read().scan(AGENTS.all(), Some(after), most)?;
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }

    pub(crate) async fn put(&self, row: &Registration, note: Note) -> Result<(), Error> {
        self.put_with(row, note, |_| {}).await
    }

    /// The same; `more` adds what goes with it.
    pub(crate) async fn put_with(
        &self,
        row: &Registration,
        note: Note,
        more: impl FnOnce(&mut Change),
    ) -> Result<(), Error> {
        let mut change = Change::new();
        change.put(&AGENTS, &row.name, row);
        more(&mut change);
        note.write(&row.name, &mut change);
        self.books.store().commit(change).await?;
        Ok(())
    }

    /// Writes something into the journal.
    pub(crate) async fn note(&self, name: &str, note: Note) -> Result<(), Error> {
        let mut change = Change::new();
        note.write(name, &mut change);
        self.books.store().commit(change).await?;
        Ok(())
    }

    /// Removes a row; `more` adds what goes with it.
    pub(crate) async fn remove(&self, name: &str, note: Note, more: impl FnOnce(&mut Change)) -> Result<(), Error> {
        let mut change = Change::new();
        change.delete(&AGENTS, name);
        more(&mut change);
        note.write(name, &mut change);
        self.books.store().commit(change).await?;
        Ok(())
    }

    pub(crate) fn has(&self, digest: &Digest) -> Result<bool, Error> {
        Ok(self.books.store().read().contains(&COMPONENTS, &digest.to_string())?)
    }

    /// A component's bytes.
    pub(crate) async fn component(&self, digest: &Digest) -> Result<Option<Vec<u8>>, Error> {
        let Some(component) = self.books.store().read().get(&COMPONENTS, &digest.to_string())? else {
            return Ok(None);
        };
        let blobs = self.books.store().blobs().clone();
        let bytes = apart(move || blobs.get(&Hash::from_bytes(component.blob))).await?;
        bytes.map(Some).ok_or_else(|| Error::Kept(format!("the component {digest} is gone from the data folder")))
    }

    /// What a component's bytes are found by, and how many they are.
    pub(crate) fn blob(&self, digest: &Digest) -> Result<Option<([u8; 32], u64)>, Error> {
        let component = self.books.store().read().get(&COMPONENTS, &digest.to_string())?;
        Ok(component.map(|component| (component.blob, component.size)))
    }

    /// What the bytes of all components are found by.
    pub(crate) fn blobs(&self) -> Result<Vec<[u8; 32]>, Error> {
        let components = self.books.store().read().scan(COMPONENTS.all(), None, usize::MAX)?;
        Ok(components.into_iter().map(|(_, component)| component.blob).collect())
    }

    /// Keeps a component: its bytes before the row that names them.
    pub(crate) async fn keep(&self, digest: Digest, bytes: Vec<u8>) -> Result<(), Error> {
        let size = bytes.len() as u64;
        let blobs = self.books.store().blobs().clone();
        let blob = apart(move || blobs.put(&bytes)).await?;
        let component = Component { blob: *blob.as_bytes(), size };
        if self.books.store().read().get(&COMPONENTS, &digest.to_string())?.as_ref() == Some(&component) {
            return Ok(());
        }
        let mut change = Change::new();
        change.put(&COMPONENTS, &digest.to_string(), &component);
        self.books.store().commit(change).await?;
        Ok(())
    }

    /// The digests of all components.
    pub(crate) fn components(&self) -> Result<Vec<Digest>, Error> {
        let all = self.books.store().read().scan(COMPONENTS.all(), None, usize::MAX)?;
        let parsed = |digest: String| digest.parse().map_err(|bad: base::Bad| Error::Kept(bad.to_string()));
        all.into_iter().map(|(digest, _)| parsed(digest)).collect()
    }

    /// The components that agents are made of, or were before.
    pub(crate) fn named(&self) -> Result<HashSet<Digest>, Error> {
        let rows = self.books.store().read().scan(AGENTS.all(), None, usize::MAX)?;
        let before = rows.iter().flat_map(|(_, row)| &row.before).map(|before| before.digest.as_str());
        let digests = rows.iter().map(|(_, row)| row.digest.as_str()).chain(before);
        Ok(digests.filter_map(|digest| digest.parse().ok()).collect())
    }

    /// Lets a component go: the row before the bytes that it names.
    pub(crate) async fn lose(&self, digest: &Digest) -> Result<(), Error> {
        let Some(component) = self.books.store().read().get(&COMPONENTS, &digest.to_string())? else { return Ok(()) };
        let mut change = Change::new();
        change.delete(&COMPONENTS, &digest.to_string());
        self.books.store().commit(change).await?;
        let blobs = self.books.store().blobs().clone();
        apart(move || blobs.remove(&Hash::from_bytes(component.blob))).await
    }
}

/// Does what blocks on a thread for that.
pub(crate) async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, store::Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(error) => Err(Error::Host(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row as the first villages wrote it.
    const OLD: &[u8] = b"\x05clerk\x08sha256:0\x01\x03cpu\x0325%\x02\x05state\x03log\x01\x07workers\x01\xe8\x07\xd0\x0f\x01\x08sha256:9\xb8\x17";

    #[test]
    fn a_row_of_the_first_villages_is_still_read_and_still_written() {
        let row: Registration = postcard::from_bytes(OLD).expect("it is read");
        let wanted = Registration {
            name: "clerk".into(),
            digest: "sha256:0".into(),
            budget: vec![("cpu".into(), "25%".into())],
            grants: vec!["state".into(), "log".into()],
            group: Some("workers".into()),
            wanted: Wanted::Stopped,
            deployed: 1000,
            since: 2000,
            before: vec![Before { digest: "sha256:9".into(), until: 3000 }],
        };
        assert_eq!(row, wanted);
        assert_eq!(postcard::to_allocvec(&row).expect("it is written"), OLD, "villages of before read it");
    }
}
