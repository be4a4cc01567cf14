//! Logistics: shortest paths, vehicle routes, inventory and demand forecasts.
//!
//! Each skill is a module that reads JSON and answers JSON, and knows nothing of agents; `agent` ties them to the contract.

mod agent;
#[cfg(test)]
mod chance;
pub mod forecast;
pub mod inventory;
pub mod path;
pub mod route;
pub mod skill;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why there is no answer. Both are final: the same request fails again.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// The request makes no sense.
    #[error("`{field}` {reason}")]
    Invalid {
        /// Which part of it, such as `stops[3].demand`.
        field: String,
        reason: String,
    },
    /// The request makes sense, and is beyond what is done here.
    #[error("{0}")]
    Unsupported(String),
}

pub(crate) fn invalid(field: impl Into<String>, reason: impl Into<String>) -> Error {
    Error::Invalid { field: field.into(), reason: reason.into() }
}

/// Reads a request; an error names the field that is wrong.
pub(crate) fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, Error> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let reason = error.inner().to_string();
        invalid(field(&error.path().to_string(), &reason), reason)
    })?;
    reader.end().map_err(|error| invalid("request", error.to_string()))?;
    Ok(value)
}

/// The path to a field. That of one that is missing ends where it should be, and only the reason has its name.
fn field(path: &str, reason: &str) -> String {
    let missing = reason.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    match (path, missing) {
        (".", None) => "request".to_owned(),
        (".", Some(missing)) => missing.to_owned(),
        (path, None) => path.to_owned(),
        (path, Some(missing)) => format!("{path}.{missing}"),
    }
}

pub(crate) fn write<T: Serialize>(answer: &T) -> Vec<u8> {
    serde_json::to_vec(answer).expect("the answers are plain records: writing them cannot fail")
}

/// Checks that a number lies within bounds. The upper ones keep sums and products from overflowing.
pub(crate) fn within(field: &str, value: f64, low: f64, high: f64) -> Result<f64, Error> {
    if (low..=high).contains(&value) {
        return Ok(value);
    }
    Err(invalid(field, format!("is {value}; it must be from {low} to {high}")))
}
