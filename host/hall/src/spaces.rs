//! Spaces of memory, as the village's owner sees them: agents fill them, and nobody but the owner takes a whole one away.

use crate::error::Error;
use crate::registry::Note;
use crate::village::Village;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A space of memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpaceFigures {
    /// Its name, as grants have it.
    pub name: String,
    /// Documents in it.
    pub sources: u64,
    /// Their passages.
    pub passages: u64,
    /// What it counts as, of the storage of those who keep documents there.
    pub bytes: u64,
}

impl Village {
    /// All spaces in which there is something.
    pub fn spaces(&self) -> Result<Vec<SpaceFigures>, Error> {
        let all = self.host().spaces()?;
        let figures =
            |(name, [sources, passages, bytes]): (String, [u64; 3])| SpaceFigures { name, sources, passages, bytes };
        Ok(all.into_iter().map(figures).collect())
    }

    /// Takes a space away with all that is in it; answers how many documents that were.
    pub async fn clear_space(&self, name: &str) -> Result<u64, Error> {
        self.open()?;
        let sources = self.host().clear_space(name).await?;
        if sources == 0 {
            return Err(Error::Space { name: name.into() });
        }
        let details = json!({ "space": name, "sources": sources });
        self.registry().note("", Note::new("space-removed", details)).await?;
        Ok(sources)
    }
}
