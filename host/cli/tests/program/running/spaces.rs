//! `village memory`: what agents keep in spaces is listed for the village's owner, who may take a space away.

use super::Up;
use serde_json::{Value, json};

/// Spaces with their documents.
fn spaces(up: &Up) -> Vec<(String, u64)> {
    let all = up.json(&["memory", "list"]);
    let row =
        |space: &Value| (space["name"].as_str().unwrap_or_default().to_owned(), space["sources"].as_u64().unwrap_or(0));
    all["spaces"].as_array().expect("a list").iter().map(row).collect()
}

fn passages(up: &Up, space: &str) -> usize {
    let ask = json!({"question": "mill", "space": space}).to_string();
    let ran = up.call(&["send", "sage", "--skill", "retrieve", "--input", &ask]);
    let found: Value = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    found["passages"].as_array().map_or(0, Vec::len)
}

#[test]
fn spaces_are_listed_and_one_is_taken_away_for_good() {
    let up = Up::start(&[]);
    assert_eq!(up.call(&["memory", "list"]).out, "nothing is kept in any space\n");
    assert_eq!(up.call(&["deploy", "sage"]).code, 0);
    for (source, space) in [("a", "library"), ("b", "library"), ("c", "library/other")] {
        let document = json!({"source": source, "text": "The mill burned down.", "space": space}).to_string();
        let ran = up.call(&["send", "sage", "--skill", "ingest", "--input", &document]);
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    assert_eq!(spaces(&up), [("library".into(), 2), ("library/other".into(), 1)]);
    let text = up.call(&["memory", "list"]).out;
    assert!(text.starts_with("SPACE ") && text.contains("library/other"), "{text}");

    let gone = up.call(&["memory", "rm", "library"]);
    assert_eq!((gone.code, gone.out.as_str()), (0, "removed: `library`, with 2 documents\n"), "{gone:?}");
    assert_eq!((passages(&up, "library"), passages(&up, "library/other")), (0, 1));
    let journal = up.json(&["audit"]).to_string();
    assert!(journal.contains("space-removed"), "{journal}");
    let again = up.call(&["memory", "rm", "library", "--json"]);
    assert_eq!((again.code, again.error().0.as_str()), (1, "unknown-space"), "{again:?}");

    // Neither is it there after a restart.
    up.end();
    let (_, _, folder) = up.ended();
    let up = Up::again(folder, &[]);
    assert_eq!(spaces(&up), [("library/other".into(), 1)]);
    assert_eq!((passages(&up, "library"), passages(&up, "library/other")), (0, 1));
}
