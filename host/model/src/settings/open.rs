//! From what was written down to a router with its back ends.

use super::Settings;
use crate::backend::Backend;
use crate::embedded::{Fault, Models};
use crate::key::{KeyError, Keys};
use crate::remote::Trust;
use crate::router::Router;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::Arc;

/// Why a back end can't be had. No key is ever part of it.
#[derive(Debug, thiserror::Error)]
pub enum Unopened {
    /// Its key is not there.
    #[error("the back end `{backend}`: {error}")]
    Key {
        /// The back end.
        backend: String,
        /// Why.
        error: KeyError,
    },
    /// A model of it can't be opened.
    #[error("the back end `{backend}`: {error}")]
    Model {
        /// The back end.
        backend: String,
        /// Why.
        error: Box<Fault>,
    },
    /// Two have the same name.
    #[error("two back ends are called `{backend}`")]
    Twice {
        /// The name.
        backend: String,
    },
}

impl Settings {
    /// The same, with files found from a folder, where they are not named in full.
    pub fn within(mut self, folder: &Path) -> Settings {
        self.inside.iter_mut().for_each(|inside| inside.look_in(folder));
        self
    }

    /// The router with all back ends. This looks keys up and reads weights, and blocks for as long.
    pub fn open(&self, keys: &Keys, trust: &Arc<Trust>) -> Result<Router, Unopened> {
        let mut backends: Vec<(Arc<dyn Backend>, _)> = Vec::new();
        // Keys first: one that is missing is told before anything large is read.
        for chosen in &self.backends {
            let opened = chosen.open(keys, trust);
            let opened = opened.map_err(|error| Unopened::Key { backend: chosen.name.clone(), error })?;
            backends.push((opened, chosen.terms.clone()));
        }
        for inside in &self.inside {
            let opened = Models::open(&inside.settings);
            let name = || inside.settings.name.clone();
            let opened = opened.map_err(|error| Unopened::Model { backend: name(), error: error.into() })?;
            backends.push((Arc::new(opened), inside.terms.clone()));
        }
        let mut names: Vec<&str> = backends.iter().map(|(backend, _)| backend.name()).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Unopened::Twice { backend: twice[0].into() });
        }
        // What it does by chance is to differ from one start to the next.
        let seed = RandomState::new().hash_one(0);
        Ok(Router::new(backends, self.routing.clone(), seed))
    }
}
