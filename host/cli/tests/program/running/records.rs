//! What is kept of turns, for how long, and how it is looked at again.

use super::{Up, get, post};
use crate::harness::{guest, village};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// An agent of a folder of its own, whose `agent.toml` ends with this.
fn manifest(folder: &Path, component: &str, more: &str) -> String {
    std::fs::create_dir_all(folder).expect("a folder");
    let text = format!("[agent]\nname = \"keeper\"\ncomponent = \"{component}\"\n\n[grants]\nstate = true\n\n{more}");
    let path = folder.join("agent.toml");
    std::fs::write(&path, text).expect("it is written");
    path.to_str().expect("plain characters").into()
}

fn killed(up: Up) -> Up {
    let killed = Command::new("kill").args(["-9", &up.child.id().to_string()]).status().expect("kill is there");
    assert!(killed.success());
    let (_, _, folder) = up.ended();
    Up::again(folder, &[])
}

fn turns(up: &Up) -> Value {
    up.json(&["turns", "keeper"])["turns"].clone()
}

#[test]
fn how_turns_are_tried_is_in_the_manifest_and_changes_with_a_swap() {
    let up = Up::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let first = manifest(folder.path(), guest("clerk"), "[turns]\nattempts = 2\nrecord = true\nidle = \"10s\"\n");
    up.json(&["deploy", &first]);
    assert_eq!(
        (&turns(&up)["attempts"], &turns(&up)["record"], &turns(&up)["faults"]),
        (&json!("2"), &json!("true"), &json!("10"))
    );
    assert!(up.call(&["ps", "keeper"]).out.contains("attempts=2 backoff=100ms"));
    assert_eq!(get(&up, "/v1/agents/keeper").1["turns"][6], json!(["idle", "10s"]));
    up.json(&["turns", "keeper", "attempts=3,backoff=1ms"]);
    up.json(&["send", "keeper", "--skill", "note", "--input", "one"]);

    // Also after a kill; and another version brings its own.
    let up = killed(up);
    assert_eq!((&turns(&up)["attempts"], &turns(&up)["backoff"]), (&json!("3"), &json!("1ms")));
    let second = manifest(&folder.path().join("next"), guest("echo"), "[turns]\nattempts = 4\n");
    up.json(&["swap", "keeper", &second, "--memory", "cold", "--fewer-skills"]);
    let all = turns(&up);
    assert_eq!((&all["attempts"], &all["record"], &all["backoff"]), (&json!("4"), &json!("false"), &json!("100ms")));
    assert!(up.call(&["audit"]).out.contains("operator turns keeper"), "the journal says it");
    up.json(&["rm", "keeper"]);
    up.json(&["deploy", guest("clerk"), "--name", "keeper"]);
    assert_eq!(turns(&up)["attempts"], "5", "one that is deployed anew has nothing of it");

    // What is wrong is said where it stands.
    let bad = manifest(&folder.path().join("bad"), guest("clerk"), "[turns]\nattemps = 4\n");
    let refused = up.call(&["deploy", &bad, "--name", "bad"]);
    assert!(refused.code == 1 && refused.err.contains("agent.toml:9: unknown turns field `attemps`"), "{refused:?}");
    let wrong = up.call(&["turns", "keeper", "attempts=0"]);
    assert!(wrong.code == 2 && wrong.err.contains("is not between 1 and 1000"), "{wrong:?}");
    let (status, said) = (400, "is longer than `longest-backoff`");
    let (found, answer) = super::asked(&up, "PATCH", "/v1/agents/keeper/turns", super::JSON, br#"{"backoff": "50m"}"#);
    assert!(found == status && answer.to_string().contains(said), "{found} {answer}");
}

#[test]
fn a_recorded_turn_is_run_again_and_what_can_not_be_is_said() {
    let up = Up::start(&[]);
    up.json(&["deploy", guest("clerk"), "--name", "keeper", "--grant", "state"]);
    let plain = up.json(&["send", "keeper", "--skill", "note", "--input", "one"])["id"].clone();
    up.json(&["turns", "keeper", "record=true"]);
    let id = up.json(&["send", "keeper", "--skill", "note", "--input", "two"])["id"].clone();
    let (plain, id) = (plain.as_str().expect("an id"), id.as_str().expect("an id"));
    let entries = up.json(&["audit", "--agent", "keeper"])["entries"].clone();
    let last = entries.as_array().and_then(|all| all.iter().rev().find(|entry| entry["what"] == "turn"));
    let seq = last.expect("a turn")["seq"].to_string();
    // By its message, and by its number; also when the agent has gone on.
    up.json(&["send", "keeper", "--skill", "note", "--input", "three"]);
    for turn in [id, &seq] {
        let again = up.json(&["replay", turn]);
        assert_eq!(
            (&again["same"], &again["outcome"], &again["id"]),
            (&json!(true), &json!("2"), &json!(id)),
            "{again}"
        );
    }
    assert!(up.call(&["replay", id]).out.contains("the same, in "));
    let other = up.call(&["replay", id, "--attempt", "1", "--with", guest("echo")]);
    assert!(other.code == 1 && other.out.contains("differs: `lines` was changed then"), "{other:?}");
    let lines = up.json(&["send", "keeper", "--skill", "lines", "--input", "null"])["reply"]["body"].clone();
    assert_eq!(lines.as_array().map(Vec::len), Some(3), "nothing of it left: {lines}");

    let refused = |arguments: &[&str], kind: &str, said: &str| {
        let ran = up.call(&[&["replay"], arguments, &["--json"]].concat());
        let (found, message) = ran.error();
        assert!(ran.code == 1 && found == kind && message.contains(said), "{arguments:?}: {ran:?}");
    };
    refused(&[plain], "not-recorded", "village turns keeper record=true");
    refused(&["no-such-turn"], "unknown-turn", "no turn of such a message");
    refused(&["1"], "unknown-turn", "is no turn");
    refused(&[id, "--attempt", "2"], "unknown-turn", "there are 1");
    // The version that had it goes with its agent, a while later or with the next start.
    up.json(&["rm", "keeper"]);
    up.json(&["deploy", guest("echo"), "--name", "keeper", "--grant", "state"]);
    let up = killed(up);
    let gone = up.call(&["replay", id, "--json"]);
    assert_eq!((gone.code, gone.error().0.as_str()), (1, "unknown-component"), "{gone:?}");
    assert!(gone.error().1.contains("name another one, --with FILE"));
}

#[test]
fn a_key_and_a_number_are_known_also_after_a_kill() {
    let up = Up::start(&[]);
    up.json(&["deploy", guest("clerk"), "--name", "keeper", "--grant", "state"]);
    let note = ["send", "keeper", "--skill", "note", "--input", "once", "--key", "k", "--from", "ada"];
    let first = up.json(&note);
    let no = ["send", "keeper", "--skill", "refuse", "--key", "no", "--json"];
    assert_eq!(up.call(&no).error().0, "refused");
    let counted = |up: &Up, number: &str| {
        up.call(&[
            "send",
            "keeper",
            "--skill",
            "note",
            "--input",
            number,
            "--from",
            "eve",
            "--sequence",
            number,
            "--json",
        ])
    };
    assert_eq!(counted(&up, "7").code, 0);
    let up = killed(up);
    let again = up.json(&note);
    assert_eq!((&again["repeated"], &again["id"], &again["reply"]), (&json!(true), &first["id"], &first["reply"]));
    assert_eq!(up.call(&no).error(), ("refused".into(), "not I".into()), "an agent that says no says it once");
    let other = up.call(&["send", "keeper", "--skill", "note", "--input", "other", "--key", "k", "--json"]);
    assert_eq!(other.error().0, "conflict");
    for number in ["7", "3"] {
        let twice = counted(&up, number);
        assert!(
            twice.code == 1 && twice.error().0 == "duplicate" && twice.error().1.contains("the last is 7"),
            "{twice:?}"
        );
    }
    assert_eq!(counted(&up, "8").code, 0);
    let nameless = post(&up, "/v1/agents/keeper/messages", &json!({ "skill": "note", "text": "x", "sequence": 1 }));
    assert_eq!((nameless.0, &nameless.1["error"]["kind"]), (400, &json!("bad-request")));
    let lines = up.json(&["send", "keeper", "--skill", "lines", "--input", "null"])["reply"]["body"].clone();
    assert_eq!(lines, json!(["once", "7", "8"]), "each has had its effect once");
    assert_eq!(up.json(&["dead-letters"])["letters"], json!([]), "who waits is told");
    up.json(&["send", "keeper", "--skill", "refuse", "--no-wait"]);
    up.until("the dead letter", |_| up.json(&["dead-letters"])["letters"].as_array().is_some_and(|all| all.len() == 1));
}

#[test]
fn a_message_of_a_key_that_was_on_its_way_is_answered_when_it_has_ended() {
    let up = Up::start(&[]);
    up.json(&["deploy", "mischief", "--budget", "deadline=20s,cpu=100%"]);
    up.json(&["turns", "mischief", "attempts=2,backoff=1ms"]);
    let spin = ["send", "mischief", "--skill", "spin", "--key", "k", "--json"];
    let told = up.json(&["send", "mischief", "--skill", "spin", "--key", "k", "--no-wait"]);
    up.json(&["budget", "mischief", "deadline=50ms"]);
    let up = killed(up);
    let ended = up.call(&spin);
    assert!(ended.code == 1 && ended.error().1.contains("(deadline)"), "{ended:?}");
    let entries = up.json(&["audit", "--agent", "mischief"])["entries"].clone();
    let accepted = entries.as_array().expect("a list").iter().filter(|entry| entry["what"] == "accepted");
    let ids: Vec<_> = accepted.map(|entry| &entry["details"]["id"]).collect();
    assert_eq!(ids, [&told["id"]], "it was accepted once");
}

#[test]
fn the_journal_is_kept_short_and_what_went_is_verified() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("village.toml");
    std::fs::write(&config, "[journal]\nmost = 50\narchive = true\n").expect("it is written");
    let config = ["--config", config.to_str().expect("plain characters")];
    let up = Up::start(&config);
    up.json(&["deploy", guest("clerk"), "--name", "keeper", "--grant", "state"]);
    for number in 0..80 {
        let sent = post(&up, "/v1/agents/keeper/messages", &json!({ "skill": "note", "text": number.to_string() }));
        assert_eq!(sent.0, 200);
    }
    assert_eq!(up.json(&["audit", "--verify"])["after"], 0);
    up.end();
    let (_, _, data) = up.ended();
    let up = Up::again(data, &config);
    up.until("the cut", |_| up.json(&["audit", "--verify"])["archives"] == 1);
    let verified = up.json(&["audit", "--verify"]);
    assert!(verified["after"].as_u64() > Some(100) && verified["archived_from"] == 1, "{verified}");
    assert!(up.call(&["audit", "--verify"]).out.contains("whole from entry 1 to entry "));
    assert!(up.call(&["audit"]).out.contains("village journal-cut village"));
    let lines = up.json(&["send", "keeper", "--skill", "lines", "--input", "null"])["reply"]["body"].clone();
    assert_eq!(lines.as_array().map(Vec::len), Some(80));
    // An archive that was changed is found.
    let archives = up.data().join("archive");
    let archive = std::fs::read_dir(archives).expect("it is there").next().expect("one").expect("read").path();
    let mut bytes = std::fs::read(&archive).expect("it is read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&archive, bytes).expect("it is written");
    let changed = up.call(&["audit", "--verify", "--json"]);
    assert_eq!((changed.code, changed.error().0.as_str()), (1, "store"), "{changed:?}");
}

#[test]
fn what_messages_said_is_erased_and_the_chain_stays_whole() {
    let up = Up::start(&[]);
    up.json(&["deploy", guest("echo"), "--name", "keeper"]);
    up.json(&["turns", "keeper", "record=true,attempts=1"]);
    let words = "the secret of Ada Lovelace";
    let sent = up.json(&["send", "keeper", "--skill", "echo", "--input", words, "--key", "k"])["id"].clone();
    let id = sent.as_str().expect("an id");
    let kept = up.json(&["send", "keeper", "--skill", "echo", "--input", "nothing special"])["id"].clone();
    up.json(&["send", "keeper", "--skill", "no such skill", "--input", words, "--no-wait"]);
    up.until("the dead letter", |_| up.json(&["dead-letters"])["letters"].as_array().is_some_and(|all| all.len() == 1));

    let erased = up.json(&["erase", "--message", id]);
    assert_eq!(
        (&erased["entries"], &erased["answers"], &erased["letters"]),
        (&json!(2), &json!(1), &json!(0)),
        "{erased}"
    );
    assert_eq!(up.call(&["replay", id, "--json"]).error().0, "unknown-turn");
    assert_eq!(up.json(&["replay", kept.as_str().expect("an id")])["same"], true, "others are as they were");
    let erased = up.json(&["erase", "keeper"]);
    assert_eq!((&erased["entries"], &erased["letters"]), (&json!(4), &json!(1)), "{erased}");
    let verified = up.json(&["audit", "--verify"]);
    assert_eq!(verified["erased"], 6, "{verified}");
    assert_eq!(up.json(&["dead-letters"])["letters"], json!([]));
    assert!(up.call(&["audit"]).out.contains("operator erased keeper"));
    for (arguments, kind) in [
        (["erase", "keeper"], "bad-request"),
        (["erase", "nobody"], "unknown-agent"),
        (["erase", "--message=none"], "unknown-turn"),
    ] {
        let none = up.call(&[arguments.as_slice(), &["--json"]].concat());
        assert!(none.code == 1 && none.error().0 == kind, "{arguments:?}: {none:?}");
    }
    assert_eq!(village(["erase"]).code, 2);

    // What waits is not taken from an agent that runs.
    up.json(&["deploy", "mischief", "--budget", "deadline=20s,cpu=100%"]);
    up.json(&["send", "mischief", "--skill", "spin", "--no-wait"]);
    let runs = up.call(&["erase", "mischief", "--json"]);
    assert!(runs.code == 1 && runs.error().1.contains("village stop mischief"), "{runs:?}");
    up.json(&["stop", "mischief"]);
    assert_eq!(up.json(&["erase", "mischief"])["messages"], 1);
    up.json(&["audit", "--verify"]);
}

#[test]
fn a_message_for_later_comes_also_after_a_kill() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("village.toml");
    std::fs::write(&config, "[groups.few]\ncpu = \"50%\"\n").expect("it is written");
    let config = ["--config", config.to_str().expect("plain characters")];
    let up = Up::start(&config);
    up.json(&["deploy", guest("clerk"), "--name", "keeper", "--grant", "state"]);
    let later = ["send", "keeper", "--skill", "note", "--input", "later", "--after", "3s", "--key", "k"];
    let id = up.json(&later)["id"].clone();
    assert_eq!(up.json(&later)["id"], id, "the same key is the same message");
    let (status, answer) = post(&up, "/v1/agents/keeper/messages", &json!({ "skill": "note", "text": "at", "at": 1 }));
    assert_eq!(status, 202, "{answer}");
    up.json(&["budget", "--group", "few", "cpu=70%"]);
    let lines = |up: &Up| up.json(&["send", "keeper", "--skill", "lines", "--input", "null"])["reply"]["body"].clone();
    up.until("the first", |_| lines(&up) == json!(["at"]));
    let killed = Command::new("kill").args(["-9", &up.child.id().to_string()]).status().expect("kill is there");
    assert!(killed.success());
    let (_, _, data) = up.ended();
    let up = Up::again(data, &config);
    up.until("the message", |_| lines(&up) == json!(["at", "later"]));
    assert_eq!(up.json(&["budget", "few", "--group"])["limits"][0], json!(["cpu", "70%"]), "what was changed stays");
    for (body, said) in [
        (json!({ "after": "1s", "at": 5 }), "and not both"),
        (json!({ "after": "soon" }), "`soon` is not a length of time"),
        (json!({ "after": "9000d" }), "within a year"),
        (json!({ "after": "1s", "fast": true }), "nobody waits"),
    ] {
        let (status, answer) = post(&up, "/v1/agents/keeper/messages", &body);
        assert!(status == 400 && answer.to_string().contains(said), "{body}: {answer}");
    }
    let figures = get(&up, "/v1/village").1;
    assert!(figures["journal"].as_u64() > Some(5) && figures["swaps"]["live"] == 0, "{figures}");
    up.json(&["swap", "keeper", guest("echo"), "--memory", "cold", "--fewer-skills"]);
    let figures = get(&up, "/v1/village").1;
    assert!(figures["swaps"]["live"] == 1 && figures["swaps"]["most_pause_us"].as_u64() > Some(0), "{figures}");
}
