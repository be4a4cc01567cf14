//! What agents remember: documents cut into passages, found again by words and by vectors, and texts made shorter.
//!
//! Arithmetic on texts only: no store, no clock, no model. Who keeps the passages, who may see them and what makes vectors of
//! them is others' business. Whatever a document holds, reading it takes time and memory in proportion to its size.

mod code;
mod compress;
mod cut;
mod html;
mod index;
mod markdown;
mod pdf;
mod read;
mod vectors;
mod words;

pub use compress::compress;
pub use index::{Added, Hit, Index, Layer, PASSAGES, Query, search};
pub use read::{LONGEST, MOST, Passage, read};
pub use vectors::Vector;

/// Why a document can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not what it is said to be, or is broken.
    #[error("{what} can't be read: {why}")]
    Unreadable {
        /// What it was taken for.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// Its kind is not one that is read here.
    #[error("`{kind}` is not read here: text, Markdown, HTML, source code and PDF are")]
    Kind {
        /// What it is said to be.
        kind: String,
    },
    /// It is more than is read at once.
    #[error("a document has at most {most} {of}: cut it into several")]
    TooLarge {
        /// How much.
        most: u64,
        /// Of what.
        of: &'static str,
    },
}
