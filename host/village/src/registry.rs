//! What the village keeps of its agents: a row for each, and the components that they are made of.

use crate::error::Error;
use base::{Budget, Digest};
use guest::Grants;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

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
}

/// Whether an agent is to take messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wanted {
    /// It is.
    Running,
    /// It is not, until somebody starts it.
    Stopped,
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

/// The rows and the components.
#[derive(Default)]
pub(crate) struct Registry {
    rows: Mutex<BTreeMap<String, Registration>>,
    components: Mutex<HashMap<Digest, Arc<[u8]>>>,
}

impl Registry {
    pub(crate) fn names(&self) -> Result<Vec<(String, Wanted)>, Error> {
        Ok(self.rows.lock().values().map(|row| (row.name.clone(), row.wanted)).collect())
    }

    pub(crate) fn row(&self, name: &str) -> Result<Option<Registration>, Error> {
        Ok(self.rows.lock().get(name).cloned())
    }

    /// Those whose names come after `after`, in order.
    pub(crate) fn rows(&self, after: &str, most: usize) -> Result<Vec<Registration>, Error> {
        let after = (std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded);
        Ok(self.rows.lock().range::<str, _>(after).take(most).map(|(_, row)| row.clone()).collect())
    }

    pub(crate) async fn put(&self, row: Registration) -> Result<(), Error> {
        self.rows.lock().insert(row.name.clone(), row);
        Ok(())
    }

    pub(crate) async fn remove(&self, name: &str) -> Result<(), Error> {
        self.rows.lock().remove(name);
        Ok(())
    }

    pub(crate) fn component(&self, digest: &Digest) -> Result<Option<Arc<[u8]>>, Error> {
        Ok(self.components.lock().get(digest).cloned())
    }

    pub(crate) async fn keep(&self, digest: Digest, bytes: Arc<[u8]>) -> Result<(), Error> {
        self.components.lock().insert(digest, bytes);
        Ok(())
    }

    /// Lets components go that no row names, but for these.
    pub(crate) async fn sweep(&self, spare: &[Digest]) -> Result<(), Error> {
        let rows = self.rows.lock();
        let named = |digest: &Digest| rows.values().any(|row| row.digest == digest.to_string());
        self.components.lock().retain(|digest, _| spare.contains(digest) || named(digest));
        Ok(())
    }
}
