//! What the official clients sent, were answered and understood (`golden/wire`), beside what these back ends make of it.

use crate::dialects;
use crate::fake::{Act, Fake, Seen};
use crate::suite::{ask, soon};
use model::{Anthropic, Backend, Call, Error, Finish, OpenAi, Prompt, Role, Tool, Turn};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

fn exchanges(of: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/wire").join(of).with_extension("json");
    let text = std::fs::read(path).expect("it can be read");
    let mut all: Value = serde_json::from_slice(&text).expect("it is JSON");
    let Value::Array(all) = all["exchanges"].take() else { panic!("a list of exchanges") };
    assert!(all.len() >= 12, "of each kind one");
    all
}

fn word<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("`{name}` is a text in {value}"))
}

/// A server that says exactly what was said then.
async fn replays(exchange: &Value) -> Fake {
    let replied = &exchange["replied"];
    let body = word(replied, "body");
    let mut head = format!("HTTP/1.1 {} Some\r\ncontent-length: {}\r\n", replied["status"], body.len());
    for (name, value) in replied["headers"].as_object().expect("headers") {
        head += &format!("{name}: {}\r\n", value.as_str().expect("a text"));
    }
    let bytes = format!("{head}\r\n{body}").into_bytes();
    Fake::new(move |_| vec![Act::Send(bytes.clone())]).await
}

/// The prompt that the case was about.
fn prompt(case: &str, call: &str) -> Prompt {
    let schema = r#"{"type":"object","properties":{"place":{"type":"string"}},"required":["place"],"additionalProperties":false}"#;
    let says = || vec![Turn::new(Role::System, "Be brief."), Turn::new(Role::User, "one two three")];
    let asks = || Turn::new(Role::User, "How warm is it in Ulm?");
    let arguments = "{\"place\":\"Ulm\"}";
    let called = || {
        let calls = vec![Call { id: call.into(), name: "warmth".into(), arguments: arguments.into() }];
        vec![
            asks(),
            Turn { calls, ..Turn::new(Role::Assistant, "") },
            Turn { answers: call.into(), ..Turn::new(Role::Tool, "21 degrees") },
        ]
    };
    let tool =
        || Tool { name: "warmth".into(), description: "Tells how warm it is.".into(), parameters: schema.into() };
    let base = Prompt { temperature: 700, ..Prompt::ask("", 50) };
    match case {
        "whole" | "stream" => Prompt { turns: says(), stop: vec!["END".into()], seed: Some(7), ..base },
        "tools" | "tools, streamed" => Prompt { turns: vec![asks()], tools: vec![tool()], ..base },
        "a tool's answer" => Prompt { turns: called(), tools: vec![tool()], ..base },
        "a form" => Prompt { turns: vec![Turn::new(Role::User, arguments)], schema: Some(schema.into()), ..base },
        _ => Prompt { turns: says(), ..base },
    }
}

/// What a body says of the prompt, without how the answer is to come.
fn asked(body: &Value) -> Value {
    let mut body = body.clone();
    let all = body.as_object_mut().expect("an object");
    all.remove("stream");
    all.remove("stream_options");
    body
}

/// `same` is whether the client speaks the same version, with the same headers.
async fn check(backend: &dyn Backend, fake: &Fake, exchange: &Value, prompt: &Prompt, same: bool) {
    let (case, sent, understood) = (word(exchange, "case"), &exchange["sent"], &exchange["understood"]);
    let model = sent["body"]["model"].as_str().unwrap_or("echo");
    match case {
        "list" => {
            let listed = backend.list(soon()).await.expect("it lists");
            let names: Vec<&str> = listed.iter().map(|listed| listed.name.as_str()).collect();
            assert_eq!(json!(names), understood["models"]);
        }
        "vectors" => {
            let made = backend.embed(model, &["a".into(), "bcd".into()], false, soon()).await.expect("it embeds");
            assert_eq!(
                (json!(made.vectors), json!([made.tokens, 0])),
                (understood["vectors"].clone(), understood["tokens"].clone())
            );
        }
        "count" => {
            let counted = backend.count(model, "one two three", false, soon()).await.expect("it counts");
            assert!(counted.exact && json!([counted.tokens, 0]) == understood["tokens"], "{counted:?}");
        }
        _ => {
            let mut told = String::new();
            let answer = backend.complete(ask(model, prompt), &mut told).await;
            judge(case, answer, &told, understood);
        }
    }
    let seen = fake.last();
    assert_eq!(seen.line, format!("{} HTTP/1.1", word(sent, "line")), "{case}");
    for (name, value) in sent["headers"].as_object().expect("headers") {
        if !same && ["authorization", "anthropic-version"].contains(&name.as_str()) {
            continue;
        }
        let value = value.as_str().expect("a text").replace("sk-of-nobody", crate::fake::KEY).to_lowercase();
        // A question without a body says nothing of its kind here.
        let named = seen.head.contains(&format!("{name}: {value}"));
        assert!(named || name == "content-type" && sent["body"].is_null(), "{case}: {name} in {}", seen.head);
    }
    if !sent["body"].is_null() {
        assert_eq!(asked(&seen.body), asked(&sent["body"]), "{case}");
    }
}

fn judge(case: &str, answer: Result<model::Completion, Error>, told: &str, understood: &Value) {
    match (answer, understood["status"].as_u64()) {
        (Ok(answer), None) => {
            let calls: Vec<Value> =
                answer.calls.iter().map(|call| json!([call.id, call.name, call.arguments])).collect();
            assert_eq!(
                (answer.text.as_str(), &json!(calls)),
                (word(understood, "text"), &understood["calls"]),
                "{case}"
            );
            assert_eq!(json!([answer.tokens_in, answer.tokens_out]), understood["tokens"], "{case}");
            assert_eq!(told, answer.text, "{case}");
            let finish = match word(understood, "finish") {
                "stop" | "end_turn" => Finish::Stop,
                "tool_calls" | "tool_use" => Finish::Calls,
                other => panic!("{case}: {other}"),
            };
            assert_eq!(answer.finish, finish, "{case}");
        }
        (Err(error), Some(status)) => match (status, &error) {
            (401, Error::Key { .. }) | (500 | 529, Error::Unavailable { .. }) => {}
            (429, Error::Busy { retry_after: Some(wait), .. }) => {
                assert_eq!(json!(wait.as_secs().to_string()), understood["retry_after"]);
                assert_eq!(*wait, Duration::from_secs(2));
            }
            (404, Error::Unknown { model }) => assert_eq!(model, "nobody"),
            _ => panic!("{case}: {error}, where the client says {understood}"),
        },
        (answer, _) => panic!("{case}: {answer:?}, where the client says {understood}"),
    }
}

#[tokio::test]
async fn openai_is_asked_and_understood_as_its_own_client_does() {
    for exchange in exchanges("openai-3") {
        let fake = replays(&exchange).await;
        let backend = OpenAi::new(fake.remote("here"), &Default::default());
        check(&backend, &fake, &exchange, &prompt(word(&exchange, "case"), "call_1"), true).await;
    }
}

#[tokio::test]
async fn anthropic_is_asked_and_understood_as_its_own_client_does() {
    // The newer one speaks a newer version, which says elsewhere who asks.
    let older = exchanges("anthropic-0").into_iter().map(|exchange| (exchange, true));
    for (exchange, same) in older.chain(exchanges("anthropic-2").into_iter().map(|exchange| (exchange, false))) {
        let fake = replays(&exchange).await;
        let backend = Anthropic::new(fake.remote("here"), &Default::default());
        let mut prompt = prompt(word(&exchange, "case"), "toolu_1");
        if word(&exchange, "case") == "a tool's answer" {
            prompt.turns.push(Turn::new(Role::User, "Well?"));
        }
        check(&backend, &fake, &exchange, &prompt, same).await;
    }
}

#[test]
fn the_tests_servers_say_what_the_clients_have_read() {
    let dialect = |of: &str| if of == "openai-3" { dialects::openai } else { dialects::anthropic };
    for of in ["openai-3", "anthropic-0", "anthropic-2"] {
        for exchange in exchanges(of) {
            let sent = &exchange["sent"];
            let line = format!("{} HTTP/1.1", word(sent, "line"));
            let acts = dialect(of)(&Seen { line, head: String::new(), body: sent["body"].clone() });
            let bytes: Vec<u8> = acts
                .into_iter()
                .filter_map(|act| match act {
                    Act::Send(bytes) => Some(bytes),
                    _ => None,
                })
                .flatten()
                .collect();
            let said = String::from_utf8(bytes).expect("it is text");
            let (head, body) = said.split_once("\r\n\r\n").expect("a head and a body");
            let replied = &exchange["replied"];
            assert!(head.starts_with(&format!("HTTP/1.1 {} ", replied["status"])), "{of} {}: {head}", exchange["case"]);
            assert_eq!(body, word(replied, "body"), "{of} {}", exchange["case"]);
        }
    }
}
