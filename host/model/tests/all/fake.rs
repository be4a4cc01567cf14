//! A server that answers as it is told, well or badly, and remembers what it was asked.

use model::{Key, Remote};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// What a request said.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) line: String,
    /// In small letters, with their values.
    pub(crate) head: String,
    pub(crate) body: Value,
}

/// One thing that the server does for a request.
#[derive(Clone)]
pub(crate) enum Act {
    Send(Vec<u8>),
    /// Sends this again and again, until nobody listens.
    Flood(Vec<u8>),
    Hang,
    Close,
}

pub(crate) struct Fake {
    pub(crate) port: u16,
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
    /// Connections whose other end has gone while a reply was under way.
    pub(crate) left: Arc<Mutex<usize>>,
    pub(crate) connections: Arc<Mutex<usize>>,
    server: JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.server.abort();
    }
}

pub(crate) type Script = Arc<dyn Fn(&Seen) -> Vec<Act> + Send + Sync>;

impl Fake {
    pub(crate) async fn new(script: impl Fn(&Seen) -> Vec<Act> + Send + Sync + 'static) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (left, connections) = (Arc::<Mutex<usize>>::default(), Arc::<Mutex<usize>>::default());
        let script: Script = Arc::new(script);
        let shared = (Arc::clone(&seen), Arc::clone(&left), Arc::clone(&connections));
        let server = tokio::spawn(async move {
            let mut all = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                *shared.2.lock().expect("not poisoned") += 1;
                all.spawn(serve(stream, script.clone(), shared.0.clone(), shared.1.clone()));
            }
        });
        Fake { port, seen, left, connections, server }
    }

    /// The back end that asks this server.
    pub(crate) fn remote(&self, name: &str) -> Remote {
        Remote {
            name: name.into(),
            address: format!("http://127.0.0.1:{}", self.port).parse().expect("an address"),
            key: Some(Key::new("A", KEY).expect("a key")),
            models: Vec::new(),
            context: 4096,
            at_once: 4,
            passes_on: false,
        }
    }

    pub(crate) fn last(&self) -> Seen {
        self.seen.lock().expect("not poisoned").last().expect("it was asked").clone()
    }
}

pub(crate) const KEY: &str = "sk-planted-5up3r-53cr3t-key";

async fn serve(mut stream: TcpStream, script: Script, seen: Arc<Mutex<Vec<Seen>>>, left: Arc<Mutex<usize>>) {
    while let Some(request) = read(&mut stream).await {
        seen.lock().expect("not poisoned").push(request.clone());
        for act in script(&request) {
            let gone = match act {
                Act::Send(bytes) => stream.write_all(&bytes).await.is_err(),
                Act::Flood(bytes) => {
                    while stream.write_all(&bytes).await.is_ok() {}
                    true
                }
                Act::Hang => gone(&mut stream, Duration::from_secs(600)).await,
                Act::Close => return,
            };
            if gone {
                *left.lock().expect("not poisoned") += 1;
                return;
            }
        }
    }
}

/// Waits, unless the other end goes.
async fn gone(stream: &mut TcpStream, span: Duration) -> bool {
    let mut byte = [0];
    tokio::time::timeout(span, stream.read(&mut byte)).await.is_ok()
}

async fn read(stream: &mut TcpStream) -> Option<Seen> {
    let (mut bytes, mut piece) = (Vec::new(), [0; 8192]);
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&piece[..read]),
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let lower = head.to_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    let mut body = bytes.split_off(end + 4);
    while body.len() < length {
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => body.extend_from_slice(&piece[..read]),
        }
    }
    let line = head.lines().next().unwrap_or_default().to_owned();
    Some(Seen { line, head: lower, body: serde_json::from_slice(&body).unwrap_or_default() })
}

/// A whole reply of JSON.
pub(crate) fn whole(status: u16, headers: &str, body: &Value) -> Vec<Act> {
    let body = body.to_string();
    let text = format!(
        "HTTP/1.1 {status} Some\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    vec![Act::Send(text.into())]
}

/// The head of a stream that ends with the connection.
pub(crate) fn head() -> Act {
    Act::Send(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nconnection: close\r\n\r\n".to_vec(),
    )
}

/// One event of OpenAI's.
pub(crate) fn data(value: &Value) -> Act {
    Act::Send(format!("data: {value}\n\n").into_bytes())
}

/// One event of Anthropic's.
pub(crate) fn event(value: &Value) -> Act {
    let kind = value["type"].as_str().unwrap_or_default();
    Act::Send(format!("event: {kind}\ndata: {value}\n\n").into_bytes())
}

/// The words of a text, each with the space before it.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for letter in text.chars() {
        match words.last_mut() {
            Some(word) if letter != ' ' => word.push(letter),
            _ => words.push(letter.into()),
        }
    }
    words
}

/// OpenAI's server with a model `echo`, that says again what it was told and never keeps to a limit, and `vectors`.
pub(crate) fn openai(seen: &Seen) -> Vec<Act> {
    let body = &seen.body;
    let known = |name: &str| body["model"] == name;
    let path = seen.line.split(' ').nth(1).unwrap_or_default();
    let lost = json!({"error": {"message": "model \"x\" not found, try pulling it first", "type": "api_error"}});
    match path {
        "/v1/models" => {
            let models = json!([{"id": "echo", "object": "model", "max_model_len": 8192},
                {"id": "embed-small", "object": "model"}, {"id": "big-cloud", "object": "model"}]);
            whole(200, "", &json!({"object": "list", "data": models}))
        }
        "/v1/embeddings" if known("embed-small") => {
            let texts = body["input"].as_array().cloned().unwrap_or_default();
            let vector = |(at, text): (usize, &Value)| {
                let length = text.as_str().map_or(0, str::len);
                json!({"object": "embedding", "index": at, "embedding": [length as f32, 0.5, -1.25]})
            };
            let mut data: Vec<Value> = texts.iter().enumerate().map(vector).collect();
            data.reverse();
            whole(200, "", &json!({"data": data, "usage": {"prompt_tokens": 7, "total_tokens": 7}}))
        }
        "/tokenize" => {
            let tokens: Vec<usize> = (0..words(body["content"].as_str().unwrap_or_default()).len()).collect();
            whole(200, "", &json!({"tokens": tokens}))
        }
        "/v1/chat/completions" if known("echo") => {
            let text = body["messages"].as_array().and_then(|all| all.last()?["content"].as_str()).unwrap_or_default();
            let mut acts = vec![head()];
            let chunk = |delta: Value, reason: Value| {
                json!({"id": "1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "echo",
                "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})
            };
            acts.push(data(&chunk(json!({"role": "assistant", "content": ""}), Value::Null)));
            acts.extend(words(text).iter().map(|word| data(&chunk(json!({"content": word}), Value::Null))));
            acts.push(data(&chunk(json!({}), json!("stop"))));
            let written = words(text).len();
            let usage = json!({"prompt_tokens": 3, "completion_tokens": written, "total_tokens": written + 3});
            acts.push(data(&json!({"id": "1", "object": "chat.completion.chunk", "created": 1_700_000_000,
                "model": "echo", "choices": [], "usage": usage})));
            acts.push(Act::Send(b"data: [DONE]\n\n".to_vec()));
            acts.push(Act::Close);
            acts
        }
        "/v1/chat/completions" | "/v1/embeddings" => whole(404, "", &lost),
        _ => whole(404, "", &json!({})),
    }
}

/// Anthropic's server with the same `echo`.
pub(crate) fn anthropic(seen: &Seen) -> Vec<Act> {
    let body = &seen.body;
    let fault = |status, kind: &str, text: &str| {
        whole(status, "", &json!({"type": "error", "error": {"type": kind, "message": text}}))
    };
    let last = body["messages"].as_array().and_then(|all| all.last()?["content"].as_array()?.last().cloned());
    let text = last.and_then(|block| block["text"].as_str().map(str::to_owned));
    match seen.line.split(' ').nth(1).unwrap_or_default() {
        "/v1/models?limit=1000" => whole(
            200,
            "",
            &json!({"data": [{"type": "model", "id": "echo", "display_name": "Echo"}], "has_more": false}),
        ),
        "/v1/messages" | "/v1/messages/count_tokens" if body["model"] != "echo" => {
            fault(404, "not_found_error", "model: nobody")
        }
        "/v1/messages/count_tokens" => {
            let text = body["messages"][0]["content"].as_str().unwrap_or_default();
            whole(200, "", &json!({"input_tokens": words(text).len()}))
        }
        "/v1/messages" => {
            let text = text.unwrap_or_default();
            let usage = json!({"input_tokens": 2, "cache_read_input_tokens": 1, "output_tokens": 1});
            let mut acts = vec![head()];
            acts.push(event(
                &json!({"type": "message_start", "message": {"id": "1", "role": "assistant", "content": [],
                "model": "echo", "usage": usage}}),
            ));
            acts.push(event(&json!({"type": "content_block_start", "index": 0,
                "content_block": {"type": "text", "text": ""}})));
            acts.push(event(&json!({"type": "ping"})));
            let delta = |word: &String| {
                let delta = json!({"type": "text_delta", "text": word});
                event(&json!({"type": "content_block_delta", "index": 0, "delta": delta}))
            };
            acts.extend(words(&text).iter().map(delta));
            acts.push(event(&json!({"type": "content_block_stop", "index": 0})));
            acts.push(event(&json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"},
                "usage": {"output_tokens": words(&text).len()}})));
            acts.push(event(&json!({"type": "message_stop"})));
            acts.push(Act::Close);
            acts
        }
        _ => fault(404, "not_found_error", "no such path"),
    }
}
