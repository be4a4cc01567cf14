use serde_json::{Value, json};

use super::*;

fn ask(request: Value) -> Result<Answer, Error> {
    answer(serde_json::from_value(request).expect("it is of the right shape"))
}

/// Rules as a German shop has them: the tax code keeps invoices ten years, applicants' papers go after six months.
fn office(today: &str, records: Value, holds: Value) -> Answer {
    ask(json!({"today": today, "records": records, "holds": holds, "rules": [
        {"name": "tax", "class": "invoice", "from": "year_end", "at_least": "P10Y", "at_most": "P10Y6M"},
        {"name": "applicants", "class": "application", "from": "rejected", "at_most": "P6M"},
        {"name": "privacy", "class": "personal", "at_most": "P3Y", "action": "anonymise"},
    ]}))
    .expect("it is valid")
}

fn verdict<'a>(told: &'a Answer, id: &str) -> &'a Verdict {
    told.records.iter().find(|one| one.id == id).expect("it is judged")
}

#[test]
fn each_record_is_due_on_its_day_and_not_before() {
    let records = json!([{"id": "r", "classes": ["application"], "dates": {"rejected": "2025-08-31"}}]);
    for (today, state) in [("2026-02-27", State::Later), ("2026-02-28", State::Due), ("2030-01-01", State::Due)] {
        let told = office(today, records.clone(), json!([]));
        let one = verdict(&told, "r");
        assert_eq!(
            (one.state, one.on.as_deref(), one.action.as_deref()),
            (state, Some("2026-02-28"), Some("delete")),
            "{today}"
        );
        assert_eq!(one.rules, ["applicants"]);
    }
}

#[test]
fn a_rule_that_keeps_goes_before_one_that_deletes_and_the_conflict_is_named() {
    let records = json!([{"id": "i", "classes": ["invoice", "personal"], "dates": {"created": "2020-05-05", "year_end": "2020-12-31"}}]);
    let told = office("2026-01-01", records, json!([]));
    let one = verdict(&told, "i");
    assert_eq!(
        (one.state, one.on.as_deref(), one.keep_until.as_deref()),
        (State::Later, Some("2030-12-31"), Some("2030-12-31"))
    );
    assert!(
        one.conflicts.len() == 1 && one.conflicts[0].contains("tax") && one.conflicts[0].contains("privacy"),
        "{:?}",
        one.conflicts
    );
    assert_eq!(told.conflicts, 1);
}

#[test]
fn a_hold_keeps_what_is_due_for_as_long_as_it_lasts() {
    let records = json!([
        {"id": "a", "classes": ["application"], "dates": {"rejected": "2024-01-01"}},
        {"id": "b", "classes": ["application"], "dates": {"rejected": "2024-01-01"}},
    ]);
    let hold = |until: &str| json!([{"name": "case 7", "ids": ["a"], "since": "2024-02-01", "until": until}]);
    let told = office("2026-01-01", records.clone(), hold("2026-01-01"));
    assert_eq!((verdict(&told, "a").state, verdict(&told, "b").state), (State::Held, State::Due));
    assert_eq!(verdict(&told, "a").holds, ["case 7"]);
    assert_eq!((told.due, told.held), (1, 1));
    let told = office("2026-01-02", records.clone(), hold("2026-01-01"));
    assert_eq!(told.due, 2);
    let told = office("2026-01-01", records, json!([{"name": "all", "classes": ["application"]}]));
    assert_eq!(told.held, 2);
}

#[test]
fn what_has_no_date_or_rule_yet_is_said_and_nothing_is_deleted_by_guess() {
    let told = office(
        "2026-01-01",
        json!([
            {"id": "open", "classes": ["application"], "dates": {"created": "2000-01-01"}},
            {"id": "odd", "classes": ["map"], "dates": {"created": "2000-01-01"}},
            // Old enough for one rule; but the tax code's time has not begun, so it is kept.
            {"id": "both", "classes": ["invoice", "personal"], "dates": {"created": "2000-01-01"}},
        ]),
        json!([]),
    );
    assert_eq!(
        (verdict(&told, "open").state, &verdict(&told, "open").missing[..]),
        (State::Waiting, &["rejected".to_owned()][..])
    );
    assert_eq!(verdict(&told, "odd").state, State::Unruled);
    assert_eq!((verdict(&told, "both").state, &verdict(&told, "both").on), (State::Waiting, &None));
    assert_eq!((told.due, told.unruled), (0, 1));
}

#[test]
fn two_actions_on_one_day_are_a_conflict() {
    let told = ask(json!({"today": "2026-01-01", "rules": [
        {"name": "one", "class": "x", "at_most": "P1Y"}, {"name": "two", "class": "x", "at_most": "P12M", "action": "review"}],
        "records": [{"id": "r", "classes": ["x"], "dates": {"created": "2024-01-01"}}]}))
    .expect("it is valid");
    assert!(told.records[0].conflicts[0].contains("review"), "{:?}", told.records[0].conflicts);
}

#[test]
fn what_is_wrong_is_named() {
    let rule = json!({"name": "n", "class": "c", "at_most": "P1Y"});
    let record = |date: &str| json!({"id": "r", "classes": ["c"], "dates": {"created": date}});
    for (request, wrong) in [
        (json!({"today": "yesterday", "rules": [], "records": []}), "today"),
        (json!({"today": "2026-01-01", "rules": [rule, rule], "records": []}), "rules[1].name"),
        (json!({"today": "2026-01-01", "rules": [{"name": "n", "class": "c"}], "records": []}), "rules[0].at_most"),
        (
            json!({"today": "2026-01-01", "rules": [{"name": "n", "class": "c", "at_least": "10 years"}], "records": []}),
            "rules[0].at_least",
        ),
        (
            json!({"today": "2026-01-01", "rules": [rule], "records": [record("2023-02-29")]}),
            "records[0].dates.created",
        ),
        (
            json!({"today": "2026-01-01", "rules": [rule], "records": [record("2023-02-28"), record("2023-02-28")]}),
            "records[1].id",
        ),
        (
            json!({"today": "2026-01-01", "rules": [], "records": [], "holds": [{"name": "h", "ids": ["r"]}]}),
            "holds[0].ids[0]",
        ),
        (
            json!({"today": "2026-01-01", "rules": [], "records": [], "holds": [{"name": "h", "since": "2026-01-02", "until": "2026-01-01"}]}),
            "holds[0].until",
        ),
    ] {
        let refused = ask(request).err().expect("it is refused");
        assert!(matches!(&refused, Error::Invalid { field, .. } if field == wrong), "{refused:?}, not {wrong}");
    }
    let far = ask(
        json!({"today": "2026-01-01", "rules": [{"name": "n", "class": "c", "at_least": "P1000Y"}], "records": [record("9500-01-01")]}),
    );
    assert!(matches!(far, Err(Error::Unsupported(_))));
}
