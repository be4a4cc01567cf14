//! The spaces of memory of a running village.

use super::{Answer, Client};
use crate::wire::{Cleared, NewClearing, Spaces};
use http::Method;

impl Client {
    /// The spaces, and how much is in each.
    pub async fn spaces(&self) -> Answer<Spaces> {
        self.get("/v1/memory").await
    }

    /// Takes one away.
    pub async fn clear_space(&self, space: &str) -> Answer<Cleared> {
        self.send(Method::POST, "/v1/memory/clear", &NewClearing { space: space.into() }).await
    }
}
