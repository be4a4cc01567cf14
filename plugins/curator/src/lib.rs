//! Data governance: personal data, near duplicates, lineage and retention.
//!
//! Each skill is a module from a request to an answer, and knows nothing of agents; `agent` ties them to the contract.

mod agent;
#[cfg(test)]
mod chance;
pub mod date;
pub mod duplicates;
pub mod lineage;
pub mod personal;
pub mod redact;
pub mod retention;

/// Why there is no answer. Both are final: the same request fails again.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// The request makes no sense.
    #[error("`{field}` {reason}")]
    Invalid {
        /// Which part of it, such as `steps[3].inputs`.
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
