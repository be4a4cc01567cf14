//! What a village says of itself: what its agents told each other, what was given up, replicas that come and go; and grants that
//! are changed under an agent.

use base::Digest;
use guest::replicas::Bounds;
use guest::{Grants, Payload};
use hall::{Deployment, Error, Letter, Options, Village, What};
use std::path::Path;
use std::time::{Duration, Instant};
use tests::{builder, guest};

async fn open(folder: &Path) -> Village {
    let options = Options { data: folder.join("data"), ..Options::default() };
    Village::begin(builder(32), options).await.unwrap_or_else(|error| panic!("{error}"))
}

async fn close(village: Village) {
    village.stop(Duration::from_secs(5)).await;
    village.close().await.unwrap_or_else(|error| panic!("{error}"));
}

async fn deploy(village: &Village, name: &str, kind: &str, grants: &[&str], more: Deployment) {
    let uploaded = village.upload(guest(kind).to_vec()).await.unwrap_or_else(|error| panic!("{error}"));
    let digest: Digest = uploaded.digest.parse().expect("a digest");
    let grants = grants.iter().map(|grant| grant.to_string()).collect();
    let deployment = Deployment { name: Some(name.into()), digest: Some(digest), grants, ..more };
    village.deploy(deployment).await.unwrap_or_else(|error| panic!("{name}: {error}"));
}

fn letter(skill: &str, body: &str) -> Letter {
    Letter::new(skill, Payload { content_type: String::new(), body: body.into() })
}

async fn said(village: &Village, name: &str, skill: &str, body: &str) -> Result<String, Error> {
    let came = village.ask(name, letter(skill, body)).await?;
    Ok(String::from_utf8(came.outcome?.body).expect("it writes text"))
}

/// Waits until it is so.
async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what} never came");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_agents_ask_and_tell_each_other_is_counted() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let village = open(folder.path()).await;
    deploy(&village, "ada", "family", &["agents=bob", "agents=nobody"], Deployment::default()).await;
    deploy(&village, "bob", "family", &[], Deployment::default()).await;
    let talk = || village.figures().talk;
    let count = |asked, asks_refused, told, tells_refused| hall::Talk { asked, asks_refused, told, tells_refused };
    assert_eq!(talk(), count(0, 0, 0, 0));
    said(&village, "ada", "ask", "bob heard 5000 | x").await.expect("it is asked");
    assert_eq!(talk(), count(1, 0, 0, 0));
    for other in ["nobody", "eve"] {
        said(&village, "ada", "ask", &format!("{other} heard 5000 | x")).await.expect("it says why not");
    }
    assert_eq!(talk(), count(1, 2, 0, 0));
    said(&village, "ada", "tell-many", "bob 3 | x").await.expect("it tells");
    said(&village, "ada", "tell", "bob after 1 | x").await.expect("it tells later");
    assert_eq!(talk(), count(1, 2, 4, 0));
    said(&village, "ada", "tell", "nobody now 0 | x").await.expect("it says why not");
    assert_eq!(talk(), count(1, 2, 4, 1));
    // What a turn tells that fails is told by nobody.
    said(&village, "ada", "tell-and-fail", "bob | x").await.expect_err("it fails");
    assert_eq!(talk(), count(1, 2, 4, 1));
    close(village).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_counted_as_they_are_kept_and_since_the_start() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let village = open(folder.path()).await;
    deploy(&village, "ada", "echo", &[], Deployment::default()).await;
    let counts = |village: &Village| {
        let dead = village.figures().dead_letters;
        (dead.kept, dead.given_up)
    };
    for _ in 0..3 {
        village.tell("ada", letter("fail", "refused no")).await.expect("it is accepted");
    }
    until("dead letters", || counts(&village) == (3, 3)).await;
    // Whoever waits is told: that is no dead letter.
    said(&village, "ada", "fail", "refused no").await.expect_err("it is refused");
    let first = village.dead_letters(None, 10).expect("they are read")[0].id.clone();
    village.discard("ada", &first).await.expect("it is thrown away");
    assert_eq!(counts(&village), (2, 3));
    close(village).await;
    let village = open(folder.path()).await;
    assert_eq!(counts(&village), (2, 0));
    close(village).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_come_and_go_of_their_own_accord_are_told_and_journaled() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let village = open(folder.path()).await;
    let more = Deployment { replicas: Bounds { min: None, max: Some(2) }, ..Deployment::default() };
    deploy(&village, "ada", "cpu", &["clock"], more).await;
    let told = || -> Vec<(u32, u32)> {
        let all = village.events(0, 1000).all.into_iter().map(|stamped| stamped.what);
        let replicas = all.filter_map(|event| match event.what {
            What::Replicas { before, serving } if event.agent == "ada" => Some((before, serving)),
            _ => None,
        });
        replicas.collect()
    };
    for _ in 0..4 {
        village.tell("ada", letter("sleep", "300")).await.expect("it is accepted");
    }
    until("another replica", || told() == [(1, 2)]).await;
    // It is not needed for long.
    until("the first alone", || told() == [(1, 2), (2, 1)]).await;
    // The journal has it a moment after those who watch.
    let mut noted = Vec::new();
    let start = std::time::Instant::now();
    while noted.len() < 2 && start.elapsed() < std::time::Duration::from_secs(20) {
        let entries = village.audit(Some(0), Some("ada".into()), 1000).await.expect("it can be read").entries;
        noted = entries.into_iter().filter(|entry| entry.what == "replicas").collect();
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let details: Vec<_> = noted.iter().map(|entry| (&entry.details["before"], &entry.details["serving"])).collect();
    assert_eq!(details, [(&1.into(), &2.into()), (&2.into(), &1.into())]);
    assert!(noted.iter().all(|entry| entry.by == "village"), "{noted:?}");
    // What the operator says is told as that, and not once more.
    village.scale("ada", 2, 2).await.expect("it is scaled");
    until("both", || village.details("ada").is_ok_and(|details| details.replicas.serving == 2)).await;
    assert_eq!(told().len(), 2);
    close(village).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn turns_and_replicas_are_said_over_the_manifest() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let village = open(folder.path()).await;
    let text =
        "[agent]\nname = \"ada\"\ncomponent = \"x.wasm\"\n[turns]\nattempts = 9\nrecycle = 7\n[replicas]\nmin = 2\n";
    let manifest = Some((text.to_string(), "/nowhere/agent.toml".into()));
    let fields = |fields: &[(&str, &str)]| -> Vec<(String, String)> {
        fields.iter().map(|(field, text)| (field.to_string(), text.to_string())).collect()
    };
    let turns = fields(&[("attempts", "3"), ("record", "true")]);
    let replicas = Bounds { min: None, max: Some(5) };
    let more = Deployment { manifest: manifest.clone(), turns, replicas, ..Deployment::default() };
    deploy(&village, "ada", "clerk", &["state"], more).await;
    let details = village.details("ada").expect("it is there");
    for field in [("attempts", "3"), ("record", "true"), ("recycle", "7")] {
        assert!(details.turns.contains(&(field.0.into(), field.1.into())), "{:?}", details.turns);
    }
    assert_eq!((details.replicas.min, details.replicas.max), (2, 5));
    // Each is good, and both are not.
    let digest = details.digest.parse().ok();
    let turns = fields(&[("backoff", "2m")]);
    let wrong = Deployment { name: Some("bob".into()), digest, turns, manifest, ..Deployment::default() };
    let refused = village.deploy(wrong).await.expect_err("it is refused").to_string();
    assert!(refused.contains("`backoff` (120s) is longer than `longest-backoff` (60s)"), "{refused}");
    close(village).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grants_that_are_changed_hold_for_an_agent_that_runs_and_after_a_restart() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let village = open(folder.path()).await;
    deploy(&village, "ada", "echo", &[], Deployment::default()).await;
    let state = async |village: &Village| said(village, "ada", "state", "").await.expect("it says so");
    assert!(state(&village).await.contains("state"), "it is told which grant is missing");
    for times in ["1", "2"] {
        assert_eq!(said(&village, "ada", "count", "").await.expect("it counts"), times);
    }
    let grants = |texts: &[&str]| {
        let mut grants = Grants::default();
        texts.iter().for_each(|text| grants.open(text).expect("it is good"));
        grants
    };
    village.set_grants("ada", grants(&["state", "log"])).await.expect("they are changed");
    assert_eq!(said(&village, "ada", "count", "").await.expect("it counts"), "1", "it begins anew");
    assert_eq!((state(&village).await, state(&village).await), ("1".into(), "2".into()));
    assert_eq!(village.details("ada").expect("it is there").grants, ["log", "state"]);
    village.set_grants("nobody", Grants::default()).await.expect_err("there is nobody");
    village.scale("ada", 1, 1).await.expect("it has one");
    close(village).await;
    let village = open(folder.path()).await;
    assert_eq!(state(&village).await, "3");
    village.stop_agent("ada").await.expect("it is stopped");
    village.set_grants("ada", Grants::default()).await.expect("also of one that is stopped");
    village.start_agent("ada").await.expect("it is there");
    assert!(state(&village).await.contains("state"), "it is shut again");
    close(village).await;
}
