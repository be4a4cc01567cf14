//! Languages: which one a text is in, its sentences and words, glossaries, plurals and numbers.
//!
//! Each skill is a module from a request to an answer, and knows nothing of agents; `agent` ties them to the contract.

mod agent;
#[cfg(test)]
mod chance;
pub mod detect;
pub mod glossary;
pub mod locale;
pub mod message;
pub mod number;
pub mod plural;
pub mod segment;

/// Why there is no answer. Both are final: the same request fails again.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// The request makes no sense.
    #[error("`{field}` {reason}")]
    Invalid {
        /// Which part of it, such as `entries[3].term`.
        field: String,
        reason: String,
    },
    /// The request makes sense, and is beyond what is done here.
    #[error("{0}")]
    Unsupported(String),
}

pub(crate) fn invalid(field: impl Into<String>, reason: impl Into<String>) -> Error {
    Error::Invalid { field: field.into(), reason: reason.into() }
}

/// Refuses more than is done in one turn.
pub(crate) fn at_most(what: &str, count: usize, most: usize) -> Result<(), Error> {
    if count <= most {
        return Ok(());
    }
    Err(Error::Unsupported(format!("`{what}` has {count}; at most {most} are handled at once")))
}
