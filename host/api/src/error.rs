//! What went wrong, as a status and a text for the outside.

use crate::wire::{Failure, Reason};
use axum::Json;
use axum::response::{IntoResponse, Response};
use guest::{Failed, FailureKind, Fault};
use hall::Error as Wrong;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

/// Why a request was not served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request can't be understood, or asks for what can't be had.
    #[error("{message}")]
    Request {
        /// The answer's status.
        status: StatusCode,
        /// The word that programs know it by.
        kind: &'static str,
        /// The same for people.
        message: String,
    },
    /// The village said no.
    #[error(transparent)]
    Village(#[from] Wrong),
    /// The server or its token can't be had.
    #[error("{0}")]
    Server(String),
}

/// A request that makes no sense.
pub(crate) fn bad(message: impl Into<String>) -> Error {
    Error::Request { status: StatusCode::BAD_REQUEST, kind: "bad-request", message: message.into() }
}

impl Error {
    /// The word that programs know it by.
    pub fn kind(&self) -> &'static str {
        match self {
            Error::Request { kind, .. } => kind,
            Error::Village(wrong) => wrong.kind(),
            Error::Server(_) => "listen",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Error::Request { status, .. } => *status,
            Error::Village(wrong) => status(wrong),
            Error::Server(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The same for whoever asked.
    pub(crate) fn reason(&self) -> Reason {
        let details = match self {
            Error::Village(Wrong::Failed(failed)) => details(failed),
            Error::Village(Wrong::Repeated { last, id, .. }) => json!({ "last": last, "id": id }),
            Error::Village(Wrong::Unknown { nearest: Some(nearest), .. }) => json!({ "nearest": nearest }),
            _ => Value::Null,
        };
        Reason { kind: self.kind().into(), message: self.to_string(), details }
    }
}

fn status(wrong: &Wrong) -> StatusCode {
    match wrong {
        Wrong::Unknown { .. }
        | Wrong::Group { .. }
        | Wrong::Component { .. }
        | Wrong::Letter { .. }
        | Wrong::Space { .. }
        | Wrong::Turn { .. }
        | Wrong::Vote { .. }
        | Wrong::Gone { .. } => StatusCode::NOT_FOUND,
        Wrong::Exists { .. }
        | Wrong::Stopped { .. }
        | Wrong::Key { .. }
        | Wrong::Repeated { .. }
        | Wrong::Busy { .. } => StatusCode::CONFLICT,
        Wrong::Bad(_) | Wrong::Swap(guest::Refused::Plan { .. }) => StatusCode::BAD_REQUEST,
        Wrong::Swap(_) | Wrong::Replicas(_) | Wrong::Unrecorded { .. } => StatusCode::CONFLICT,
        Wrong::Load { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        Wrong::Refused(guest::Refusal::Full { .. }) => StatusCode::TOO_MANY_REQUESTS,
        Wrong::Refused(guest::Refusal::Stopped) => StatusCode::CONFLICT,
        Wrong::Asleep { .. } | Wrong::Stopping | Wrong::Postponed { .. } => StatusCode::SERVICE_UNAVAILABLE,
        Wrong::Failed(failed) => failed_status(failed),
        Wrong::Alone => StatusCode::CONFLICT,
        Wrong::Peer { .. } | Wrong::Nowhere { .. } => StatusCode::NOT_FOUND,
        Wrong::Invitation(_) => StatusCode::FORBIDDEN,
        Wrong::Unreachable(_) => StatusCode::GATEWAY_TIMEOUT,
        Wrong::Mesh(_) => match wrong.kind() {
            "invitation" => StatusCode::FORBIDDEN,
            "not-alone" | "has-voted" => StatusCode::CONFLICT,
            "no-vote" => StatusCode::FORBIDDEN,
            "no-room" => StatusCode::TOO_MANY_REQUESTS,
            "unknown-peer" | "unknown-vote" => StatusCode::NOT_FOUND,
            "bad-request" => StatusCode::BAD_REQUEST,
            "unreachable" => StatusCode::GATEWAY_TIMEOUT,
            "busy" | "stopping" => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_GATEWAY,
        },
        Wrong::Elsewhere { error, .. } => elsewhere(error),
        Wrong::Late(_) => StatusCode::GATEWAY_TIMEOUT,
        Wrong::Full => StatusCode::INSUFFICIENT_STORAGE,
        Wrong::Config(_) | Wrong::Kept(_) | Wrong::Host(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The same of a message to another village.
fn elsewhere(error: &guest::Elsewhere) -> StatusCode {
    use guest::Elsewhere::{Broke, Denied, Failed, Invalid, Limit, NotFound, Store, Timeout, Unavailable};
    match error {
        NotFound(_) => StatusCode::NOT_FOUND,
        Denied(_) => StatusCode::FORBIDDEN,
        Limit { .. } => StatusCode::TOO_MANY_REQUESTS,
        Invalid(_) => StatusCode::BAD_REQUEST,
        Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
        Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        Failed(_) | Broke(_) => StatusCode::BAD_GATEWAY,
        Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The agent is behind the village as a server is behind a gateway: what breaks there is no fault of the village's.
fn failed_status(failed: &Failed) -> StatusCode {
    match failed {
        Failed::Failed(failure) => match failure.kind {
            FailureKind::Invalid | FailureKind::Unsupported => StatusCode::UNPROCESSABLE_ENTITY,
            FailureKind::Refused => StatusCode::FORBIDDEN,
            FailureKind::Temporary => StatusCode::SERVICE_UNAVAILABLE,
            FailureKind::Internal => StatusCode::BAD_GATEWAY,
        },
        Failed::Broke(Fault::Deadline { .. }) => StatusCode::GATEWAY_TIMEOUT,
        Failed::Broke(Fault::Refused { .. } | Fault::Stopped | Fault::Linked { .. }) => StatusCode::SERVICE_UNAVAILABLE,
        Failed::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        Failed::Broke(_) | Failed::NoRoom => StatusCode::BAD_GATEWAY,
    }
}

/// What programs are told beside the kind: an agent's own details, or where its turn broke.
fn details(failed: &Failed) -> Value {
    match failed {
        Failed::Failed(failure) if failure.details.is_empty() => Value::Null,
        Failed::Failed(failure) => {
            serde_json::from_str(&failure.details).unwrap_or_else(|_| failure.details.clone().into())
        }
        Failed::Broke(fault) if !fault.frames().is_empty() => {
            json!({ "frames": fault.frames().iter().map(ToString::to_string).collect::<Vec<_>>() })
        }
        Failed::Broke(_) | Failed::NoRoom | Failed::Store(_) => Value::Null,
    }
}

/// Seconds after which what was refused for want of room may pass.
const LATER: HeaderValue = HeaderValue::from_static("1");

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut answer = (status, Json(Failure { error: self.reason() })).into_response();
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            answer.headers_mut().insert(header::RETRY_AFTER, LATER);
        }
        if status == StatusCode::UNAUTHORIZED {
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        answer
    }
}
