//! A key that was planted: its back ends get it, whether they answer or fail, and nothing that a village writes has it.

use super::models::{answering, get_text};
use super::{Up, data};
use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

const KEY: &str = "sk-planted-0f-the-pr0gram";

/// What is in the prompts, and so is found where they are kept.
const MARK: &str = "seven herbs and a spoon";

/// What became of a call, by the model that was asked; each says the key.
fn reply(request: &str) -> (u16, serde_json::Value) {
    let named = |model: &str| request.contains(&format!("\"model\":\"{model}\""));
    let fault = |kind: &str| json!({"error": {"message": format!("no: Bearer {KEY}"), "type": kind, "code": KEY}});
    match () {
        () if named("locked") => (401, fault("authentication_error")),
        () if named("odd") => (400, fault("invalid_request_error")),
        () if named("broken") => (500, fault("server_error")),
        () => {
            let message = json!({"role": "assistant", "content": format!("your key is {KEY}, I think")});
            let usage = json!({"prompt_tokens": 20, "completion_tokens": 3});
            (200, json!({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage}))
        }
    }
}

/// Adds the files of a folder that hold these bytes; answers how many files there are.
fn holding(folder: &Path, bytes: &[u8], found: &mut Vec<String>) -> usize {
    let mut files = 0;
    for entry in std::fs::read_dir(folder).expect("it can be listed").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files += holding(&path, bytes, found);
            continue;
        }
        files += 1;
        let content = std::fs::read(&path).unwrap_or_default();
        if content.windows(bytes.len()).any(|part| part == bytes) {
            found.push(path.display().to_string());
        }
    }
    files
}

/// Reads the events of a village until it ends.
fn events(up: &Up) -> std::thread::JoinHandle<String> {
    let mut stream = TcpStream::connect(&up.address).expect("it listens");
    let (host, token) = (&up.address, up.token());
    let request = format!("GET /v1/events HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it is sent");
    stream.set_read_timeout(Some(Duration::from_secs(120))).expect("it is set");
    std::thread::spawn(move || {
        let mut all = String::new();
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            all += &line;
        }
        all
    })
}

#[test]
fn a_planted_key_is_in_nothing_that_a_village_writes() {
    let (port, seen) = answering(reply);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("village.toml");
    let backend = |name: &str| {
        format!(
            "[models.{name}]\nurl = \"http://127.0.0.1:{port}\"\nkey = \"PLANTED\"\nmodels = [\"{name}\"]\npasses-on = true\n"
        )
    };
    let names = ["open", "locked", "odd", "broken"];
    std::fs::write(&path, names.map(backend).concat()).expect("written");
    let config = path.to_str().expect("plain characters").to_owned();
    assert!(!data(&folder).exists());
    let mut up = Up::knowing(folder, &["--config", &config], &[("PLANTED", KEY)]);
    let events = events(&up);
    let thinker = crate::harness::guest("thinker");
    let mut written = format!("{:?}", up.call(&["deploy", thinker, "--name", "ada", "--grant", "model=cloud/*"]));
    for name in names {
        for skill in ["complete", "stream", "count"] {
            let order = json!({"model": format!("cloud/{name}"), "text": MARK, "warm": true}).to_string();
            let ran = up.call(&["send", "ada", "--skill", skill, "--input", &order]);
            assert_eq!(ran.code, 0, "{ran:?}");
            assert!(skill != "complete" || (ran.out.contains("error: ") != (name == "open")), "{name}: {ran:?}");
            written += &format!("{ran:?}");
        }
    }
    assert!(written.contains("your key is [key], I think"), "{written}");
    for command in [
        &["models", "list"][..],
        &["models", "route", "--explain", "--model", "cloud/*", MARK],
        &["models", "bench", "cloud/open", "--tokens", "8"],
        &["models", "bench", "cloud/odd", "--tokens", "8"],
        &["ps"],
        &["ps", "ada"],
        &["top"],
    ] {
        written += &format!("{:?}{:?}", up.call(command), up.call(&[command, &["--json"]].concat()));
    }
    for path in [
        "/metrics",
        "/v1/village",
        "/v1/agents",
        "/v1/agents/ada",
        "/v1/agents/ada/log",
        "/v1/agents/ada/versions",
        "/v1/audit",
        "/v1/models",
    ] {
        let text = get_text(&up, path);
        assert!(text.starts_with("HTTP/1.1 200"), "{path}: {text}");
        written += &text;
    }
    up.end();
    up.child.wait().expect("it ends");
    let mut pipe = up.child.stderr.take().expect("it was not taken");
    pipe.read_to_string(&mut written).expect("text");
    let told = events.join().expect("no panic");
    assert!(told.contains("ada"), "events came: {told}");
    written += &told;

    let got = seen.lock().expect("nobody panicked").clone();
    let with = |name: &str| {
        got.iter().filter(|one| one.contains(&format!("\"model\":\"{name}\"")) && one.contains(KEY)).count()
    };
    assert!(names.iter().all(|name| with(name) > 0), "each back end got it");
    assert!(!written.contains("planted-0f"), "{written}");
    let (mut found, mut marks) = (Vec::new(), Vec::new());
    assert!(holding(&data(&up.folder), b"planted-0f", &mut found) > 2, "there are files");
    assert_eq!(found, Vec::<String>::new());
    holding(&data(&up.folder), MARK.as_bytes(), &mut marks);
    assert!(!marks.is_empty(), "what is searched is there to be found");
}
