//! Villages that decide together: how a vote stands, what proves it, and who is found out.

use super::mesh::{TCP, id, linked, pair, refused, until};
use super::{Up, get};
use crate::harness::village;
use serde_json::{Value, json};

fn file(up: &Up, name: &str, text: &str) -> String {
    let path = up.folder.path().join(name);
    std::fs::write(&path, text).expect("written");
    path.to_str().expect("plain characters").into()
}

fn propose(up: &Up, more: &[&str]) -> String {
    let ran = up.call(&[&["mesh", "propose", "swap\nthe navigator"], more].concat());
    assert_eq!((ran.code, ran.out.trim().len()), (0, 64), "the id alone, for $( ): {ran:?}");
    ran.out.trim().into()
}

fn state(up: &Up, id: &str, wanted: &str) -> Value {
    until(up, &["mesh", "votes"], |said| {
        let votes = said["votes"].as_array().cloned().unwrap_or_default();
        votes.iter().any(|vote| vote["id"] == id && vote["state"] == wanted)
    });
    up.json(&["mesh", "votes", id])
}

#[test]
fn two_villages_decide_and_the_proof_is_checked_without_them() {
    let (a, b) = pair(TCP);
    linked(&a);
    assert!(a.call(&["mesh", "votes"]).out.contains("nothing is being decided"));
    let swap = propose(&a, &["--for", "10m", "--threshold", "0.9"]);
    let known = state(&b, &swap, "open");
    assert_eq!((&known["needed"], &known["threshold"], &known["proposer"]), (&json!(2), &json!(0.9), &json!(id(&a))));
    assert_eq!(known["text"], "swap\nthe navigator");
    refused(
        &b.call(&["mesh", "votes", &swap, "--certificate"]),
        "not-accepted",
        "open: 0 yes, 0 no of 2, 2 yes are needed",
    );

    // By the first letters of its id; and once.
    let ran = b.call(&["mesh", "vote", &swap[..10], "yes"]);
    assert!(ran.code == 0 && ran.out.contains("yes; open: 1 yes, 0 no of 2"), "{ran:?}");
    refused(&b.call(&["mesh", "vote", &swap, "no"]), "has-voted", "has voted yes already");
    assert_eq!(b.json(&["mesh", "vote", &swap, "yes"])["voted"], true, "the same once more is no harm");
    let (status, answer) = get(&a, &format!("/v1/mesh/votes/{swap}"));
    assert!(status == 200 && answer["state"] == "open" && answer["certificate"].is_null(), "{answer}");
    a.json(&["mesh", "vote", &swap, "yes"]);

    let both = format!("{},{}", id(&a), id(&b));
    for up in [&a, &b] {
        let decided = state(up, &swap, "accepted");
        assert_eq!(decided["yes"].as_array().map(Vec::len), Some(2), "{decided}");
        let ran = up.call(&["mesh", "votes", &swap, "--certificate"]);
        assert_eq!(json!(ran.out.trim()), decided["certificate"], "{ran:?}");
        let proof = file(up, "proof", &ran.out);
        let verify = |more: &[&str]| village([&["mesh", "verify", &proof], more].concat());
        let good = verify(&["--founder", &id(&a), "--electorate", &both, "--threshold", "0.9"]);
        assert!(
            good.code == 0 && good.out.contains("yes      2 of 2, and 2 had to") && good.err.is_empty(),
            "{good:?}"
        );
        let unsaid = verify(&[]);
        assert!(unsaid.code == 0 && unsaid.err.contains("--founder and --electorate"), "{unsaid:?}");
        for wrong in [["--founder", &id(&b)], ["--electorate", &id(&a)], ["--threshold", "0.95"]] {
            refused(&verify(&wrong), "no-proof", "decided by others, or by fewer");
        }
        refused(&verify(&["--electorate", "x"]), "no-proof", "`x` is no id of a village");
        let changed = ran.out.replacen("A", "B", 1);
        refused(&village(["mesh", "verify", &file(up, "changed", &changed)]), "no-proof", "");
    }
    until(&b, &["audit", "--limit", "1000"], |said| {
        let text = said.to_string();
        ["mesh-proposed", "mesh-vote", "mesh-accepted"].iter().all(|word| text.contains(word))
    });
    let table = b.call(&["mesh", "votes"]).out;
    assert!(
        table.contains("accepted: 2 yes, 0 no of 2") && table.contains("swap") && !table.contains("navigator"),
        "{table}"
    );
    assert!(b.call(&["mesh", "votes", &swap]).out.contains("proof that it was accepted:\nvillage1-decision-"));
}

#[test]
fn what_cannot_be_decided_or_voted_on_is_refused() {
    let (a, b) = pair(TCP);
    linked(&a);
    for (more, said) in
        [(["--threshold", "0.5"], "--threshold: 0.5 is not above 0.5"), (["--for", "soon"], "--for: `soon`")]
    {
        let wrong = a.call(&[&["mesh", "propose", "x"], &more[..]].concat());
        assert!(wrong.code == 2 && wrong.err.contains(said), "{wrong:?}");
    }
    refused(&a.call(&["mesh", "propose", " "]), "bad-request", "a proposal says something");
    refused(&a.call(&["mesh", "propose", "x", "--for", "31d"]), "bad-request", "30 days at most");
    refused(&a.call(&["mesh", "propose", "x", "--electorate", "zzzz"]), "unknown-peer", "`zzzz` names no one peer");
    refused(&a.call(&["mesh", "vote", "0123", "yes"]), "unknown-vote", "no proposal that is known here has this id");
    refused(&village(["mesh", "verify", "/nowhere/proof"]), "file", "/nowhere/proof");
    refused(&village(["mesh", "verify", &file(&a, "none", "hello")]), "no-proof", "it begins neither with");

    let nameless = a.call(&["mesh", "vote", "", "yes"]);
    assert!(nameless.code == 2 && nameless.err.contains("<ID>"), "{nameless:?}");

    // Only one of the two votes on this, named by how its id begins.
    let own = propose(&a, &["--electorate", &id(&a)[8..16]]);
    state(&b, &own, "open");
    refused(&b.call(&["mesh", "vote", &own, "yes"]), "no-vote", "this peer has no vote on it");
    assert_eq!(a.json(&["mesh", "vote", &own, "yes"])["state"], "accepted");

    // One no of two is too many; and whose time is up takes no votes.
    let stopped = propose(&a, &[]);
    state(&b, &stopped, "open");
    assert_eq!(b.json(&["mesh", "vote", &stopped, "no"])["state"], "rejected");
    state(&a, &stopped, "rejected");
    let short = propose(&a, &["--for", "1s"]);
    state(&a, &short, "lapsed");
    refused(&a.call(&["mesh", "vote", &short, "yes"]), "unknown-vote", "voting on it has ended");
    until(&a, &["audit", "--limit", "1000"], |said| {
        let text = said.to_string();
        ["mesh-rejected", "mesh-lapsed"].iter().all(|word| text.contains(word))
    });
}

#[test]
fn a_proof_that_somebody_has_voted_both_ways_is_good_anywhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let proof = folder.path().join("lie");
    let good = include_str!("../../../../mesh/tests/golden/lie-1.txt");
    std::fs::write(&proof, good).expect("written");
    let proof = proof.to_str().expect("plain characters");
    let proved = village(["mesh", "verify", proof]);
    assert!(proved.code == 0 && proved.out.contains(" has voted both ways on 0707"), "{proved:?}");
    // As what is to be left out of a decision, a line that is no proof is refused.
    std::fs::write(proof, good.replace("village1-lie-", "village1-lie-A")).expect("written");
    refused(&village(["mesh", "verify", proof]), "no-proof", "it was cut or changed");
}
