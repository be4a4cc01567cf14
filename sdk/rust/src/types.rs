//! Words that several modules share: payloads, priorities, and how things are refused and fail.
//!
//! Names and shapes are those of the contract's `types`: the bindings build these very types.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::json;

/// Why an import did not do what it was asked. The turn goes on: it is the agent's to decide what that means.
///
/// With `?` it becomes a [`Failure`] of the turn: a limit, a time-out and what is unavailable as `temporary`, so that the
/// message is tried again; what is denied as `refused`; the rest as `internal`. What another agent failed with keeps its kind,
/// but for `invalid` and `unsupported`: that we asked badly is our own fault, and not our asker's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No grant opens this, or the grant is narrower than the request. Asking again is no use.
    #[error("denied: {0}")]
    Denied(String),
    /// An allowance of the budget is used up.
    #[error("the allowance `{}` is used up", .0.what)]
    Limit(Limit),
    /// There is nothing under that name.
    #[error("not found: {0}")]
    NotFound(String),
    /// Something else changed it first: read again and decide anew.
    #[error("changed meanwhile: {0}")]
    Conflict(String),
    /// The request makes no sense; the text says which part of it.
    #[error("invalid: {0}")]
    Invalid(String),
    /// Nobody answered in time.
    #[error("no answer in time: {0}")]
    Timeout(String),
    /// It is known, and can't be had just now: no peer, no back end. Asking later may help.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// The other side handled the request and failed.
    #[error("{}", .0.text())]
    Failed(Failure),
    /// What came back, or what was kept, is not what its type says; the text names the field. Not an answer of the village: the
    /// SDK's own, where it reads JSON.
    #[error("unreadable: {0}")]
    Unreadable(String),
}

/// An allowance of the budget that is used up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The budget's field, as the manifest spells it: `storage`, `log`, `messages`…
    pub what: String,
    /// Milliseconds after which the same request may pass. None if time alone does not help.
    pub retry_after: Option<u64>,
}

/// How an agent says that it did not do what a message asked. Every effect of the turn is dropped.
///
/// ```
/// use village::Failure;
///
/// fn half(of: &str) -> Result<u32, Failure> {
///     let number: u32 = of.parse().map_err(|_| Failure::field("of", "is not a number"))?;
///     if number % 2 == 1 {
///         return Err(Failure::unsupported("halves of odd numbers"));
///     }
///     Ok(number / 2)
/// }
/// assert_eq!(half("6"), Ok(3));
/// assert_eq!(half("six").unwrap_err().message, "`of` is not a number");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub struct Failure {
    /// Whether trying again can help.
    pub kind: FailureKind,
    /// One line for people. May be empty.
    pub message: String,
    /// More for programs, as JSON. Empty if there is nothing to add.
    pub details: String,
}

/// Whether trying the same message again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum FailureKind {
    /// The message makes no sense. Final.
    Invalid,
    /// The agent does not do that. Final.
    Unsupported,
    /// The agent could, and will not. Final.
    Refused,
    /// It may pass later. Tried again.
    Temporary,
    /// The agent's own fault. Tried again.
    Internal,
}

/// Which messages go first. Within one priority a sender's messages keep their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Priority {
    /// After everything else.
    Low,
    /// What most messages have.
    #[default]
    Normal,
    /// Before most.
    High,
    /// Before all others.
    Urgent,
}

/// Bytes, and what they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload {
    /// A media type such as `application/json`. Empty means bytes of no declared kind.
    pub content_type: String,
    /// May be empty.
    pub body: Vec<u8>,
}

impl Failure {
    /// A failure with one line for people.
    pub fn new(kind: FailureKind, message: impl ToString) -> Failure {
        Failure { kind, message: message.to_string(), details: String::new() }
    }

    /// The message makes no sense. Final.
    pub fn invalid(message: impl ToString) -> Failure {
        Failure::new(FailureKind::Invalid, message)
    }

    /// The agent does not do that. Final.
    pub fn unsupported(message: impl ToString) -> Failure {
        Failure::new(FailureKind::Unsupported, message)
    }

    /// The agent could, and will not. Final.
    pub fn refused(message: impl ToString) -> Failure {
        Failure::new(FailureKind::Refused, message)
    }

    /// It may pass later. The message is tried again.
    pub fn temporary(message: impl ToString) -> Failure {
        Failure::new(FailureKind::Temporary, message)
    }

    /// The agent's own fault. The message is tried again.
    pub fn internal(message: impl ToString) -> Failure {
        Failure::new(FailureKind::Internal, message)
    }

    /// One field of the input is wrong: `invalid`, with the field's path for programs too.
    ///
    /// The reason goes on from the name: `Failure::field("stops[3].demand", "is more than a vehicle carries")`.
    pub fn field(path: &str, reason: impl ToString) -> Failure {
        let mut details = String::from("{\"field\":");
        json::quote(path, &mut details);
        details.push('}');
        let message = ["`", path, "` ", &reason.to_string()].concat();
        Failure { kind: FailureKind::Invalid, message, details }
    }

    /// The same failure with details for programs, as JSON.
    pub fn details<T: Serialize>(mut self, details: &T) -> Failure {
        // What can't be written as JSON (a map with odd keys) is left out: the failure itself matters more.
        self.details = serde_json::to_string(details).unwrap_or_default();
        self
    }

    fn text(&self) -> String {
        let kind = self.kind.name();
        if self.message.is_empty() { kind.to_owned() } else { [kind, ": ", &self.message].concat() }
    }
}

impl FailureKind {
    /// As the contract spells it: `invalid`, `unsupported`, `refused`, `temporary`, `internal`.
    pub fn name(self) -> &'static str {
        match self {
            FailureKind::Invalid => "invalid",
            FailureKind::Unsupported => "unsupported",
            FailureKind::Refused => "refused",
            FailureKind::Temporary => "temporary",
            FailureKind::Internal => "internal",
        }
    }

    /// What the bindings make one of the contract's number with.
    #[doc(hidden)]
    pub fn _lift(number: u8) -> FailureKind {
        match number {
            0 => FailureKind::Invalid,
            1 => FailureKind::Unsupported,
            2 => FailureKind::Refused,
            3 => FailureKind::Temporary,
            _ => FailureKind::Internal,
        }
    }
}

impl Priority {
    /// What the bindings make one of the contract's number with.
    #[doc(hidden)]
    pub fn _lift(number: u8) -> Priority {
        match number {
            0 => Priority::Low,
            1 => Priority::Normal,
            2 => Priority::High,
            _ => Priority::Urgent,
        }
    }
}

impl Payload {
    /// Bytes of no declared kind.
    pub fn bytes(body: impl Into<Vec<u8>>) -> Payload {
        Payload { content_type: String::new(), body: body.into() }
    }

    /// Text, as `text/plain`.
    pub fn text(text: impl Into<String>) -> Payload {
        Payload { content_type: "text/plain; charset=utf-8".to_owned(), body: text.into().into_bytes() }
    }

    /// A value as JSON. Fails with `unreadable` for what JSON can't say, such as a map whose keys are no strings.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Payload, Error> {
        let body = json::write(value)?;
        Ok(Payload { content_type: "application/json".to_owned(), body })
    }

    /// Reads the body as JSON. Fails with `unreadable`, which names the field.
    ///
    /// ```
    /// use village::{Error, Payload};
    ///
    /// let payload = Payload::json(&[1, 2]).unwrap();
    /// assert_eq!(payload.read::<Vec<u8>>(), Ok(vec![1, 2]));
    /// assert!(matches!(payload.read::<Vec<String>>(), Err(Error::Unreadable(why)) if why.starts_with("`[0]`")));
    /// ```
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        json::read(&self.body).map_err(|fault| Error::Unreadable(fault.text()))
    }

    /// The body as text, if it is UTF-8.
    pub fn as_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.body).ok()
    }
}

impl From<&str> for Payload {
    fn from(text: &str) -> Payload {
        Payload::text(text)
    }
}

impl From<String> for Payload {
    fn from(text: String) -> Payload {
        Payload::text(text)
    }
}

impl From<Vec<u8>> for Payload {
    fn from(body: Vec<u8>) -> Payload {
        Payload::bytes(body)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let kind = match &error {
            Error::Limit(_) | Error::Timeout(_) | Error::Unavailable(_) | Error::Conflict(_) => FailureKind::Temporary,
            Error::Denied(_) => FailureKind::Refused,
            Error::NotFound(_) | Error::Invalid(_) | Error::Unreadable(_) => FailureKind::Internal,
            Error::Failed(failure) => match failure.kind {
                FailureKind::Invalid | FailureKind::Unsupported => FailureKind::Internal,
                kind => kind,
            },
        };
        let mut failure = Failure::new(kind, &error);
        if let Error::Limit(limit) = error {
            failure.details = "{\"limit\":".to_owned();
            json::quote(&limit.what, &mut failure.details);
            if let Some(after) = limit.retry_after {
                failure.details.push_str(",\"retry_after\":");
                failure.details.push_str(&after.to_string());
            }
            failure.details.push('}');
        }
        failure
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure::internal(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(error: Error) -> FailureKind {
        Failure::from(error).kind
    }

    #[test]
    fn what_may_pass_later_is_temporary_and_what_is_shut_is_refused() {
        let limit = Limit { what: "messages".into(), retry_after: Some(40) };
        let failure = Failure::from(Error::Limit(limit));
        assert_eq!(failure.kind, FailureKind::Temporary);
        assert_eq!(failure.details, r#"{"limit":"messages","retry_after":40}"#);
        assert_eq!(failure.message, "the allowance `messages` is used up");

        assert_eq!(kind(Error::Timeout("scribe".into())), FailureKind::Temporary);
        assert_eq!(kind(Error::Unavailable("scribe".into())), FailureKind::Temporary);
        assert_eq!(kind(Error::Conflict("key".into())), FailureKind::Temporary);
        assert_eq!(kind(Error::Denied("agents".into())), FailureKind::Refused);
        assert_eq!(kind(Error::NotFound("scribe".into())), FailureKind::Internal);
    }

    #[test]
    fn that_we_asked_another_agent_badly_is_our_own_fault() {
        assert_eq!(kind(Error::Failed(Failure::invalid("no"))), FailureKind::Internal);
        assert_eq!(kind(Error::Failed(Failure::unsupported("no"))), FailureKind::Internal);
        assert_eq!(kind(Error::Failed(Failure::refused("no"))), FailureKind::Refused);
        assert_eq!(kind(Error::Failed(Failure::temporary("no"))), FailureKind::Temporary);
    }

    #[test]
    fn a_field_is_quoted_in_the_details() {
        assert_eq!(Failure::field("a\"b", "is odd").details, r#"{"field":"a\"b"}"#);
    }

    #[test]
    fn the_numbers_are_those_of_the_contract() {
        for kind in [
            FailureKind::Invalid,
            FailureKind::Unsupported,
            FailureKind::Refused,
            FailureKind::Temporary,
            FailureKind::Internal,
        ] {
            assert_eq!(FailureKind::_lift(kind as u8), kind);
        }
        for priority in [Priority::Low, Priority::Normal, Priority::High, Priority::Urgent] {
            assert_eq!(Priority::_lift(priority as u8), priority);
        }
    }
}
