//! What can't be done is said in one clear line, and as JSON, with the right exit code.

use crate::harness::{Ran, guest, village};
use std::path::Path;
use tempfile::TempDir;

/// Calls the program for people and for programs: one line, one object, both of this kind and with these words.
fn refused(arguments: &[&str], code: i32, kind: &str, words: &[&str]) {
    let Ran { code: given, out, err } = village(arguments);
    assert_eq!((given, out.as_str()), (code, ""), "{arguments:?}: {err}");
    assert!(err.starts_with(&format!("village: {kind}: ")), "{err}");
    assert_eq!(err.lines().count(), 1, "{err}");

    let ran = village(arguments.iter().chain(&["--json"]));
    let (json_kind, message) = ran.error();
    assert_eq!((ran.code, json_kind.as_str()), (code, kind), "{arguments:?}");
    for word in words {
        assert!(err.contains(word), "`{word}` in {err}");
        assert!(message.contains(word), "`{word}` in {message}");
    }
}

fn file(folder: &TempDir, name: &str, bytes: impl AsRef<[u8]>) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("written");
    path.to_str().expect("a path of plain characters").into()
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

#[test]
fn a_file_that_is_no_component_is_named_for_what_it_is() {
    let folder = folder();
    let whole = std::fs::read(guest("echo")).expect("a component");
    let module = wat::parse_str("(module (func))").expect("text");
    for (name, bytes, word) in [
        ("truncated.wasm", &whole[..whole.len() / 2], "the file is truncated"),
        ("module.wasm", &module, "a core module"),
        ("empty.wasm", b"", "the file is empty"),
        ("script.wasm", b"#!/bin/sh\n", "it is not WebAssembly"),
        ("text.wasm", b"(component)", "WebAssembly text"),
    ] {
        let path = file(&folder, name, bytes);
        refused(&["run", &path], 1, "invalid-component", &[name, word]);
        refused(&["inspect", &path], 1, "invalid-component", &[name, word]);
    }
}

#[test]
fn a_component_of_another_world_is_told_all_that_does_not_fit() {
    let folder = folder();
    let text = r#"(component (import "acme:dice/roll@1.0.0" (instance)) (import "acme:cards/deal@2.0.0" (instance)))"#;
    let path = file(&folder, "other.wasm", wat::parse_str(text).expect("text"));
    let words = ["acme:dice/roll@1.0.0", "acme:cards/deal@2.0.0", "exports neither", "wasi:cli/run"];
    refused(&["run", &path], 1, "invalid-component", &words);

    let ran = village(["inspect", &path, "--json"]);
    assert_eq!((ran.code, ran.error().0.as_str()), (1, "invalid-component"));
    assert_eq!(ran.json()["imports"][1], "acme:cards/deal@2.0.0", "what it is can be seen all the same");
}

#[test]
fn a_bad_manifest_names_its_line() {
    let folder = folder();
    let manifest = "[agent]\nname = \"echo\"\ncomponent = \"echo.wasm\"\n\n[budget]\nmemmory = \"1MiB\"\n";
    let path = file(&folder, "agent.toml", manifest);
    let words = ["agent.toml:6: unknown budget field `memmory`, did you mean `memory`?"];
    for given in [path.as_str(), folder.path().to_str().expect("plain")] {
        refused(&["run", given], 1, "manifest", &words);
        refused(&["inspect", given], 1, "manifest", &words);
    }
    refused(&["run", guest("echo"), "--manifest", &path], 1, "manifest", &words);
}

#[test]
fn a_bad_manifest_beside_a_component_is_not_passed_over() {
    let folder = folder();
    std::fs::copy(guest("echo"), folder.path().join("echo.wasm")).expect("copied");
    let component = folder.path().join("echo.wasm").to_str().expect("plain").to_string();
    file(&folder, "agent.toml", "[agent]\ncomponent = \"echo.wasm\"\n[limits]\n");
    refused(&["run", &component], 1, "manifest", &["unknown table `limits`"]);
}

#[test]
fn a_missing_file_is_named() {
    let folder = folder();
    refused(&["run", "nowhere.wasm"], 1, "file", &["nowhere.wasm: no such file"]);
    refused(&["inspect", "nowhere.wasm"], 1, "file", &["nowhere.wasm: no such file"]);
    refused(&["run", folder.path().to_str().expect("plain")], 1, "file", &["agent.toml: no such file"]);
    refused(&["run", guest("echo"), "--input", "@nowhere.txt"], 1, "file", &["nowhere.txt: no such file"]);
    let path = file(&folder, "agent.toml", "[agent]\nname = \"a\"\ncomponent = \"nowhere-built.wasm\"\n");
    refused(&["run", &path], 1, "file", &["nowhere-built.wasm", "put it there"]);
    file(&folder, "Cargo.toml", "");
    let build = format!("village build {}", folder.path().display());
    refused(&["run", &path], 1, "file", &["nowhere-built.wasm", &build]);
}

#[test]
fn wrong_usage_is_said_before_any_file_is_looked_at() {
    for (arguments, words) in [
        (&["run", "no.wasm", "--budgte", "cpu=1%"][..], &["--budgte", "did you mean `--budget`?"][..]),
        (&["run", "no.wasm", "--budget", "cpu"], &["`cpu` is not FIELD=VALUE"]),
        (&["run", "no.wasm", "--budget", "memmory=1MiB"], &["memmory", "did you mean `memory`?"]),
        (&["run", "no.wasm", "--budget", "cpu=lots"], &["`lots` is not a share"]),
        (&["run", "no.wasm", "--budget", "tokens=1K/min"], &["tokens", "10k/min"]),
        (&["run", "no.wasm", "--budget", "mesh=1/s"], &["mesh", "1KiB"]),
        (&["run", "no.wasm", "--grant", "radnom"], &["radnom", "did you mean `random`?"]),
        (&["run", "no.wasm", "--grant", "files=/tmp"], &["HOST:GUEST:ro"]),
        (&["run", "no.wasm", "--grant", "mesh"], &["topic/NAME"]),
        (&["run", "no.wasm", "--grant", "model"], &["local/*"]),
        (&["run"], &["<FILE> is missing"]),
        (&["rnu", "no.wasm"], &["`rnu`", "did you mean `run`?"]),
        (&[], &["which command?"]),
    ] {
        refused(arguments, 2, "usage", words);
    }
}

#[test]
fn options_of_the_other_kind_are_wrong_usage() {
    let ran = village(["run", guest("echo"), "--", "argument"]);
    assert_eq!((ran.code, ran.err.contains("--input")), (2, true), "{}", ran.err);
    refused(&["run", guest("command"), "--skill", "echo"], 2, "usage", &["arguments after --"]);
    let folder = crate::harness::checkout().join("plugins/navigator");
    let manifest = folder.join("agent.toml");
    let [folder, manifest] = [folder, manifest].map(|path| path.to_str().expect("plain").to_string());
    refused(&["run", &folder, "--manifest", &manifest], 2, "usage", &["is a manifest already"]);
}

#[cfg(unix)]
#[test]
fn a_cache_that_others_can_reach_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let cache = folder();
    std::fs::set_permissions(cache.path(), std::fs::Permissions::from_mode(0o755)).expect("set");
    let ran = crate::harness::cached(cache.path(), "", ["run", guest("echo"), "--json"]);
    let (kind, message) = ran.error();
    assert_eq!((ran.code, kind.as_str()), (1, "cache"), "{message}");
    assert!(message.contains("chmod 700") && Path::new(&message).is_relative(), "{message}");
}
