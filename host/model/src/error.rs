//! Why there is no answer.

use std::time::Duration;

/// Why there is no answer. No key, no address and no prompt is part of any of these.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No grant covers a model that would do.
    #[error("no grant opens {model}")]
    Denied {
        /// What was asked for.
        model: String,
    },
    /// The prompt makes no sense.
    #[error("{what}")]
    Invalid {
        /// Which part of it, and what is wrong there.
        what: String,
    },
    /// The allowance of tokens is used up.
    #[error("the allowance of tokens is used up")]
    Budget {
        /// When the same prompt may pass. None if time alone doesn't help.
        retry_after: Option<Duration>,
    },
    /// There is no such model.
    #[error("there is no model `{model}`")]
    Unknown {
        /// What was asked for.
        model: String,
    },
    /// There are models that were allowed, and none of them answered.
    #[error("no back end answers: {why}")]
    NoBackend {
        /// What became of each, in a line.
        why: String,
        /// When one of them wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// A back end can't be reached, or says that it can't answer at the moment.
    #[error("`{backend}` can't answer: {why}")]
    Unavailable {
        /// The back end.
        backend: String,
        /// What happened.
        why: String,
        /// When it wants to be asked again, if it says so.
        retry_after: Option<Duration>,
    },
    /// A back end has been asked too often.
    #[error("`{backend}` has been asked too often")]
    Busy {
        /// The back end.
        backend: String,
        /// When it wants to be asked again, if it says so.
        retry_after: Option<Duration>,
    },
    /// A back end does not take the key that it was sent, or wants one.
    #[error("`{backend}` does not accept the key that it is configured with: {why}")]
    Key {
        /// The back end.
        backend: String,
        /// What it says.
        why: String,
    },
    /// A back end would not answer this prompt.
    #[error("`{backend}` refuses: {why}")]
    Refused {
        /// The back end.
        backend: String,
        /// What it says.
        why: String,
    },
    /// Nobody answered in time.
    #[error("no answer in time")]
    Timeout,
    /// The prompt does not fit into the model's window.
    #[error("the prompt is longer than the window of `{model}`")]
    TooLong {
        /// The model.
        model: String,
    },
    /// The back end can't do that.
    #[error("`{backend}` can't do that: {what}")]
    Unsupported {
        /// The back end.
        backend: String,
        /// What.
        what: String,
    },
    /// What came back makes no sense, is too much, or ended midway.
    #[error("`{backend}` answered badly: {why}")]
    Broken {
        /// The back end.
        backend: String,
        /// How.
        why: String,
    },
    /// What a model wrote does not fit the schema.
    #[error("the answer by `{backend}` does not fit the schema")]
    Unfit {
        /// The back end.
        backend: String,
    },
}

impl Error {
    /// Whether the same back end may answer the same prompt a little later.
    pub fn passes(&self) -> bool {
        self.counts() && !matches!(self, Error::Key { .. }) || matches!(self, Error::Unfit { .. })
    }

    /// Whether another back end may answer it.
    pub fn elsewhere(&self) -> bool {
        !matches!(self, Error::Denied { .. } | Error::Invalid { .. } | Error::Budget { .. } | Error::NoBackend { .. })
    }

    /// Whether it says something about the back end, and not only about the prompt.
    pub fn counts(&self) -> bool {
        matches!(
            self,
            Error::Unavailable { .. } | Error::Busy { .. } | Error::Broken { .. } | Error::Timeout | Error::Key { .. }
        )
    }

    /// When the back end wants to be asked again.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::Unavailable { retry_after, .. }
            | Error::Busy { retry_after, .. }
            | Error::Budget { retry_after }
            | Error::NoBackend { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
