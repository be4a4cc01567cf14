//! What a beginner gets wrong: each message says what is wrong, where, and what to do.

use crate::authoring::{folder, project, text, write};
use crate::harness::{Ran, village};
use serde_json::Value;
use std::path::Path;

/// Calls the program for people and for programs; both are told the kind and all of these words. Answers the error.
fn told<A: AsRef<str>>(arguments: &[A], kind: &str, words: &[&str]) -> Value {
    let arguments = || arguments.iter().map(AsRef::as_ref);
    let Ran { code, err, .. } = village(arguments());
    assert_eq!(code, 1, "{err}");
    let first = err.lines().find(|line| line.starts_with("village: ") && !line.contains("budget and grants as"));
    let first = first.unwrap_or_else(|| panic!("one line says it: {err}"));
    assert!(first.starts_with(&format!("village: {kind}: ")), "{err}");
    let ran = village(arguments().chain(["--json"]));
    let (json_kind, message) = ran.error();
    assert_eq!((ran.code, json_kind.as_str()), (1, kind));
    for word in words {
        assert!(first.contains(word), "`{word}` in {first}");
        assert!(message.contains(word), "`{word}` in {message}");
    }
    ran.json()["error"].clone()
}

fn build(project: &Path, kind: &str, words: &[&str]) -> Value {
    told(&["build", text(project)], kind, words)
}

fn ask(project: &Path, skill: &str, input: &str, kind: &str, words: &[&str]) -> Value {
    told(&["run", text(project), "--skill", skill, "--input", input], kind, words)
}

/// The line of a text that has these words.
fn line(source: &str, words: &str) -> usize {
    source.lines().position(|line| line.contains(words)).expect("it is there") + 1
}

#[test]
fn what_is_wrong_in_a_source_is_told_with_its_line() {
    let within = folder();
    let project = project(&within, "beginner");
    let good = std::fs::read_to_string(project.join("src/lib.rs")).expect("a source");
    let with = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        let source = good.replacen(from, to, 1);
        write(&project, "src/lib.rs", &source);
        source
    };

    // A wrong type.
    let source = with("text: format!(\"Hello, {}!\", ask.name)", "text: 5");
    let place = format!("src/lib.rs:{}: ", line(&source, "text: 5"));
    let error = build(&project, "build", &[&place, "mismatched types", "expected `String`"]);
    let first = &error["details"]["errors"][0];
    assert!(first["file"].as_str().is_some_and(|file| file.ends_with("src/lib.rs")), "{error}");
    assert_eq!(first["line"], line(&source, "text: 5"));
    let shown = village(["build", text(&project)]).err;
    assert!(shown.contains("error[E0308]") && shown.contains("text: 5"), "the compiler's own words: {shown}");
    assert!(!shown.contains("Compiling"), "and not how far it is: {shown}");

    // A type without a schema.
    let source = with("#[derive(Serialize, Schema)]\nstruct Greeting", "#[derive(Serialize)]\nstruct Greeting");
    let place = format!("src/lib.rs:{}: ", line(&source, "fn greet"));
    build(&project, "build", &[&place, "`Greeting` has no JSON schema", "derive(village::Schema)"]);

    // A skill that does not exist in its impl as it should: an example that isn't JSON.
    let source = with(r#"{"name": "Ada"}"#, r#"{"name": Ada}"#);
    build(&project, "build", &[&format!("src/lib.rs:{}: ", line(&source, "example = "))]);

    // The macro that exports the agent is missing.
    with("#[agent(role = \"example\", tags = [\"hello\"])]\n", "");
    build(&project, "build", &["src/lib.rs:", "cannot find attribute `skill`", "`#[agent]` above the `impl`"]);
    write(&project, "src/lib.rs", "pub fn greet(name: &str) -> String {\n    format!(\"Hello, {name}!\")\n}\n");
    build(
        &project,
        "invalid-component",
        &["beginner.wasm", "exports neither village:agent/agent", "#[village::agent]"],
    );

    // A library that other languages can't call.
    write(&project, "src/lib.rs", &good);
    let manifest = std::fs::read_to_string(project.join("Cargo.toml")).expect("a manifest");
    write(&project, "Cargo.toml", manifest.replace("\"cdylib\", ", ""));
    build(&project, "toolchain", &["Cargo.toml", "makes no component", "crate-type = [\"cdylib\""]);

    // A Cargo.toml that is none.
    write(&project, "Cargo.toml", manifest.replace("[package]", "[package"));
    let error = build(&project, "build", &["cargo could not build", "beginner"]);
    assert!(error["details"].as_str().is_some_and(|said| said.contains("Cargo.toml:1")), "{error}");
}

/// An agent that makes each mistake that only shows when it runs.
const SOURCE: &str = r#"
use village::{Failure, agent, state};

#[derive(Default)]
struct Beginner;

/// Makes mistakes.
#[agent]
impl Beginner {
    /// Panics.
    #[skill]
    fn panic(&mut self, text: String) -> u32 {
        text.parse().expect("a number")
    }

    /// Never ends.
    #[skill]
    fn spin(&mut self) -> u32 {
        let mut count = 0u32;
        loop {
            count = std::hint::black_box(count.wrapping_add(1));
        }
    }

    /// Takes all the memory there is.
    #[skill]
    fn hog(&mut self) -> u32 {
        let mut all = Vec::new();
        loop {
            all.push(vec![1u8; 1 << 20]);
            std::hint::black_box(&all);
        }
    }

    /// Adds up.
    #[skill(example = "[1, 2]")]
    fn sum(&mut self, numbers: Vec<u32>) -> u32 {
        numbers.into_iter().sum()
    }

    /// Keeps something.
    #[skill]
    fn keep(&mut self, text: String) -> Result<(), Failure> {
        state::set("kept", &text)?;
        Ok(())
    }
}
"#;

#[test]
fn what_goes_wrong_in_a_turn_is_told_with_what_to_do() {
    let within = folder();
    let project = project(&within, "beginner");
    let source = SOURCE.trim_start();
    write(&project, "src/lib.rs", source);
    let manifest = |rest: &str| {
        write(&project, "agent.toml", format!("[agent]\nname = \"beginner\"\ncomponent = \"beginner.wasm\"\n{rest}"));
    };
    manifest("[budget]\ndeadline = \"400ms\"\nmemory = \"8MiB\"\n");
    let ran = village(["build", text(&project)]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.out.contains("hint: it may use `state`") && ran.out.contains("`state = true` under [grants]"),
        "{}",
        ran.out
    );

    let place = format!("src/lib.rs:{}:", line(source, "expect(\"a number\")"));
    ask(&project, "panic", "five", "trap", &["panicked at", &place, "a number"]);
    ask(&project, "spin", "", "deadline", &["its deadline of 400ms", "endless loop", "`deadline` under [budget]"]);
    ask(&project, "hog", "", "memory", &["may hold 8MiB", "`memory` under [budget]"]);
    ask(&project, "keep", "x", "refused", &["`state` is not granted", "`state = true` under [grants] in agent.toml"]);
    ask(&project, "sum", "[1, 2", "invalid", &["not JSON at line 1, column 6"]);
    ask(&project, "sum", "[1, \"2\"]", "invalid", &["`[1]`", "u32"]);
    ask(&project, "smu", "[1]", "unsupported", &["`smu`", "sum"]);

    manifest("[grants]\nstate = true\n");
    let kept = village(["run", text(&project), "--skill", "keep", "--input", "x"]);
    assert_eq!(kept.code, 0, "and what it said to do helps: {kept:?}");
}

#[test]
fn what_is_wrong_in_a_manifest_is_told_with_its_line() {
    let within = folder();
    let project = project(&within, "beginner");
    let good = std::fs::read_to_string(project.join("agent.toml")).expect("a manifest");
    for (from, to, words) in [
        ("memory =", "memmory =", "unknown budget field `memmory`, did you mean `memory`?"),
        ("\"25%\" ", "\"250%\" ", "budget field `cpu`: 250% is out of range, from 0.1% to 100%"),
        ("\"25%\" ", "0.25 ", "`cpu` is a number, and must be text in quotes, such as \"25%\""),
        ("\"10s\"", "\"10 parsecs\"", "budget field `deadline`: `10 parsecs`"),
        ("state = true", "sate = true", "unknown grant `sate`, did you mean `state`?"),
        ("state = true", "state = \"yes\"", "grant `state` is either true or false"),
        ("state = true", "files = [\"./notes:/notes:ro\"]", "notes is not there: make it, or correct the path"),
        ("state = true", "log = true", "`log` is set twice: leave one out"),
        ("[grants]", "[grant]", "unknown table `grant`, did you mean `grants`?"),
    ] {
        assert!(good.contains(from), "{from}");
        let text = good.replacen(from, to, 1);
        write(&project, "agent.toml", &text);
        let place = format!("agent.toml:{}: ", line(&text, to));
        let place = if to == "log = true" { "agent.toml:".to_string() } else { place };
        for command in ["build", "test", "run", "inspect"] {
            told(&[command, crate::authoring::text(&project)], "manifest", &[&place, words]);
        }
    }
    write(&project, "agent.toml", good.replacen("beginner.wasm", "src/lib.rs", 1));
    build(&project, "manifest", &["agent.toml: `component` is src/lib.rs: name a .wasm file"]);
    write(&project, "agent.toml", &good);
    let cases = std::fs::read_to_string(project.join("cases.toml")).expect("cases");
    write(&project, "cases.toml", cases.replacen("output =", "ouput =", 1));
    let place = format!("cases.toml:{}: ", line(&cases, "output ="));
    told(&["test", text(&project)], "cases", &[&place, "unknown key `ouput`, did you mean `output`?"]);
}

#[test]
fn a_component_of_another_kind_is_told_what_it_is() {
    let folder = folder();
    write(folder.path(), "agent.toml", "[agent]\nname = \"a\"\ncomponent = \"a.wasm\"\n");
    let path = text(folder.path());
    for (wat, words) in [
        // As wasm32-unknown-unknown and wasm32-wasip1 make it.
        (
            r#"(module (import "wasi_snapshot_preview1" "fd_write" (func)))"#,
            &["a.wasm", "a core module, not a component", "wasm32-wasip2", "village build"][..],
        ),
        (
            r#"(component (import "village:agent/log@0.0.9" (instance)) (instance $none) (export "village:agent/agent@0.0.9" (instance $none)))"#,
            &["a.wasm", "village:agent/log@0.0.9", "version 0.0.9 of the contract", "speaks 0.1", "build it anew"],
        ),
    ] {
        write(folder.path(), "a.wasm", wat::parse_str(wat).expect("text"));
        for command in ["build", "run", "inspect"] {
            told(&[command, path], "invalid-component", words);
        }
    }
    std::fs::remove_file(folder.path().join("a.wasm")).expect("removed");
    told(&["build", path], "file", &["a.wasm", "put it there, or correct `component`"]);
}

#[test]
fn what_is_not_there_is_told_with_how_to_make_it() {
    let within = folder();
    let path = text(within.path());
    told(&["build", path], "file", &["agent.toml", "there is none in", "village new NAME"]);
    let project = project(&within, "beginner");
    let build = format!("`village build {}` makes it", text(&project));
    told(&["run", text(&project)], "file", &["beginner.wasm", &build]);
    std::fs::remove_file(project.join("cases.toml")).expect("removed");
    told(&["test", text(&project)], "file", &["cases.toml", "[[case]]"]);
}
