//! Agents that ask models: run alone, in a village, and what is said of back ends that can't be had.

use crate::harness::{checkout, guest, village};
use crate::running::Up;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder with a tiny model that writes, and settings that name it.
fn settings(more: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let golden = checkout().join("host/model/tests/golden/embedded");
    let model = folder.path().join("tiny");
    std::fs::create_dir(&model).expect("made");
    let files = ["tokenizer.json", "llama/model.safetensors", "llama/config.json"];
    for file in files {
        let to = model.join(Path::new(file).file_name().expect("a name"));
        std::fs::copy(golden.join(file), to).expect("copied");
    }
    let path = folder.path().join("village.toml");
    let text = format!("[models.embedded]\nfiles = {{ tiny = \"tiny\" }}\ncache = \"1MiB\"\n{more}");
    std::fs::write(&path, text).expect("written");
    (folder, path)
}

const ORDER: &str = r#"{"text": "Once upon a time", "most": 6}"#;

#[test]
fn an_agent_that_is_run_is_answered_by_the_models_of_the_settings() {
    let (_folder, path) = settings("");
    let config = path.to_str().expect("plain characters");
    let run = |more: &[&str]| {
        let first = ["run", guest("thinker"), "--json", "--skill", "complete", "--input", ORDER];
        let ran = village(first.iter().chain(more));
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.json()
    };
    let ran = run(&["--grant", "model=local/*", "--config", config, "--budget", "tokens=5k/min"]);
    let text = ran["reply"]["body"].as_str().unwrap_or_else(|| panic!("it answers: {ran}"));
    assert!(text.contains("|local/tiny|") && text.ends_with("+6"), "{ran}");
    let tokens = ran["usage"]["tokens"].as_u64().unwrap_or_default();
    assert!(tokens > 6 && tokens < 100, "{ran}");
    let budget = ran["budget"].as_array().and_then(|all| all.iter().find(|field| field["field"] == "tokens"));
    assert_eq!(budget, Some(&json!({ "field": "tokens", "used": tokens.to_string(), "limit": "5k/min" })), "{ran}");
    let shut = run(&["--config", config]);
    assert!(shut["reply"]["body"].as_str().is_some_and(|text| text.contains("Denied(")), "{shut}");
    let cloud = run(&["--grant", "model=cloud/*", "--config", config]);
    assert!(cloud["reply"]["body"].as_str().is_some_and(|text| text.contains("error: ")), "{cloud}");
}

#[test]
fn a_village_answers_by_its_models_and_says_what_was_used() {
    let (_folder, path) = settings("");
    let up = Up::start(&["--config", path.to_str().expect("plain characters")]);
    up.json(&["deploy", guest("thinker"), "--name", "ada", "--grant", "model=local/*"]);
    let said = up.json(&["send", "ada", "--skill", "complete", "--input", ORDER]);
    assert!(said["reply"]["body"].as_str().is_some_and(|text| text.contains("|local/tiny|")), "{said}");
    let tokens = said["usage"]["tokens"].as_u64().unwrap_or_default();
    assert!(tokens > 6, "{said}");
    let agent = up.json(&["ps", "ada"]);
    let field = agent["budget"].as_array().and_then(|all| all.iter().find(|field| field["field"] == "tokens"));
    let field = field.unwrap_or_else(|| panic!("it is there: {agent}"));
    assert_eq!(field["limit"], "10k/min");
    assert!(field["used_units"].as_u64().is_some_and(|used| used > 0 && used <= tokens), "{field}");
    assert!(agent["grants"].to_string().contains("model=local/*"), "{agent}");
}

#[test]
fn back_ends_that_can_not_be_had_are_said_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("village.toml");
    let (config, data) = (path.to_str().expect("plain"), folder.path().join("data"));
    for (text, kind, words) in [
        ("[models.claude]\nkey = \"NO_SUCH_KEY\"\n", "models", &["`claude`", "NO_SUCH_KEY", "village secret set"][..]),
        ("[models.embedded]\nfiles = { a = \"nothing.gguf\" }\n", "models", &["`embedded`", "nothing.gguf"]),
        ("\n[models.ollama]\nulr = \"http://127.0.0.1:1\"\n", "config", &["village.toml:3: ", "did you mean `url`?"]),
        ("[models]\npolicy = \"cheap\"\n", "config", &["village.toml:2: ", "unknown policy `cheap`"]),
    ] {
        std::fs::write(&path, text).expect("written");
        let up = ["up", "--listen", "0", "--data", data.to_str().expect("plain"), "--config", config];
        let run = ["run", guest("thinker"), "--skill", "models", "--grant", "model=*", "--config", config];
        for ran in [village(up), village(run)] {
            assert_eq!(ran.code, 1, "{ran:?}");
            assert!(ran.err.starts_with(&format!("village: {kind}: ")), "{}", ran.err);
            words.iter().for_each(|word| assert!(ran.err.contains(word), "`{word}` in {}", ran.err));
        }
    }
}

#[test]
fn the_doctor_says_which_back_ends_answer() {
    let (_folder, path) = settings("[models.ollama]\nurl = \"http://127.0.0.1:9\"\n");
    let ran = village(["doctor", "--json", "--config", path.to_str().expect("plain characters")]);
    let checks = ran.json()["checks"].clone();
    let check = |name: &str| -> Value {
        let found = checks.as_array().and_then(|all| all.iter().find(|check| check["name"] == name)).cloned();
        found.unwrap_or_else(|| panic!("{name} in {checks}"))
    };
    assert_eq!(check("models: embedded")["detail"], "it answers: local/tiny");
    let lacking = check("models: ollama");
    assert_eq!((&lacking["found"], &lacking["needed"]), (&json!(false), &json!(false)));
    assert!(!lacking["fix"].as_str().unwrap_or_default().is_empty(), "{lacking}");
}
