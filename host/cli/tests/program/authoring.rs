//! `village new`, `village build`, `village test`: from an empty folder to an agent that is known to do what it must.

use crate::harness::{Ran, guest, village};
use serde_json::json;
use std::path::Path;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a path of plain characters")
}

pub(crate) fn write(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("it is in a folder")).expect("made");
    std::fs::write(path, bytes).expect("written");
}

/// A new agent in a folder of its own.
pub(crate) fn project(within: &TempDir, name: &str) -> std::path::PathBuf {
    let ran = village(["new", name, "--in", text(within.path()), "--json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    within.path().join(name)
}

fn failed(ran: &Ran, code: i32, kind: &str, words: &[&str]) {
    let (got, message) = ran.error();
    assert_eq!((ran.code, got.as_str()), (code, kind), "{message}");
    for word in words {
        assert!(message.contains(word), "`{word}` in {message}");
    }
}

#[test]
fn what_is_new_builds_passes_its_cases_and_runs_unchanged() {
    let within = folder();
    let ran = village(["new", "route-planner", "--in", text(within.path())]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let project = within.path().join("route-planner");
    let commands: Vec<_> = ran.out.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    assert_eq!(commands.len(), 3, "{}", ran.out);
    for (command, name) in commands.iter().zip(["build", "test", "run"]) {
        assert!(command.contains(&format!("village {name} {}", text(&project))), "{command}");
    }

    let built = village(["build", text(&project), "--json"]).json();
    assert_eq!(built["agent"], json!({ "name": "route-planner", "version": "0.1.0" }), "{built}");
    assert_eq!((&built["built"], &built["skills"], &built["warnings"]), (&json!(true), &json!(["greet"]), &json!([])));
    assert_eq!(built["hints"], json!([]), "all that it uses is granted");
    let component = project.join("route-planner.wasm");
    assert_eq!(built["size"], std::fs::metadata(&component).expect("it is there").len());

    let tested = village(["test", text(&project)]);
    assert_eq!((tested.code, tested.out.lines().count()), (0, 4), "{tested:?}");
    assert!(
        tested.out.starts_with("ok    greets by name ") && tested.out.ends_with("3 cases passed\n"),
        "{}",
        tested.out
    );

    let ran = village(["run", text(&project), "--skill", "greet", "--input", r#"{"name": "Ada"}"#, "--json"]).json();
    assert_eq!(ran["reply"]["body"], json!({ "text": "Hello, Ada!", "times": 1 }));
    assert!(ran.get("stale").is_none(), "{ran}");
    edited(&project, &component);
}

/// An edit is seen by `test`, which then finds what it changed, and by `run`, which builds nothing.
fn edited(project: &Path, component: &Path) {
    let source = project.join("src/lib.rs");
    let before = std::fs::read_to_string(&source).expect("a file");
    std::fs::write(&source, before.replace("Hello, {}!", "Hi, {}!")).expect("written");
    let old = std::fs::File::options().write(true).open(component).expect("a file");
    old.set_modified(SystemTime::now() - Duration::from_secs(60)).expect("set");
    let run = ["run", text(project), "--skill", "greet", "--input", r#"{"name": "Ada"}"#];
    let ran = village(run);
    assert!(ran.out.contains("Hello"), "it is the old one: {ran:?}");
    let build = format!("is older than {}; `village build {}`", text(&source), text(project));
    assert!(ran.err.contains(&build), "{}", ran.err);

    // From a folder deep within.
    let tested = village(["test", text(&project.join("src")), "--only", "by name", "--json"]);
    failed(&tested, 1, "failed", &["1 of 1 cases failed"]);
    let case = &tested.json()["cases"][0];
    assert_eq!((&case["name"], &case["passed"]), (&json!("greets by name"), &json!(false)));
    assert_eq!(case["problems"], json!([{ "line": 4, "message": r#"text: expected "Hello, Ada!", got "Hi, Ada!""# }]));
    assert_eq!(case["log"], json!([{ "level": "info", "text": "Ada greeted, time 1" }]));
    let ran = village(run);
    assert!(ran.out.contains("Hi, Ada!") && !ran.err.contains("older"), "it was built by the test: {ran:?}");
}

#[test]
fn a_new_agent_does_not_overwrite_anything() {
    let within = folder();
    write(within.path(), "mine/notes.txt", "mine");
    write(within.path(), "file", "mine");
    let new = |name: &str, options: &[&str]| {
        village(["new", name, "--in", text(within.path()), "--json"].iter().chain(options))
    };
    failed(&new("mine", &[]), 1, "exists", &["mine", "not empty", "take another name"]);
    failed(&new("file", &[]), 1, "exists", &["a file of that name"]);
    failed(&new("My Agent", &[]), 2, "usage", &["`My Agent`", "`my-agent` would be one"]);
    failed(&new("serde", &[]), 2, "usage", &["`serde-agent` would be one"]);
    failed(&new("a/b", &[]), 2, "usage", &["village new b --in a"]);
    failed(&new("fine", &["--lang", "cobol"]), 2, "usage", &["`cobol`", "there is rust", "village:agent/agent"]);
    let left: Vec<_> =
        std::fs::read_dir(within.path()).expect("a folder").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
    std::fs::create_dir(within.path().join("empty")).expect("made");
    assert_eq!(new("empty", &[]).json()["agent"], "empty");
}

/// A folder with a component that nobody builds here.
fn prebuilt(component: &[u8], cases: &str) -> TempDir {
    let folder = folder();
    write(folder.path(), "echo.wasm", component);
    write(
        folder.path(),
        "agent.toml",
        "[agent]\nname = \"echo\"\ncomponent = \"echo.wasm\"\n[budget]\ndeadline = \"3s\"\n",
    );
    if !cases.is_empty() {
        write(folder.path(), "cases.toml", cases);
    }
    folder
}

fn echo() -> Vec<u8> {
    std::fs::read(guest("echo")).expect("a component")
}

#[test]
fn a_component_without_sources_is_only_checked() {
    let folder = prebuilt(&echo(), "");
    let object = village(["build", text(folder.path()), "--json"]).json();
    assert_eq!((&object["built"], &object["agent"]["name"]), (&json!(false), &json!("echo")));
    let hints: Vec<_> = object["hints"].as_array().expect("a list").iter().filter_map(|hint| hint.as_str()).collect();
    assert!(
        hints.iter().any(|hint| hint.contains("`state`") && hint.contains("`state = true` under [grants]")),
        "{hints:?}"
    );
    let said = village(["build", text(folder.path())]);
    assert!(
        said.out.contains("checked") && said.out.contains("hint: ") && said.out.contains("sha256:"),
        "{}",
        said.out
    );
    failed(&village(["test", text(folder.path()), "--json"]), 1, "file", &["cases.toml", "[[case]]"]);

    let folder = prebuilt(&std::fs::read(guest("command")).expect("a component"), "[[case]]\nname = \"a\"\n");
    assert_eq!(village(["build", text(folder.path()), "--json"]).json()["kind"], "command");
    failed(&village(["test", text(folder.path()), "--json"]), 1, "cases", &["a command has no skills"]);
}

#[test]
fn every_kind_of_case_passes_and_fails() {
    let cases = r#"
[[case]]
name = "text comes back"
skill = "echo"
text = "hello"
output = "hello"

[[case]]
name = "a part of it"
skill = "echo"
text = "hello"
contains = "ell"

[[case]]
name = "it says no"
skill = "fail"
text = "refused not today"
fails = "refused"
says = ["not", "today"]

[[case]]
name = "wrong text"
skill = "echo"
text = "hello"
output = "hallo"

[[case]]
name = "another failure"
skill = "fail"
text = "refused not today"
fails = "invalid"

[[case]]
name = "other words"
skill = "fail"
text = "refused not today"
fails = "refused"
says = "tomorrow"

[[case]]
name = "no failure at all"
skill = "echo"
text = "hello"
fails = "invalid"

[[case]]
name = "a misspelt skill"
skill = "ehco"

[[case]]
name = "the second step"
steps = [ { skill = "echo", text = "a", output = "a" }, { skill = "fail", text = "invalid no" }, { skill = "gone" } ]
"#;
    let folder = prebuilt(&echo(), cases);
    let ran = village(["test", text(folder.path()), "--json"]);
    failed(&ran, 1, "failed", &["6 of 9 cases failed"]);
    let object = ran.json();
    let problems: Vec<_> =
        object["cases"].as_array().expect("a list").iter().map(|case| case["problems"].clone()).collect();
    let one = |line: usize, said: &str| json!([{ "line": line, "message": said }]);
    assert_eq!(problems[..3], [json!([]), json!([]), json!([])]);
    assert_eq!(problems[3], one(21, r#"the answer: expected "hallo", got "hello""#));
    assert_eq!(problems[4], one(27, "expected the failure `invalid`, got `refused`: not today"));
    assert_eq!(problems[5], one(33, "expected the failure to say `tomorrow`, it says: not today"));
    assert_eq!(problems[6], one(40, r#"expected the failure `invalid`, got a reply: "hello""#));
    let said = problems[7][0]["message"].as_str().expect("one problem");
    assert!(said.starts_with("the agent has no skill `ehco`, did you mean `echo`?"), "{said}");
    assert_eq!(problems[8], one(52, "the agent failed, `invalid`: no"), "and the third step is not tried");
    assert!(object["cases"][0]["usage"]["memory_peak_bytes"].as_u64().is_some_and(|bytes| bytes > 0));

    let text = village(["test", text(folder.path())]);
    assert!(text.out.contains("FAIL  wrong text") && text.err.starts_with("village: failed: 6 of 9"), "{text:?}");
}

#[test]
fn cases_do_not_see_each_other_and_steps_do() {
    let case = |name: &str, count: &str| {
        format!(
            "[[case]]\nname = \"{name}\"\nsteps = [{{ skill = \"state\", output = \"1\" }}, {{ skill = \"{count}\", output = \"1\" }}]\n"
        )
    };
    let both = "[[case]]\nname = \"c\"\nsteps = [{ skill = \"state\", output = \"1\" }, { skill = \"state\", output = \"2\" }]\n";
    let cases = case("a", "count") + &case("b", "count") + both;
    let folder = prebuilt(&echo(), &cases);
    write(folder.path(), "agent.toml", "[agent]\nname = \"echo\"\ncomponent = \"echo.wasm\"\n[grants]\nstate = true\n");
    let ran = village(["test", text(folder.path())]);
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn a_case_that_breaks_its_budget_fails_by_the_budgets_name() {
    let cases = "[[case]]\nname = \"late\"\nskill = \"spin\"\n\n[[case]]\nname = \"late as it must\"\nskill = \"spin\"\nfails = \"deadline\"\n";
    let folder = prebuilt(&std::fs::read(guest("cpu")).expect("a component"), cases);
    let manifest = "[agent]\nname = \"cpu\"\ncomponent = \"echo.wasm\"\n[budget]\ndeadline = \"300ms\"\n";
    write(folder.path(), "agent.toml", manifest);
    let ran = village(["test", text(folder.path()), "--json"]);
    failed(&ran, 1, "failed", &["1 of 2"]);
    let said = ran.json()["cases"][0]["problems"][0]["message"].as_str().expect("a problem").to_string();
    assert!(said.starts_with("the agent broke, `deadline`: ") && said.contains("300ms"), "{said}");
}

#[test]
fn only_the_cases_that_are_named_are_run() {
    let cases = "[[case]]\nname = \"one\"\nskill = \"echo\"\n\n[[case]]\nname = \"two\"\nskill = \"fail\"\n";
    let folder = prebuilt(&echo(), cases);
    let object = village(["test", text(folder.path()), "--only", "one", "--json"]).json();
    assert_eq!((&object["passed"], &object["failed"]), (&json!(1), &json!(0)));
    let ran = village(["test", text(folder.path()), "--only", "three", "--json"]);
    failed(&ran, 2, "usage", &["`three`", "`one`, `two`"]);
}

#[test]
fn a_package_of_a_workspace_is_built_where_the_workspace_builds() {
    let folder = folder();
    write(folder.path(), "Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"tool\", \"other\"]\n");
    for name in ["tool", "other"] {
        let manifest = format!("[package]\nname = \"{name}\"\nedition = \"2024\"\n");
        write(folder.path(), &format!("{name}/Cargo.toml"), manifest);
        write(folder.path(), &format!("{name}/src/main.rs"), "fn main() {\n    println!(\"hello\");\n}\n");
    }
    write(folder.path(), "tool/agent.toml", "[agent]\nname = \"tool\"\ncomponent = \"made/tool.wasm\"\n");
    let object = village(["build", text(&folder.path().join("tool/src")), "--json"]).json();
    assert_eq!((&object["kind"], &object["built"]), (&json!("command"), &json!(true)), "{object}");
    assert!(folder.path().join("target/wasm32-wasip2/release/tool.wasm").is_file());
    assert_eq!(village(["run", text(&folder.path().join("tool"))]).out, "hello\n");
}
