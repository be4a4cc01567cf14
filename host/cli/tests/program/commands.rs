//! `village run` of a command: arguments, streams, files and its exit code.

use crate::harness::{given, guest, village};
use serde_json::json;

#[test]
fn a_command_gets_arguments_and_input_and_its_output_is_ours() {
    let ran = given("quiet", ["run", guest("command"), "--", "--loud", "--json"]);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, "--loud --json\nQUIET", ""));
    let ran = given("unread", ["run", guest("command"), "--input", "instead", "--", "--a"]);
    assert_eq!(ran.out, "--a\nINSTEAD");
}

#[test]
fn an_exit_code_is_in_the_json_and_makes_ours() {
    for (code, ours) in [("0", 0), ("7", 1)] {
        let ran = village(["run", guest("command"), "--", "--exit", code]);
        assert_eq!((ran.code, ran.err.as_str()), (ours, ""), "it speaks for itself");
        let ran = village(["run", guest("command"), "--json", "--", "--exit", code]);
        let object = ran.json();
        assert_eq!((ran.code, &object["exit"]), (ours, &json!(ours)));
        assert_eq!(object["stdout"], format!("--exit {code}\n"));
        assert!(object["usage"]["cpu_ms"].as_f64().is_some_and(|ms| ms > 0.0));
    }
}

#[test]
fn a_file_is_there_only_under_a_granted_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("today.txt"), "what is to be done").expect("written");
    let grant = format!("files={}:/notes:ro", folder.path().display());
    let ran = village(["run", guest("command"), "--grant", &grant, "--", "/notes/today.txt"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "/notes/today.txt\nwhat is to be done"));

    let ran = village(["run", guest("command"), "--", "/notes/today.txt"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.starts_with("command: "), "it says so itself: {}", ran.err);
    let outside = format!("/notes/../{}/today.txt", folder.path().display());
    let ran = village(["run", guest("command"), "--grant", &grant, "--", &outside]);
    assert_eq!((ran.code, ran.out.contains("done")), (1, false));
}

#[test]
fn memory_that_is_refused_is_for_the_command_to_cope_with() {
    let input = "x".repeat(1 << 20);
    let object = given(&input, ["run", guest("command"), "--budget", "memory=2MiB", "--json", "--", "--big"]).json();
    assert_eq!((&object["exit"], &object["stderr"]), (&json!(1), &json!("command: out of memory\n")));
    assert!(object["usage"]["memory_peak_bytes"].as_u64().is_some_and(|peak| peak <= 2 << 20), "{object}");
}

#[test]
fn a_command_that_waits_for_input_is_stopped_at_its_deadline_and_what_it_said_is_kept() {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_village"))
        .args(["run", guest("command"), "--budget", "deadline=300ms", "--json", "--", "--first"])
        .env("VILLAGE_CACHE", std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("native"))
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("the program starts");
    // Held open, and nothing comes.
    let stdin = child.stdin.take();
    let output = child.wait_with_output().expect("the program ends");
    drop(stdin);
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!((output.status.code(), &object["error"]["kind"]), (Some(1), &json!("deadline")));
    assert_eq!(object["stdout"], "--first\n");
}
