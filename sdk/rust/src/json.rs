//! Reading and writing JSON.
//!
//! Values are written by `serde_json`. They are read here: an error names the field without any bookkeeping while all goes well, and a
//! component is a fifth smaller than with `serde_json`'s reader, which brings along the printing of fractions for its errors.

mod fault;
mod reader;
mod values;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::types::Error;
pub(crate) use fault::Fault;
use reader::Reader;

pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    let mut reader = Reader::of(body)?;
    let value = T::deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
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
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::Value;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read")]
    struct Trip {
        stops: Vec<Stop>,
        #[serde(default)]
        kind: Option<Kind>,
        #[serde(default)]
        pair: (u8, String),
        #[serde(default)]
        by_number: BTreeMap<u8, bool>,
    }

    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "only read")]
    struct Stop {
        demand: u8,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    #[allow(dead_code, reason = "only read")]
    enum Kind {
        ByLand,
        ByShip { flag: String },
        Both(u8),
    }

    fn complaint(json: &str) -> String {
        read::<Trip>(json.as_bytes()).err().map(|fault| fault.text()).expect(json)
    }

    #[test]
    fn an_error_names_the_path_to_the_field_and_what_is_wrong_with_it() {
        for (json, text) in [
            (
                r#"{"stops": [{"demand": 1}, {"demand": "two"}]}"#,
                "`stops[1].demand` is the text \"two\", and is to be u8",
            ),
            (r#"{"stops": [{"demand": 256}]}"#, "`stops[0].demand` is 256, and is to be u8"),
            (r#"{"stops": [{"demand": -1}]}"#, "`stops[0].demand` is the number -1, and is to be u8"),
            (r#"{"stops": [{"demand": 1.5}]}"#, "`stops[0].demand` is the number 1.5, and is to be u8"),
            (r#"{"stops": [{"demand": null}]}"#, "`stops[0].demand` is null, and is to be u8"),
            (r#"{"stops": [{"demand": {}}]}"#, "`stops[0].demand` is an object, and is to be u8"),
            (r#"{"stops": [{}]}"#, "`stops[0].demand` is missing"),
            (r#"{"stops": {}}"#, "`stops` is an object, and is to be a sequence"),
            ("{}", "`stops` is missing"),
            (r#"{"stop": []}"#, "`stop` is not known; did you mean `stops`?; there are stops, kind, pair, by_number"),
            (r#"{"stops": [], "stops": []}"#, "`stops` stands there twice"),
            (
                r#"{"stops": [], "kind": "by-lnd"}"#,
                "`kind` is `by-lnd`; did you mean `by-land`?; there are by-land, by-ship, both",
            ),
            (r#"{"stops": [], "kind": {"by-ship": {}}}"#, "`kind.by-ship.flag` is missing"),
            (r#"{"stops": [], "kind": {"both": true}}"#, "`kind.both` is true, and is to be u8"),
            (r#"{"stops": [], "pair": [1]}"#, "`pair` has 1 items, and is to be a tuple of size 2"),
            (r#"{"stops": [], "pair": [1, "a", 2]}"#, "`pair` has more than 2 items"),
            (r#"{"stops": [], "by_number": {"x": true}}"#, "`by_number.x` is the text \"x\", and is to be u8"),
            ("[]", "is a list, and is to be struct Trip"),
            ("", "is not JSON at line 1, column 1: it ends too early"),
            ("{\n  \"stops\": [1 2]}", "`stops[0]` is the number 1, and is to be struct Stop"),
            ("{\n  \"stops\" []}", "is not JSON at line 2, column 11: a `:` is missing"),
            (r#"{"stops": []} x"#, "is not JSON at line 1, column 15: there is more behind the end"),
        ] {
            assert_eq!(complaint(json), text, "{json}");
        }
        assert_eq!(read::<Trip>(b"\xff").err().map(|fault| fault.text()).as_deref(), Some("is not UTF-8"));
    }

    #[test]
    fn what_serde_json_reads_is_read_alike_and_what_it_refuses_is_refused() {
        let texts = [
            r#"{"a": [1, -2, 3.5, 1e3, -0.25E-2, 18446744073709551615, -9223372036854775808, 0], "b": {"": null}}"#,
            r#"[true, false, null, "", "plain", "\"\\\/\b\f\n\r\t", "\u00e9\ud83d\ude00ž🐎", {"k\u0041": "\u0000"}]"#,
            "  {\n\t\"a\" : [ ] , \"b\" : { } }\r\n ",
        ];
        let letters = b"{}[]\",:.-+eE0123456789 \\utfnlrs\n\x01\xc3";
        // A sequence of numbers that looks like chance, and is the same each time.
        let mut seed = 1u64;
        let mut number = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize % below
        };
        let (mut read_alike, mut refused_alike) = (0, 0);
        for round in 0..60_000 {
            let mut bytes = texts[round % texts.len()].as_bytes().to_vec();
            for _ in 0..number(3) {
                let at = number(bytes.len());
                match number(3) {
                    0 => bytes[at] = letters[number(letters.len())],
                    1 => bytes.insert(at, letters[number(letters.len())]),
                    _ => drop(bytes.remove(at)),
                }
            }
            let (ours, theirs) = (read::<Value>(&bytes), serde_json::from_slice::<Value>(&bytes));
            let shown = String::from_utf8_lossy(&bytes);
            match (ours, theirs) {
                (Ok(ours), Ok(theirs)) => {
                    assert!(alike(&ours, &theirs), "{shown}: {ours} and {theirs}");
                    read_alike += 1;
                }
                (Err(_), Err(_)) => refused_alike += 1,
                (ours, theirs) => panic!("{shown}: {ours:?} and {theirs:?}"),
            }
        }
        assert!(read_alike > 10_000 && refused_alike > 10_000, "{read_alike} and {refused_alike}");
    }

    /// Equal, up to the last digit of a fraction, and to whether a zero is less than nothing.
    fn alike(a: &Value, b: &Value) -> bool {
        match (a, b) {
            (Value::Number(a), Value::Number(b)) => {
                let (x, y) = (a.as_f64().unwrap_or(f64::NAN), b.as_f64().unwrap_or(f64::NAN));
                a == b || (x - y).abs() <= x.abs() * f64::EPSILON
            }
            (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b)),
            (Value::Object(a), Value::Object(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|((k, a), (l, b))| k == l && alike(a, b))
            }
            _ => a == b,
        }
    }

    #[test]
    fn what_is_too_deep_is_refused_and_not_a_crash() {
        let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
        assert!(read::<Value>(&nested(100)).is_ok());
        for text in [nested(129), nested(1_000_000), vec![b'['; 1_000_000], b"[{\"a\":".repeat(1_000_000)] {
            assert!(read::<Value>(&text).is_err());
            assert!(read::<serde::de::IgnoredAny>(&text).is_err());
        }
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
