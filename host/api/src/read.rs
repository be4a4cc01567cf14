//! What is to be seen, without changing anything.

use crate::document;
use crate::error::Error;
use crate::routes::{App, Name, Query};
use crate::wire::{Agents, Card, DeadLetters, Groups, Log, Versions};
use axum::Json;
use axum::extract::State;
use hall::{Details, Entries, Figures, Verified};
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

/// How many are listed, unless it is said; and at most.
const FEW: usize = 100;
const MOST: usize = 1_000;

/// How long an agent may take to say what it is, waiting included.
const WAIT: Duration = Duration::from_secs(60);

pub(crate) async fn live() -> &'static str {
    "live\n"
}

pub(crate) async fn ready(State(app): State<App>) -> (StatusCode, &'static str) {
    match app.village.figures().stopping {
        false => (StatusCode::OK, "ready\n"),
        true => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
    }
}

pub(crate) async fn document() -> Json<Value> {
    Json(document::document())
}

pub(crate) async fn village(State(app): State<App>) -> Json<Figures> {
    Json(app.village.figures())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Page {
    #[serde(default)]
    after: String,
    limit: Option<usize>,
}

pub(crate) async fn list(State(app): State<App>, Query(page): Query<Page>) -> Result<Json<Agents>, Error> {
    let limit = page.limit.unwrap_or(FEW).clamp(1, MOST);
    let agents = app.village.list(&page.after, limit)?;
    let next = agents.last().filter(|_| agents.len() == limit).map(|last| last.name.clone());
    Ok(Json(Agents { agents, next }))
}

pub(crate) async fn details(State(app): State<App>, Name(name): Name) -> Result<Json<Details>, Error> {
    Ok(Json(app.village.details(&name)?))
}

pub(crate) async fn card(State(app): State<App>, Name(name): Name) -> Result<Json<Card>, Error> {
    let card = tokio::time::timeout(WAIT, app.village.card(&name)).await;
    Ok(Json(card.map_err(|_| hall::Error::Late(WAIT))??.into()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lines {
    since: Option<u64>,
    limit: Option<usize>,
}

pub(crate) async fn log(
    State(app): State<App>,
    Name(name): Name,
    Query(lines): Query<Lines>,
) -> Result<Json<Log>, Error> {
    let limit = lines.limit.unwrap_or(FEW).clamp(1, MOST);
    let since = app.village.log(&name, lines.since.unwrap_or(0), limit, lines.since.is_none())?;
    Ok(Json(Log { lost: since.lost, lines: since.all }))
}

pub(crate) async fn groups(State(app): State<App>) -> Result<Json<Groups>, Error> {
    Ok(Json(Groups { groups: app.village.group_figures()? }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Letters {
    agent: Option<String>,
    limit: Option<usize>,
}

pub(crate) async fn dead_letters(
    State(app): State<App>,
    Query(letters): Query<Letters>,
) -> Result<Json<DeadLetters>, Error> {
    let limit = letters.limit.unwrap_or(FEW).clamp(1, MOST);
    Ok(Json(DeadLetters { letters: app.village.dead_letters(letters.agent.as_deref(), limit)? }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Span {
    after: Option<u64>,
    agent: Option<String>,
    limit: Option<usize>,
}

pub(crate) async fn audit(State(app): State<App>, Query(span): Query<Span>) -> Result<Json<Entries>, Error> {
    let limit = span.limit.unwrap_or(FEW).clamp(1, MOST);
    Ok(Json(app.village.audit(span.after, span.agent, limit).await?))
}

pub(crate) async fn verify(State(app): State<App>) -> Result<Json<Verified>, Error> {
    Ok(Json(app.village.verify().await?))
}

pub(crate) async fn versions(State(app): State<App>, Name(name): Name) -> Result<Json<Versions>, Error> {
    Ok(Json(Versions { versions: app.village.versions(&name)? }))
}
