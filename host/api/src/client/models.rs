//! The models of a running village.

use super::{Answer, Client};
use crate::wire::{MeasuredModels, Models, NewMeasure, NewRoute, Routed};
use http::Method;

impl Client {
    /// The models, and how each does.
    pub async fn models(&self) -> Answer<Models> {
        self.get("/v1/models").await
    }

    /// Who would answer a prompt.
    pub async fn route(&self, wanted: &NewRoute) -> Answer<Routed> {
        self.send(Method::POST, "/v1/models/route", wanted).await
    }

    /// Measures models.
    pub async fn measure(&self, wanted: &NewMeasure) -> Answer<MeasuredModels> {
        self.send(Method::POST, "/v1/models/bench", wanted).await
    }
}
