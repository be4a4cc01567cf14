//! Server-sent events: what happens, what an agent logs, and the parts of an answer.
//!
//! A client that reads too slowly holds up its own stream only: what it misses is counted, and told.

use crate::error::Error;
use crate::routes::{App, Json, Name, Query};
use crate::wire::{Body, Message, NewVersion, Reply};
use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use guest::Payload;
use hall::{Since, Steps, Village};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;

type Stream = Sse<axum::response::sse::KeepAliveStream<ReceiverStream<Result<Event, Infallible>>>>;

/// Events that wait for a client to read them.
const WAITING: usize = 64;

/// Parts of an answer that do.
const PARTS: usize = 1_024;

/// Events that are taken from the village at once.
const PAGE: usize = 64;

/// How often an agent that is followed is asked for what it logged.
const PACE: Duration = Duration::from_millis(200);

/// How often a quiet stream says that it is there.
const ALIVE: Duration = Duration::from_secs(15);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct From {
    since: Option<u64>,
}

pub(crate) async fn events(
    State(app): State<App>,
    headers: HeaderMap,
    Query(from): Query<From>,
) -> Result<Stream, Error> {
    let seat = seat(&app)?;
    let begin = begin(&headers, from.since)?;
    let mut more = app.village.happens();
    let id = begin.unwrap_or_else(|| *more.borrow_and_update());
    let village = app.village.clone();
    Ok(pump(app, seat, id, more, None, move |id| Some(village.events(id, PAGE))))
}

pub(crate) async fn follow(
    State(app): State<App>,
    Name(name): Name,
    headers: HeaderMap,
    Query(from): Query<From>,
) -> Result<Stream, Error> {
    let seat = seat(&app)?;
    let begin = begin(&headers, from.since)?;
    // What it logged so far is collected, so that the number is of the last line there is.
    let last = app.village.log(&name, 0, 1, true)?.all.last().map_or(0, |line| line.id);
    let more = app.village.spoke(&name)?;
    let village = app.village.clone();
    let lines = move |id| village.log(&name, id, PAGE, false).ok();
    Ok(pump(app, seat, begin.unwrap_or(last), more, Some(PACE), lines))
}

/// The number after which a stream begins.
fn begin(headers: &HeaderMap, since: Option<u64>) -> Result<Option<u64>, Error> {
    let Some(last) = headers.get("last-event-id") else { return Ok(since) };
    let last = last.to_str().ok().and_then(|text| text.trim().parse().ok());
    last.map(Some).ok_or_else(|| crate::error::bad("`last-event-id` is the number of an event"))
}

fn seat(app: &App) -> Result<OwnedSemaphorePermit, Error> {
    app.streams.clone().try_acquire_owned().map_err(|_| Error::Request {
        status: StatusCode::TOO_MANY_REQUESTS,
        kind: "streams",
        message: "as many streams are open as may be".into(),
    })
}

/// Sends what comes after `id`, until the client has gone, the server ends or there is nothing to ask any more.
fn pump<T: Serialize + Clone + Send + 'static>(
    app: App,
    seat: OwnedSemaphorePermit,
    mut id: u64,
    mut more: watch::Receiver<u64>,
    pace: Option<Duration>,
    next: impl Fn(u64) -> Option<Since<T>> + Send + 'static,
) -> Stream {
    let (events, waiting) = mpsc::channel(WAITING);
    let mut stopped = app.stopped;
    tokio::spawn(async move {
        let _seat = seat;
        loop {
            more.mark_unchanged();
            let Some(Since { lost, all }) = next(id) else { break };
            if lost > 0 {
                let gap = Event::default().event("lost").data(json!({ "lost": lost }).to_string());
                if events.send(Ok(gap)).await.is_err() {
                    break;
                }
            }
            let full = all.len() == PAGE;
            for one in all {
                id = one.id;
                let text = serde_json::to_string(&one).unwrap_or_default();
                if events.send(Ok(Event::default().id(id.to_string()).data(text))).await.is_err() {
                    return;
                }
            }
            if full {
                continue;
            }
            let rest = async {
                match pace {
                    Some(pace) => tokio::time::sleep(pace).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = more.changed() => if changed.is_err() { break },
                () = rest => {}
                () = events.closed() => break,
                _ = stopped.wait_for(|stopped| *stopped) => break,
            }
        }
    });
    Sse::new(ReceiverStream::new(waiting)).keep_alive(KeepAlive::new().interval(ALIVE))
}

pub(crate) async fn stream(
    State(app): State<App>,
    Name(name): Name,
    Json(message): Json<Message>,
) -> Result<Stream, Error> {
    let seat = seat(&app)?;
    let patience = message.patience()?;
    let letter = message.letter()?;
    // What is wrong with the name is said with a status, before the stream begins.
    app.village.may_hear(&name)?;
    let (events, waiting) = mpsc::channel(PARTS);
    let village = app.village.clone();
    tokio::spawn(async move {
        let _seat = seat;
        let told = listen(&village, &name, letter, patience, &events);
        let last = match tokio::time::timeout(patience, told).await {
            Ok(Ok(reply)) => event("reply", &json!(reply)),
            Ok(Err(error)) => event("error", &json!(error.reason())),
            Err(_) => event("error", &json!(Error::from(hall::Error::Late(patience)).reason())),
        };
        // The client may have gone.
        let _ = events.send(Ok(last)).await;
    });
    Ok(Sse::new(ReceiverStream::new(waiting)).keep_alive(KeepAlive::new().interval(ALIVE)))
}

async fn listen(
    village: &Village,
    name: &str,
    letter: hall::Letter,
    patience: Duration,
    events: &mpsc::Sender<Result<Event, Infallible>>,
) -> Result<Reply, Error> {
    let mut lost = 0;
    let came = village.listen_within(name, letter, patience, |part| {
        let body = Body::from(Payload { content_type: String::new(), body: part });
        // The turn does not wait for whoever reads too slowly.
        if events.try_send(Ok(event("part", &json!(body)))).is_err() {
            lost += 1;
        }
    });
    let came = came.await?;
    if lost > 0 {
        let _ = events.send(Ok(event("lost", &json!({ "lost": lost })))).await;
    }
    Reply::try_from(came)
}

pub(crate) async fn swap(
    State(app): State<App>,
    Name(name): Name,
    Json(version): Json<NewVersion>,
) -> Result<Stream, Error> {
    let seat = seat(&app)?;
    let plan = version.plan()?;
    let digest =
        version.digest.parse().map_err(|problem: base::Bad| crate::error::bad(format!("`digest`: {problem}")))?;
    let turns: Vec<_> = version.turns.into_iter().collect();
    Ok(steps(seat, app.village.swap(&name, digest, plan, &turns).await?))
}

pub(crate) async fn rollback(State(app): State<App>, Name(name): Name) -> Result<Stream, Error> {
    let seat = seat(&app)?;
    Ok(steps(seat, app.village.rollback(&name).await?))
}

/// The steps of a swap, as they come. It goes on also when nobody reads them.
fn steps(seat: OwnedSemaphorePermit, mut steps: Steps) -> Stream {
    let (events, waiting) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let _seat = seat;
        while let Some(step) = steps.next().await {
            if events.send(Ok(event("step", &json!(step)))).await.is_err() {
                return;
            }
        }
    });
    Sse::new(ReceiverStream::new(waiting)).keep_alive(KeepAlive::new().interval(ALIVE))
}

fn event(name: &str, data: &Value) -> Event {
    Event::default().event(name).data(data.to_string())
}
