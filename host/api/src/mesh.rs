//! The mesh: its routes and its words.

use crate::error::{Error, bad};
use crate::manage::finished;
use crate::routes::{App, Json, Name, Route, Shape};
use crate::shape::{given, whole};
use axum::extract::State;
use axum::routing::{MethodRouter, delete, get, post, put};
use hall::{Adoption, Details, Fetched, Invited, Joined, Left, MeshFigures, PeerFigures, Pinged, Topology};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// An invitation that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NewInvitation {
    /// How many may join with it: one, unless it is said.
    #[serde(default = "once")]
    pub uses: u32,
    /// For how long, such as `1h`, which it is unless it is said.
    #[serde(default = "an_hour", rename = "for")]
    pub life: String,
}

fn once() -> u32 {
    1
}

fn an_hour() -> String {
    "1h".into()
}

/// What somebody joins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// The invitation's text.
    pub token: String,
}

/// The other villages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Peers {
    /// In the order of their ids.
    pub peers: Vec<PeerFigures>,
}

/// A peer, by its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// All of it.
    pub peer: String,
}

/// A component that is to be fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fetch {
    /// Its digest.
    pub digest: String,
    /// The village that has it: any, unless it is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
}

/// An agent that is to be made as another village has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAdoption {
    /// The village.
    pub peer: String,
    /// The agent's name there.
    pub agent: String,
    /// Its name here: the same, unless it is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Fields of its budget, over those that it has there.
    #[serde(default)]
    pub budget: BTreeMap<String, String>,
    /// All that it may reach here.
    #[serde(default)]
    pub grants: Vec<String>,
    /// The group that it shares a budget with here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// An agent that was made as another village has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Adopted {
    /// The agent here.
    pub agent: Details,
    /// The village that it came from.
    pub from: String,
    /// What it may reach there, by kind. None of it is open here unless it was said.
    pub grants_there: Vec<String>,
    /// Fields of its budget that are smaller here than there, with what they are there.
    #[serde(default)]
    pub less: BTreeMap<String, String>,
}

type Answered<T> = Result<axum::Json<T>, Error>;

pub(crate) fn routes() -> Vec<(Route, MethodRouter<App>)> {
    looking().into_iter().chain(belonging()).chain(fetching()).collect()
}

fn route(
    method: &'static str,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    body: Option<&'static str>,
    answers: &'static [(u16, Shape)],
) -> Route {
    Route { method, path, id, summary, query: &[], body, answers }
}

fn looking() -> Vec<(Route, MethodRouter<App>)> {
    let summary = "This village in the mesh: its id, where it can be reached, its links, what was turned away";
    let mesh = route("get", "/v1/mesh", "mesh", summary, None, &[(200, Shape::Json("Mesh"))]);
    let summary = "The other villages that are known";
    let peers = route("get", "/v1/mesh/peers", "peers", summary, None, &[(200, Shape::Json("Peers"))]);
    let summary = "Who is linked with whom, as far as those say that are linked with this village";
    let links = route("get", "/v1/mesh/topology", "topology", summary, None, &[(200, Shape::Json("Topology"))]);
    let summary = "Send another village a message, and measure how long it takes there and back";
    let ping = route("post", "/v1/mesh/peers/{peer}/ping", "ping", summary, None, &[(200, Shape::Json("Pinged"))]);
    vec![(mesh, get(seen)), (peers, get(self::peers)), (links, get(topology)), (ping, post(self::ping))]
}

fn belonging() -> Vec<(Route, MethodRouter<App>)> {
    const PEER: &[(u16, Shape)] = &[(200, Shape::Json("Peer"))];
    const DONE: &[(u16, Shape)] = &[(204, Shape::Nothing)];
    let summary = "Make an invitation, with which others join";
    let answers = &[(201, Shape::Json("Invited"))];
    let invite = route("post", "/v1/mesh/invitations", "invite", summary, Some("NewInvitation"), answers);
    let summary = "Take an invitation back, by its number or its token";
    let revoke = route("delete", "/v1/mesh/invitations/{id}", "revoke", summary, None, DONE);
    let summary = "Join others with an invitation of theirs";
    let join = route("post", "/v1/mesh/join", "join", summary, Some("Token"), &[(200, Shape::Json("Joined"))]);
    let summary = "Leave the others, who are told, and be alone again";
    let leave = route("post", "/v1/mesh/leave", "leave", summary, None, &[(200, Shape::Json("Left"))]);
    let summary = "Have nothing to do with a peer any more";
    let block = route("put", "/v1/mesh/peers/{peer}/block", "block", summary, None, PEER);
    let unblock = route("delete", "/v1/mesh/peers/{peer}/block", "unblock", "Take that back", None, PEER);
    vec![
        (invite, post(self::invite)),
        (revoke, delete(self::revoke)),
        (join, post(self::join)),
        (leave, post(self::leave)),
        (block, put(self::block)),
        (unblock, delete(self::unblock)),
    ]
}

fn fetching() -> Vec<(Route, MethodRouter<App>)> {
    let summary = "Fetch a component that another village has, and keep it for an agent that is deployed soon";
    let answers = &[(200, Shape::Json("Fetched"))];
    let fetch = route("post", "/v1/mesh/fetch", "fetch", summary, Some("Fetch"), answers);
    let summary = "Make an agent as another village has it: its component, budget and turns, and none of its grants";
    let answers = &[(201, Shape::Json("Adopted"))];
    let adopt = route("post", "/v1/mesh/agents", "adopt", summary, Some("NewAdoption"), answers);
    vec![(fetch, post(self::fetch)), (adopt, post(self::adopt))]
}

async fn seen(State(app): State<App>) -> Answered<MeshFigures> {
    Ok(axum::Json(app.village.mesh_figures().await?))
}

async fn peers(State(app): State<App>) -> Answered<Peers> {
    Ok(axum::Json(Peers { peers: app.village.peers().await? }))
}

async fn topology(State(app): State<App>) -> Answered<Topology> {
    Ok(axum::Json(app.village.topology().await?))
}

async fn ping(State(app): State<App>, Name(peer): Name) -> Answered<Pinged> {
    Ok(axum::Json(app.village.ping(&peer).await?))
}

async fn invite(
    State(app): State<App>,
    Json(wanted): Json<NewInvitation>,
) -> Result<(StatusCode, axum::Json<Invited>), Error> {
    let life = base::span(&wanted.life).map_err(|problem| bad(format!("`for`: {problem}")))?;
    let invited = finished(async move { app.village.invite(wanted.uses, life).await }).await?;
    Ok((StatusCode::CREATED, axum::Json(invited)))
}

async fn revoke(State(app): State<App>, Name(id): Name) -> Result<StatusCode, Error> {
    finished(async move { app.village.revoke(&id).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn join(State(app): State<App>, Json(wanted): Json<Token>) -> Answered<Joined> {
    Ok(axum::Json(finished(async move { app.village.join(&wanted.token).await }).await?))
}

async fn leave(State(app): State<App>) -> Answered<Left> {
    Ok(axum::Json(finished(async move { app.village.leave().await }).await?))
}

async fn block(State(app): State<App>, Name(peer): Name) -> Answered<Peer> {
    Ok(axum::Json(Peer { peer: finished(async move { app.village.block(&peer).await }).await? }))
}

async fn unblock(State(app): State<App>, Name(peer): Name) -> Answered<Peer> {
    Ok(axum::Json(Peer { peer: finished(async move { app.village.unblock(&peer).await }).await? }))
}

async fn fetch(State(app): State<App>, Json(wanted): Json<Fetch>) -> Answered<Fetched> {
    let digest = wanted.digest.parse().map_err(|problem: base::Bad| bad(format!("`digest`: {problem}")))?;
    let fetched = finished(async move { app.village.fetch(digest, wanted.peer.as_deref()).await }).await?;
    Ok(axum::Json(fetched))
}

async fn adopt(
    State(app): State<App>,
    Json(wanted): Json<NewAdoption>,
) -> Result<(StatusCode, axum::Json<Adopted>), Error> {
    let NewAdoption { peer, agent, name, budget, grants, group } = wanted;
    let adoption = Adoption { peer, agent, name, budget: budget.into_iter().collect(), grants, group };
    let village = app.village.clone();
    let adopted = finished(async move { village.adopt(adoption).await }).await?;
    let agent = app.village.details(&adopted.row.name)?;
    let hall::Adopted { from, grants_there, less, row: _ } = adopted;
    let adopted = Adopted { agent, from, grants_there, less: less.into_iter().collect() };
    Ok((StatusCode::CREATED, axum::Json(adopted)))
}

pub(crate) fn schemas() -> Vec<(&'static str, Value)> {
    let (text, number) = (json!({ "type": "string" }), json!({ "type": "number" }));
    let count = json!({ "type": "integer", "minimum": 0 });
    let flag = json!({ "type": "boolean" });
    let some = json!({ "type": ["integer", "null"], "minimum": 0 });
    let texts = json!({ "type": "array", "items": text });
    let list = |name: &str| json!({ "type": "array", "items": of(name) });
    let pair = |items: Value| json!({ "type": "array", "prefixItems": items, "minItems": 2, "maxItems": 2 });
    vec![
        (
            "Mesh",
            whole(json!({
                "peer": text, "founder": text, "addresses": texts, "reachable": { "type": ["boolean", "null"] },
                "members": count, "links": list("Link"),
                "turned_away": { "type": "array", "items": pair(json!([text, count])) },
                "retries": count, "busy": count, "repeated": count, "untold": count,
            })),
        ),
        (
            "Link",
            whole(json!({
                "peer": text, "address": text, "called": flag, "since": count, "latency_us": some, "pings": count,
                "loss": number, "sent": count, "sent_bytes": count, "received": count, "received_bytes": count,
            })),
        ),
        (
            "PeerFigures",
            whole(json!({
                "peer": text, "addresses": texts, "inviter": { "type": ["string", "null"] }, "seen_ms": some,
                "link": { "anyOf": [of("Link"), { "type": "null" }] }, "agents": texts, "blocked": flag,
            })),
        ),
        ("Peers", whole(json!({ "peers": list("PeerFigures") }))),
        ("Peer", whole(json!({ "peer": text }))),
        ("Pinged", whole(json!({ "peer": text, "time_us": count }))),
        ("Topology", whole(json!({ "here": text, "peers": texts, "asked": texts, "links": list("Edge") }))),
        ("Edge", whole(json!({ "between": pair(json!([text, text])), "latency_us": some, "loss": number }))),
        (
            "NewInvitation",
            given(
                &[],
                json!({
                    "uses": { "type": "integer", "minimum": 1, "default": 1 },
                    "for": { "type": "string", "default": "1h", "description": "For how long: 30 days at most" },
                }),
            ),
        ),
        ("Invited", whole(json!({ "token": text, "id": text, "uses": count, "expires": count }))),
        ("Token", given(&["token"], json!({ "token": text }))),
        ("Left", whole(json!({ "known": count, "told": count }))),
        ("Joined", whole(json!({ "inviter": text, "founder": text, "peer": text }))),
        ("Fetch", given(&["digest"], json!({ "digest": text, "peer": text }))),
        ("Fetched", whole(json!({ "digest": text, "size": count, "from": texts }))),
        (
            "NewAdoption",
            given(
                &["peer", "agent"],
                json!({
                    "peer": text, "agent": text, "name": text, "budget": of("Fields"), "grants": texts, "group": text,
                }),
            ),
        ),
        (
            "Adopted",
            whole(json!({ "agent": of("Details"), "from": text, "grants_there": texts, "less": of("Fields") })),
        ),
    ]
}

fn of(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape;
    use hall::{Edge, LinkFigures};

    fn holds(name: &str, value: &impl Serialize) {
        shape::holds(schemas(), name, value);
    }

    #[test]
    fn every_schema_of_the_mesh_is_as_its_type() {
        let word = String::new;
        let link = LinkFigures {
            peer: word(),
            address: word(),
            called: true,
            since: 1,
            latency_us: None,
            pings: 1,
            loss: 0.5,
            sent: 1,
            sent_bytes: 1,
            received: 1,
            received_bytes: 1,
        };
        let peer = PeerFigures {
            peer: word(),
            addresses: Vec::new(),
            inviter: None,
            seen_ms: None,
            link: Some(link.clone()),
            agents: Vec::new(),
            blocked: false,
        };
        let mesh = MeshFigures {
            peer: word(),
            founder: word(),
            addresses: Vec::new(),
            reachable: None,
            members: 0,
            links: vec![link.clone()],
            turned_away: Vec::new(),
            retries: 0,
            busy: 0,
            repeated: 0,
            untold: 0,
        };
        let edge = Edge { between: (word(), word()), latency_us: None, loss: 0.0 };
        holds("Mesh", &mesh);
        holds("Link", &link);
        holds("PeerFigures", &peer);
        holds("Peers", &Peers { peers: vec![peer] });
        holds("Peer", &Peer { peer: word() });
        holds("Pinged", &Pinged { peer: word(), time_us: 1 });
        holds("Edge", &edge);
        holds("Topology", &Topology { here: word(), peers: vec![], asked: vec![], links: vec![edge] });
        holds("NewInvitation", &NewInvitation { uses: 1, life: word() });
        holds("Invited", &Invited { token: word(), id: word(), uses: 1, expires: 1 });
        holds("Token", &Token { token: word() });
        holds("Left", &Left { known: 2, told: 1 });
        holds("Joined", &Joined { inviter: word(), founder: word(), peer: word() });
        holds("Fetch", &Fetch { digest: word(), peer: Some(word()) });
        holds("Fetched", &Fetched { digest: word(), size: 1, from: Vec::new() });
        let (name, group) = (Some(word()), Some(word()));
        holds("NewAdoption", &NewAdoption { name, group, ..NewAdoption::default() });
        let held = 16;
        assert_eq!(schemas().len(), held + 1, "and `Adopted`, whose agent is held elsewhere: hold a new one too");
    }
}
