//! Votes over the mesh of a running village.

use super::{Answer, Client, escaped};
use crate::wire::{NewProposal, NewVote, Polls};
use hall::{Poll, PollDetails};
use http::Method;

impl Client {
    /// What is being decided.
    pub async fn votes(&self) -> Answer<Polls> {
        self.get("/v1/mesh/votes").await
    }

    /// How one of them stands.
    pub async fn poll(&self, id: &str) -> Answer<PollDetails> {
        self.get(&one(id)).await
    }

    /// Proposes something.
    pub async fn propose(&self, wanted: &NewProposal) -> Answer<Poll> {
        self.send(Method::POST, "/v1/mesh/votes", wanted).await
    }

    /// Votes on something.
    pub async fn vote(&self, id: &str, yes: bool) -> Answer<Poll> {
        self.send(Method::POST, &one(id), &NewVote { yes }).await
    }
}

fn one(id: &str) -> String {
    format!("/v1/mesh/votes/{}", escaped(id))
}
