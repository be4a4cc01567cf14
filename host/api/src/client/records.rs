//! What is kept of turns, and how it is looked at again.

use super::{Answer, Client, of};
use crate::wire::{Erasure, NewScale, Replay};
use hall::{Again, Details, Erased};
use http::Method;
use std::collections::BTreeMap;

impl Client {
    /// Changes how an agent's messages are tried, recorded and looked after.
    pub async fn set_turns(&self, name: &str, fields: &BTreeMap<String, String>) -> Answer<Details> {
        self.send(Method::PATCH, &of(name, "/turns"), fields).await
    }

    /// Changes how many instances serve an agent's mailbox.
    pub async fn scale(&self, name: &str, wanted: &NewScale) -> Answer<Details> {
        self.send(Method::PUT, &of(name, "/replicas"), wanted).await
    }

    /// Erases what messages said.
    pub async fn erase(&self, erasure: &Erasure) -> Answer<Erased> {
        self.send(Method::POST, "/v1/erase", erasure).await
    }

    /// Runs a recorded turn again.
    pub async fn replay(&self, replay: &Replay) -> Answer<Again> {
        self.send(Method::POST, "/v1/replay", replay).await
    }
}
