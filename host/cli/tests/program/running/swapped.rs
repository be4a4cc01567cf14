//! Another version of an agent while it runs: by hand, and at each save.

use super::{Up, command};
use crate::authoring::{folder, project, text, write};
use crate::harness::guest;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

fn ask(up: &Up, skill: &str) -> Value {
    up.json(&["send", "tally", "--skill", skill])["reply"]["body"].clone()
}

fn places(up: &Up) -> Vec<String> {
    let versions = up.json(&["versions", "tally"])["versions"].clone();
    versions.as_array().expect("a list").iter().map(|version| version["place"].as_str().expect("text").into()).collect()
}

#[test]
fn a_version_takes_over_with_what_the_old_one_had_and_goes_back() {
    let up = Up::start(&[]);
    up.json(&["deploy", guest("tally"), "--name", "tally", "--grant", "state"]);
    for _ in 0..3 {
        ask(&up, "count");
    }
    let old = ask(&up, "which");
    let swapped = up.json(&["swap", "tally", guest("tally-next")]);
    let steps = swapped["steps"].as_array().expect("a list");
    let names: Vec<_> = steps.iter().map(|step| step["step"].as_str().expect("text")).collect();
    assert_eq!((names.first(), names.last()), (Some(&"staged"), Some(&"live")), "{swapped}");
    let live = &steps[steps.len() - 1]["details"];
    assert!(live["memory"] == "restored" && live["pause_us"].as_u64().is_some(), "{live}");
    assert_ne!(ask(&up, "which"), old);
    assert_eq!(ask(&up, "count").to_string().trim_matches('"'), "4", "its memory was handed over");
    assert_eq!(places(&up), ["live", "before"]);

    // What can't take over leaves everything as it is.
    let refused = up.call(&["swap", "tally", guest("tally-fewer"), "--json"]);
    assert_eq!((refused.code, refused.error().0.as_str()), (1, "skills"), "{refused:?}");
    let same = up.call(&["swap", "tally", guest("tally-next"), "--json"]);
    assert_eq!(same.error().0, "same-version");
    let wrong = up.call(&["swap", "tally", guest("tally"), "--canary", "many"]);
    assert!(wrong.code == 2 && wrong.err.contains("--canary"), "{wrong:?}");
    let nobody = up.call(&["swap", "nobody", guest("tally")]);
    assert!(nobody.code == 1 && nobody.err.contains("unknown-agent"), "{nobody:?}");
    assert_eq!(ask(&up, "count").to_string().trim_matches('"'), "5");

    // It is kept which version serves, and which served before: also after a kill.
    let audit = up.call(&["audit", "--agent", "tally"]).out;
    assert!(audit.contains("swap-live") && audit.contains("swap-refused"), "{audit}");
    let next = ask(&up, "which");
    let killed = Command::new("kill").args(["-9", &up.child.id().to_string()]).status().expect("kill is there");
    assert!(killed.success());
    let (_, _, folder) = up.ended();
    let up = Up::again(folder, &[]);
    assert_eq!((ask(&up, "which"), places(&up)), (next, vec!["live".to_string(), "before".to_string()]));
    let back = up.call(&["rollback", "tally"]);
    assert!(back.code == 0 && back.out.starts_with("live, after a pause of "), "{back:?}");
    assert_eq!((ask(&up, "which"), places(&up)), (old, vec!["live".to_string()]));
    let nothing = up.call(&["rollback", "tally", "--json"]);
    assert!(nothing.code == 1, "{nothing:?}");
}

#[test]
fn a_canary_that_fails_too_often_is_taken_back() {
    let up = Up::start(&[]);
    up.json(&["deploy", guest("tally"), "--name", "tally", "--grant", "state"]);
    let old = ask(&up, "which");
    let swap = up.begin(&[
        "swap",
        "tally",
        guest("tally-failing"),
        "--canary",
        "100%",
        "--for",
        "20",
        "--max-failures",
        "10%",
        "--within",
        "60s",
    ]);
    up.until("the trial", |_| {
        let versions = up.json(&["versions", "tally"])["versions"].clone();
        versions[0]["place"] == "coming"
    });
    let mut ended = None;
    let mut swap = swap;
    for _ in 0..200 {
        drop(up.call(&["send", "tally", "--skill", "count", "--fast"]));
        ended = swap.try_wait().expect("it can be asked");
        if ended.is_some() {
            break;
        }
    }
    let output = swap.wait_with_output().expect("it ends");
    let said: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        (ended.and_then(|status| status.code()), &said["error"]["kind"]),
        (Some(1), &json!("failures")),
        "{said}"
    );
    assert_eq!((ask(&up, "which"), places(&up)), (old, vec!["live".to_string()]));
}

#[test]
fn each_save_is_swapped_in_and_what_does_not_compile_is_not() {
    let within = folder();
    let project = project(&within, "greeter");
    let good = std::fs::read_to_string(project.join("src/lib.rs")).expect("a source");
    let mut child = command(&["dev", text(&project), "--json", "--skill", "greet", "--input", r#"{"name":"Ada"}"#])
        .stdin(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let (tell, said) = std::sync::mpsc::channel::<Value>();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let _ = tell.send(serde_json::from_str(&line).expect("JSON"));
        }
    });
    let next = |what: &str| loop {
        let line = said.recv_timeout(Duration::from_secs(300)).unwrap_or_else(|_| panic!("{what} never came"));
        if line.get(what).is_some() {
            return line;
        }
    };
    assert_eq!(next("agent")["skills"], json!(["greet"]));
    assert_eq!(next("reply")["reply"]["body"], json!({ "text": "Hello, Ada!", "times": 1 }));

    // A save is built and takes over, with the state that was there.
    write(&project, "src/lib.rs", good.replace("Hello, {}!", "Good day, {}!"));
    assert_eq!(next("step")["step"], "live");
    assert_eq!(next("reply")["reply"]["body"], json!({ "text": "Good day, Ada!", "times": 2 }));

    // One that does not compile is told, and the version before answers.
    write(&project, "src/lib.rs", good.replace("text: format!(\"Hello, {}!\", ask.name)", "text: 5"));
    let error = next("error")["error"].clone();
    assert_eq!(error["kind"], "build");
    assert!(error["message"].as_str().is_some_and(|said| said.contains("mismatched types")), "{error}");
    let input = child.stdin.as_mut().expect("a pipe");
    writeln!(input, "greet {{\"name\":\"Bob\"}}").expect("it reads");
    assert_eq!(next("reply")["reply"]["body"]["text"], "Good day, Bob!");
    write(&project, "src/lib.rs", good.replace("Hello, {}!", "Bye, {}!"));
    assert_eq!(next("step")["step"], "live");
    assert_eq!(next("reply")["reply"]["body"], json!({ "text": "Bye, Ada!", "times": 3 }));

    // What its manifest says anew is done and told, part by part, and it goes on with what it keeps.
    let manifest = std::fs::read_to_string(project.join("agent.toml")).expect("a manifest");
    let turned = manifest.replace("memory = \"16MiB\"", "memory = \"20MiB\"") + "\n[turns]\nattempts = 3\n";
    write(&project, "agent.toml", turned.replace("log = true", "clock = true"));
    let renewed = |table: &str, field: &str, before: &str, now: &str| {
        let line = next("renewed");
        let said = &line["renewed"];
        let all =
            [&said["table"], &said["field"], &said["before"], &said["now"]].map(|one| one.as_str().expect("text"));
        assert_eq!(all, [table, field, before, now]);
        assert!(line["text"].as_str().is_some_and(|text| text.starts_with("agent.toml: [")), "{line}");
    };
    renewed("budget", "memory", "16MiB", "20MiB");
    renewed("turns", "attempts", "5", "3");
    renewed("grants", "clock", "shut", "open");
    renewed("grants", "log", "open", "shut");
    assert_eq!(next("reply")["reply"]["body"], json!({ "text": "Bye, Ada!", "times": 4 }));
    write(&project, "agent.toml", turned.replace("attempts", "atempts"));
    let error = next("error")["error"].clone();
    assert!(error["message"].as_str().is_some_and(|said| said.contains("did you mean `attempts`?")), "{error}");
    // Several instances serve it, and it is swapped all the same.
    write(&project, "agent.toml", turned.clone() + "\n[replicas]\nmin = 2\n");
    assert_eq!(next("renewed")["renewed"]["table"], "replicas");
    write(&project, "src/lib.rs", good.replace("Hello, {}!", "Late, {}!"));
    assert_eq!(next("step")["step"], "live");
    assert_eq!(next("reply")["reply"]["body"]["text"], "Late, Ada!");
    let ended = Command::new("kill").arg(child.id().to_string()).status().expect("kill is there");
    assert!(ended.success() && child.wait().expect("it ends").success());
}
