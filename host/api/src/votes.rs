//! Votes over the mesh: their routes and their words.

use crate::error::{Error, bad};
use crate::manage::finished;
use crate::routes::{App, Json, Name, Route, Shape};
use crate::shape::{given, whole};
use axum::extract::State;
use axum::routing::{MethodRouter, get, post};
use hall::{Motion, Poll, PollDetails};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Something that is to be decided.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewProposal {
    /// What it says: its first line is what it is about.
    pub text: String,
    /// Those who vote, each by its id or how that begins; all that are known, if none is named.
    #[serde(default)]
    pub electorate: Vec<String>,
    /// The part of them that has to say yes; 0.8, unless it is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// How long voting lasts, such as `1h`.
    #[serde(rename = "for")]
    pub life: String,
}

/// A vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewVote {
    /// Yes or no.
    pub yes: bool,
}

/// What is being decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Polls {
    /// What ends first comes first.
    pub votes: Vec<Poll>,
}

type Answered<T> = Result<axum::Json<T>, Error>;

pub(crate) fn routes() -> Vec<(Route, MethodRouter<App>)> {
    let route =
        |method, path, id, summary, body, answers| Route { method, path, id, summary, query: &[], body, answers };
    const ALL: &str = "/v1/mesh/votes";
    const ONE: &str = "/v1/mesh/votes/{id}";
    let summary = "What the villages are deciding together, or have decided within the last hour";
    let votes = route("get", ALL, "votes", summary, None, &[(200, Shape::Json("Polls"))]);
    let summary = "Propose something to those who are to decide it";
    let propose = route("post", ALL, "propose", summary, Some("NewProposal"), &[(201, Shape::Json("Poll"))]);
    let summary = "How one of them stands, with the proof of its outcome and of those who have voted both ways";
    let poll = route("get", ONE, "poll", summary, None, &[(200, Shape::Json("PollDetails"))]);
    let summary = "Vote on it, once";
    let vote = route("post", ONE, "vote", summary, Some("NewVote"), &[(200, Shape::Json("Poll"))]);
    vec![(votes, get(self::votes)), (propose, post(self::propose)), (poll, get(self::poll)), (vote, post(self::vote))]
}

async fn votes(State(app): State<App>) -> Answered<Polls> {
    Ok(axum::Json(Polls { votes: app.village.polls().await? }))
}

async fn propose(
    State(app): State<App>,
    Json(wanted): Json<NewProposal>,
) -> Result<(StatusCode, axum::Json<Poll>), Error> {
    let NewProposal { text, electorate, threshold, life } = wanted;
    let life = base::span(&life).map_err(|problem| bad(format!("`for`: {problem}")))?;
    let motion = Motion { text, electorate, threshold, life };
    let proposed = finished(async move { app.village.propose(motion).await }).await?;
    Ok((StatusCode::CREATED, axum::Json(proposed)))
}

async fn poll(State(app): State<App>, Name(id): Name) -> Answered<PollDetails> {
    Ok(axum::Json(app.village.poll(&id).await?))
}

async fn vote(State(app): State<App>, Name(id): Name, Json(vote): Json<NewVote>) -> Answered<Poll> {
    Ok(axum::Json(finished(async move { app.village.vote(&id, vote.yes).await }).await?))
}

pub(crate) fn schemas() -> Vec<(&'static str, Value)> {
    let (text, count) = (json!({ "type": "string" }), json!({ "type": "integer", "minimum": 0 }));
    let texts = json!({ "type": "array", "items": text });
    let part = json!({ "type": "number", "exclusiveMinimum": 0.5, "maximum": 1 });
    let poll = json!({
        "id": text, "text": text, "proposer": text, "deadline": count, "electorate": texts, "threshold": part,
        "needed": count, "yes": texts, "no": texts, "liars": texts,
        "state": { "type": "string", "enum": ["open", "accepted", "rejected", "lapsed"] },
        "voted": { "type": ["boolean", "null"] },
    });
    let mut details = poll.clone();
    details["certificate"] = json!({ "type": ["string", "null"] });
    details["lies"] = texts.clone();
    let list = json!({ "type": "array", "items": { "$ref": "#/components/schemas/Poll" } });
    let proposal = json!({
        "text": text, "electorate": texts, "threshold": part,
        "for": { "type": "string", "description": "How long voting lasts: 30 days at most" },
    });
    vec![
        ("Polls", whole(json!({ "votes": list }))),
        ("Poll", whole(poll)),
        ("PollDetails", whole(details)),
        ("NewProposal", given(&["text", "for"], proposal)),
        ("NewVote", given(&["yes"], json!({ "yes": { "type": "boolean" } }))),
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
    fn every_schema_of_votes_is_as_its_type() {
        let (word, none) = (String::new, Vec::new);
        let poll = Poll {
            id: word(),
            text: word(),
            proposer: word(),
            deadline: 1,
            electorate: none(),
            threshold: 0.8,
            needed: 1,
            yes: none(),
            no: none(),
            liars: none(),
            state: "open".into(),
            voted: None,
        };
        holds("Poll", &poll);
        holds("Polls", &Polls { votes: vec![poll.clone()] });
        holds("PollDetails", &PollDetails { poll, certificate: None, lies: none() });
        holds("NewProposal", &NewProposal { threshold: Some(0.8), ..NewProposal::default() });
        holds("NewVote", &NewVote { yes: true });
        assert_eq!(schemas().len(), 5);
    }
}
