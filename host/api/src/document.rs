//! The OpenAPI document, made of the routes.

use crate::routes::{Route, Shape, routes};
use crate::schema;
use serde_json::{Map, Value, json};

/// The document: OpenAPI 3.1.
pub(crate) fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for (route, _) in routes() {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method] = operation(&route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "village",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "A running village: its agents, their budgets, their messages. Served on loopback.",
        },
        "servers": [{ "url": "/" }],
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": {
                "type": "http",
                "scheme": "bearer",
                "description": "What is in the file `token` of the data folder.",
            } },
            "schemas": schema::all(),
        },
    })
}

fn operation(route: &Route) -> Value {
    let in_path = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<_> = in_path
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    parameters.extend(route.query.iter().map(|(name, kind, meaning)| {
        json!({ "name": name, "in": "query", "required": false, "schema": { "type": kind }, "description": meaning })
    }));
    let mut answers: Map<String, Value> =
        route.answers.iter().map(|(status, shape)| (status.to_string(), answer(*shape))).collect();
    answers.insert(
        "default".into(),
        json!({ "description": "Why not", "content": { "application/json": { "schema": reference("Failure") } } }),
    );
    let mut operation = json!({
        "operationId": route.id,
        "summary": route.summary,
        "parameters": parameters,
        "responses": answers,
    });
    if let Some(body) = route.body {
        let kind = if body == "Component" { "application/wasm" } else { "application/json" };
        operation["requestBody"] = json!({ "required": true, "content": { kind: { "schema": reference(body) } } });
    }
    if matches!(route.path, "/live" | "/ready") {
        operation["security"] = json!([]);
    }
    operation
}

fn answer(shape: Shape) -> Value {
    let content =
        |kind: &str, schema: Value| json!({ "description": "Done", "content": { kind: { "schema": schema } } });
    match shape {
        Shape::Json(schema) => content("application/json", reference(schema)),
        Shape::Document => content("application/json", json!({ "type": "object" })),
        Shape::Events => content("text/event-stream", json!({ "type": "string" })),
        Shape::Text(kind) => content(kind.split(';').next().unwrap_or(kind), json!({ "type": "string" })),
        Shape::Nothing => json!({ "description": "Done" }),
    }
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Every `$ref` in a document.
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    match (key.as_str(), value.as_str()) {
                        ("$ref", Some(text)) => drop(found.insert(text.to_string())),
                        _ => references(value, found),
                    }
                }
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn what_the_document_refers_to_is_in_it_and_is_used() {
        let document = document();
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        for reference in &found {
            let pointer = reference.strip_prefix('#').expect("within the document");
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        let schemas = document["components"]["schemas"].as_object().expect("schemas");
        for name in schemas.keys() {
            assert!(found.contains(&format!("#/components/schemas/{name}")), "{name} is used");
        }
    }

    #[test]
    fn every_operation_has_a_name_of_its_own_and_an_answer() {
        let mut ids = BTreeSet::new();
        for (route, _) in routes() {
            assert!(ids.insert(route.id), "{}", route.id);
            assert!(!route.answers.is_empty(), "{}", route.id);
        }
    }
}
