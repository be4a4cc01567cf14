//! `village models`: beside a server that speaks as OpenAI's does, one that is down, and a model of the village's own.

use super::{Up, data, get};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// A server that has one model, and remembers what it was asked.
fn server() -> (u16, Arc<Mutex<Vec<String>>>) {
    answering(|_| {
        let message = json!({"role": "assistant", "content": "A village."});
        let usage = json!({"prompt_tokens": 20, "completion_tokens": 3});
        (200, json!({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage}))
    })
}

/// What is answered to a prompt: a status, and a body.
type Replies = fn(&str) -> (u16, Value);

/// A server that has one model, answers prompts in some way, and remembers what it was asked.
pub(super) fn answering(replies: Replies) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = seen.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let noted = noted.clone();
            std::thread::spawn(move || serve(stream, &noted, replies));
        }
    });
    (port, seen)
}

fn serve(mut stream: TcpStream, seen: &Mutex<Vec<String>>, replies: Replies) {
    let (mut request, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&request).to_lowercase();
        let whole = text.find("\r\n\r\n").is_some_and(|end| {
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            request.len() >= end + 4 + length.unwrap_or(0)
        });
        if whole {
            break;
        }
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return,
            Ok(read) => request.extend_from_slice(&piece[..read]),
        }
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let (status, body) = match request.starts_with("GET") {
        true => (200, json!({"data": [{"id": "echo"}]})),
        false => replies(&request),
    };
    let body = body.to_string();
    seen.lock().expect("nobody panicked").push(request);
    let head = format!("HTTP/1.1 {status} Some\r\ncontent-type: application/json\r\nconnection: close\r\n");
    let _ = stream.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes());
}

fn up(models: &str) -> Up {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("village.toml");
    std::fs::write(&path, models).expect("it is written");
    assert!(!data(&folder).exists());
    Up::again(folder, &["--config", path.to_str().expect("plain characters")])
}

fn tiny() -> String {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/golden/embedded/q4_0.gguf");
    format!("[models.embedded]\nthreads = 1\nfiles = {{ tiny = \"{}\" }}\n", golden.display())
}

#[test]
fn models_are_listed_routed_and_measured() {
    let (port, seen) = server();
    let near =
        format!("[models.near]\nurl = \"http://127.0.0.1:{port}\"\npasses-on = true\nprices = {{ \"*\" = [3, 15] }}\n");
    let up = up(&format!("[models]\npolicy = \"cost\"\n{near}[models.down]\nurl = \"http://127.0.0.1:1\"\n{}", tiny()));

    let listed = up.json(&["models", "list"]);
    assert_eq!((&listed["policy"], &listed["silent"]), (&json!("cost"), &json!(["down"])));
    let rows = listed["models"].as_array().expect("a list");
    let names: Vec<&str> = rows.iter().filter_map(|row| row["name"].as_str()).collect();
    assert_eq!(names, ["cloud/echo", "local/tiny"]);
    assert_eq!(
        (&rows[0]["local"], &rows[0]["price_written"], &rows[0]["backend"]),
        (&json!(false), &json!(15.0), &json!("near"))
    );
    assert_eq!(
        (&rows[1]["local"], &rows[1]["health"], &rows[1]["first_ms"]),
        (&json!(true), &json!("untried"), &Value::Null)
    );
    let shown = up.call(&["models", "list"]);
    assert!(shown.out.contains("cloud/echo  near      writes  8192     3/15"), "{shown:?}");
    assert!(shown.err.contains("`down` does not say which models it has"), "{shown:?}");

    let secret = "the recipe is seven herbs";
    let routed = up.json(&["models", "route", "--policy", "quality", secret]);
    assert_eq!((&routed["model"], &routed["policy"]), (&json!("cloud/echo"), &json!("quality")));
    let private = up.call(&["models", "route", "--explain", "--private", secret]);
    let line = |name: &str| private.out.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    assert!(private.code == 0 && line("local/tiny").contains("asked first"), "{private:?}");
    assert!(line("cloud/echo").contains("not on this machine"), "{private:?}");
    let none = up.call(&["models", "route", "--private", "--model", "cloud/*", secret]);
    assert_eq!((none.code, none.out.as_str()), (1, "no model would answer\n"));
    let asked = seen.lock().expect("nobody panicked").iter().any(|request| request.contains("herbs"));
    assert!(!asked, "a prompt that is only routed is given to nobody");

    let measured = up.json(&["models", "bench", "--tokens", "8"]);
    let row = &measured["measured"][0];
    assert_eq!(
        (&row["model"], &row["failed"], measured["measured"].as_array().map(Vec::len)),
        (&json!("local/tiny"), &Value::Null, Some(1))
    );
    assert!(row["bytes"].as_u64() > Some(1000) && row["memory_allows"].as_f64() > Some(1.0), "{row}");
    let far = up.json(&["models", "bench", "cloud/echo", "--tokens", "8"]);
    assert_eq!(
        (&far["measured"][0]["tokens"], &far["measured"][0]["cost"]),
        (&json!(3), &json!((20.0 * 3.0 + 3.0 * 15.0) / 1e6))
    );

    let metrics = get_text(&up, "/metrics");
    let row = "village_model_tokens_total{backend=\"near\",model=\"cloud/echo\",direction=\"written\"} 3\n";
    assert!(metrics.contains(row), "{metrics}");
    assert!(
        metrics.contains("village_model_calls_total{backend=\"embedded\",model=\"local/tiny\",outcome=\"other\"} 1\n")
    );
    assert!(!metrics.contains("herbs"));
    assert_eq!(up.json(&["models", "list"])["models"][0]["health"], "well");
}

#[test]
fn what_can_not_be_asked_of_models_is_said() {
    let without = Up::start(&[]);
    for ask in [&["models", "list"][..], &["models", "route", "hi"], &["models", "bench"]] {
        let ran = without.call(ask);
        assert!(ran.code == 1 && ran.err.contains("no-models") && ran.err.contains("[models]"), "{ran:?}");
    }
    let up = up(&tiny());
    for (ask, said) in [
        (&["models", "route", "--policy", "cheap", "hi"][..], "there is no policy `cheap`: cost, speed"),
        (&["models", "route", "--model", "tiny", "hi"], "a model is named such as local/"),
        (&["models", "route", "--max-tokens", "0", "hi"], "`max-tokens` is 0"),
        (&["models", "bench", "cloud/none"], "no model `cloud/none`"),
        (&["models", "bench", "--tokens", "1"], "must be from 2 to"),
    ] {
        let ran = up.call(ask);
        assert!(ran.code == 1 && ran.err.contains(said), "{ask:?}: {ran:?}");
    }
    assert_eq!(up.call(&["models"]).code, 2);
    assert_eq!(get(&up, "/v1/models").1["models"][0]["name"], "local/tiny");
}

pub(super) fn get_text(up: &Up, path: &str) -> String {
    let mut stream = TcpStream::connect(&up.address).expect("it listens");
    let token = up.token();
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n",
        up.address
    );
    stream.write_all(request.as_bytes()).expect("it is sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("text");
    text
}
