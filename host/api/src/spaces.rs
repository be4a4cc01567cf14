//! Spaces of memory: their routes, their words and their schemas.

use crate::error::Error;
use crate::manage::finished;
use crate::routes::{App, Json, Route, Shape};
use crate::shape::{given, whole};
use axum::extract::State;
use axum::routing::{MethodRouter, get, post};
use hall::SpaceFigures;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// All spaces in which there is something.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spaces {
    /// By name.
    pub spaces: Vec<SpaceFigures>,
}

/// A space that is to go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewClearing {
    /// Its name.
    pub space: String,
}

/// What went with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cleared {
    /// How many documents.
    pub sources: u64,
}

/// The routes.
pub(crate) fn routes() -> Vec<(Route, MethodRouter<App>)> {
    let list = Route {
        method: "get",
        path: "/v1/memory",
        id: "spaces",
        summary: "The spaces of memory, with how much is in each",
        query: &[],
        body: None,
        answers: &[(200, Shape::Json("Spaces"))],
    };
    let clear = Route {
        method: "post",
        path: "/v1/memory/clear",
        id: "clear-space",
        summary: "Take a space of memory away with all that is in it",
        query: &[],
        body: Some("NewClearing"),
        answers: &[(200, Shape::Json("Cleared"))],
    };
    vec![(list, get(listed)), (clear, post(cleared))]
}

async fn listed(State(app): State<App>) -> Result<axum::Json<Spaces>, Error> {
    Ok(axum::Json(Spaces { spaces: app.village.spaces()? }))
}

async fn cleared(State(app): State<App>, Json(wanted): Json<NewClearing>) -> Result<axum::Json<Cleared>, Error> {
    let sources = finished(async move { app.village.clear_space(&wanted.space).await }).await?;
    Ok(axum::Json(Cleared { sources }))
}

/// The schemas of what goes over the wire here.
pub(crate) fn schemas() -> Vec<(&'static str, Value)> {
    let (text, count) = (json!({ "type": "string" }), json!({ "type": "integer", "minimum": 0 }));
    let space = json!({ "name": text, "sources": count, "passages": count, "bytes": count });
    let spaces = json!({ "type": "array", "items": { "$ref": "#/components/schemas/Space" } });
    vec![
        ("Space", whole(space)),
        ("Spaces", whole(json!({ "spaces": spaces }))),
        ("NewClearing", given(&["space"], json!({ "space": text }))),
        ("Cleared", whole(json!({ "sources": count }))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::holds;

    #[test]
    fn every_schema_of_spaces_is_as_its_type() {
        holds(schemas(), "Space", &SpaceFigures::default());
        holds(schemas(), "Spaces", &Spaces::default());
        holds(schemas(), "NewClearing", &NewClearing::default());
        holds(schemas(), "Cleared", &Cleared::default());
    }
}
