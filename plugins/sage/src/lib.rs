//! Research: documents are ingested, passages found with their sources, questions answered with citations, texts summed up.
//!
//! `agent` ties the skills to the contract; `extract` finds the sentences that answer, `cite` checks what a model has cited.

mod agent;
mod base64;
mod cite;
mod extract;

/// Why there is no answer. All are final but what the village itself refuses.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// The request makes no sense.
    #[error("`{field}` {reason}")]
    Invalid {
        /// Which part of it.
        field: &'static str,
        reason: String,
    },
    /// The document can't be read.
    #[error("{0}")]
    Document(String),
    /// The request makes sense, and is beyond what is done here.
    #[error("{0}")]
    Unsupported(String),
    /// What the village answered.
    #[error("{0:?}")]
    Village(village::Error),
}

impl From<village::Error> for Error {
    fn from(error: village::Error) -> Error {
        Error::Village(error)
    }
}

pub(crate) fn invalid(field: &'static str, reason: impl Into<String>) -> Error {
    Error::Invalid { field, reason: reason.into() }
}
