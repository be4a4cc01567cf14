//! The mesh as it is seen from here: the peers, the links with them, and what was turned away.

use super::told::word;
use crate::error::Error;
use crate::ring::millis;
use crate::village::Village;
use mesh::{Counts, Link};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::time::Duration;

/// The mesh as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeshFigures {
    /// This village.
    pub peer: String,
    /// The one that began it all; itself, if it is alone.
    pub founder: String,
    /// Where this one can be reached.
    pub addresses: Vec<String>,
    /// Whether others can call this one there, as those say who were asked of late; nothing as long as nobody has said.
    pub reachable: Option<bool>,
    /// The others that are known.
    pub members: u64,
    /// How the links with some of them do.
    pub links: Vec<LinkFigures>,
    /// What was turned away since the start, by why.
    pub turned_away: Vec<(String, u64)>,
    /// Messages that were sent once more.
    pub retries: u64,
    /// Messages of others that had to wait, because too much was under way here.
    pub busy: u64,
    /// Messages that came more than once; they were handled once.
    pub repeated: u64,
    /// Published messages for which nobody listened in time.
    pub untold: u64,
}

/// How the link with a peer does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinkFigures {
    /// The peer.
    pub peer: String,
    /// Where it was met.
    pub address: String,
    /// Whether this side has called.
    pub called: bool,
    /// Since when, in Unix milliseconds.
    pub since: u64,
    /// The way there and back, smoothed, in microseconds; none before it was measured.
    pub latency_us: Option<u64>,
    /// Pings that were sent.
    pub pings: u64,
    /// The part of them that was lost, 0 to 1.
    pub loss: f64,
    /// Messages that were sent.
    pub sent: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Messages that came.
    pub received: u64,
    /// Their bytes.
    pub received_bytes: u64,
}

/// Another village, as it is known here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PeerFigures {
    /// Its id.
    pub peer: String,
    /// Where it may be reached.
    pub addresses: Vec<String>,
    /// Who has invited it; none of the founder.
    pub inviter: Option<String>,
    /// How long ago something was heard of it, in milliseconds; none if that is long.
    pub seen_ms: Option<u64>,
    /// The link with it, if there is one.
    pub link: Option<LinkFigures>,
    /// Its agents that others may find.
    pub agents: Vec<String>,
    /// Whether it is blocked here.
    pub blocked: bool,
}

impl From<&Link> for LinkFigures {
    fn from(link: &Link) -> LinkFigures {
        LinkFigures {
            peer: link.peer.to_string(),
            address: link.address.to_string(),
            called: link.called,
            since: millis().saturating_sub(whole(link.since.elapsed())),
            latency_us: link.latency.map(|latency| latency.as_micros() as u64),
            pings: link.pings,
            loss: link.loss(),
            sent: link.sent.messages,
            sent_bytes: link.sent.bytes,
            received: link.received.messages,
            received_bytes: link.received.bytes,
        }
    }
}

impl Village {
    /// The mesh as a whole.
    pub async fn mesh_figures(&self) -> Result<MeshFigures, Error> {
        let mesh = self.linked()?;
        let Counts { turned_away, retries, busy, repeated, untold } = mesh.counts();
        Ok(MeshFigures {
            peer: mesh.peer().to_string(),
            founder: mesh.village().await?.to_string(),
            addresses: mesh.addresses().await?.iter().map(ToString::to_string).collect(),
            reachable: mesh.reachable().await?,
            members: mesh.members().await?.len() as u64,
            links: self.link_figures().await?,
            turned_away: turned_away.into_iter().map(|(why, count)| (word(why).into(), count)).collect(),
            retries,
            busy,
            repeated,
            untold,
        })
    }

    /// The links, in the order of their peers.
    pub(super) async fn link_figures(&self) -> Result<Vec<LinkFigures>, Error> {
        let mut links: Vec<_> = self.linked()?.links().await?.iter().map(LinkFigures::from).collect();
        links.sort_by(|one, other| one.peer.cmp(&other.peer));
        Ok(links)
    }

    /// The other villages that are known, those that are blocked among them, in the order of their ids.
    pub async fn peers(&self) -> Result<Vec<PeerFigures>, Error> {
        let mesh = self.linked()?;
        let mut links: HashMap<_, _> =
            self.link_figures().await?.into_iter().map(|link| (link.peer.clone(), link)).collect();
        let mut present: HashMap<_, _> =
            mesh.present().await?.into_iter().map(|present| (present.peer.to_string(), present)).collect();
        let mut peers = Vec::new();
        for member in mesh.members().await? {
            let peer = member.pass.holder().to_string();
            let (link, heard) = (links.remove(&peer), present.remove(&peer));
            let seen = heard.as_ref().map(|heard| whole(heard.age));
            peers.push(PeerFigures {
                inviter: member.pass.inviter().map(|inviter| inviter.to_string()),
                addresses: member.addresses,
                seen_ms: if link.is_some() { Some(0) } else { seen },
                link,
                agents: heard.into_iter().flat_map(|heard| heard.cards).map(|card| card.agent).collect(),
                blocked: false,
                peer,
            });
        }
        peers.extend(mesh.blocked().await?.into_iter().map(|peer| PeerFigures {
            peer: peer.to_string(),
            addresses: Vec::new(),
            inviter: None,
            seen_ms: None,
            link: None,
            agents: Vec::new(),
            blocked: true,
        }));
        peers.sort_by(|one, other| one.peer.cmp(&other.peer));
        Ok(peers)
    }
}

fn whole(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
