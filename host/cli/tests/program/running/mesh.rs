//! Villages that meet: real programs on one machine, over TCP and over QUIC, and what they turn away.

use super::{Up, get};
use crate::harness::{Ran, guest};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

pub(super) const TCP: &str = "/ip4/127.0.0.1/tcp/0";
const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";

fn up(way: &str) -> Up {
    Up::start(&["--mesh", way])
}

pub(super) fn id(up: &Up) -> String {
    up.first["mesh"]["peer"].as_str().unwrap_or_else(|| panic!("it is in a mesh: {}", up.first)).into()
}

pub(super) fn invite(up: &Up, more: &[&str]) -> String {
    let ran = up.call(&[&["mesh", "invite"], more].concat());
    assert_eq!((ran.code, ran.out.lines().count()), (0, 1), "the token alone, for $( ): {ran:?}");
    ran.out.trim().into()
}

/// Waits until something holds of what a village answers.
pub(super) fn until(up: &Up, arguments: &[&str], holds: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let said = up.json(arguments);
        if holds(&said) {
            return said;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{arguments:?}: {said}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub(super) fn linked(up: &Up) -> Value {
    until(up, &["mesh", "peers"], |said| said["peers"][0]["link"].is_object())["peers"][0].clone()
}

pub(super) fn pair(way: &str) -> (Up, Up) {
    let (a, b) = (up(way), up(way));
    let token = invite(&a, &[]);
    let joined = b.json(&["mesh", "join", &token]);
    assert_eq!(
        (&joined["inviter"], &joined["founder"], &joined["peer"]),
        (&json!(id(&a)), &json!(id(&a)), &json!(id(&b)))
    );
    (a, b)
}

pub(super) fn refused(ran: &Ran, kind: &str, words: &str) {
    assert!(ran.code == 1 && ran.err.starts_with(&format!("village: {kind}: ")), "{kind}: {ran:?}");
    assert!(ran.err.contains(words), "`{words}` in {ran:?}");
}

fn noted(up: &Up) -> Vec<String> {
    let entries = up.json(&["audit", "--limit", "1000"]);
    entries["entries"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| entry["what"].as_str().unwrap_or("").into())
        .collect()
}

fn meet(way: &str, word: &str) {
    let (a, b) = pair(way);
    let (seen_by_a, seen_by_b) = (linked(&a), linked(&b));
    assert_eq!((&seen_by_a["peer"], &seen_by_b["peer"]), (&json!(id(&b)), &json!(id(&a))));
    assert!(seen_by_b["link"]["address"].as_str().is_some_and(|address| address.contains(word)), "{seen_by_b}");

    // By the first letters that are its own.
    let short = &id(&a)[8..14];
    let pinged = b.json(&["mesh", "ping", short, "--count", "3"]);
    assert_eq!((pinged["times_us"].as_array().map(Vec::len), &pinged["peer"]), (Some(3), &json!(id(&a))));
    // There and back through two programs: nothing that was not sent takes so long.
    let times = pinged["times_us"].as_array().into_iter().flatten();
    assert!(times.clone().all(|time| time.as_u64() > Some(20)), "{pinged}");
    let text = b.call(&["mesh", "ping", short, "--count", "1"]).out;
    assert!(text.contains(" ms\nleast "), "{text}");

    let topology = until(&a, &["mesh", "topology"], |said| said["asked"].as_array().is_some_and(|all| all.len() == 2));
    let between = &topology["links"][0]["between"];
    assert!(topology["links"].as_array().is_some_and(|all| all.len() == 1), "one link, seen from both: {topology}");
    assert!([&between[0], &between[1]].contains(&&json!(id(&b))), "{topology}");
    assert!(a.call(&["mesh", "topology"]).out.starts_with("2 villages, 1 link\n"));

    let metrics = raw_metrics(&a);
    for row in
        ["village_mesh_members 1\n", "village_mesh_links 1\n", &format!("sent_bytes_total{{peer=\"{}\"}}", id(&b))]
    {
        assert!(metrics.contains(row), "{row} in {metrics}");
    }
    assert!(noted(&b).contains(&"mesh-joined".into()) && noted(&a).contains(&"mesh-met".into()));
    assert!(noted(&a).contains(&"mesh-invited".into()));
}

fn raw_metrics(up: &Up) -> String {
    let request = format!(
        "GET /metrics HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\nconnection: close\r\n\r\n",
        up.address,
        up.token()
    );
    super::raw(up, &request, b"")
}

#[test]
fn two_villages_on_one_machine_meet_over_tcp() {
    meet(TCP, "/tcp/");
}

#[test]
fn two_villages_on_one_machine_meet_over_quic() {
    meet(QUIC, "/quic-v1");
}

#[test]
fn a_village_without_a_mesh_says_how_to_turn_it_on() {
    let up = Up::start(&[]);
    assert_eq!(up.first["mesh"], Value::Null);
    for call in [
        &["mesh", "invite"][..],
        &["mesh", "join", "village1-x"],
        &["mesh", "leave"],
        &["mesh", "peers"],
        &["mesh", "topology"],
        &["mesh", "ping", "x"],
        &["mesh", "block", "x"],
        &["deploy", "navigator@x"],
    ] {
        refused(&up.call(call), "no-mesh", "start it with `village up --mesh`, or write [mesh] into its village.toml");
    }
    assert!(!raw_metrics(&up).contains("village_mesh"));
    let wrong = up.call(&["mesh", "invite", "--for", "soon"]);
    assert!(wrong.code == 2 && wrong.err.contains("--for: `soon`"), "{wrong:?}");
    let wrong = crate::harness::village(["up", "--mesh", "nowhere", "--listen", "0"]);
    assert!(wrong.code == 2 && wrong.err.contains("--mesh: `nowhere` is no address to listen at"), "{wrong:?}");
}

#[test]
fn a_token_that_lets_nobody_in_is_refused_with_its_reason() {
    let (a, b) = (up(TCP), up(TCP));
    let join = |up: &Up, token: &str| up.call(&["mesh", "join", token]);
    refused(&join(&b, "garbled"), "invitation", "it does not begin with village1-");
    let token = invite(&a, &["--for", "1h"]);
    let mut cut = token.clone();
    cut.truncate(token.len() - 9);
    refused(&join(&b, &cut), "invitation", "it was cut or changed");
    refused(&join(&a, &token), "invitation", "this village has made the invitation itself");
    let short = invite(&a, &["--for", "1ms"]);
    std::thread::sleep(Duration::from_millis(20));
    refused(&join(&b, &short), "invitation", "expired");

    let revoked = a.json(&["mesh", "invite"]);
    a.json(&["mesh", "revoke", revoked["id"].as_str().expect("a number")]);
    let revoked = revoked["token"].as_str().expect("a token");
    refused(&join(&b, revoked), "invitation", "said no: the invitation was revoked, has expired, or is another's");
    refused(&a.call(&["mesh", "revoke", revoked]), "invitation", "there is no such invitation");

    // Used up by the first.
    b.json(&["mesh", "join", &token]);
    let c = up(TCP);
    refused(&join(&c, &token), "invitation", "was used as often as it may be");
    // One of another village, for one that has others already.
    let other = invite(&c, &[]);
    refused(&join(&b, &other), "not-alone", "leave it before joining another");
    b.json(&["mesh", "leave"]);
    b.json(&["mesh", "join", &other]);
    linked(&b);
    assert!(noted(&b).contains(&"mesh-left".into()));
    // Nobody is there any more.
    let last = invite(&c, &["--uses", "3"]);
    drop(c);
    let nobody = join(&a, &last);
    assert_eq!(nobody.code, 1, "{nobody:?}");
    let text = [&nobody.err, "can't be reached"];
    assert!(text[0].contains(text[1]) || text[0].contains("not-alone"), "{nobody:?}");
}

#[test]
fn a_blocked_village_is_let_in_no_more_and_a_stranger_never() {
    let (a, b) = pair(TCP);
    linked(&a);
    let short = &id(&b)[8..16];
    assert_eq!(a.json(&["mesh", "block", short])["peer"], id(&b));
    until(&a, &["mesh", "peers"], |said| said["peers"][0]["blocked"] == true && said["peers"][0]["link"].is_null());
    refused(&a.call(&["mesh", "ping", short]), "unknown-peer", "");
    refused(&a.call(&["mesh", "ping", "zzzz"]), "unknown-peer", "`zzzz` names no one peer");
    until(&a, &["mesh", "peers"], |said| said["here"]["turned_away"].to_string().contains("blocked"));
    a.json(&["mesh", "unblock", short]);
    refused(&a.call(&["mesh", "unblock", short]), "unknown-peer", "");
    linked(&a);

    // One that was never invited, and calls.
    let address = a.first["mesh"]["addresses"][0].as_str().expect("an address").to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("village.toml");
    let text = format!("[mesh]\nlisten = [\"{TCP}\"]\npeers = [\"{address}\"]\n");
    std::fs::write(&config, text).expect("written");
    let stranger = Up::start(&["--config", config.to_str().expect("plain characters")]);
    until(&a, &["mesh", "peers"], |said| said["here"]["turned_away"].to_string().contains("stranger"));
    assert!(raw_metrics(&a).contains("village_mesh_turned_away_total{why=\"stranger\"}"));
    until(&a, &["audit", "--limit", "1000"], |said| {
        let text = said.to_string();
        ["mesh-turned-away", "mesh-blocked", "mesh-unblocked", "stranger"].iter().all(|word| text.contains(word))
    });
    let known = stranger.json(&["mesh", "peers"]);
    assert_eq!(known["peers"], json!([]), "it learns nothing of those inside");
    let (status, answer) = get(&stranger, "/v1/mesh/topology");
    assert!(status == 200 && answer["peers"] == json!([id(&stranger)]), "{answer}");
}

#[test]
fn an_agent_of_another_village_is_fetched_and_deployed_without_its_grants() {
    let (a, b) = pair(TCP);
    linked(&b);
    let notes = tempfile::tempdir().expect("a folder");
    let files = format!("files={}:/notes:ro", notes.path().display());
    let more = ["--name", "reader", "--budget", "cpu=7%,memory=24MiB", "--grant", "log", "--grant", &files];
    a.json(&[&["deploy", guest("echo")], &more[..]].concat());
    a.json(&["turns", "reader", "attempts=2"]);
    let digest = a.json(&["ps", "reader"])["digest"].as_str().expect("a digest").to_string();

    let from = format!("reader@{}", &id(&a)[8..16]);
    let adopted = b.json(&["deploy", &from]);
    assert_eq!((&adopted["agent"]["digest"], &adopted["agent"]["grants"]), (&json!(digest), &json!([])));
    assert_eq!((&adopted["from"], &adopted["grants_there"]), (&json!(id(&a)), &json!(["files", "log"])));
    assert!(!adopted.to_string().contains(notes.path().to_str().expect("plain")), "what is granted there stays there");
    let limit = |field: &str| {
        let all = adopted["agent"]["budget"].as_array().expect("fields").clone();
        all.into_iter().find(|used| used["field"] == field).map(|used| used["limit"].clone()).expect("a field")
    };
    assert_eq!((limit("cpu"), limit("memory")), (json!("7%"), json!("24MiB")));
    assert_eq!(b.json(&["turns", "reader"])["turns"]["attempts"], "2");
    let reply = b.json(&["send", "reader", "--skill", "echo", "--input", "hello"]);
    assert_eq!(reply["reply"]["body"], "hello");
    assert!(noted(&b).contains(&"mesh-fetched".into()));

    // Under another name, with a grant that is said here; and what is open there is named.
    let ran = b.call(&["deploy", &from, "--name", "second", "--grant", "log", "--budget", "cpu=3%"]);
    assert!(ran.code == 0 && ran.err.contains("open to it there, and not here: files;"), "{ran:?}");
    assert_eq!(b.json(&["ps", "second"])["grants"], json!(["log"]));

    refused(&b.call(&["deploy", &from]), "exists", "");
    let missing = format!("nobody@{}", &id(&a)[8..16]);
    refused(&b.call(&["deploy", &missing]), "refused-by-peer", "there is no agent `nobody`");
    refused(&b.call(&["deploy", "reader@zzzz"]), "unknown-peer", "");
    let usage = b.call(&["deploy", "@x"]);
    assert!(usage.code == 2 && usage.err.contains("NAME@PEER"), "{usage:?}");
}

#[test]
fn a_component_is_fetched_by_its_digest_and_deployed_by_it() {
    let (a, b) = pair(QUIC);
    linked(&b);
    let digest = a.json(&["deploy", guest("echo"), "--name", "own"])["digest"].as_str().expect("a digest").to_string();
    let size = std::fs::metadata(guest("echo")).expect("a file").len();

    let fetched = b.json(&["fetch", &digest]);
    assert_eq!((&fetched["size"], &fetched["from"]), (&json!(size), &json!([id(&a)])));
    let again = b.json(&["fetch", &digest, "--from", &id(&a)]);
    assert_eq!(again["from"], json!([]), "it is here");
    b.json(&["deploy", &digest, "--name", "mine", "--grant", "log"]);
    assert_eq!(b.json(&["send", "mine", "--skill", "echo", "--input", "hi"])["reply"]["body"], "hi");

    let unknown = format!("sha256:{}", "0".repeat(64));
    refused(&b.call(&["fetch", &unknown]), "unknown-component", "no other village that can be reached has");
    refused(&b.call(&["fetch", &unknown, "--from", &id(&a)]), "refused-by-peer", "upload it first");
    let wrong = b.call(&["fetch", "sha256:5"]);
    assert!(wrong.code == 2 && wrong.err.contains("a digest: sha256: and 64"), "{wrong:?}");

    // What nobody is made of any more is taken back.
    let lent = a.data().join("mesh/blobs");
    assert_eq!(std::fs::read_dir(&lent).expect("a folder").count(), 1);
    a.json(&["rm", "own"]);
    a.json(&["deploy", guest("clerk"), "--name", "other"]);
    for n in 0..16 {
        // Uploads are spared for a while, up to sixteen.
        let bytes = wat::parse_str(format!("(component (core module $m{n} (func (export \"x{n}\"))))")).expect("text");
        let path = a.folder.path().join("empty.wasm");
        std::fs::write(&path, bytes).expect("written");
        let _ = a.call(&["deploy", path.to_str().expect("plain characters"), "--name", "none"]);
    }
    assert_eq!(std::fs::read_dir(&lent).expect("a folder").count(), 0);
}
