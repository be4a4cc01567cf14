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
    // Two that take connections and say nothing, and one that repeats the key that it does not accept.
    let silent = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free"));
    let [one, two] = silent.each_ref().map(|one| one.local_addr().expect("it is bound").port());
    let locked = refuses();
    let more = format!(
        "[models.ollama]\nurl = \"http://127.0.0.1:9\"\n[models.mute]\nurl = \"http://127.0.0.1:{one}\"\n\
         [models.dumb]\nurl = \"http://127.0.0.1:{two}\"\n\
         [models.locked]\nurl = \"http://127.0.0.1:{locked}\"\nkey = \"PLANTED_FOR_DOCTOR\"\n"
    );
    let (_folder, path) = settings(&more);
    let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_village"));
    program.args(["doctor", "--json", "--config"]).arg(&path).env("PLANTED_FOR_DOCTOR", KEY);
    program.env("VILLAGE_CACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("native"));
    let begun = std::time::Instant::now();
    let output = program.output().expect("the program ends");
    assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{:?}", begun.elapsed());
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!said.contains("planted"), "{said}");
    let ran: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let checks = ran["checks"].clone();
    let check = |name: &str| -> Value {
        let found = checks.as_array().and_then(|all| all.iter().find(|check| check["name"] == name)).cloned();
        found.unwrap_or_else(|| panic!("{name} in {checks}"))
    };
    assert_eq!(check("models: embedded")["detail"], "it answers: local/tiny");
    let lacking = check("models: ollama");
    assert_eq!((&lacking["found"], &lacking["needed"]), (&json!(false), &json!(false)));
    assert!(!lacking["fix"].as_str().unwrap_or_default().is_empty(), "{lacking}");
    for name in ["mute", "dumb"] {
        let silent = check(&format!("models: {name}"));
        assert_eq!((&silent["found"], &silent["detail"]), (&json!(false), &json!("no answer in time")), "{silent}");
    }
    let locked = check("models: locked");
    assert!(locked["detail"].as_str().is_some_and(|detail| detail.contains("does not accept the key")), "{locked}");
}

const KEY: &str = "sk-planted-for-the-doctor";

/// A server that says no to everybody, and says the key.
fn refuses() -> u16 {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let body = json!({"error": {"message": format!("Bearer {KEY} is no good"), "type": KEY}}).to_string();
            let length = body.len();
            let reply = format!("HTTP/1.1 401 No\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
            let _ = stream.write_all(reply.as_bytes());
        }
    });
    port
}

#[test]
fn the_doctor_says_what_to_write_where_no_back_end_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("village.toml");
    std::fs::write(&path, "# nothing yet\n").expect("written");
    let ran = village(["doctor", "--config", path.to_str().expect("plain characters")]);
    let lines: Vec<&str> = ran.out.lines().skip_while(|line| !line.contains("  models  ")).collect();
    assert!(lines[0].starts_with("lacking") && lines[1].contains("[models.ollama]"), "{}", ran.out);
    assert_eq!(ran.code, 0, "it is not needed: {ran:?}");
}
