//! What is kept of turns, for how long, and how it is looked at again: its routes, its words and their schemas.

use crate::error::{Error, bad};
use crate::manage::finished;
use crate::routes::{App, Json, Name, Route, Shape};
use axum::extract::State;
use axum::routing::{MethodRouter, patch, post};
use hall::{Again, Details, Erase, Erased};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A turn that is to be run again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// The message's id, or the number of the turn's entry in the journal.
    pub turn: String,
    /// Which try of the message: the last one, unless it is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// A component that was uploaded: the one that had the turn, unless it is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// Whose words are to go: an agent's messages, or one message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Erasure {
    /// All that was sent to this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The message of this id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The routes.
pub(crate) fn routes() -> Vec<(Route, MethodRouter<App>)> {
    let route = |method, path, id, summary, body, answers| Route {
        method,
        path,
        id,
        summary,
        query: &[],
        body: Some(body),
        answers,
    };
    let details: &[_] = &[(200, Shape::Json("Details"))];
    let turns = "Change how an agent's messages are tried, recorded and looked after, while it runs";
    let replay = "Run a recorded turn again, outside the world, and say where it differs";
    let erase_words = "Erase what messages said, from the journal, whose chain stays whole, and from what waits";
    vec![
        (route("patch", "/v1/agents/{name}/turns", "turns", turns, "TurnFields", details), patch(set_turns)),
        (route("post", "/v1/replay", "replay", replay, "Replay", &[(200, Shape::Json("Again"))]), post(again)),
        (route("post", "/v1/erase", "erase", erase_words, "Erasure", &[(200, Shape::Json("Erased"))]), post(erase)),
    ]
}

async fn set_turns(
    State(app): State<App>,
    Name(name): Name,
    Json(fields): Json<BTreeMap<String, String>>,
) -> Result<axum::Json<Details>, Error> {
    let (village, own) = (app.village.clone(), name.clone());
    let fields: Vec<_> = fields.into_iter().collect();
    finished(async move { village.set_turns(&own, &fields).await }).await?;
    Ok(axum::Json(app.village.details(&name)?))
}

async fn again(State(app): State<App>, Json(replay): Json<Replay>) -> Result<axum::Json<Again>, Error> {
    let Replay { turn, attempt, digest } = replay;
    let digest = digest.map(|text| text.parse()).transpose();
    let digest = digest.map_err(|problem: base::Bad| bad(format!("`digest`: {problem}")))?;
    Ok(axum::Json(app.village.replay(&turn, attempt, digest).await?))
}

async fn erase(State(app): State<App>, Json(erasure): Json<Erasure>) -> Result<axum::Json<Erased>, Error> {
    let what = match erasure {
        Erasure { agent: Some(agent), message: None } => Erase::Agent(agent),
        Erasure { agent: None, message: Some(message) } => Erase::Message(message),
        _ => return Err(bad("whose words are to go? One of `agent` and `message`")),
    };
    Ok(axum::Json(finished(async move { app.village.erase(what).await }).await?))
}

/// A message is sent no later than this.
const LATEST: Duration = Duration::from_secs(366 * 86_400);

/// When a message is due, in Unix milliseconds.
pub(crate) fn due(after: Option<&str>, at: Option<u64>) -> Result<Option<u64>, Error> {
    let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let now = millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
    let due = match (after, at) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => return Err(bad("a message has one of `after` and `at`, and not both")),
        (Some(text), None) => {
            let span = base::span(text).map_err(|problem| bad(format!("`after`: {problem}")))?;
            now.saturating_add(millis(span))
        }
        (None, Some(at)) => at,
    };
    match due.saturating_sub(now) <= millis(LATEST) {
        true => Ok(Some(due)),
        false => Err(bad("a message is sent within a year")),
    }
}

/// The schemas of what goes over the wire here.
pub(crate) fn schemas() -> Vec<(&'static str, Value)> {
    let (text, count) = (json!({ "type": "string" }), json!({ "type": "integer", "minimum": 0 }));
    let (texts, flag) = (json!({ "type": "array", "items": text }), json!({ "type": "boolean" }));
    let fields = "Fields of [turns], each as in a manifest: {\"record\": \"true\"}";
    let again = json!({
        "seq": count,
        "time": count,
        "agent": text,
        "id": text,
        "attempt": count,
        "skill": text,
        "version": text,
        "with": text,
        "same": flag,
        "differs": texts,
        "missing": texts,
        "cut": flag,
        "outcome": text,
        "took_us": count,
    });
    let all: Vec<_> = again.as_object().into_iter().flat_map(|fields| fields.keys().cloned()).collect();
    vec![
        (
            "TurnFields",
            json!({ "type": "object", "additionalProperties": { "type": "string" }, "description": fields }),
        ),
        (
            "Replay",
            json!({
                "type": "object",
                "properties": { "turn": text, "attempt": count, "digest": text },
                "required": ["turn"],
                "additionalProperties": false,
            }),
        ),
        (
            "Erasure",
            json!({
                "type": "object",
                "properties": { "agent": text, "message": text },
                "additionalProperties": false,
            }),
        ),
        (
            "Erased",
            json!({
                "type": "object",
                "properties": { "entries": count, "letters": count, "messages": count, "answers": count },
                "required": ["entries", "letters", "messages", "answers"],
            }),
        ),
        ("Again", json!({ "type": "object", "properties": again, "required": all })),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape;

    fn holds(name: &str, value: &impl Serialize) {
        shape::holds(schemas(), name, value);
    }

    #[test]
    fn every_schema_is_as_its_type() {
        holds("Replay", &Replay { turn: "1".into(), attempt: Some(1), digest: Some(String::new()) });
        let again = Again {
            seq: 1,
            time: 1,
            agent: String::new(),
            id: String::new(),
            attempt: 1,
            skill: String::new(),
            version: String::new(),
            with: String::new(),
            same: true,
            differs: Vec::new(),
            missing: Vec::new(),
            cut: false,
            outcome: String::new(),
            took_us: 1,
        };
        holds("Again", &again);
        holds("Erasure", &Erasure { agent: Some("a".into()), message: Some("1".into()) });
        holds("Erased", &Erased::default());
    }
}
