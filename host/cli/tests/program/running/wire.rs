//! The API as its clients see it: refusals, the document, streams, figures.

use super::{JSON, Up, asked, get, parsed, post, raw};
use crate::harness::guest;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The kind of an error, of the one shape that errors have.
fn kind(answer: &Value) -> &str {
    let error = answer["error"].as_object().unwrap_or_else(|| panic!("{answer}"));
    let fields: Vec<_> = error.keys().map(String::as_str).collect();
    assert_eq!(fields, ["details", "kind", "message"], "{answer}");
    assert!(error["message"].as_str().is_some_and(|said| !said.is_empty()), "{answer}");
    error["kind"].as_str().expect("text")
}

#[test]
fn whoever_has_no_token_and_every_web_page_is_turned_away() {
    let up = Up::start(&[]);
    let (address, token) = (up.address.as_str(), up.token());
    let ask = |path: &str, headers: &str| {
        let answer = raw(&up, &format!("GET {path} HTTP/1.1\r\nconnection: close\r\n{headers}\r\n"), b"");
        parsed(&answer)
    };
    let host = format!("host: {address}\r\n");
    let right = format!("{host}authorization: Bearer {token}\r\n");
    assert_eq!(ask("/v1/agents", &right).0, 200);
    let mut wrong = token.clone();
    wrong.replace_range(63.., if token.ends_with('0') { "1" } else { "0" });
    for headers in [
        "",
        &format!("authorization: Bearer {wrong}\r\n"),
        &format!("authorization: Basic {token}\r\n"),
        "authorization: Bearer\r\n",
    ] {
        for path in ["/v1/agents", "/metrics", "/v1/openapi.json", "/v1/events", "/nowhere", "/"] {
            let (status, answer) = ask(path, &format!("{host}{headers}"));
            assert_eq!((status, kind(&answer)), (401, "unauthorized"), "{path} {headers}");
        }
    }
    for path in ["/live", "/ready"] {
        assert_eq!(ask(path, &host).0, 200, "{path}");
        assert_eq!(ask(path, "host: evil.example\r\n").0, 403, "{path}");
    }
    let port = address.rsplit_once(':').expect("a port").1;
    for (headers, said) in [
        (format!("host: evil.example:{port}\r\nauthorization: Bearer {token}\r\n"), "host"),
        (format!("{right}origin: http://evil.example\r\n"), "origin"),
        (format!("{right}origin: null\r\n"), "origin"),
        (format!("{right}sec-fetch-site: cross-site\r\n"), "origin"),
    ] {
        let (status, answer) = ask("/v1/agents", &headers);
        assert_eq!((status, kind(&answer)), (403, said), "{headers}");
    }
    assert_eq!(ask("/v1/agents", &format!("{right}origin: http://{address}\r\n")).0, 200);
}

#[test]
fn bad_requests_are_answered_in_one_shape_with_the_right_status() {
    let up = Up::start(&[]);
    up.json(&["deploy", guest("echo"), "--name", "echo", "--budget", "mailbox-bytes=8KiB"]);
    let messages = "/v1/agents/echo/messages";
    for (method, path, headers, body, status, said) in [
        ("GET", "/v1/nothing", "", "", 404, "unknown-path"),
        ("PUT", "/v1/agents", "", "", 405, "method"),
        ("GET", "/v1/agents/nobody", "", "", 404, "unknown-agent"),
        ("DELETE", "/v1/agents/nobody", "", "", 404, "unknown-agent"),
        ("GET", "/v1/agents/%ff", "", "", 400, "bad-request"),
        ("GET", "/v1/agents?limit=many", "", "", 400, "bad-request"),
        ("GET", "/v1/agents?lmit=1", "", "", 400, "bad-request"),
        ("POST", messages, JSON, "{", 400, "bad-request"),
        ("POST", messages, JSON, "[1]", 400, "bad-request"),
        ("POST", messages, JSON, r#"{"skil":"echo"}"#, 400, "bad-request"),
        ("POST", messages, JSON, r#"{"text":"a","input":1}"#, 400, "bad-request"),
        ("POST", messages, JSON, r#"{"priority":"loud"}"#, 400, "bad-request"),
        ("POST", messages, "", r#"{"skill":"echo"}"#, 415, "media-type"),
        ("POST", messages, "content-type: text/plain\r\n", r#"{"skill":"echo"}"#, 415, "media-type"),
        ("POST", messages, JSON, r#"{"skill":"fly"}"#, 422, "unsupported"),
        ("POST", "/v1/agents/nobody/messages", JSON, "{}", 404, "unknown-agent"),
        ("POST", "/v1/agents/nobody/stream", JSON, "{}", 404, "unknown-agent"),
        ("PATCH", "/v1/agents/echo/budget", JSON, r#"{"cpu":"200%"}"#, 400, "bad-request"),
        ("PATCH", "/v1/agents/echo/budget", JSON, r#"{"cpu":5}"#, 400, "bad-request"),
        ("PATCH", "/v1/groups/none/budget", JSON, "{}", 404, "unknown-group"),
        ("POST", "/v1/agents", JSON, r#"{"digest":"sha256:1"}"#, 400, "bad-request"),
        ("POST", "/v1/components", "content-type: application/wasm\r\n", "no component", 422, "invalid-component"),
        ("GET", "/v1/agents/echo/log/follow", "last-event-id: x\r\n", "", 400, "bad-request"),
    ] {
        let (given, answer) = asked(&up, method, path, headers, body.as_bytes());
        assert_eq!((given, kind(&answer)), (status, said), "{method} {path} {body}: {answer}");
    }
    let none = format!("sha256:{}", "0".repeat(64));
    assert_eq!(kind(&post(&up, "/v1/agents", &json!({ "digest": none })).1), "unknown-component");

    // Bodies: larger than the path takes, and larger than the agent's mailbox.
    let large = format!("{{\"text\":\"{}\"}}", "x".repeat(2 << 20));
    let (status, answer) = asked(&up, "PATCH", "/v1/agents/echo/budget", JSON, large.as_bytes());
    assert_eq!((status, kind(&answer)), (413, "too-large"));
    let (status, answer) = asked(&up, "POST", messages, JSON, large.as_bytes());
    assert_eq!((status, kind(&answer)), (429, "full"), "{answer}");
    let (status, answer) = post(&up, messages, &json!({ "skill": "echo", "base64": "/wA=" }));
    assert_eq!((status, &answer["reply"]["body-base64"]), (200, &json!("/wA=")), "{answer}");

    // A body that is announced too large is refused before it comes.
    let request = format!(
        "POST {messages} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\nconnection: close\r\n{JSON}content-length: 99999999999\r\n\r\n",
        up.address,
        up.token()
    );
    assert_eq!(parsed(&raw(&up, &request, b"{")).0, 413);
}

#[test]
fn whoever_waits_too_little_is_told_that_the_message_is_handled_all_the_same() {
    let up = Up::start(&[]);
    up.json(&["deploy", "mischief", "--budget", "deadline=700ms"]);
    let messages = "/v1/agents/mischief/messages";
    let (status, answer) = post(&up, messages, &json!({ "skill": "spin", "timeout": "50ms" }));
    assert_eq!((status, kind(&answer)), (504, "timeout"));
    up.until("its end", |village| village["sends"]["broke"] == 1);
    let (status, answer) = post(&up, messages, &json!({ "skill": "spin" }));
    assert_eq!((status, kind(&answer)), (504, "deadline"));
    let (status, answer) = post(&up, messages, &json!({ "skill": "hog" }));
    assert_eq!((status, kind(&answer)), (502, "memory"), "{answer}");
    let agent = get(&up, "/v1/agents/mischief").1;
    assert_eq!((&agent["health"], &agent["sends"]["broke"]), (&json!("failing"), &json!(3)));
}

#[test]
fn the_document_has_every_route_and_every_route_is_in_it() {
    let up = Up::start(&[]);
    up.json(&["deploy", guest("echo"), "--name", "echo"]);
    let (status, document) = get(&up, "/v1/openapi.json");
    assert_eq!((status, &document["openapi"]), (200, &json!("3.1.0")));
    let paths = document["paths"].as_object().expect("paths");
    assert!(paths.len() > 12, "{}", paths.len());
    let methods = ["get", "put", "post", "delete", "patch"];
    for (path, operations) in paths {
        let own = path.replace("{name}", "no-such-one");
        for method in methods {
            let known = operations.get(method).is_some();
            // A stream that is open has no end: the head is enough.
            let status = head(&up, &method.to_uppercase(), &own);
            assert_eq!(status == 405, !known, "{method} {path}: {status}");
            assert_ne!(status, 401, "{method} {path}");
        }
    }
    // What the document says of an answer is what comes: the fields that it requires are there.
    for (path, schema) in [
        ("/v1/village", "Figures"),
        ("/v1/agents", "Agents"),
        ("/v1/agents/echo", "Details"),
        ("/v1/agents/echo/card", "Card"),
        ("/v1/agents/echo/log", "Log"),
        ("/v1/groups", "Groups"),
    ] {
        let named = path.replace("echo", "{name}");
        let said = &document["paths"][named.as_str()]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
            ["$ref"];
        assert_eq!(said, &json!(format!("#/components/schemas/{schema}")), "{path}");
        let (status, answer) = get(&up, path);
        assert_eq!(status, 200, "{path}: {answer}");
        let required = document["components"]["schemas"][schema]["required"].as_array().expect("a list");
        for field in required {
            assert!(answer.get(field.as_str().expect("text")).is_some(), "{path}: {field}");
        }
    }
}

/// The status of an answer, without its body.
fn head(up: &Up, method: &str, path: &str) -> u16 {
    let mut stream = TcpStream::connect(&up.address).expect("it listens");
    let (address, token) = (&up.address, up.token());
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\ncontent-length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("it is open");
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).expect("it answers");
    line.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("{line}"))
}

/// A stream of server-sent events.
struct Stream(std::io::Lines<BufReader<TcpStream>>);

impl Stream {
    fn open(up: &Up, path: &str, headers: &str) -> Stream {
        let mut stream = TcpStream::connect(&up.address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("set");
        let (address, token) = (&up.address, up.token());
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).expect("it is open");
        let mut lines = BufReader::new(stream).lines();
        let status = lines.next().expect("a line").expect("text");
        assert!(status.contains(" 200 "), "{status}");
        Stream(lines)
    }

    /// The next event: its number and what it says.
    fn next(&mut self) -> (u64, Value) {
        let mut id = 0;
        loop {
            let line = self.0.next().expect("the stream goes on").expect("text");
            if let Some(number) = line.strip_prefix("id: ") {
                id = number.parse().expect("a number");
            } else if let Some(data) = line.strip_prefix("data: ") {
                return (id, serde_json::from_str(data).expect("JSON"));
            }
        }
    }
}

#[test]
fn what_happens_is_streamed_and_nothing_is_missed_by_whoever_comes_back() {
    let up = Up::start(&[]);
    let mut live = Stream::open(&up, "/v1/events", "");
    up.json(&["deploy", guest("echo"), "--name", "echo", "--grant", "log"]);
    up.json(&["send", "echo", "--skill", "echo", "--input", "x"]);
    up.json(&["budget", "echo", "cpu=50%"]);
    up.json(&["stop", "echo"]);
    let wanted = ["deployed", "woken", "budget", "stopped"];
    let heard: Vec<_> = wanted.iter().map(|_| live.next()).collect();
    let names: Vec<_> = heard.iter().map(|(_, event)| event["event"].as_str().expect("text")).collect();
    assert_eq!(names, wanted);
    assert!(heard.iter().all(|(id, event)| event["agent"] == "echo" && event["id"] == *id), "{heard:?}");
    // Somebody heard the first of them, and lost the connection.
    for (path, headers) in [
        (format!("/v1/events?since={}", heard[0].0), String::new()),
        ("/v1/events".into(), format!("last-event-id: {}\r\n", heard[0].0)),
    ] {
        let mut again = Stream::open(&up, &path, &headers);
        assert_eq!((1..wanted.len()).map(|_| again.next()).collect::<Vec<_>>(), heard[1..]);
    }

    up.json(&["start", "echo"]);
    up.json(&["send", "echo", "--skill", "log", "--input", "first"]);
    let mut follow = Stream::open(&up, "/v1/agents/echo/log/follow", "");
    for line in ["second", "third"] {
        up.json(&["send", "echo", "--skill", "log", "--input", line]);
    }
    let heard = [follow.next(), follow.next()];
    assert_eq!(heard.iter().map(|(_, line)| &line["text"]).collect::<Vec<_>>(), ["second", "third"]);
    let mut again = Stream::open(&up, "/v1/agents/echo/log/follow", &format!("last-event-id: {}\r\n", heard[0].0 - 1));
    assert_eq!(again.next(), heard[0]);
    let lines = up.json(&["logs", "echo", "--lines", "2"])["lines"].clone();
    assert_eq!((&lines[0]["text"], &lines[1]["level"]), (&json!("second"), &json!("info")));
    assert!(up.call(&["logs", "echo"]).out.ends_with("info  third\n"));
}

#[test]
fn figures_are_text_that_prometheus_reads() {
    let up = Up::start(&[]);
    up.json(&["deploy", guest("echo"), "--name", "echo"]);
    up.json(&["deploy", "navigator"]);
    up.json(&["send", "echo", "--skill", "echo", "--input", "x"]);
    let (status, text) = get(&up, "/metrics");
    let text = text.as_str().expect("text");
    assert_eq!(status, 200);
    for family in ["swaps_total", "journal_entries", "dead_letters", "given_up_total", "agent_talk_total"] {
        assert!(text.contains(&format!("\nvillage_{family}")), "{family} is there");
    }
    // Each line is a comment of its family, or a row: name, labels in quotes, a number.
    let mut kinds = BTreeMap::new();
    let mut rows = BTreeMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            let words: Vec<_> = rest.splitn(3, ' ').collect();
            match words[..] {
                ["HELP", name, help] => assert!(!help.is_empty() && !kinds.contains_key(name), "{line}"),
                ["TYPE", name, kind] => {
                    assert!(["counter", "gauge"].contains(&kind), "{line}");
                    assert!(kind != "counter" || name.ends_with("_total"), "{line}");
                    assert!(kinds.insert(name, kind).is_none(), "{line}");
                }
                _ => panic!("{line}"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect("a value");
        let name = series.split('{').next().expect("a name");
        assert!(kinds.contains_key(name), "{line} has a family");
        let labels = series.strip_prefix(name).expect("it begins with it");
        assert!(labels.is_empty() || (labels.starts_with('{') && labels.ends_with("\"}")), "{line}");
        assert!(rows.insert(series, value.parse::<f64>().expect("a number")).is_none(), "{series} is there once");
    }
    assert_eq!(rows["village_agents{state=\"awake\"}"], 1.0);
    assert_eq!(rows["village_agents{state=\"asleep\"}"], 1.0);
    assert_eq!(rows["village_agent_messages_total{agent=\"echo\",outcome=\"answered\"}"], 1.0);
    let limits = base::BUDGET_FIELDS.map(|field| format!("village_budget_limit{{agent=\"echo\",field=\"{field}\"}}"));
    assert!(limits.iter().all(|series| rows.contains_key(series.as_str())), "{text}");
    assert!(!text.contains("navigator"), "one that sleeps has no rows");
}
