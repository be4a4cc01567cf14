//! What villages ask each other for themselves, not for an agent: are you there, with whom are you linked, what is this
//! component. Their addresses begin with `village:`, so that no agent's can be one of them.

use super::look::LinkFigures;
use crate::error::Error;
use crate::village::Village;
use mesh::{Ask, Message, PeerId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// What the addresses of villages begin with.
pub(super) const OWN: &str = "village:";

const PING: &str = "village:ping";
const LINKS: &str = "village:links";
pub(super) const COMPONENT: &str = "village:component";
pub(super) const AGENT: &str = "village:agent";

/// How long another village may take to answer a ping; and to say with whom it is linked, while somebody waits for all.
const PING_TIME: Duration = Duration::from_secs(5);
const LINKS_TIME: Duration = Duration::from_secs(2);
/// How long it may take to look up a component: it may have to be copied.
const LOOK_UP: Duration = Duration::from_secs(20);

/// Links of another village that are believed: no village has more.
const LINKS_MOST: usize = 1_000;

/// The way to a village and back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinged {
    /// The village.
    pub peer: String,
    /// Microseconds, of a message there and its answer back.
    pub time_us: u64,
}

/// Who is linked with whom, as far as it is known here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Topology {
    /// This village.
    pub here: String,
    /// All that are known, in order.
    pub peers: Vec<String>,
    /// Those of them that said with whom they are linked, this one among them.
    pub asked: Vec<String>,
    /// The links, each once.
    pub links: Vec<Edge>,
}

/// A link between two villages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Edge {
    /// The two.
    pub between: (String, String),
    /// The way there and back in microseconds, as one of them measured it.
    pub latency_us: Option<u64>,
    /// The part of pings that was lost, as one of them measured it.
    pub loss: f64,
}

impl Village {
    /// Answers what another village asks for itself.
    pub(super) async fn answer_village(&self, ask: Ask) {
        let answer = match ask.frame.to.as_str() {
            PING => Ok(Vec::new()),
            LINKS => self.link_figures().await.and_then(|links| written(&links)),
            COMPONENT => self.look_up(&ask.frame.body).await,
            AGENT => self.describe_to_peer(&ask.frame.body),
            other => Err(Error::Bad(format!("this village does not know `{other}`"))),
        };
        match answer {
            // Whoever asked may have gone.
            Ok(body) => drop(ask.answer(body)),
            Err(error) => ask.refuse(&error.to_string()),
        }
    }

    /// Asks another village something.
    pub(super) async fn ask_village<T: DeserializeOwned>(
        &self,
        peer: PeerId,
        to: &str,
        what: &impl Serialize,
    ) -> Result<T, Error> {
        let life = if to == LINKS { LINKS_TIME } else { LOOK_UP };
        let message = Message::new(to, written(what)?).lasting(life);
        let answer = self.linked()?.ask(peer, message).await?;
        read(&answer)
    }

    /// Sends a message to a village, and measures how long it takes until the answer is there.
    pub async fn ping(&self, peer: &str) -> Result<Pinged, Error> {
        let id = self.peer(peer).await?;
        let mesh = self.linked()?;
        if id == mesh.peer() {
            return Err(Error::Peer { name: peer.into(), why: "it is this village itself".into() });
        }
        let sent = Instant::now();
        mesh.ask(id, Message::new(PING, Vec::new()).lasting(PING_TIME)).await?;
        Ok(Pinged { peer: id.to_string(), time_us: sent.elapsed().as_micros() as u64 })
    }

    /// Who is linked with whom: those that are linked with this village are asked for their links.
    pub async fn topology(&self) -> Result<Topology, Error> {
        let mesh = self.linked()?;
        let (here, own) = (mesh.peer().to_string(), self.link_figures().await?);
        let mut peers = BTreeSet::from([here.clone()]);
        peers.extend(mesh.members().await?.iter().map(|member| member.pass.holder().to_string()));
        let mut asking = JoinSet::new();
        for link in &own {
            if let Ok(peer) = link.peer.parse::<PeerId>() {
                let village = self.clone();
                asking.spawn(async move { (peer, village.ask_village(peer, LINKS, &()).await) });
            }
        }
        let mut edges = BTreeMap::new();
        let mut asked = BTreeSet::from([here.clone()]);
        let mut add = |from: &str, links: Vec<LinkFigures>| {
            for link in links.into_iter().take(LINKS_MOST) {
                // What another says is shown only if it names peers.
                let Ok(peer) = link.peer.parse::<PeerId>().map(|peer| peer.to_string()) else { continue };
                let between = if *from < *peer { (from.to_string(), peer) } else { (peer, from.to_string()) };
                edges.entry(between).or_insert((link.latency_us, link.loss.clamp(0.0, 1.0)));
            }
        };
        add(&here, own);
        while let Some(answer) = asking.join_next().await {
            if let Ok((peer, Ok(links))) = answer {
                asked.insert(peer.to_string());
                add(&peer.to_string(), links);
            }
        }
        for (one, other) in edges.keys() {
            peers.extend([one.clone(), other.clone()]);
        }
        let links = edges.into_iter().map(|(between, (latency_us, loss))| Edge { between, latency_us, loss });
        Ok(Topology {
            here,
            peers: peers.into_iter().collect(),
            asked: asked.into_iter().collect(),
            links: links.collect(),
        })
    }
}

/// As villages say it to each other.
pub(super) fn written(what: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(what).map_err(|error| Error::Host(error.to_string()))
}

pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes)
        .map_err(|error| Error::Bad(format!("what the other village said can't be understood: {error}")))
}
