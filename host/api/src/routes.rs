//! Every route, once: what serves it, and what the document says of it.

use crate::error::{Error, bad};
use crate::token::Token;
use crate::{guard, manage, mesh, messages, metrics, models, read, records, scale, spaces, streams, votes};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, delete, get, patch, post};
use axum::{Extension, Router};
use hall::Village;
use http::request::Parts;
use http::{StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Body as _;
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// What every route has.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) village: Village,
    pub(crate) token: Arc<Token>,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Streams that may be open at once.
    pub(crate) streams: Arc<Semaphore>,
    /// Whether the server is to end.
    pub(crate) stopped: watch::Receiver<bool>,
}

/// What the document says of a route.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    /// What programs call it.
    pub(crate) id: &'static str,
    pub(crate) summary: &'static str,
    /// What may stand behind the `?`: name, JSON type, meaning.
    pub(crate) query: &'static [(&'static str, &'static str, &'static str)],
    /// The schema of the request's body, if it has one.
    pub(crate) body: Option<&'static str>,
    /// Statuses of success, each with the schema of its body.
    pub(crate) answers: &'static [(u16, Shape)],
}

/// What a body is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// JSON of this schema.
    Json(&'static str),
    /// Nothing.
    Nothing,
    /// Server-sent events.
    Events,
    /// Text, of this media type.
    Text(&'static str),
    /// The document itself.
    Document,
}

/// What a request's body may have, unless its route says otherwise.
const BODY: usize = 1 << 20;

/// How long a body may take.
const UPLOAD: Duration = Duration::from_secs(30);

const LISTING: &[(&str, &str, &str)] = &[
    ("after", "string", "the name after which the list begins: `next` of the page before"),
    ("limit", "integer", "at most so many; 100, unless it is said, and no more than 1000"),
];
const LINES: &[(&str, &str, &str)] = &[
    ("since", "integer", "lines after this number; without it the last ones"),
    ("limit", "integer", "at most so many; 100, unless it is said, and no more than 1000"),
];
const SINCE: &[(&str, &str, &str)] = &[(
    "since",
    "integer",
    "begin after this number, as `last-event-id` says it; without either, with what comes next",
)];

const LETTERS: &[(&str, &str, &str)] = &[
    ("agent", "string", "of this agent only"),
    ("limit", "integer", "at most so many; 100, unless it is said, and no more than 1000"),
];
const SPAN: &[(&str, &str, &str)] = &[
    ("after", "integer", "entries after this number; without it the last ones"),
    ("agent", "string", "of this agent only"),
    ("limit", "integer", "at most so many; 100, unless it is said, and no more than 1000"),
];

/// Every route.
pub(crate) fn routes() -> Vec<(Route, MethodRouter<App>)> {
    let route = |method, path, id, summary| Route { method, path, id, summary, query: &[], body: None, answers: &[] };
    let json = |shape: &'static [(u16, Shape)], route: Route| Route { answers: shape, ..route };
    let own = vec![
        (
            json(
                &[(200, Shape::Text("text/plain"))],
                route("get", "/live", "live", "Whether the village lives. Needs no token"),
            ),
            get(read::live),
        ),
        (
            json(
                &[(200, Shape::Text("text/plain"))],
                route("get", "/ready", "ready", "Whether it takes messages; 503 once it is stopping. Needs no token"),
            ),
            get(read::ready),
        ),
        (
            json(
                &[(200, Shape::Text(metrics::KIND))],
                route("get", "/metrics", "metrics", "Figures for Prometheus, in its text format"),
            ),
            get(metrics::metrics),
        ),
        (
            json(&[(200, Shape::Document)], route("get", "/v1/openapi.json", "openapi", "This document")),
            get(read::document),
        ),
        (
            json(&[(200, Shape::Json("Figures"))], route("get", "/v1/village", "village", "The village as a whole")),
            get(read::village),
        ),
        (
            Route {
                query: SINCE,
                ..json(&[(200, Shape::Events)], route("get", "/v1/events", "events", "What happens, as it happens"))
            },
            get(streams::events),
        ),
        (
            Route {
                body: Some("Component"),
                ..json(
                    &[(201, Shape::Json("Uploaded"))],
                    route("post", "/v1/components", "upload", "Keep a component for an agent that is deployed soon"),
                )
            },
            post(manage::upload).layer(Extension(Most(manage::LARGEST))),
        ),
        (
            Route {
                query: LISTING,
                ..json(
                    &[(200, Shape::Json("Agents"))],
                    route("get", "/v1/agents", "list", "The agents, by their names"),
                )
            },
            get(read::list),
        ),
        (
            Route {
                body: Some("NewAgent"),
                ..json(
                    &[(201, Shape::Json("Details"))],
                    route("post", "/v1/agents", "deploy", "Make an agent of a component that was uploaded"),
                )
            },
            post(manage::deploy),
        ),
        (
            json(&[(200, Shape::Json("Details"))], route("get", "/v1/agents/{name}", "details", "One agent")),
            get(read::details),
        ),
        (
            json(
                &[(204, Shape::Nothing)],
                route("delete", "/v1/agents/{name}", "remove", "Remove an agent, in the midst of a turn if need be"),
            ),
            delete(manage::remove),
        ),
        (
            json(
                &[(200, Shape::Json("Card"))],
                route("get", "/v1/agents/{name}/card", "card", "What an agent is and can do, in its own words"),
            ),
            get(read::card),
        ),
        (
            json(
                &[(200, Shape::Json("Details"))],
                route("post", "/v1/agents/{name}/start", "start", "Let an agent take messages, and make it now"),
            ),
            post(manage::start),
        ),
        (
            json(
                &[(200, Shape::Json("Details"))],
                route("post", "/v1/agents/{name}/stop", "stop", "Stop an agent until it is started"),
            ),
            post(manage::stop),
        ),
        (
            Route {
                body: Some("Fields"),
                ..json(
                    &[(200, Shape::Json("Details"))],
                    route(
                        "patch",
                        "/v1/agents/{name}/budget",
                        "budget",
                        "Change fields of an agent's budget while it runs",
                    ),
                )
            },
            patch(manage::budget),
        ),
        (
            Route {
                body: Some("Message"),
                ..json(
                    &[(200, Shape::Json("Reply")), (202, Shape::Json("Accepted"))],
                    route(
                        "post",
                        "/v1/agents/{name}/messages",
                        "send",
                        "Send an agent a message: 200 with its answer, or 202 without waiting",
                    ),
                )
            },
            post(messages::send).layer(Extension(Most(messages::LARGEST))),
        ),
        (
            Route {
                body: Some("Message"),
                ..json(
                    &[(200, Shape::Events)],
                    route(
                        "post",
                        "/v1/agents/{name}/stream",
                        "stream",
                        "The same, with the parts of the answer as they come: events `part`, and at the end `reply` or `error`",
                    ),
                )
            },
            post(streams::stream).layer(Extension(Most(messages::LARGEST))),
        ),
        (
            Route {
                query: LINES,
                ..json(
                    &[(200, Shape::Json("Log"))],
                    route("get", "/v1/agents/{name}/log", "log", "What an agent logged"),
                )
            },
            get(read::log),
        ),
        (
            Route {
                query: SINCE,
                ..json(
                    &[(200, Shape::Events)],
                    route("get", "/v1/agents/{name}/log/follow", "follow", "What an agent logs, as it logs it"),
                )
            },
            get(streams::follow),
        ),
        (
            Route {
                body: Some("NewVersion"),
                ..json(
                    &[(200, Shape::Events)],
                    route(
                        "post",
                        "/v1/agents/{name}/swap",
                        "swap",
                        "Let another component take over: an event `step` for each step, the last of them live, refused or back",
                    ),
                )
            },
            post(streams::swap),
        ),
        (
            json(
                &[(200, Shape::Json("Cancelled"))],
                route("delete", "/v1/agents/{name}/swap", "cancel-swap", "Call off the swap that is under way"),
            ),
            delete(manage::cancel_swap),
        ),
        (
            json(
                &[(200, Shape::Events)],
                route("post", "/v1/agents/{name}/rollback", "rollback", "Let the version before take over again"),
            ),
            post(streams::rollback),
        ),
        (
            json(
                &[(200, Shape::Json("Versions"))],
                route("get", "/v1/agents/{name}/versions", "versions", "The versions that an agent had"),
            ),
            get(read::versions),
        ),
        (
            Route {
                query: LETTERS,
                ..json(
                    &[(200, Shape::Json("DeadLetters"))],
                    route("get", "/v1/dead-letters", "dead-letters", "Messages that were given up"),
                )
            },
            get(read::dead_letters),
        ),
        (
            json(
                &[(204, Shape::Nothing)],
                route("post", "/v1/dead-letters/{agent}/{id}", "redrive", "Put a dead letter back into its mailbox"),
            ),
            post(manage::redrive),
        ),
        (
            json(
                &[(204, Shape::Nothing)],
                route("delete", "/v1/dead-letters/{agent}/{id}", "discard", "Throw a dead letter away"),
            ),
            delete(manage::discard),
        ),
        (
            Route {
                query: SPAN,
                ..json(
                    &[(200, Shape::Json("Entries"))],
                    route("get", "/v1/audit", "audit", "The journal: who did what, when, and what came of it"),
                )
            },
            get(read::audit),
        ),
        (
            json(
                &[(200, Shape::Json("Verified"))],
                route("post", "/v1/audit/verify", "verify", "Walk the journal's chain of hashes to its end"),
            ),
            post(read::verify),
        ),
        (
            Route {
                body: Some("BackupTo"),
                ..json(
                    &[(201, Shape::Json("Backup"))],
                    route("post", "/v1/backup", "backup", "Copy all that is kept, as it is now, into a folder"),
                )
            },
            post(manage::backup),
        ),
        (
            json(&[(200, Shape::Json("Groups"))], route("get", "/v1/groups", "groups", "Groups that share a budget")),
            get(read::groups),
        ),
        (
            Route {
                body: Some("Fields"),
                ..json(
                    &[(200, Shape::Json("Groups"))],
                    route(
                        "patch",
                        "/v1/groups/{name}/budget",
                        "group-budget",
                        "Change what a group may use, from now on",
                    ),
                )
            },
            patch(manage::group),
        ),
    ];
    own.into_iter()
        .chain(records::routes())
        .chain(scale::routes())
        .chain(mesh::routes())
        .chain(models::routes())
        .chain(spaces::routes())
        .chain(votes::routes())
        .collect()
}

/// All of them, behind the guard.
pub(crate) fn router(app: App) -> Router {
    let mut router = Router::new();
    for (route, serves) in routes() {
        router = router.route(route.path, serves);
    }
    router
        .fallback(async || no_route())
        .method_not_allowed_fallback(async || Error::Request {
            status: StatusCode::METHOD_NOT_ALLOWED,
            kind: "method",
            message: "this path has no such method: /v1/openapi.json says which it has".into(),
        })
        .layer(from_fn_with_state(app.clone(), guard::guard))
        .with_state(app)
}

fn no_route() -> Error {
    Error::Request {
        status: StatusCode::NOT_FOUND,
        kind: "unknown-path",
        message: "there is no such path: /v1/openapi.json says which there are".into(),
    }
}

/// What the body of a request may have.
#[derive(Clone, Copy)]
struct Most(usize);

/// A body of JSON.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Json<T>, Error> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
            let message = "send JSON, with `content-type: application/json`".into();
            return Err(Error::Request { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, kind: "media-type", message });
        }
        let body = whole(request).await?;
        serde_json::from_slice(&body).map(Json).map_err(|error| bad(format!("the body is not as it must be: {error}")))
    }
}

/// A body of bytes.
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl<S: Send + Sync> FromRequest<S> for Bytes {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Bytes, Error> {
        Ok(Bytes(whole(request).await?.into()))
    }
}

/// All of a request's body, if it is no larger than the path takes. One that says that it is larger is not read at all.
async fn whole(request: Request) -> Result<hyper::body::Bytes, Error> {
    let Most(most) = request.extensions().get().copied().unwrap_or(Most(BODY));
    let body = request.into_body();
    if body.size_hint().lower() > most as u64 {
        return Err(large(most));
    }
    match tokio::time::timeout(UPLOAD, Limited::new(body, most).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(large(most)),
        Ok(Err(error)) => Err(bad(format!("the body broke off: {error}"))),
        Err(_) => {
            let message = format!("the body did not come within {} s", UPLOAD.as_secs());
            Err(Error::Request { status: StatusCode::REQUEST_TIMEOUT, kind: "slow", message })
        }
    }
}

/// A dead letter, by the path.
#[derive(serde::Deserialize)]
pub(crate) struct Letter {
    /// The receiver.
    pub(crate) agent: String,
    /// The message.
    pub(crate) id: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Letter {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Letter, Error> {
        let read = axum::extract::Path::<Letter>::from_request_parts(parts, state).await;
        read.map(|axum::extract::Path(letter)| letter).map_err(|refused| bad(refused.body_text()))
    }
}

fn large(most: usize) -> Error {
    let message = format!("the body is larger than this path takes, which is {}", base::Size::bytes(most as u64));
    Error::Request { status: StatusCode::PAYLOAD_TOO_LARGE, kind: "too-large", message }
}

/// What stands behind the `?`.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Query<T>, Error> {
        let read = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        read.map(|axum::extract::Query(query)| Query(query)).map_err(|refused| bad(refused.body_text()))
    }
}

/// The name in the path.
pub(crate) struct Name(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Name, Error> {
        let read = axum::extract::Path::<String>::from_request_parts(parts, state).await;
        read.map(|axum::extract::Path(name)| Name(name)).map_err(|refused| bad(refused.body_text()))
    }
}
