//! A whole village whose agents look after each other: as its manifests and its groups say, and after a restart.

use guest::{Failed, Payload, Strategy, Supervision};
use hall::{Deployment, Letter, Options, Village};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tests::{builder, guest as component};

async fn open(folder: &Path) -> Village {
    let plan = Supervision { strategy: Strategy::OneForAll, restarts: 2, within: Duration::from_secs(60) };
    let options = Options {
        data: folder.join("data"),
        groups: [("workers".to_string(), Default::default())].into(),
        supervised: [("workers".to_string(), plan)].into(),
        ..Options::default()
    };
    Village::begin(builder(32), options).await.unwrap_or_else(|error| panic!("{error}"))
}

async fn deploy(village: &Village, name: &str, supervision: &str, group: Option<&str>) {
    let digest = village.upload(component("kith").to_vec()).await.unwrap_or_else(|error| panic!("{error}")).digest;
    let text = format!("[agent]\nname = \"{name}\"\ncomponent = \"kith.wasm\"\n[budget]\nchildren = 3\n{supervision}");
    let deployment = Deployment {
        digest: Some(digest.parse().expect("a digest")),
        manifest: Some((text, PathBuf::from("/nowhere/agent.toml"))),
        grants: ["state", "spawn", "agents=*"].map(String::from).to_vec(),
        group: group.map(Into::into),
        ..Deployment::default()
    };
    village.deploy(deployment).await.unwrap_or_else(|error| panic!("{name}: {error}"));
}

async fn asked(village: &Village, name: &str, skill: &str, body: &str) -> Result<String, Failed> {
    let letter =
        Letter { fast: true, ..Letter::new(skill, Payload { content_type: String::new(), body: body.into() }) };
    let came = village.ask(name, letter).await.unwrap_or_else(|error| panic!("{name} {skill}: {error}"));
    came.outcome.map(|payload| String::from_utf8(payload.body).expect("it writes text"))
}

async fn said(village: &Village, name: &str, skill: &str, body: &str) -> String {
    asked(village, name, skill, body).await.unwrap_or_else(|no| panic!("{name} {skill}: {no}"))
}

async fn told(village: &Village, name: &str, what: &str) {
    let begun = Instant::now();
    loop {
        let downs = said(village, name, "downs", "null").await;
        if downs.matches(what).count() == 1 {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{what} once, in {downs}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn close(village: Village) {
    village.stop(Duration::from_secs(5)).await;
    village.close().await.unwrap_or_else(|error| panic!("{error}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_and_removing_is_told_once_also_to_who_was_stopped_meanwhile() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let village = open(folder.path()).await;
    for name in ["ada", "bob", "cid"] {
        deploy(&village, name, "", None).await;
    }
    for name in ["bob", "cid"] {
        assert_eq!(said(&village, "ada", "monitor", name).await, "()");
    }
    village.stop_agent("bob").await.expect("it is stopped");
    village.stop_agent("bob").await.expect("it is stopped already");
    told(&village, "ada", "bob Stopped").await;
    village.stop_agent("ada").await.expect("it is stopped");
    village.remove("cid").await.expect("it is removed");
    village.start_agent("bob").await.expect("it is there");
    assert!(matches!(asked(&village, "bob", "trap", "null").await, Err(Failed::Broke(_))));
    let details = village.details("bob").expect("it is there");
    assert_eq!((details.faults, details.left_alone_ms), (1, 0));
    close(village).await;
    let village = open(folder.path()).await;
    village.start_agent("ada").await.expect("it is there");
    for once in ["bob Stopped", "cid Removed", "bob Broke trap"] {
        told(&village, "ada", once).await;
    }
    let audit = village.audit(Some(0), Some("ada".into()), 1000).await.expect("it can be read");
    assert!(audit.entries.iter().any(|entry| entry.what == "monitors" && entry.details["agent"] == "bob"));
    close(village).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_and_groups_say_who_begins_anew_also_after_a_restart() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let first = open(folder.path()).await;
    deploy(&first, "ada", "[supervision]\nstrategy = \"one-for-all\"\nrestarts = 9\n", None).await;
    for name in ["bob", "cid"] {
        deploy(&first, name, "", Some("workers")).await;
    }
    for kid in ["a", "b"] {
        let grown = format!(r#"{{"to":"{kid}","text":"state = true","millis":600000}}"#);
        assert_eq!(said(&first, "ada", "grow", &grown).await, format!("ada/{kid}"));
    }
    close(first).await;
    let village = open(folder.path()).await;
    let kid = async |name: &str, skill: &str| {
        let order = format!(r#"{{"to":"ada/{name}","skill":"{skill}","millis":5000}}"#);
        said(&village, "ada", "relay", &order).await
    };
    assert_eq!((kid("a", "count").await, kid("a", "count").await), ("1".into(), "2".into()));
    assert!(kid("b", "trap").await.starts_with("error: "));
    assert_eq!(kid("a", "count").await, "1", "the manifest holds");
    for name in ["bob", "cid"] {
        assert_eq!(said(&village, name, "count", "null").await, "1");
    }
    assert!(asked(&village, "bob", "trap", "null").await.is_err());
    assert_eq!(said(&village, "cid", "count", "null").await, "1", "so does the group");
    for _ in 0..2 {
        assert!(asked(&village, "bob", "trap", "null").await.is_err());
    }
    let alone = || village.details("cid").expect("it is there").left_alone_ms > 0;
    tests::eventually("a pause, as three are one too many", alone).await;
    // An agent that is deployed anew under that name looks after nobody, unless it says so.
    village.remove("ada").await.expect("it is removed");
    deploy(&village, "ada", "", None).await;
    for name in ["a", "b"] {
        let grown = format!(r#"{{"to":"{name}","text":"state = true","millis":600000}}"#);
        assert_eq!(said(&village, "ada", "grow", &grown).await, format!("ada/{name}"));
    }
    assert_eq!((kid("a", "count").await, kid("a", "count").await), ("1".into(), "2".into()));
    assert!(kid("b", "trap").await.starts_with("error: "));
    assert_eq!(kid("a", "count").await, "3");
    close(village).await;
}
