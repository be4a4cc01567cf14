//! What a village keeps: its agents, their state, the messages that it accepted, and who did what.

use super::{Up, get, post};
use crate::harness::{guest, village};
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;

/// An agent with state, which says how often each word was given to it.
fn keeper(up: &Up) {
    up.json(&["deploy", guest("clerk"), "--name", "keeper", "--grant", "state"]);
}

fn lines(up: &Up) -> Vec<String> {
    let reply = up.json(&["send", "keeper", "--skill", "lines", "--input", "null"])["reply"]["body"].clone();
    let text = reply.as_str().map_or_else(|| reply.to_string(), str::to_string);
    text.trim_matches(['[', ']'])
        .split(',')
        .filter(|line| !line.is_empty())
        .map(|line| line.trim_matches('"').into())
        .collect()
}

#[test]
fn agents_and_what_they_keep_are_there_again_after_a_restart() {
    let up = Up::start(&[]);
    keeper(&up);
    up.json(&["deploy", "polyglot", "--budget", "memory=40MiB"]);
    up.json(&["deploy", guest("echo"), "--name", "echo"]);
    for line in ["one", "two"] {
        up.json(&["send", "keeper", "--skill", "note", "--input", line]);
    }
    up.json(&["budget", "polyglot", "cpu=12.3456%"]);
    up.json(&["stop", "echo"]);
    let token = up.token();
    up.end();
    let (status, _, folder) = up.ended();
    assert!(status.success());

    let up = Up::again(folder, &[]);
    assert_eq!((&up.first["agents"], up.first.get("token"), up.token()), (&json!(3), None, token));
    let agents = up.json(&["ps"])["agents"].clone();
    let states: Vec<_> =
        agents.as_array().expect("a list").iter().map(|agent| (&agent["name"], &agent["state"])).collect();
    assert_eq!(
        states,
        [
            (&json!("echo"), &json!("stopped")),
            (&json!("keeper"), &json!("asleep")),
            (&json!("polyglot"), &json!("asleep"))
        ]
    );
    assert_eq!(agents[2]["budget"][0]["limit"], "12.3456%");
    let fields = agents[1]["budget"].as_array().expect("a list");
    let storage = fields.iter().find(|used| used["field"] == "storage").expect("it is a field");
    assert!(storage["used_units"].as_u64() > Some(0), "what it keeps counts while it sleeps: {storage}");
    assert_eq!(lines(&up), ["one", "two"]);

    // And after a kill that nobody could prepare for.
    up.json(&["send", "keeper", "--skill", "note", "--input", "three"]);
    let killed = Command::new("kill").args(["-9", &up.child.id().to_string()]).status().expect("kill is there");
    assert!(killed.success());
    let (_, _, folder) = up.ended();
    let up = Up::again(folder, &[]);
    assert_eq!(lines(&up), ["one", "two", "three"]);
    up.json(&["rm", "keeper"]);
    keeper(&up);
    assert_eq!(lines(&up), [""; 0], "one that is deployed anew begins with nothing");
}

#[test]
fn a_message_that_was_accepted_is_handled_also_after_a_kill() {
    let up = Up::start(&[]);
    up.json(&["deploy", "mischief", "--budget", "deadline=20s,cpu=100%"]);
    let told = up.json(&["send", "mischief", "--skill", "spin", "--no-wait"]);
    let id = told["id"].as_str().expect("an id").to_string();
    std::thread::sleep(Duration::from_millis(100));
    up.json(&["budget", "mischief", "deadline=50ms"]);
    let killed = Command::new("kill").args(["-9", &up.child.id().to_string()]).status().expect("kill is there");
    assert!(killed.success());
    let (_, _, folder) = up.ended();
    // Nobody sends it anything: it is woken for what waits, and gives it up after the last try.
    let up = Up::again(folder, &[]);
    let mut letters = Value::Null;
    for _ in 0..1000 {
        letters = up.json(&["dead-letters"])["letters"].clone();
        if letters != json!([]) {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(
        (&letters[0]["id"], &letters[0]["agent"], &letters[0]["kind"]),
        (&json!(id), &json!("mischief"), &json!("deadline"))
    );
    assert_eq!(letters[0]["attempts"], 5, "{letters}");
    assert!(up.call(&["dead-letters", "mischief"]).out.contains("deadline: "));

    // Tried again as often, and then thrown away.
    assert_eq!(up.json(&["dead-letters", "mischief", "--again", &id])["again"], json!([id]));
    let again = up.call(&["dead-letters", "mischief", "--again", &id, "--json"]);
    assert!(again.code == 1 && again.error().0 == "unknown-letter", "it is no dead letter any more: {again:?}");
    for _ in 0..1000 {
        letters = up.json(&["dead-letters", "mischief"])["letters"].clone();
        if letters != json!([]) {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!((&letters[0]["id"], &letters[0]["attempts"]), (&json!(id), &json!(5)), "{letters}");
    up.json(&["dead-letters", "mischief", "--drop", "all"]);
    assert_eq!(up.json(&["dead-letters"])["letters"], json!([]));
    let wrong = up.call(&["dead-letters", "--again", "x"]);
    assert!(wrong.code == 2 && wrong.err.contains("AGENT"), "{wrong:?}");
}

#[test]
fn the_journal_says_who_did_what_and_its_chain_is_whole() {
    let up = Up::start(&[]);
    keeper(&up);
    up.json(&["budget", "keeper", "cpu=50%"]);
    let sent = up.json(&["send", "keeper", "--skill", "note", "--input", "x", "--from", "ada"]);
    up.json(&["stop", "keeper"]);
    let entries = up.json(&["audit", "--agent", "keeper"])["entries"].clone();
    let entries = entries.as_array().expect("a list");
    let what: Vec<_> = entries.iter().map(|entry| entry["what"].as_str().expect("text")).collect();
    assert_eq!(what, ["deployed", "budget", "accepted", "turn", "stopped"], "{entries:?}");
    assert_eq!((&entries[2]["by"], &entries[3]["details"]["id"]), (&json!("client:ada"), &sent["id"]));
    assert_eq!(entries[1]["details"], json!({ "cpu": "50%" }));
    assert!(entries[3]["details"]["did"]["wrote"].as_u64() > Some(0), "{}", entries[3]);
    let seq = entries[2]["seq"].as_u64().expect("a number");
    let after = up.json(&["audit", "--after", &seq.to_string(), "--limit", "1"]);
    assert_eq!((&after["entries"][0]["seq"], &after["last"]), (&json!(seq + 1), &json!(seq + 1)));
    let verified = up.json(&["audit", "--verify"]);
    assert_eq!((&verified["after"], &verified["erased"]), (&json!(0), &json!(0)));
    assert!(verified["head"].as_u64() >= entries[4]["seq"].as_u64(), "{verified}");
    assert!(up.call(&["audit"]).out.contains("operator stopped keeper"));
}

#[test]
fn a_backup_of_a_running_village_becomes_another_village() {
    let up = Up::start(&[]);
    keeper(&up);
    up.json(&["send", "keeper", "--skill", "note", "--input", "before"]);
    let folder = tempfile::tempdir().expect("a folder");
    let (to, data) = (folder.path().join("backup"), folder.path().join("data"));
    let (to, data_text) = (to.to_str().expect("text"), data.to_str().expect("text"));
    let backup = up.json(&["backup", to]);
    assert!(backup["blobs"] == 1 && backup["bytes"].as_u64() > Some(0), "{backup}");
    up.json(&["send", "keeper", "--skill", "note", "--input", "after"]);
    let twice = up.call(&["backup", to, "--json"]);
    assert!(twice.code == 1 && twice.error().1.contains("not empty"), "{twice:?}");
    let (status, answer) = post(&up, "/v1/backup", &json!({ "folder": "relative" }));
    assert_eq!((status, &answer["error"]["kind"]), (400, &json!("bad-request")));

    // A damaged one is refused, and leaves nothing that could be taken for whole.
    let rows = std::fs::read(folder.path().join("backup/rows")).expect("it is there");
    let mut damaged = rows.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    std::fs::write(folder.path().join("backup/rows"), &damaged).expect("written");
    let refused = village(["restore", to, "--data", data_text, "--json"]);
    assert_eq!((refused.code, refused.error().0.as_str()), (1, "store"), "{refused:?}");
    std::fs::write(folder.path().join("backup/rows"), &rows).expect("written");
    let restored = village(["restore", to, "--data", data_text, "--json"]);
    assert_eq!(restored.code, 0, "{restored:?}");
    assert_eq!(village(["restore", to, "--data", data_text]).code, 1, "and not over what is there");
    let other = Up::again(folder, &[]);
    assert_eq!(lines(&other), ["before"]);
    assert_eq!(lines(&up), ["before", "after"], "the first one goes on");
    assert_ne!(other.token(), up.token());
    assert_eq!(get(&other, "/v1/agents/keeper").1["state"], "awake");
}
