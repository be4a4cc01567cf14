//! Reading and writing JSON, with errors that name the field.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::types::{Error, Failure};

/// What is wrong with a piece of JSON.
pub(crate) struct Flaw {
    /// The path to the field, such as `stops[3].demand`; empty if it is the whole.
    pub(crate) path: String,
    pub(crate) reason: String,
}

impl Flaw {
    pub(crate) fn text(&self) -> String {
        if self.path.is_empty() { self.reason.clone() } else { ["`", &self.path, "` ", &self.reason].concat() }
    }
}

impl From<Flaw> for Failure {
    fn from(flaw: Flaw) -> Failure {
        if flaw.path.is_empty() {
            return Failure::invalid(["the input is not what the skill takes: ", &flaw.reason].concat());
        }
        Failure::field(&flaw.path, flaw.reason)
    }
}

pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Flaw> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        flaw(path, error.into_inner())
    })?;
    reader.end().map_err(|error| flaw(".".to_owned(), error))?;
    Ok(value)
}

/// The path to a missing field ends where it should be, and only the reason has its name.
fn flaw(path: String, error: serde_json::Error) -> Flaw {
    let reason = error.to_string();
    let root = path == ".";
    let missing = reason.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    let path = match missing {
        None if root => String::new(),
        None => path,
        Some(missing) if root => missing.to_owned(),
        Some(missing) => [&path, ".", missing].concat(),
    };
    let reason = if missing.is_some() { "is missing".to_owned() } else { reason };
    Flaw { path, reason }
}

pub(crate) fn write<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|error| Error::Unreadable(error.to_string()))
}

/// Appends `text` as a JSON string.
pub(crate) fn quote(text: &str, onto: &mut String) {
    onto.push('"');
    let mut rest = text;
    // Only these need anything: all others stand for themselves.
    while let Some(at) = rest.bytes().position(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        const HEX: [&str; 16] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b", "c", "d", "e", "f"];
        onto.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'"' => onto.push_str("\\\""),
            b'\\' => onto.push_str("\\\\"),
            control => {
                onto.push_str(if control < 16 { "\\u000" } else { "\\u001" });
                onto.push_str(HEX[usize::from(control % 16)]);
            }
        }
        rest = &rest[at + 1..];
    }
    onto.push_str(rest);
    onto.push('"');
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Trip {
        #[allow(dead_code, reason = "only read")]
        stops: Vec<Stop>,
    }

    #[derive(Debug, Deserialize)]
    struct Stop {
        #[allow(dead_code, reason = "only read")]
        demand: u32,
    }

    fn complaint(json: &str) -> (String, String) {
        let flaw = read::<Trip>(json.as_bytes()).err().expect("it is wrong");
        (flaw.path, flaw.reason)
    }

    #[test]
    fn an_error_names_the_path_to_the_field() {
        let (path, reason) = complaint(r#"{"stops": [{"demand": 1}, {"demand": "two"}]}"#);
        assert_eq!(path, "stops[1].demand");
        assert!(reason.starts_with("invalid type: string \"two\", expected u32"), "{reason}");
        assert_eq!(complaint(r#"{"stops": [{}]}"#), ("stops[0].demand".into(), "is missing".into()));
        assert_eq!(complaint("{}"), ("stops".into(), "is missing".into()));
        assert_eq!(complaint("").0, "");
        assert!(complaint(r#"{"stops": []} x"#).1.contains("trailing"));
        assert!(complaint(r#"{"stop": []}"#).1.contains("unknown field `stop`"));
    }

    #[test]
    fn a_quoted_text_is_what_any_reader_of_json_reads() {
        for text in ["", "plain", "\"\\/", "\n\t\r\0\x1f\x7f", "žluť 🐎"] {
            let mut quoted = String::new();
            quote(text, &mut quoted);
            assert_eq!(serde_json::from_str::<String>(&quoted).expect("it is JSON"), text);
        }
    }
}
