//! Who belongs to the village of villages: inviting, joining, leaving, blocking. Each is written into the journal.

use crate::error::Error;
use crate::event::What;
use crate::registry::Note;
use crate::ring::millis;
use crate::village::Village;
use mesh::{Invitation, Mesh, PeerId, may_be, short};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// An invitation that was made. Its token is shown this once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invited {
    /// What another village joins with.
    pub token: String,
    /// Its number, by which it is revoked.
    pub id: String,
    /// How many may join with it.
    pub uses: u32,
    /// Until when, in Unix milliseconds.
    pub expires: u64,
}

/// A village that was joined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// The one that has invited.
    pub inviter: String,
    /// The one that began it all.
    pub founder: String,
    /// This one.
    pub peer: String,
}

/// How many others were left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Those that were known.
    pub known: u64,
    /// Those of them that have said that they have heard it. They tell the rest.
    pub told: u64,
}

impl Village {
    /// The mesh, or why there is none.
    pub(crate) fn linked(&self) -> Result<&Mesh, Error> {
        self.mesh().ok_or(Error::Alone)
    }

    /// The peer that is meant: by its whole id, or by how that begins, where only one does.
    pub(crate) async fn peer(&self, text: &str) -> Result<PeerId, Error> {
        let mesh = self.linked()?;
        let members = mesh.members().await?.into_iter().filter_map(|member| member.pass.holder().peer());
        let known: BTreeSet<String> = members.chain(mesh.blocked().await?).map(|peer| peer.to_string()).collect();
        let whole = text.parse::<PeerId>().ok();
        if let Some(peer) = whole {
            return Ok(peer);
        }
        let found: Vec<_> = known.iter().filter(|peer| may_be(peer, text)).collect();
        let why = match found.as_slice() {
            [one] => return Ok(one.parse().expect("it was made of a peer")),
            [] if known.is_empty() => "this village knows no others yet".to_string(),
            [] => format!("there are {}", list(&known)),
            some => format!("{} begin so", list(some.iter().copied())),
        };
        Err(Error::Peer { name: text.into(), why })
    }

    /// Lets others join: as many as `uses` says, for so long.
    pub async fn invite(&self, uses: u32, life: Duration) -> Result<Invited, Error> {
        self.open()?;
        let made = self.linked()?.invite(uses, life).await?;
        let invited = Invited { token: made.to_string(), id: hex(&made.id()), uses, expires: made.expires() };
        let note = json!({ "id": invited.id, "uses": uses, "expires": invited.expires });
        self.registry().note("", Note::new("mesh-invited", note)).await?;
        Ok(invited)
    }

    /// Takes an invitation back, named by its number or its token. Whoever has joined with it stays.
    pub async fn revoke(&self, invitation: &str) -> Result<(), Error> {
        let id = match unhex(invitation) {
            Some(id) => id,
            None => read(invitation)?.id(),
        };
        self.linked()?.revoke(id).await?;
        self.registry().note("", Note::new("mesh-revoked", json!({ "id": hex(&id) }))).await
    }

    /// Joins the villages of the one that has made this token.
    pub async fn join(&self, token: &str) -> Result<Joined, Error> {
        self.open()?;
        let mesh = self.linked()?;
        let invitation = read(token)?;
        if invitation.inviter().peer() == Some(mesh.peer()) {
            let said = "this village has made the invitation itself: it is for another one";
            return Err(Error::Invitation(said.into()));
        }
        let now = millis();
        if invitation.expires() <= now {
            let ago = base::span_text(Duration::from_secs((now - invitation.expires()) / 1000));
            return Err(Error::Invitation(format!("the invitation expired {ago} ago: ask for a new one")));
        }
        mesh.join(&invitation).await.map_err(|error| refused(error, &invitation))?;
        let joined = Joined {
            inviter: invitation.inviter().to_string(),
            founder: invitation.village().to_string(),
            peer: mesh.peer().to_string(),
        };
        let note = json!({ "inviter": joined.inviter, "founder": joined.founder });
        self.tell_mesh("joined", invitation.inviter().peer(), note).await?;
        Ok(joined)
    }

    /// Leaves the others: this village is alone again, and they let it in no more without an invitation.
    pub async fn leave(&self) -> Result<Left, Error> {
        let mesh = self.linked()?;
        let known = mesh.members().await?.len() as u64;
        let left = Left { known, told: mesh.leave().await? as u64 };
        self.tell_mesh("left", None, json!(left)).await?;
        Ok(left)
    }

    /// Has nothing to do with a peer any more. Answers which was meant.
    pub async fn block(&self, peer: &str) -> Result<String, Error> {
        let id = self.peer(peer).await?;
        let mesh = self.linked()?;
        if id == mesh.peer() {
            return Err(Error::Peer { name: peer.into(), why: "it is this village itself".into() });
        }
        mesh.block(id).await?;
        self.tell_mesh("blocked", Some(id), Value::Null).await?;
        Ok(id.to_string())
    }

    /// Takes that back. Answers which was meant.
    pub async fn unblock(&self, peer: &str) -> Result<String, Error> {
        let id = self.peer(peer).await?;
        let mesh = self.linked()?;
        if !mesh.blocked().await?.contains(&id) {
            return Err(Error::Peer { name: peer.into(), why: "it is not blocked".into() });
        }
        mesh.unblock(id).await?;
        self.tell_mesh("unblocked", Some(id), Value::Null).await?;
        Ok(id.to_string())
    }

    /// Tells something of the mesh to whoever listens, and writes it into the journal.
    pub(super) async fn tell_mesh(&self, step: &str, peer: Option<PeerId>, details: Value) -> Result<(), Error> {
        let peer = peer.map(|peer| peer.to_string());
        let note = match &details {
            Value::Null => json!({ "peer": peer }),
            details => json!({ "peer": peer, "more": details }),
        };
        self.tell_of("", What::Mesh { step: step.into(), peer, details });
        self.registry().note("", Note::new(&format!("mesh-{step}"), note)).await
    }
}

fn read(token: &str) -> Result<Invitation, Error> {
    token.parse().map_err(|error: mesh::Error| Error::Invitation(error.to_string()))
}

/// Why the other side did not let this one in, as somebody with a token can use it.
fn refused(error: mesh::Error, invitation: &Invitation) -> Error {
    match error {
        mesh::Error::Expired { .. } => {
            let places: Vec<_> = invitation.addresses().iter().map(ToString::to_string).collect();
            let places = if places.is_empty() { "no address at all".into() } else { places.join(", ") };
            Error::Unreachable(format!(
                "{} can't be reached, at {places}: is it up, and is one of these an address that leads there from here?",
                invitation.inviter()
            ))
        }
        mesh::Error::TurnedAway { why } => Error::Invitation(format!("{} said no: {why}", invitation.inviter())),
        error => error.into(),
    }
}

/// Peers by their short names; not too many of them.
fn list<'a>(peers: impl IntoIterator<Item = &'a String>) -> String {
    let names: Vec<_> = peers.into_iter().map(|peer| short(peer)).collect();
    match names.get(..10) {
        Some(first) if names.len() > first.len() => format!("{} and {} more", first.join(", "), names.len() - 10),
        _ => names.join(", "),
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 16]> {
    let good = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = good.then(|| u128::from_str_radix(text, 16).ok())??;
    Some(number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_an_invitation_reads_as_it_is_written() {
        let id = [0, 1, 2, 0xfe, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xff];
        assert_eq!(unhex(&hex(&id)), Some(id));
        for wrong in ["", "00", "+0010203040506070809000102030405", "g0010203040506070809000102030405"] {
            assert_eq!(unhex(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn not_too_many_peers_are_listed() {
        let many: Vec<String> = (0..12).map(|n| format!("12D3KooWpeer{n:04}x")).collect();
        assert!(list(&many).ends_with("peer0009 and 2 more"), "{}", list(&many));
    }
}
