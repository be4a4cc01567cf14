//! Logistics: shortest paths, vehicle routes, inventory and demand forecasts.
//!
//! Each skill is a module from a request to an answer, and knows nothing of agents; `agent` ties them to the contract.

mod agent;
#[cfg(test)]
mod asking;
mod chance;
pub mod forecast;
pub mod inventory;
mod normal;
pub mod path;
pub mod route;

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

/// Refuses more than is done in one turn.
pub(crate) fn at_most(what: &str, count: usize, most: usize) -> Result<(), Error> {
    if count <= most {
        return Ok(());
    }
    Err(Error::Unsupported(format!("`{what}` has {count}; at most {most} are handled at once")))
}

/// Checks that a number lies within bounds. The upper ones keep sums and products from overflowing.
pub(crate) fn within(field: &str, value: f64, low: f64, high: f64) -> Result<f64, Error> {
    if (low..=high).contains(&value) {
        return Ok(value);
    }
    Err(invalid(field, format!("is {value}; it must be from {low} to {high}")))
}
