//! Vector memory and shared context. Grant: `memory`, by space, to read or to write. Budget: `storage`.
//!
//! Every function fails with `denied` without a grant that covers the space.
//!
//! ```
//! use village::{Error, memory};
//!
//! fn sources(question: &str) -> Result<Vec<String>, Error> {
//!     let found = memory::search("handbook", question, &[], 5)?;
//!     Ok(found.into_iter().map(|passage| passage.source).collect())
//! }
//! # assert!(matches!(sources("what for?"), Err(Error::Denied(_))));
//! ```

use crate::imports::memory as host;
use crate::types::{Error, Payload};

pub use crate::bindings::village::agent::memory::{Document, Passage};

/// Cuts a document into passages and keeps them; answers how many. The same source again replaces the former.
///
/// An unreadable document fails with `invalid`; one without text gives 0.
pub fn ingest(space: &str, source: &str, content: impl Into<Payload>, tags: &[&str]) -> Result<u32, Error> {
    let document = Document { source: source.to_owned(), content: content.into(), tags: owned(tags) };
    host::ingest(space, &document)
}

/// The passages nearest to `query`, best first, at most `limit` (0 fails with `invalid`), of sources that carry all of `tags`.
/// None found is an empty list.
pub fn search(space: &str, query: &str, tags: &[&str], limit: u32) -> Result<Vec<Passage>, Error> {
    host::search(space, query, &owned(tags), limit)
}

/// Forgets a source; answers whether there was one.
pub fn forget(space: &str, source: &str) -> Result<bool, Error> {
    host::forget(space, source)
}

/// Shortens `text` to at most `tokens` of the model, keeping what `task` needs. Text that fits comes back as it is.
pub fn compress(text: &str, task: &str, model: &str, tokens: u32) -> Result<String, Error> {
    host::compress(text, task, model, tokens)
}

fn owned(tags: &[&str]) -> Vec<String> {
    tags.iter().map(|tag| (*tag).to_owned()).collect()
}
