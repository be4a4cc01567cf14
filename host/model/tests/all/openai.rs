//! What is sent to an OpenAI-compatible server, and how its answers are read.

use crate::fake::{self, Act, Fake, data, head, whole};
use crate::suite::{ask, soon};
use model::{Backend as _, Call, Counted, Finish, OpenAi, Prompt, Role, Tool, Turn};
use serde_json::{Value, json};

fn chunk(delta: Value, reason: Value) -> Act {
    data(&json!({"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}))
}

fn done() -> Act {
    Act::Send(b"data: [DONE]\n\n".to_vec())
}

async fn answers(acts: Vec<Act>) -> (Fake, OpenAi) {
    let fake = Fake::new(move |_| acts.clone()).await;
    let backend = OpenAi::new(fake.remote("here"), &Default::default());
    (fake, backend)
}

#[tokio::test]
async fn a_prompt_is_sent_with_all_that_it_says() {
    let fake = Fake::new(fake::openai).await;
    let backend = OpenAi::new(fake.remote("here"), &Default::default());
    let call = Call { id: "c1".into(), name: "look".into(), arguments: "{\"at\":1}".into() };
    let parameters = json!({"type": "object", "properties": {"at": {"type": "integer"}}});
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"],
        "additionalProperties": false});
    let prompt = Prompt {
        turns: vec![
            Turn::new(Role::System, "Be brief."),
            Turn { calls: vec![call], ..Turn::new(Role::Assistant, "") },
            Turn { answers: "c1".into(), ..Turn::new(Role::Tool, "42") },
            Turn::new(Role::User, "hello"),
        ],
        tools: vec![Tool { name: "look".into(), description: "Looks.".into(), parameters: parameters.to_string() }],
        schema: Some(schema.to_string()),
        stop: vec!["END".into()],
        temperature: 700,
        seed: Some(7),
        ..Prompt::ask("", 50)
    };
    assert_eq!(prompt.check(), Ok(()));
    let answer = backend.complete(ask("echo", &prompt), &mut ()).await.expect("it answers");
    assert_eq!((answer.text.as_str(), answer.tokens_in, answer.tokens_out), ("hello", 3, 1));
    let seen = fake.last();
    assert_eq!(seen.line, "POST /v1/chat/completions HTTP/1.1");
    assert!(
        seen.head.contains(&format!("authorization: bearer {}", fake::KEY)) && seen.head.contains("host: 127.0.0.1")
    );
    let function = json!({"name": "look", "arguments": "{\"at\":1}"});
    let sent = json!({
        "model": "echo", "temperature": 0.7, "max_tokens": 50, "stop": ["END"], "seed": 7, "stream": true,
        "stream_options": {"include_usage": true},
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "assistant", "content": "",
                "tool_calls": [{"id": "c1", "type": "function", "function": function}]},
            {"role": "tool", "content": "42", "tool_call_id": "c1"},
            {"role": "user", "content": "hello"},
        ],
        "tools": [{"type": "function",
            "function": {"name": "look", "description": "Looks.", "parameters": parameters}}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": true}},
    });
    assert_eq!(seen.body, sent);
}

#[tokio::test]
async fn calls_come_in_pieces_or_whole_and_are_told_apart() {
    let piece = |call: Value| chunk(json!({"tool_calls": [call]}), Value::Null);
    let acts = vec![
        head(),
        piece(json!({"index": 0, "id": "a", "type": "function", "function": {"name": "look", "arguments": ""}})),
        piece(json!({"index": 0, "function": {"arguments": "{\"at\":"}})),
        piece(json!({"index": 0, "function": {"arguments": "1}"}})),
        piece(json!({"index": 1, "id": "b", "function": {"name": "wait", "arguments": ""}})),
        // The same place again, as some servers have it for each.
        piece(json!({"index": 1, "id": "c", "function": {"name": "look", "arguments": {"at": 2}}})),
        chunk(json!({}), json!("tool_calls")),
        done(),
    ];
    let (_fake, backend) = answers(acts).await;
    let prompt = Prompt::ask("hello", 50);
    let answer = backend.complete(ask("echo", &prompt), &mut ()).await.expect("it answers");
    let calls: Vec<_> = answer.calls.iter().map(|c| (c.id.as_str(), c.name.as_str(), c.arguments.as_str())).collect();
    assert_eq!(calls, [("a", "look", "{\"at\":1}"), ("b", "wait", "{}"), ("c", "look", "{\"at\":2}")]);
    assert_eq!(answer.finish, Finish::Calls);
}

#[tokio::test]
async fn a_server_that_does_not_stream_answers_all_the_same() {
    let message = json!({"role": "assistant", "content": null, "tool_calls": [
        {"id": "a", "type": "function", "function": {"name": "look", "arguments": "{}"}}]});
    let body = json!({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 6}});
    let (_fake, backend) = answers(whole(200, "", &body)).await;
    let prompt = Prompt::ask("hello", 50);
    let answer = backend.complete(ask("echo", &prompt), &mut ()).await.expect("it answers");
    assert_eq!((answer.calls.len(), answer.finish, answer.tokens_in, answer.tokens_out), (1, Finish::Calls, 5, 6));
}

#[tokio::test]
async fn thoughts_are_no_text_and_a_refusal_is_said_to_be_one() {
    let acts = vec![
        head(),
        chunk(json!({"reasoning_content": "hm"}), Value::Null),
        chunk(json!({"content": "yes"}), Value::Null),
        chunk(json!({}), json!("length")),
        done(),
    ];
    let (_fake, backend) = answers(acts).await;
    let prompt = Prompt::ask("hello", 50);
    let answer = backend.complete(ask("echo", &prompt), &mut ()).await.expect("it answers");
    assert_eq!((answer.text.as_str(), answer.finish), ("yes", Finish::Length));
    let acts =
        vec![head(), chunk(json!({"refusal": "I won't."}), Value::Null), chunk(json!({}), json!("stop")), done()];
    let (_fake, backend) = answers(acts).await;
    let answer = backend.complete(ask("echo", &prompt), &mut ()).await.expect("it answers");
    assert_eq!((answer.text.as_str(), answer.finish), ("I won't.", Finish::Refused));
}

#[tokio::test]
async fn models_vectors_and_tokens_are_had_in_their_order() {
    let fake = Fake::new(fake::openai).await;
    let backend = OpenAi::new(fake.remote("here"), &Default::default());
    let listed = backend.list(soon()).await.expect("it lists");
    let listed: Vec<_> = listed.iter().map(|m| (m.name.as_str(), m.context, m.embeds, m.local)).collect();
    // A name that says that the model runs elsewhere is believed, wherever the server is.
    let expected = [("echo", 8192, false, true), ("embed-small", 4096, true, true), ("big-cloud", 4096, false, false)];
    assert_eq!(listed, expected);
    let texts: Vec<String> = (0..300).map(|length| "x".repeat(length)).collect();
    let found = backend.embed("embed-small", &texts, false, soon()).await.expect("it embeds");
    assert!(found.vectors.iter().enumerate().all(|(at, vector)| *vector == [at as f32, 0.5, -1.25]));
    assert_eq!((found.vectors.len(), found.tokens), (300, 21));
    let counted = backend.count("echo", "one two three", false, soon()).await;
    assert_eq!(counted, Ok(Counted { tokens: 3, exact: true }));
    assert_eq!(*fake.connections.lock().expect("not poisoned"), 1, "one connection is used again");
    // Where nobody counts, it is guessed, and not asked for a second time.
    let fake = Fake::new(|_| whole(404, "", &json!({}))).await;
    let backend = OpenAi::new(fake.remote("here"), &Default::default());
    for _ in 0..2 {
        let counted = backend.count("echo", "one two three", false, soon()).await;
        assert_eq!(counted, Ok(Counted { tokens: 5, exact: false }));
    }
    assert_eq!(fake.seen.lock().expect("not poisoned").len(), 1);
}
