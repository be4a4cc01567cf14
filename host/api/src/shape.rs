//! The shapes that schemas are made of.

use serde_json::{Value, json};

/// An object that has all its fields.
pub(crate) fn whole(fields: Value) -> Value {
    let all: Vec<_> = fields.as_object().into_iter().flat_map(|fields| fields.keys().cloned()).collect();
    json!({ "type": "object", "required": all, "properties": fields })
}

/// An object that is sent here, with the fields that it must have, and no others.
pub(crate) fn given(required: &[&str], fields: Value) -> Value {
    json!({ "type": "object", "properties": fields, "required": required, "additionalProperties": false })
}

/// The schema of this name has the fields that a value has.
#[cfg(test)]
pub(crate) fn holds(schemas: Vec<(&str, Value)>, name: &str, value: &impl serde::Serialize) {
    let fields = |value: &Value| -> std::collections::BTreeSet<String> {
        value.as_object().expect("an object").keys().cloned().collect()
    };
    let (_, schema) = schemas.into_iter().find(|(each, _)| *each == name).expect("there is such a schema");
    let value = serde_json::to_value(value).expect("JSON");
    assert_eq!(fields(&schema["properties"]), fields(&value), "{name}");
}
