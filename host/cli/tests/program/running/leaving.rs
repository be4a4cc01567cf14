//! A village that leaves the others is forgotten by all of them; one that was blocked stays so; and whether it can be called.

use super::Up;
use super::mesh::{TCP, id, invite, linked, pair, refused, until};
use serde_json::{Value, json};

fn knows(said: &Value, peer: &str) -> bool {
    said["peers"].as_array().is_some_and(|all| all.iter().any(|each| each["peer"] == peer))
}

#[test]
fn who_leaves_is_forgotten_by_all_and_comes_back_when_it_is_invited_anew() {
    let (a, b) = pair(TCP);
    let c = Up::start(&["--mesh", TCP]);
    c.json(&["mesh", "join", &invite(&a, &[])]);
    for up in [&a, &b] {
        until(up, &["mesh", "peers"], |said| knows(said, &id(&c)));
    }
    until(&c, &["mesh", "peers"], |said| said["here"]["links"].as_array().is_some_and(|all| !all.is_empty()));
    let left = c.json(&["mesh", "leave"]);
    assert!(left["left"] == true && left["known"] == 2 && left["told"].as_u64() >= Some(1), "{left}");
    for up in [&a, &b] {
        until(up, &["mesh", "peers"], |said| !knows(said, &id(&c)));
        until(up, &["audit", "--limit", "1000"], |said| {
            let entries = said["entries"].as_array().cloned().unwrap_or_default();
            entries.iter().any(|entry| entry["what"] == "mesh-left" && entry.to_string().contains(&id(&c)))
        });
    }
    refused(&a.call(&["mesh", "ping", &id(&c)]), "unknown-peer", "");
    assert!(c.call(&["mesh", "peers"]).out.contains("it knows no others"));
    let again = c.call(&["mesh", "leave"]);
    assert!(again.code == 0 && again.out.contains("there were no others"), "{again:?}");

    c.json(&["mesh", "join", &invite(&b, &[])]);
    for up in [&a, &b] {
        until(up, &["mesh", "peers"], |said| knows(said, &id(&c)));
    }
    // The last one that is up is left alone, and nobody hears it.
    drop((a, b));
    until(&c, &["mesh", "peers"], |said| said["here"]["links"] == json!([]));
    let alone = c.call(&["mesh", "leave"]);
    assert!(alone.code == 0 && alone.out.contains("none of the others could be told"), "{alone:?}");
}

#[test]
fn who_is_blocked_is_so_when_the_village_is_up_again() {
    let (a, b) = pair(TCP);
    linked(&a);
    let blocked = id(&b);
    a.json(&["mesh", "block", &blocked]);
    a.end();
    let (_, _, folder) = a.ended();
    let a = Up::again(folder, &["--mesh", TCP]);
    let said = a.json(&["mesh", "peers"]);
    assert!(said["peers"][0]["peer"] == json!(blocked) && said["peers"][0]["blocked"] == true, "{said}");
    refused(&a.call(&["mesh", "ping", &blocked]), "unknown-peer", "");
    b.json(&["mesh", "leave"]);
    let turned = b.call(&["mesh", "join", &invite(&a, &[])]);
    assert!(turned.code == 1 && turned.err.contains("can't be reached"), "{turned:?}");
    assert!(a.json(&["mesh", "peers"])["here"]["turned_away"].to_string().contains("blocked"));
    a.json(&["mesh", "unblock", &blocked]);
    b.json(&["mesh", "join", &invite(&a, &[])]);
    linked(&a);
}

#[test]
fn a_village_finds_out_whether_others_can_call_it() {
    let (a, b) = pair(TCP);
    for up in [&a, &b] {
        assert_eq!(until(up, &["mesh", "peers"], |said| said["here"]["reachable"] == true)["here"]["reachable"], true);
        let text = up.call(&["mesh", "peers"]).out;
        assert!(text.lines().next().is_some_and(|line| line.ends_with("; others can call it")), "{text}");
    }
}
