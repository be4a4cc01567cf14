//! What changes the village: agents deployed, started, stopped, removed, given another budget.

use crate::error::{Error, bad};
use crate::routes::{App, Bytes, Json, Letter, Name};
use crate::wire::{BackupTo, Cancelled, Groups, NewAgent};
use axum::extract::State;
use hall::{Backup, Deployment, Details, Uploaded};
use http::StatusCode;
use std::collections::BTreeMap;

/// A component has no more bytes than this.
pub(crate) const LARGEST: usize = 256 << 20;

type Made<T> = Result<(StatusCode, axum::Json<T>), Error>;

pub(crate) async fn upload(State(app): State<App>, Bytes(bytes): Bytes) -> Made<Uploaded> {
    Ok((StatusCode::CREATED, axum::Json(finished(async move { app.village.upload(bytes).await }).await?)))
}

pub(crate) async fn deploy(State(app): State<App>, Json(agent): Json<NewAgent>) -> Made<Details> {
    let NewAgent { digest, name, manifest, budget, grants, group } = agent;
    let digest = digest.parse().map_err(|problem: base::Bad| bad(format!("`digest`: {problem}")))?;
    let deployment = Deployment {
        name,
        digest: Some(digest),
        manifest: manifest.map(|manifest| (manifest.text, manifest.path.into())),
        budget: budget.into_iter().collect(),
        grants,
        group,
        ..Deployment::default()
    };
    // Whoever asked may leave; what was begun is ended all the same.
    let village = app.village.clone();
    let row = finished(async move { village.deploy(deployment).await }).await?;
    Ok((StatusCode::CREATED, axum::Json(app.village.details(&row.name)?)))
}

pub(crate) async fn remove(State(app): State<App>, Name(name): Name) -> Result<StatusCode, Error> {
    finished(async move { app.village.remove(&name).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn start(State(app): State<App>, Name(name): Name) -> Result<axum::Json<Details>, Error> {
    let (village, own) = (app.village.clone(), name.clone());
    finished(async move { village.start_agent(&own).await }).await?;
    Ok(axum::Json(app.village.details(&name)?))
}

pub(crate) async fn stop(State(app): State<App>, Name(name): Name) -> Result<axum::Json<Details>, Error> {
    let (village, own) = (app.village.clone(), name.clone());
    finished(async move { village.stop_agent(&own).await }).await?;
    Ok(axum::Json(app.village.details(&name)?))
}

pub(crate) async fn budget(
    State(app): State<App>,
    Name(name): Name,
    Json(fields): Json<BTreeMap<String, String>>,
) -> Result<axum::Json<Details>, Error> {
    let (village, own) = (app.village.clone(), name.clone());
    let fields: Vec<_> = fields.into_iter().collect();
    finished(async move { village.set_budget(&own, &fields).await }).await?;
    Ok(axum::Json(app.village.details(&name)?))
}

pub(crate) async fn group(
    State(app): State<App>,
    Name(name): Name,
    Json(fields): Json<BTreeMap<String, String>>,
) -> Result<axum::Json<Groups>, Error> {
    let fields: Vec<_> = fields.into_iter().collect();
    let village = app.village.clone();
    finished(async move { village.set_group(&name, &fields).await }).await?;
    Ok(axum::Json(Groups { groups: app.village.group_figures()? }))
}

pub(crate) async fn redrive(State(app): State<App>, letter: Letter) -> Result<StatusCode, Error> {
    finished(async move { app.village.redrive(&letter.agent, &letter.id).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn discard(State(app): State<App>, letter: Letter) -> Result<StatusCode, Error> {
    finished(async move { app.village.discard(&letter.agent, &letter.id).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn backup(State(app): State<App>, Json(to): Json<BackupTo>) -> Made<Backup> {
    let backup = finished(async move { app.village.backup(to.folder.into()).await }).await?;
    Ok((StatusCode::CREATED, axum::Json(backup)))
}

pub(crate) async fn cancel_swap(State(app): State<App>, Name(name): Name) -> Result<axum::Json<Cancelled>, Error> {
    Ok(axum::Json(Cancelled { cancelled: app.village.cancel_swap(&name)? }))
}

/// Does something to its end, whoever waits for it.
pub(crate) async fn finished<T: Send + 'static>(
    work: impl Future<Output = Result<T, hall::Error>> + Send + 'static,
) -> Result<T, Error> {
    match tokio::spawn(work).await {
        Ok(done) => Ok(done?),
        Err(error) => Err(hall::Error::Host(error.to_string()).into()),
    }
}
