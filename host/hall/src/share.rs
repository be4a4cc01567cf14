//! What other villages may have of this one, and how much an agent of theirs may use here.
//!
//! Members may fetch any component that is kept here and make agents like those here, but for what an agent keeps to itself
//! (`share = false` in its manifest), and nothing where the village says so (`share = false` under `[mesh]`).

use crate::error::Error;
use crate::registry::{Registration, Registry};
use crate::village::Village;
use base::{Budget, Digest};
use std::collections::HashSet;
use store::{Change, Table};

/// Agents whose components and budgets other villages can't have.
const UNSHARED: Table<String, u64> = Table::new("unshared");

/// What members may have of this village, and what agents that come from them may use here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Whether they may have components and budgets at all.
    pub share: bool,
    /// The most that an agent made as another village has it may use here, unless whoever deploys it says otherwise: fields
    /// over what an agent may use where nobody says.
    pub adopt: Vec<(String, String)>,
}

impl Default for Terms {
    fn default() -> Terms {
        Terms { share: true, adopt: Vec::new() }
    }
}

impl Terms {
    /// The most that an agent of another village may use, where an agent of this one may use `defaults` if nobody says.
    pub(crate) fn most(&self, defaults: Budget) -> Result<Budget, Error> {
        let mut most = defaults;
        for (field, text) in &self.adopt {
            most.set(field, text)?;
        }
        Ok(most)
    }
}

/// Adds to a change whether other villages can have what an agent is made of.
pub(crate) fn keep(name: &str, share: bool, change: &mut Change) {
    match share {
        true => change.delete(&UNSHARED, name),
        false => change.put(&UNSHARED, name, &crate::ring::millis()),
    };
}

/// Adds to a change that nothing of it is kept any more.
pub(crate) fn forget(name: &str, change: &mut Change) {
    change.delete(&UNSHARED, name);
}

impl Registry {
    fn is_shared(&self, name: &str) -> Result<bool, Error> {
        Ok(!self.books().store().read().contains(&UNSHARED, name)?)
    }

    /// The components that agents keep to themselves, those that served them before among them.
    pub(crate) fn unshared(&self) -> Result<HashSet<Digest>, Error> {
        let mut digests = HashSet::new();
        for (name, _) in self.books().store().read().scan(UNSHARED.all(), None, usize::MAX)? {
            let Some(Registration { digest, before, .. }) = self.row(&name)? else { continue };
            let all = std::iter::once(digest).chain(before.into_iter().map(|before| before.digest));
            digests.extend(all.filter_map(|digest| digest.parse::<Digest>().ok()));
        }
        Ok(digests)
    }
}

impl Village {
    /// Refuses another village a component that it can't have.
    pub(crate) fn may_lend(&self, digest: &Digest) -> Result<(), Error> {
        match self.terms().share && !self.registry().unshared()?.contains(digest) {
            true => Ok(()),
            false => Err(Error::Bad(format!("the component {digest} is not shared with other villages"))),
        }
    }

    /// The same of an agent.
    pub(crate) fn may_describe(&self, name: &str) -> Result<(), Error> {
        match self.terms().share && self.registry().is_shared(name)? {
            true => Ok(()),
            false => Err(Error::Bad(format!("the agent `{name}` is not shared with other villages"))),
        }
    }
}
