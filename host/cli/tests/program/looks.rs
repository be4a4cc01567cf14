//! `village inspect`, `village doctor`, `village demo` and the help: looking before running.

use crate::harness::{guest, village};
use serde_json::json;
use std::process::Command;

#[test]
fn an_agent_is_inspected_with_its_card() {
    let object = village(["inspect", guest("echo"), "--json"]).json();
    assert_eq!((&object["kind"], &object["card"]["name"]), (&json!("agent"), &json!("echo")));
    let size = std::fs::metadata(guest("echo")).expect("a file").len();
    assert_eq!(object["size"], size);
    let has = |field: &str, one: &str| object[field].as_array().is_some_and(|all| all.iter().any(|it| it == one));
    assert!(has("exports", "village:agent/agent@0.1.0") && has("imports", "village:agent/log@0.1.0"));
    assert!(has("grants", "log") && has("grants", "state") && has("grants", "budget") && !has("grants", "files"));

    let text = village(["inspect", guest("echo")]).out;
    for word in ["kind", "agent", "sha256:", "village:agent/agent@0.1.0", "echo 0.1.0", "skill sum"] {
        assert!(text.contains(word), "`{word}` in {text}");
    }
}

#[test]
fn an_agent_that_can_not_say_what_it_is_can_be_inspected_without_running() {
    let ran = village(["inspect", guest("trap-describe"), "--json"]);
    assert_eq!((ran.code, ran.error().0.as_str()), (1, "trap"));
    let ran = village(["inspect", guest("trap-describe"), "--no-run", "--json"]);
    assert_eq!((ran.code, &ran.json()["kind"]), (0, &json!("agent")));
}

#[test]
fn a_command_is_inspected_without_being_run() {
    let object = village(["inspect", guest("command"), "--json"]).json();
    assert_eq!((&object["kind"], &object["card"]), (&json!("command"), &json!(null)));
}

#[test]
fn doctor_looks_at_everything_and_says_what_to_do() {
    let ran = village(["doctor", "--json"]);
    let object = ran.json();
    let checks = object["checks"].as_array().expect("a list");
    let names: Vec<_> = checks.iter().filter_map(|check| check["name"].as_str()).collect();
    for name in [
        "cargo",
        "wasm32-wasip2",
        "host",
        "open files",
        "memory mappings",
        "address space",
        "cores",
        "memory",
        "vulkan",
    ] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    // Where these tests run, guests were built.
    assert_eq!((ran.code, &object["well"]), (0, &json!(true)), "{object}");
    assert!(checks.iter().all(|check| check["found"] == true || check["fix"] != ""), "{object}");
    let text = village(["doctor"]).out;
    assert!(text.contains("room for") && text.ends_with("All that is needed is there.\n"), "{text}");
}

#[cfg(unix)]
#[test]
fn doctor_says_what_is_wrong_with_the_cache() {
    use std::os::unix::fs::PermissionsExt;
    let cache = tempfile::tempdir().expect("a folder");
    std::fs::set_permissions(cache.path(), std::fs::Permissions::from_mode(0o755)).expect("set");
    let ran = crate::harness::cached(cache.path(), "", ["doctor"]);
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("missing  host") && ran.out.contains("→ set VILLAGE_CACHE"), "{}", ran.out);
}

#[test]
fn the_demo_shows_that_each_is_held_and_that_nothing_is_lost_in_a_swap_or_between_villages() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_village"));
    // Anywhere: everything that it needs is in the program.
    let folder = tempfile::tempdir().expect("a folder");
    program.args(["demo", "--json"]).current_dir(folder.path());
    program.env("VILLAGE_CACHE", std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("native"));
    let output = program.output().expect("the program ends");
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let agents = object["agents"].as_array().expect("a list");
    let names: Vec<_> = agents.iter().filter_map(|agent| agent["agent"].as_str()).collect();
    let honest = ["navigator", "curator", "polyglot"];
    let hostile = ["spinner", "latecomer", "hog", "curious"];
    assert_eq!(names, [&honest[..], &hostile[..], &["apprentice", "messenger"]].concat());
    let swap = &agents[7]["figures"];
    assert!(swap["asked"].as_u64() > Some(20) && swap["lost"] == 0 && swap["pause_ms"].is_f64(), "{swap}");
    let over = &agents[8]["figures"];
    assert!(
        over["answered"] == 20 && over["arrived"] == 5 && over["once"] == true && over["p50_ms"].is_f64(),
        "{over}"
    );
    assert_eq!((output.status.code(), &object["held"]), (Some(0), &json!(true)), "{object}");
}

#[test]
fn the_help_goes_to_the_standard_output() {
    for arguments in [
        &["--help"][..],
        &["run", "--help"],
        &["new", "--help"],
        &["build", "--help"],
        &["test", "--help"],
        &["inspect", "--help"],
        &["demo", "--help"],
        &["merge", "--help"],
        &["quantize", "--help"],
        &["tensors", "--help"],
        &["--version"],
    ] {
        let ran = village(arguments);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{arguments:?}");
        assert!(!ran.out.is_empty());
    }
    let help = village(["run", "--help"]).out;
    assert!(help.contains("memory=64MiB") && help.contains("files=HOST:GUEST:ro"), "{help}");
}
