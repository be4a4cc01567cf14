use serde_json::{Value, json};

use super::*;
use crate::chance::Chance;

fn ask(request: Value) -> Result<Answer, Error> {
    answer(serde_json::from_value(request).expect("it is of the right shape"))
}

fn step(name: &str, inputs: &[&str], outputs: &[&str]) -> Value {
    json!({"name": name, "inputs": inputs, "outputs": outputs})
}

/// Customers and orders are joined; reports and a model are made of that, the model without names.
fn shop() -> Value {
    json!({
        "datasets": [
            {"name": "customers", "classes": ["personal", "eu"], "updated": 50},
            {"name": "orders", "updated": 90},
            {"name": "joined", "updated": 70},
            {"name": "report", "updated": 80},
        ],
        "steps": [
            step("mail", &["report"], &["outbox"]),
            step("summarise", &["joined"], &["report"]),
            step("join", &["customers", "orders"], &["joined"]),
            {"name": "anonymise", "inputs": ["joined"], "outputs": ["safe"], "removes": ["personal"]},
            step("train", &["safe"], &["model"]),
        ],
        "of": "joined",
        "changed": ["safe"],
    })
}

#[test]
fn a_shops_lineage_is_answered_as_it_can_be_read_off() {
    let told = serde_json::to_value(ask(shop()).expect("it is valid")).expect("plain");
    assert_eq!(told["sources"], json!(["customers", "orders"]));
    assert_eq!(told["sinks"], json!(["outbox", "model"]));
    assert_eq!(
        told["family"],
        json!({"dataset": "joined", "ancestors": ["customers", "orders"], "descendants": ["report", "safe", "outbox", "model"]})
    );
    assert_eq!(told["impact"], json!([{"dataset": "model", "distance": 1, "step": "train", "after": "safe"}]));
    assert_eq!(told["cycles"], json!([]));
    // The orders are newer than what was joined from them, so that and all that follows is to be done again.
    assert_eq!(told["outdated"], json!([{"dataset": "joined", "newer": "orders", "step": "join"}]));
    let redo: Vec<_> = told["redo"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    let place = |name| redo.iter().position(|step| *step == name).expect("it is to be done");
    assert_eq!(redo.len(), 5);
    assert!(
        place("join") < place("summarise") && place("summarise") < place("mail") && place("anonymise") < place("train")
    );
    let class =
        |name: &str| told["classes"].as_array().expect("a list").iter().find(|one| one["dataset"] == name).cloned();
    assert_eq!(class("outbox").expect("it is classified")["inherited"], json!(["eu", "personal"]));
    assert_eq!(class("model").expect("it is classified")["classes"], json!(["eu"]));
    assert_eq!(class("orders"), None);
}

#[test]
fn cycles_are_found_and_everything_else_is_still_answered() {
    let told = ask(json!({"steps": [
        step("a", &["x"], &["y"]), step("b", &["y"], &["z"]), step("c", &["z"], &["x"]),
        step("self", &["log"], &["log"]), step("end", &["z"], &["out"])], "changed": ["y"]}))
    .expect("it is valid");
    assert_eq!(told.cycles, [vec!["log", "self"], vec!["x", "a", "y", "b", "z", "c"]]);
    assert_eq!(told.order.last().map(String::as_str), Some("end"));
    assert_eq!(
        told.impact.iter().map(|one| (one.dataset.as_str(), one.distance)).collect::<Vec<_>>(),
        [("z", 1), ("x", 2), ("out", 2)]
    );
}

#[test]
fn two_steps_that_make_one_dataset_are_named() {
    let told = ask(json!({"steps": [step("a", &["x"], &["y"]), step("b", &["x"], &["y"])]})).expect("it is valid");
    assert_eq!(told.contested.len(), 1);
    assert_eq!(
        (told.contested[0].dataset.as_str(), &told.contested[0].steps[..]),
        ("y", &["a".to_owned(), "b".to_owned()][..])
    );
}

#[test]
fn random_graphs_agree_with_a_closure_by_brute_force() {
    let mut chance = Chance::new(41);
    for round in 0..200 {
        let sets = 2 + chance.below(7) as usize;
        let steps: Vec<Value> = (0..chance.below(9))
            .map(|at| {
                let mut some =
                    || (0..1 + chance.below(2)).map(|_| format!("d{}", chance.below(sets as u64))).collect::<Vec<_>>();
                json!({"name": format!("s{at}"), "inputs": some(), "outputs": some()})
            })
            .collect();
        let mut reach = vec![vec![false; sets]; sets];
        let number = |name: &Value| name.as_str().expect("a name")[1..].parse::<usize>().expect("a number");
        for step in &steps {
            for from in step["inputs"].as_array().expect("a list") {
                for to in step["outputs"].as_array().expect("a list") {
                    reach[number(from)][number(to)] = true;
                }
            }
        }
        for middle in 0..sets {
            for from in 0..sets {
                for to in 0..sets {
                    reach[from][to] |= reach[from][middle] && reach[middle][to];
                }
            }
        }
        let datasets: Vec<Value> = (0..sets).map(|at| json!({"name": format!("d{at}")})).collect();
        for (at, row) in reach.iter().enumerate() {
            let told = ask(json!({"datasets": datasets, "steps": steps, "of": format!("d{at}")})).expect("it is valid");
            let family = told.family.expect("it was asked for");
            for other in (0..sets).filter(|other| *other != at) {
                let name = format!("d{other}");
                assert_eq!(family.descendants.contains(&name), row[other], "round {round}");
                assert_eq!(family.ancestors.contains(&name), reach[other][at], "round {round}");
            }
            assert_eq!(told.cycles.is_empty(), (0..sets).all(|node| !reach[node][node]), "round {round}");
            if told.cycles.is_empty() {
                let place = |name: &str| told.order.iter().position(|step| step == name).expect("it has a place");
                for (one, two) in steps.iter().flat_map(|one| steps.iter().map(move |two| (one, two))) {
                    let feeds = one["outputs"]
                        .as_array()
                        .expect("a list")
                        .iter()
                        .any(|set| two["inputs"].as_array().expect("a list").contains(set));
                    let (one, two) = (one["name"].as_str().expect("a name"), two["name"].as_str().expect("a name"));
                    assert!(!feeds || place(one) < place(two), "round {round}");
                }
            }
        }
    }
}

#[test]
fn a_chain_of_ten_thousand_steps_does_not_overflow() {
    let steps: Vec<Value> = (0..9_000)
        .map(|at| json!({"name": format!("s{at}"), "inputs": [format!("d{at}")], "outputs": [format!("d{}", at + 1)]}))
        .collect();
    let told = ask(json!({"steps": steps, "of": "d0"})).expect("it is valid");
    assert_eq!(told.family.expect("it was asked for").descendants.len(), 9_000);
    assert_eq!(told.order.len(), 9_000);
}

#[test]
fn what_is_wrong_is_named() {
    for (request, wrong) in [
        (json!({"steps": [step("a", &[""], &[])]}), "steps[0].inputs[0]"),
        (json!({"steps": [step("a", &[], &[]), step("a", &[], &[])]}), "steps[1].name"),
        (json!({"steps": [step("a", &["b"], &[]), step("b", &[], &[])]}), "steps[0].inputs[0]"),
        (json!({"steps": [], "of": "x"}), "of"),
        (json!({"steps": [step("a", &[], &["x"])], "of": "a"}), "of"),
        (json!({"steps": [step("a", &[], &["x"])], "changed": ["x", "q"]}), "changed[1]"),
        (json!({"datasets": [{"name": "x"}, {"name": "x"}], "steps": []}), "datasets[1].name"),
    ] {
        let refused = ask(request).err().expect("it is refused");
        assert!(matches!(&refused, Error::Invalid { field, .. } if field == wrong), "{refused:?}, not {wrong}");
    }
    let many: Vec<Value> = (0..=MOST_NODES).map(|at| step(&at.to_string(), &[], &[])).collect();
    assert!(matches!(ask(json!({"steps": many})), Err(Error::Unsupported(_))));
    let datasets: Vec<Value> =
        (0..700).map(|at| json!({"name": format!("d{at}"), "classes": [format!("c{at}")]})).collect();
    let steps: Vec<Value> = (0..699)
        .map(|at| json!({"name": format!("s{at}"), "inputs": [format!("d{at}")], "outputs": [format!("d{}", at + 1)]}))
        .collect();
    assert!(
        matches!(ask(json!({"datasets": datasets, "steps": steps})), Err(Error::Unsupported(text)) if text.contains("classes"))
    );
}
