//! The mesh of a running village.

use super::{Answer, Client, escaped};
use crate::wire::{Adopted, Fetch, NewAdoption, NewInvitation, Peer, Peers, Token};
use hall::{Fetched, Invited, Joined, Left, MeshFigures, Pinged, Topology};
use http::Method;

impl Client {
    /// The village in its mesh.
    pub async fn mesh(&self) -> Answer<MeshFigures> {
        self.get("/v1/mesh").await
    }

    /// The other villages that are known.
    pub async fn peers(&self) -> Answer<Peers> {
        self.get("/v1/mesh/peers").await
    }

    /// Who is linked with whom.
    pub async fn topology(&self) -> Answer<Topology> {
        self.get("/v1/mesh/topology").await
    }

    /// Makes an invitation.
    pub async fn invite(&self, wanted: &NewInvitation) -> Answer<Invited> {
        self.send(Method::POST, "/v1/mesh/invitations", wanted).await
    }

    /// Takes an invitation back, by its number or its token.
    pub async fn revoke(&self, invitation: &str) -> Answer<()> {
        self.nothing(Method::DELETE, &format!("/v1/mesh/invitations/{}", escaped(invitation))).await
    }

    /// Joins others.
    pub async fn join(&self, token: &str) -> Answer<Joined> {
        self.send(Method::POST, "/v1/mesh/join", &Token { token: token.into() }).await
    }

    /// Leaves them.
    pub async fn leave(&self) -> Answer<Left> {
        self.bare(Method::POST, "/v1/mesh/leave").await
    }

    /// Measures the way to another village.
    pub async fn ping(&self, peer: &str) -> Answer<Pinged> {
        self.bare(Method::POST, &of(peer, "ping")).await
    }

    /// Has nothing to do with another village any more.
    pub async fn block(&self, peer: &str) -> Answer<Peer> {
        self.bare(Method::PUT, &of(peer, "block")).await
    }

    /// Takes that back.
    pub async fn unblock(&self, peer: &str) -> Answer<Peer> {
        self.bare(Method::DELETE, &of(peer, "block")).await
    }

    /// Fetches a component from other villages.
    pub async fn fetch(&self, wanted: &Fetch) -> Answer<Fetched> {
        self.send(Method::POST, "/v1/mesh/fetch", wanted).await
    }

    /// Makes an agent as another village has it.
    pub async fn adopt(&self, wanted: &NewAdoption) -> Answer<Adopted> {
        self.send(Method::POST, "/v1/mesh/agents", wanted).await
    }
}

fn of(peer: &str, what: &str) -> String {
    format!("/v1/mesh/peers/{}/{what}", escaped(peer))
}
