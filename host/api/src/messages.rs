//! Messages, and what comes of them.

use crate::error::Error;
use crate::routes::{App, Json, Name};
use crate::wire::{Accepted, Message, Reply};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

/// A message has no more bytes than this, its JSON included. What one agent takes, its own `mailbox-bytes` says.
pub(crate) const LARGEST: usize = 64 << 20;

pub(crate) async fn send(
    State(app): State<App>,
    Name(name): Name,
    Json(message): Json<Message>,
) -> Result<Response, Error> {
    let (patience, wait) =
        (message.patience()?, message.wait.unwrap_or(message.after.is_none() && message.at.is_none()));
    let letter = message.letter()?;
    let late = |_| hall::Error::Late(patience);
    if !wait {
        let id = tokio::time::timeout(patience, app.village.tell(&name, letter)).await.map_err(late)??;
        return Ok((StatusCode::ACCEPTED, axum::Json(Accepted { id })).into_response());
    }
    let came =
        tokio::time::timeout(patience, app.village.ask_within(&name, letter, patience)).await.map_err(late)??;
    Ok(axum::Json(Reply::try_from(came)?).into_response())
}
