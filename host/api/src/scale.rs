//! How many instances serve an agent's mailbox: its route and its words.

use crate::error::Error;
use crate::manage::finished;
use crate::routes::{App, Json, Name, Route, Shape};
use axum::extract::State;
use axum::routing::{MethodRouter, put};
use hall::Details;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How many instances are to serve an agent's mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewScale {
    /// The fewest.
    pub min: u32,
    /// The most; as many, unless it is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
}

pub(crate) fn routes() -> Vec<(Route, MethodRouter<App>)> {
    let route = Route {
        method: "put",
        path: "/v1/agents/{name}/replicas",
        id: "scale",
        summary: "Change how many instances serve an agent's mailbox, under its one budget, while it runs",
        query: &[],
        body: Some("NewScale"),
        answers: &[(200, Shape::Json("Details"))],
    };
    vec![(route, put(scale))]
}

async fn scale(
    State(app): State<App>,
    Name(name): Name,
    Json(wanted): Json<NewScale>,
) -> Result<axum::Json<Details>, Error> {
    let (village, own) = (app.village.clone(), name.clone());
    let NewScale { min, max } = wanted;
    finished(async move { village.scale(&own, min, max.unwrap_or(min)).await }).await?;
    Ok(axum::Json(app.village.details(&name)?))
}

pub(crate) fn schemas() -> Vec<(&'static str, Value)> {
    let count = json!({ "type": "integer", "minimum": 0 });
    let wanted = json!({ "type": "integer", "minimum": 1, "maximum": 16 });
    vec![
        (
            "NewScale",
            json!({
                "type": "object",
                "properties": { "min": wanted, "max": wanted },
                "required": ["min"],
                "additionalProperties": false,
            }),
        ),
        (
            "Scale",
            json!({
                "type": "object",
                "properties": { "serving": count, "min": count, "max": count },
                "required": ["serving", "min", "max"],
                "additionalProperties": false,
            }),
        ),
    ]
}
