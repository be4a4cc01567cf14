//! Replicas of an agent of a running village: scaled, shown, kept, refused.

use super::{JSON, Up, asked, get};
use crate::harness::guest;
use serde_json::json;
use std::process::Command;

fn deploy(up: &Up, component: &str, more: &str) -> crate::harness::Ran {
    let folder = tempfile::tempdir().expect("a folder");
    let text = format!("[agent]\nname = \"keeper\"\ncomponent = \"{component}\"\n\n[grants]\nstate = true\n{more}");
    let path = folder.path().join("agent.toml");
    std::fs::write(&path, text).expect("it is written");
    up.call(&["deploy", path.to_str().expect("plain characters")])
}

#[test]
fn replicas_are_scaled_shown_and_kept_and_what_can_not_be_is_refused() {
    let up = Up::start(&[]);
    let wrong = deploy(&up, guest("clerk"), "\n[replicas]\nmax = 17\n");
    assert!(wrong.code == 1 && wrong.err.contains("agent.toml:9: replicas: `max` = 17 is not"), "{wrong:?}");
    let memory = deploy(&up, guest("tally"), "\n[replicas]\nmin = 2\n");
    assert!(memory.code == 1 && memory.err.contains("keeps memory between its turns"), "{memory:?}");
    let good = deploy(&up, guest("clerk"), "\n[replicas]\nmin = 2\nmax = 4\n");
    assert_eq!(good.code, 0, "{good:?}");
    let wanted = |up: &Up| {
        let replicas = up.json(&["scale", "keeper"])["replicas"].clone();
        (replicas["min"].clone(), replicas["max"].clone())
    };
    assert_eq!(wanted(&up), (json!(2), json!(4)));

    up.json(&["scale", "keeper", "3"]);
    up.json(&["send", "keeper", "--skill", "note", "--input", "one"]);
    assert!(up.call(&["ps", "keeper"]).out.contains("serving, 3 to 3 wanted"));
    assert!(up.call(&["audit"]).out.contains("operator scaled keeper"), "the journal says it");
    let swap = up.call(&["swap", "keeper", guest("echo"), "--memory", "cold", "--fewer-skills"]);
    assert!(swap.code == 1 && swap.err.contains("scale it to 1 first"), "{swap:?}");

    // Also after a kill.
    let killed = Command::new("kill").args(["-9", &up.child.id().to_string()]).status().expect("kill is there");
    assert!(killed.success());
    let (_, _, folder) = up.ended();
    let up = Up::again(folder, &[]);
    assert_eq!(wanted(&up), (json!(3), json!(3)));
    up.json(&["send", "keeper", "--skill", "note", "--input", "two"]);
    assert_eq!(up.json(&["send", "keeper", "--skill", "lines"])["reply"]["body"], json!(["one", "two"]));

    let path = "/v1/agents/keeper/replicas";
    for (body, said) in
        [("{\"min\": 0}", "not a whole number between 1 and 16"), ("{\"min\": 3, \"max\": 2}", "is above")]
    {
        let (status, answer) = asked(&up, "PUT", path, JSON, body.as_bytes());
        assert!(status == 400 && answer.to_string().contains(said), "{status} {answer}");
    }
    for call in
        [&["scale", "keeper", "0"][..], &["scale", "keeper", "17"], &["scale", "keeper", "--min", "3", "--max", "2"]]
    {
        let refused = up.call(call);
        assert!(refused.code == 2 && refused.err.contains("replicas: `"), "{refused:?}");
    }
    let (status, answer) = asked(&up, "PUT", path, JSON, b"{\"min\": 1}");
    assert!(status == 200 && answer["replicas"]["max"] == 1, "{status} {answer}");
    assert_eq!(get(&up, "/v1/agents/keeper").1["replicas"]["min"], 1);
    up.json(&["stop", "keeper"]);
    let stopped = up.call(&["scale", "keeper", "2"]);
    assert!(stopped.code == 1 && stopped.err.contains("is stopped"), "{stopped:?}");
}
