//! `village bench`: a quick look has each row of a group, with figures.

use crate::harness::village;

#[test]
fn a_quick_look_at_the_mesh_has_all_its_rows() {
    let report = village(["bench", "mesh", "--quick", "--json"]).json();
    let rows = report["rows"].as_array().expect("a report has rows");
    let row = |part: &str| {
        let found = rows.iter().find(|row| row["name"].as_str().is_some_and(|name| name.contains(part)));
        found.unwrap_or_else(|| panic!("no row has `{part}`: {report}"))
    };
    let parts =
        ["KiB: p50", "KiB: p99", "mesh alone", "durable", "sealed", "under way", "QUIC", "a blob", "heard by each"];
    parts.into_iter().for_each(|part| drop(row(part)));
    for row in rows {
        assert!(row["name"].as_str().is_some_and(|name| name.starts_with("mesh: ")), "{row}");
        assert!(row["baseline"].as_str().is_some_and(|baseline| !baseline.is_empty()), "{row}");
        // What could not be measured is no number.
        let number = |value: &serde_json::Value| value.as_f64().unwrap_or_else(|| panic!("{row}"));
        let (value, least, most) = (number(&row["value"]), number(&row["spread"][0]), number(&row["spread"][1]));
        assert!(least <= value && value <= most, "{row}");
    }
    // However busy the machine is:
    for part in ["handled twice", "directory complete", "within the halves", "whole after"] {
        assert_eq!(row(part)["pass"], true, "{}", row(part));
    }
    assert!(row("memory of each")["value"].as_f64().is_some_and(|size| size > 0.1), "{}", row("memory of each"));
}
