//! Mistakes in an agent are said where they are: `mistakes/*.rs` are compiled, and `//~` marks the lines that are wrong with what the
//! compiler must say of them. Nothing else may be wrong.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Lines of a file, with what is said of them.
type Said = Vec<(u64, String)>;

#[test]
fn mistakes_are_said_where_they_are() {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let project = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("mistakes");
    let expected = lay_out(&here, &project);
    assert!(expected.len() > 10, "the files are read");
    let said = compile(&project);
    let mut wrong = Vec::new();
    for (name, expected) in &expected {
        let said = said.get(name).map(Vec::as_slice).unwrap_or_default();
        for (line, text) in expected {
            if !said.iter().any(|(at, message)| at == line && message.contains(text.as_str())) {
                wrong.push(format!("{name}.rs:{line}: nobody says `{text}`"));
            }
        }
        for (line, message) in said {
            if !expected.iter().any(|(at, _)| at == line) {
                wrong.push(format!("{name}.rs:{line}: it says `{message}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Makes a project whose programs are the files; answers what is expected of each.
fn lay_out(here: &Path, project: &Path) -> BTreeMap<String, Said> {
    let programs = project.join("src/bin");
    // What is left of a file that is no more would be compiled too.
    let _ = fs::remove_dir_all(&programs);
    fs::create_dir_all(&programs).expect("a temporary folder can be made");
    let manifest = format!(
        "[package]\nname = \"my-agent\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n\
         serde = {{ version = \"1.0.229\", features = [\"derive\"] }}\n\
         village = {{ package = \"village-sdk\", path = {:?} }}\n",
        here.display().to_string()
    );
    fs::write(project.join("Cargo.toml"), manifest).expect("it can be written");
    // Versions that are known to be here: this test asks nobody for others.
    fs::copy(here.join("../template/Cargo.lock"), project.join("Cargo.lock")).expect("the template has a lock");
    let mut expected = BTreeMap::new();
    for entry in fs::read_dir(here.join("tests/mistakes")).expect("the folder is there") {
        let path = entry.expect("it can be listed").path();
        let text = fs::read_to_string(&path).expect("it can be read");
        let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        fs::write(programs.join(format!("{name}.rs")), &text).expect("it can be written");
        let marks = text
            .lines()
            .zip(1..)
            .filter_map(|(line, number)| Some((number, line.split_once("//~")?.1.trim().to_owned())));
        expected.insert(name, marks.collect());
    }
    expected
}

/// Compiles them all; answers the errors by file, with the lines that they point at.
fn compile(project: &Path) -> BTreeMap<String, Said> {
    let cargo = std::env::var_os("CARGO").expect("cargo runs the tests, and says where it is");
    let mut command = Command::new(cargo);
    command.args(["check", "--offline", "--bins", "--keep-going", "--message-format=json"]).current_dir(project);
    command.env("CARGO_TARGET_DIR", project.join("target"));
    for leftover in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
        command.env_remove(leftover);
    }
    let output = command.output().expect("cargo can be run");
    let mut said: BTreeMap<String, Said> = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(message) = serde_json::from_str::<Value>(line) else { continue };
        if message["reason"] != "compiler-message" || message["message"]["level"] != "error" {
            continue;
        }
        let name = message["target"]["name"].as_str().unwrap_or_default().to_owned();
        let spans = message["message"]["spans"].as_array().map(Vec::as_slice).unwrap_or_default();
        // `aborting due to 2 previous errors` points nowhere.
        for span in spans.iter().filter(|span| span["is_primary"] == true) {
            let line = outermost(span)["line_start"].as_u64().unwrap_or_default();
            let text = message["message"]["message"].as_str().unwrap_or_default().to_owned();
            said.entry(name.clone()).or_default().push((line, text));
        }
    }
    assert!(!said.is_empty(), "cargo found nothing wrong: {}", String::from_utf8_lossy(&output.stderr));
    said
}

/// A place as the file has it; what a macro of another crate has written stands where the macro is called.
fn outermost(span: &Value) -> &Value {
    let own = span["file_name"].as_str().is_some_and(|file| file.starts_with("src/"));
    let caller = &span["expansion"]["span"];
    if own || caller.is_null() { span } else { outermost(caller) }
}
