//! What an answer has, beside what it should have: each place where they differ.

use base::schema::{brief, element, member};
use serde_json::Value;

/// A place where an answer is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// A path such as `stops[3].demand`; empty for the whole.
    pub(crate) path: String,
    pub(crate) reason: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = if self.path.is_empty() { "the answer" } else { &self.path };
        write!(f, "{path}: {}", self.reason)
    }
}

/// How much of an answer is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of it.
    Whole,
    /// Members that may have others beside them, and texts that may have more around them.
    Part,
}

/// Numbers that differ by less than this part of them are the same: they come from different arithmetic.
const CLOSE: f64 = 1e-9;

/// More are not worth a line each.
const MOST: usize = 10;

/// Where `got` is not as `expected` says; empty if it is.
pub(crate) fn differences(expected: &Value, got: &Value, extent: Extent) -> Vec<Difference> {
    let mut found = Vec::new();
    compare(expected, got, extent, "", &mut found);
    if found.len() > MOST {
        let more = found.len() - MOST;
        found.truncate(MOST);
        found.push(Difference { path: "and".into(), reason: format!("{more} more places") });
    }
    found
}

fn compare(expected: &Value, got: &Value, extent: Extent, path: &str, found: &mut Vec<Difference>) {
    let mut say = |path: String, reason: String| found.push(Difference { path, reason });
    match (expected, got) {
        (Value::Object(expected), Value::Object(got)) => {
            let others = || got.keys().map(String::as_str).filter(|name| !expected.contains_key(*name));
            for (name, value) in expected {
                match got.get(name) {
                    Some(other) => compare(value, other, extent, &member(path, name), found),
                    None => {
                        let near = base::nearest(name, others());
                        let hint = near.map(|near| format!(", and there is `{near}`")).unwrap_or_default();
                        let reason = format!("expected {}, and it is not there{hint}", brief(value));
                        found.push(Difference { path: member(path, name), reason });
                    }
                }
            }
            let more = got.iter().filter(|(name, _)| extent == Extent::Whole && !expected.contains_key(*name));
            for (name, value) in more {
                let reason = format!("got {}, and nothing of that name is expected", brief(value));
                found.push(Difference { path: member(path, name), reason });
            }
        }
        (Value::Array(expected), Value::Array(got)) => {
            for (at, (value, other)) in expected.iter().zip(got).enumerate() {
                compare(value, other, extent, &element(path, at), found);
            }
            if expected.len() != got.len() {
                let reason = format!("expected {} elements, got {}", expected.len(), got.len());
                found.push(Difference { path: path.into(), reason });
            }
        }
        (Value::String(part), Value::String(text)) if extent == Extent::Part => {
            if !text.contains(part) {
                say(path.into(), format!("expected {} in it, got {}", brief(expected), brief(got)));
            }
        }
        (expected, got) if same(expected, got) => {}
        (expected, got) => say(path.into(), format!("expected {}, got {}", brief(expected), brief(got))),
    }
}

fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(x), Some(y)) => a == b || (x - y).abs() <= CLOSE * x.abs().max(y.abs()),
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(expected: Value, got: Value, extent: Extent) -> Vec<String> {
        differences(&expected, &got, extent).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_path_that_differs_is_named() {
        let expected = json!({ "a": [1, { "b": "x" }], "count": null });
        assert_eq!(said(expected.clone(), expected.clone(), Extent::Whole), Vec::<String>::new());
        let got = json!({ "a": [1, { "b": "y" }], "count": null });
        assert_eq!(said(expected.clone(), got, Extent::Whole), [r#"a[1].b: expected "x", got "y""#]);
        let got = json!({ "a": [1], "demand": 1 });
        assert_eq!(
            said(expected, got, Extent::Whole),
            [
                "a: expected 2 elements, got 1",
                "count: expected null, and it is not there",
                "demand: got 1, and nothing of that name is expected"
            ]
        );
        assert_eq!(said(json!(1), json!("1"), Extent::Whole), [r#"the answer: expected 1, got "1""#]);
    }

    #[test]
    fn a_part_may_have_more_around_it() {
        assert_eq!(said(json!({ "a": "x" }), json!({ "a": "axb", "b": 1 }), Extent::Part), Vec::<String>::new());
        assert_eq!(
            said(json!({ "nmae": 1 }), json!({ "name": 1 }), Extent::Part),
            ["nmae: expected 1, and it is not there, and there is `name`"]
        );
        assert_eq!(said(json!([1]), json!([1, 2]), Extent::Part), ["the answer: expected 1 elements, got 2"]);
        assert_eq!(said(json!("x"), json!("y"), Extent::Part), [r#"the answer: expected "x" in it, got "y""#]);
    }

    #[test]
    fn numbers_from_different_arithmetic_are_the_same() {
        assert_eq!(said(json!(0.3), json!(0.1 + 0.2), Extent::Whole), Vec::<String>::new());
        assert_eq!(said(json!(2), json!(2.0), Extent::Whole), Vec::<String>::new());
        assert_eq!(said(json!(0.3), json!(0.3001), Extent::Whole).len(), 1);
        assert_eq!(said(json!(9_007_199_254_740_993_u64), json!(9_007_199_254_740_993_u64), Extent::Whole).len(), 0);
    }

    #[test]
    fn many_differences_are_counted() {
        let said = said(json!(vec![0; 30]), json!(vec![1; 30]), Extent::Whole);
        assert_eq!((said.len(), said.last().map(String::as_str)), (11, Some("and: 20 more places")));
    }
}
