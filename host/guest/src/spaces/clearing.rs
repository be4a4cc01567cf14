//! Taking a whole space away: by the village's owner, and no agent.

use super::Spaces;
use super::rows::{self, Kept};
use std::sync::Arc;
use store::Change;

/// Sources that go in one change.
const TOGETHER: usize = 256;

impl Spaces {
    /// Takes away what is in a space now, and answers how many sources that were. Who is in the midst of a turn may still put
    /// more there.
    pub(crate) async fn clear(self: &Arc<Spaces>, space: &str) -> Result<u64, store::Error> {
        let sources: Vec<String> = self.with_ledger(|ledger, _| {
            let volume = ledger.spaces.get(space);
            volume.map(|volume| volume.sources.keys().cloned().collect()).unwrap_or_default()
        })?;
        for some in sources.chunks(TOGETHER) {
            let keys = some.iter().map(|source| (space.to_owned(), source.clone()));
            match &self.kept {
                Kept::Here(_) => self.keep(keys.map(|key| (key, None)).collect()),
                Kept::There(books) => {
                    let mut change = Change::new();
                    some.iter().for_each(|source| rows::put(&mut change, space, source, None));
                    books.store().commit(change).await?;
                    self.note(keys);
                }
            }
        }
        Ok(sources.len() as u64)
    }
}

impl crate::host::Host {
    /// Takes a space of memory away with all that is in it; answers how many sources that were. Who paid for them has
    /// that much of `storage` again.
    pub async fn clear_space(&self, space: &str) -> Result<u64, store::Error> {
        self.house().spaces.clear(space).await
    }
}
