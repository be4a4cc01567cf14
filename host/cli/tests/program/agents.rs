//! `village run` of an agent: its reply, its log, its budget, and how it breaks.

use crate::harness::{cached, checkout, given, guest, village};
use serde_json::{Value, json};
use std::path::Path;

/// Calls a skill of a guest that is to break, and answers the error object.
fn broken(name: &str, options: &[&str]) -> Value {
    let arguments = ["run", guest(name)].into_iter().chain(options.iter().copied()).chain(["--json"]);
    let ran = village(arguments);
    assert_eq!(ran.code, 1, "{ran:?}");
    ran.json()
}

fn budget<'a>(object: &'a Value, field: &str) -> &'a Value {
    let fields = object["budget"].as_array().expect("a list");
    fields.iter().find(|one| one["field"] == field).expect("every field is there")
}

#[test]
fn a_reply_goes_to_the_standard_output_as_it_is() {
    let ran = village(["run", guest("echo"), "--input", "hello"]);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, "hello", ""));
}

#[test]
fn the_input_comes_from_the_command_line_a_file_or_the_standard_input() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("question");
    std::fs::write(&path, "from a file").expect("written");
    let at = format!("@{}", path.display());
    assert_eq!(village(["run", guest("echo"), "--input", &at]).out, "from a file");
    assert_eq!(given("piped", ["run", guest("echo"), "--input", "-"]).out, "piped");
    assert_eq!(given("piped", ["run", guest("echo")]).out, "", "without --input it is not read");
    assert_eq!(village(["run", guest("echo"), "--input=-5"]).out, "-5");
}

#[test]
fn json_has_the_reply_the_log_and_what_was_used() {
    let object = village(["run", guest("echo"), "--input", r#"{"a": [1]}"#, "--json"]).json();
    assert_eq!(object["reply"], json!({ "content-type": "application/json", "body": { "a": [1] } }));
    assert_eq!(object["agent"], json!({ "name": "echo", "version": "0.1.0" }));
    assert!(object["digest"].as_str().is_some_and(|digest| digest.starts_with("sha256:")));
    assert!(object["usage"]["memory_peak_bytes"].as_u64().is_some_and(|bytes| bytes > 64 << 10));
    assert!(object["usage"]["wall_ms"].as_f64() >= object["usage"]["cpu_ms"].as_f64());
    assert!(object.get("error").is_none());
}

#[test]
fn a_body_that_is_no_text_is_in_base64() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bytes");
    std::fs::write(&path, [0xff, 0xfe, 0xfd]).expect("written");
    let object = village(["run", guest("echo"), "--input", &format!("@{}", path.display()), "--json"]).json();
    assert_eq!(object["reply"], json!({ "content-type": "application/octet-stream", "body-base64": "//79" }));
}

#[test]
fn a_log_is_shown_apart_from_the_reply() {
    let arguments = ["run", guest("echo"), "--skill", "log", "--input", "noted", "--grant", "log"];
    let ran = village(arguments);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("noted", "info  noted\n"));
    let object = village(arguments.iter().chain(&["--json"])).json();
    assert_eq!(object["log"], json!([{ "level": "info", "text": "noted" }]));
}

#[test]
fn a_log_can_not_command_the_terminal() {
    let ran = village(["run", guest("echo"), "--skill", "log", "--input", "a\u{1b}[2Jb\nc", "--grant", "log"]);
    assert_eq!(ran.err, "info  a\\u{1b}[2Jb\\nc\n");
}

#[test]
fn a_budget_on_the_command_line_is_the_agents() {
    let arguments = ["--budget", "cpu=12%,burst=70ms,deadline=7s", "--budget", "memory=9MiB,storage=3MiB,log=5KiB/s"];
    let object = village(["run", guest("echo"), "--json"].iter().chain(&arguments)).json();
    for (field, limit) in [
        ("cpu", "12%"),
        ("burst", "70ms"),
        ("deadline", "7s"),
        ("memory", "9MiB"),
        ("storage", "3MiB"),
        ("log", "5KiB/s"),
    ] {
        assert_eq!(budget(&object, field)["limit"], limit, "{field}");
    }
}

#[test]
fn what_breaks_a_budget_is_named() {
    let memory = broken("memory", &["--skill", "abort", "--budget", "memory=8MiB"]);
    assert_eq!(memory["error"]["kind"], "memory");
    assert!(memory["usage"]["memory_peak_bytes"].as_u64().is_some_and(|peak| peak <= 8 << 20), "{memory}");

    let late = broken("cpu", &["--skill", "spin", "--budget", "deadline=300ms"]);
    assert_eq!(late["error"]["kind"], "deadline");
    assert!(late["usage"]["wall_ms"].as_f64().is_some_and(|wall| (300.0..5_000.0).contains(&wall)), "{late}");
    assert_eq!(budget(&late, "deadline")["limit"], "300ms");

    let started = broken("start-loop", &["--budget", "deadline=200ms"]);
    assert_eq!(started["error"]["kind"], "deadline");
}

#[test]
fn what_is_not_granted_is_denied_and_says_how_to_grant_it() {
    let denied = broken("world", &["--skill", "now"]);
    assert_eq!(denied["error"]["kind"], "denied");
    assert!(denied["error"]["message"].as_str().is_some_and(|text| text.contains("--grant clock")));
    assert_eq!(village(["run", guest("world"), "--skill", "now", "--grant", "clock"]).code, 0);
}

#[test]
fn an_environment_variable_is_seen_only_if_it_is_granted() {
    let arguments = ["run", guest("world"), "--skill", "env", "--input", "VILLAGE_TEST"];
    assert!(village(arguments).out.starts_with("error"));
    assert_eq!(village(arguments.iter().chain(&["--grant", "env=VILLAGE_TEST"])).out, "a value");
}

#[test]
fn a_trap_names_the_guests_frames() {
    let arguments = ["run", guest("world"), "--skill", "panic", "--input", "oh no"];
    let ran = village(arguments);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    let mut lines = ran.err.lines();
    let first = lines.next().expect("a line");
    assert!(first.starts_with("village: trap: ") && first.ends_with("oh no"), "{first}");
    assert!(lines.clone().all(|line| line.starts_with("    in ")), "{}", ran.err);
    assert!(lines.any(|line| line.contains("village:agent/agent@0.1.0#handle")), "{}", ran.err);

    let trapped = broken("world", &arguments[2..]);
    let frames = trapped["error"]["details"]["frames"].as_array().expect("frames");
    assert!(frames.iter().any(|frame| frame == "core::panicking::panic_fmt"), "{frames:?}");
    assert_eq!(broken("trap-describe", &[])["error"]["kind"], "trap");
}

#[test]
fn an_agent_that_says_no_is_exit_1_with_its_own_kind() {
    let refused = broken("echo", &["--skill", "fail", "--input", "refused not today"]);
    assert_eq!(refused["error"], json!({ "kind": "refused", "message": "not today" }));
    assert_eq!(broken("echo", &["--skill", "nonsense"])["error"]["kind"], "unsupported");
    let ran = village(["run", guest("echo"), "--skill", "fail", "--input", "invalid "]);
    assert_eq!(ran.err, "village: invalid: the agent did not say why\n");
}

#[test]
fn a_manifest_beside_the_component_is_used_and_the_command_line_goes_before_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let component = folder.path().join("mine.wasm");
    std::fs::copy(guest("echo"), &component).expect("copied");
    let manifest = "[agent]\nname = \"mine\"\ncomponent = \"mine.wasm\"\n[budget]\ncpu = \"11%\"\nmemory = \"9MiB\"\n[grants]\nlog = true\n";
    std::fs::write(folder.path().join("agent.toml"), manifest).expect("written");
    let other = folder.path().join("other.wasm");
    std::fs::copy(guest("echo"), &other).expect("copied");
    let run = |file: &Path, options: &[&str]| {
        let file = file.to_str().expect("plain");
        village(["run", file, "--skill", "log", "--input", "x"].iter().chain(options))
    };
    for file in [component.as_path(), folder.path(), &folder.path().join("agent.toml")] {
        let object = run(file, &["--json", "--budget", "memory=10MiB"]).json();
        assert_eq!(object["reply"]["body"], "x", "the log is granted");
        assert_eq!(
            (&budget(&object, "cpu")["limit"], &budget(&object, "memory")["limit"]),
            (&json!("11%"), &json!("10MiB"))
        );
    }
    let said = run(&component, &[]).err;
    assert!(said.lines().next().is_some_and(|line| line.contains("agent.toml")), "{said}");

    let object = run(&other, &["--json"]).json();
    assert_eq!(budget(&object, "cpu")["limit"], "25%", "it is not the manifest's component");
    let object =
        run(&other, &["--json", "--manifest", folder.path().join("agent.toml").to_str().expect("plain")]).json();
    assert_eq!(budget(&object, "cpu")["limit"], "11%", "unless it is said");
}

#[test]
fn an_agent_is_found_where_cargo_puts_it() {
    let plugins = checkout().join("plugins");
    toolchain::build(&plugins, toolchain::Wanted::Packages(&["navigator"]), toolchain::Progress::Kept)
        .expect("it is built");
    let question = r#"{"edges": [{"from": "a", "to": "b", "cost": 2}], "from": "a", "to": "b"}"#;
    let folder = plugins.join("navigator");
    let arguments = ["run", folder.to_str().expect("plain"), "--skill", "shortest-path", "--input", question, "--json"];
    assert_eq!(village(arguments).json()["reply"]["body"]["cost"], 2.0);
}

#[test]
fn a_version_is_compiled_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("native");
    let run = || assert_eq!(cached(&cache, "", ["run", guest("echo"), "--input", "x"]).out, "x");
    // A compilation puts a new file in place of the old one, later than it.
    let kept = || -> Vec<_> {
        let files = std::fs::read_dir(&cache).expect("a folder").flatten();
        let native = files.filter(|file| file.file_name().to_string_lossy().ends_with(".native"));
        native.map(|file| (file.path(), file.metadata().and_then(|about| about.modified()).expect("a time"))).collect()
    };
    run();
    let first = kept();
    assert_eq!(first.len(), 1);
    run();
    assert_eq!(kept(), first);
    std::fs::write(&first[0].0, b"damaged").expect("written");
    run();
    assert!(kept()[0].1 > first[0].1, "what is damaged is compiled anew");
}

/// A folder with an agent of that name, of the guest `family`, with these grants.
fn family(name: &str, grants: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::copy(guest("family"), folder.path().join("family.wasm")).expect("copied");
    let text = format!("[agent]\nname = \"{name}\"\ncomponent = \"family.wasm\"\n[grants]\n{grants}\n");
    std::fs::write(folder.path().join("agent.toml"), text).expect("written");
    folder
}

#[test]
fn an_agent_beside_it_can_be_asked() {
    let (one, two) = (family("one", "agents = [\"two\"]"), family("two", ""));
    let [one, two] = [&one, &two].map(|folder| folder.path().to_str().expect("plain characters"));
    let ask = ["run", one, "--skill", "ask", "--input", "two who"];
    assert_eq!(village(ask.into_iter().chain(["--beside", two])).out, "agent one");
    assert_eq!(village(ask).out, "error: not-found there is no agent `two`");
    let taken = village(ask.into_iter().chain(["--beside", one, "--json"]));
    assert_eq!(taken.error(), ("taken".into(), "there is an agent `one` already".into()));
    let nameless = village(ask.into_iter().chain(["--beside", guest("family")]));
    assert_eq!(nameless.code, 2, "{nameless:?}");
    assert!(nameless.err.contains("needs a name"), "{nameless:?}");
}

#[test]
fn parts_of_a_reply_are_written_as_they_come() {
    let emit = ["run", guest("family"), "--skill", "emit", "--input", "a b"];
    assert_eq!(village(emit).out, "a b");
    assert_eq!(village(emit.into_iter().chain(["--stream"])).out, "aba b");
    let object = village(emit.into_iter().chain(["--stream", "--json"])).json();
    assert_eq!((&object["parts"], &object["reply"]["body"]), (&json!(["a", "b"]), &json!("a b")));
}
