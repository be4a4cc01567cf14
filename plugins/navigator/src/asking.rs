//! Reading a request in tests, where an agent does not do it.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Error, invalid};

pub(crate) fn parse<T: DeserializeOwned>(request: Value) -> Result<T, Error> {
    serde_path_to_error::deserialize(request).map_err(|error| {
        let (path, reason) = (error.path().to_string(), error.inner().to_string());
        // The path to a field that is missing ends where it should be, and only the reason has its name.
        let missing = reason.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
        let path = match (path.as_str(), missing) {
            (".", Some(missing)) => missing.to_owned(),
            (path, Some(missing)) => format!("{path}.{missing}"),
            (path, None) => path.to_owned(),
        };
        invalid(path, reason)
    })
}
