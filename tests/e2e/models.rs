//! Models through an agent's import: what the grant opens, what a prompt may use, and back ends that are meant to hurt.

use crate::fake::{self, Act, Fake, KEY, Seen, data, head, whole};
use crate::thoughts::{LIMITS, far, named, near, order, quick, router, said, tiny, village};
use model::{OpenAi, Terms};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tests::{eventually, receipt, used};

#[tokio::test(flavor = "multi_thread")]
async fn every_function_answers_through_a_server_on_the_wire() {
    let server = Fake::new(fake::openai).await;
    let host = village(router(vec![near(&server)]));
    let agent = host.agent("thinker", LIMITS, &["model=local/*"]).await;
    let prompt = order(json!({"text": "one two three"}));
    assert_eq!(said(&agent, "complete", &prompt).await, "one two three|Finish::Stop|local/echo|3+3");
    assert_eq!(said(&agent, "ask", "\"one two\"").await, "\"one two\"");
    let streamed = said(&agent, "stream", &order(json!({"text": "four five six", "warm": true}))).await;
    assert!(streamed.ends_with("|four five six|\"four five six\""), "{streamed}");
    let stopped = said(&agent, "complete", &order(json!({"text": "one two three", "stop": "two"}))).await;
    assert!(stopped.starts_with("one |Finish::Stop|"), "{stopped}");
    let vectors = said(&agent, "embed", &order(json!({"model": "local/embed-small", "texts": ["a", "bcd"]}))).await;
    assert_eq!(vectors, "[[1.0, 0.5, -1.25], [3.0, 0.5, -1.25]]");
    assert_eq!(said(&agent, "embed", &order(json!({"model": "local/embed-small", "texts": []}))).await, "[]");
    assert_eq!(said(&agent, "count", &order(json!({"model": "local/echo", "text": "one two three"}))).await, "3");
    let all = said(&agent, "models", "null").await;
    assert!(all.contains("name: \"local/echo\", context: 8192, embeds: false, local: true"), "{all}");
    assert!(all.contains("local/embed-small") && !all.contains("big-cloud"), "the cloud is not granted: {all}");
    assert_eq!(said(&agent, "judge", &order(json!({"text": "one", "score": 90}))).await, "()");
    for word in ["127.0.0.1", KEY, &server.port.to_string()] {
        assert!(!all.contains(word), "{word} is in {all}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_models_of_this_process_answer_with_nothing_else_there() {
    let host = village(tiny());
    let agent = host.agent("thinker", LIMITS, &["model=local/*"]).await;
    let prompt = order(json!({"text": "Once upon a time", "most": 8}));
    let first = said(&agent, "complete", &prompt).await;
    assert!(first.contains("|local/llama|") && first.ends_with("+8"), "{first}");
    assert_eq!(said(&agent, "complete", &prompt).await, first, "the likeliest tokens are the same each time");
    let streamed = said(&agent, "stream", &order(json!({"text": "Once upon a time", "most": 8, "warm": true}))).await;
    let parts: Vec<&str> = streamed.splitn(2, '|').collect();
    assert!(parts[0].parse::<usize>().is_ok_and(|pieces| pieces >= 1), "{streamed}");
    let vectors = said(&agent, "embed", &order(json!({"model": "local/bert", "texts": ["a text", "another"]}))).await;
    assert!(vectors.starts_with("[[") && vectors.matches("], [").count() == 1, "{vectors}");
    let count: u64 = said(&agent, "count", &order(json!({"model": "local/llama", "text": "Once"})))
        .await
        .parse()
        .expect("it is a number");
    assert!((1..=4).contains(&count), "{count}");
    let all = said(&agent, "models", "null").await;
    assert!(all.contains("local/llama") && all.contains("local/bert"), "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_granted_local_models_reaches_the_cloud_by_no_name() {
    let (here, cloud) = (Fake::new(fake::openai).await, Fake::new(fake::openai).await);
    let host = village(router(vec![near(&here), far(&cloud)]));
    let agent = host.agent("thinker", LIMITS, &["model=local/*"]).await;
    for name in ["cloud/echo", "cloud/*", "*", "cloud/e*", "local/../cloud/echo", "", "echo", "far/echo", "local/echo"]
    {
        let prompt = order(json!({"model": name, "text": "let me out", "warm": true}));
        for skill in ["complete", "stream"] {
            let got = said(&agent, skill, &prompt).await;
            let inside = ["", "*", "local/echo"].contains(&name);
            assert_eq!(got.contains("error: "), !inside, "{name} {skill}: {got}");
            assert!(!got.contains("cloud/echo|"), "{name}: {got}");
        }
        said(&agent, "count", &prompt).await;
        said(&agent, "embed", &order(json!({"model": name, "texts": ["let me out"]}))).await;
    }
    let got = said(&agent, "complete", &order(json!({"model": "cloud/echo", "text": "x"}))).await;
    assert!(got.contains("Denied(") && got.contains("cloud/echo"), "{got}");
    let sent = cloud.seen.lock().expect("not poisoned").clone();
    assert!(sent.iter().all(|seen| !seen.body.to_string().contains("let me out")), "it got {sent:?}");
    assert!(sent.iter().all(|seen| seen.line.starts_with("GET ")), "it was asked for more than its list");
    drop(sent);
    let shut = host.agent("thinker", LIMITS, &["log", "state"]).await;
    for (skill, payload) in [("complete", order(json!({}))), ("stream", order(json!({}))), ("models", "null".into())] {
        let got = said(&shut, skill, &payload).await;
        assert!(got.contains("Denied(\"`model` is not granted"), "{skill}: {got}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_private_never_leaves_although_the_cloud_would_be_chosen() {
    let (here, cloud) = (Fake::new(fake::openai).await, Fake::new(fake::openai).await);
    let mut best = far(&cloud);
    best.1.quality = vec![("*".into(), 100)];
    let mut poor = near(&here);
    poor.1.quality = vec![("*".into(), 10)];
    let host = village(router(vec![poor, best]));
    let agent = host.agent("thinker", LIMITS, &["model=*"]).await;
    let open = said(&agent, "complete", &order(json!({"text": "for all to hear"}))).await;
    assert!(open.contains("|cloud/echo|"), "it would be chosen: {open}");
    for skill in ["complete", "stream", "taste"] {
        let kept = said(&agent, skill, &order(json!({"text": "tell nobody", "private": true, "warm": true}))).await;
        assert!(kept.contains("tell"), "{skill}: {kept}");
    }
    let named = order(json!({"text": "tell nobody", "private": true, "model": "cloud/*"}));
    let got = said(&agent, "complete", &named).await;
    assert!(got.contains("Denied("), "{got}");
    let heard = cloud.seen.lock().expect("not poisoned").iter().map(|seen| seen.body.to_string()).collect::<String>();
    assert!(heard.contains("for all to hear") && !heard.contains("nobody"), "{heard}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_bounded_counted_and_told() {
    let server = Fake::new(fake::openai).await;
    let host = village(router(vec![near(&server)]));
    let agent = host.agent("thinker", "cpu=100%,deadline=5s,tokens=200/min", &["model=local/*"]).await;
    let prompt = |warm: bool| order(json!({"text": "one two three", "most": 100, "warm": warm}));
    let (first, used_by_turn) = receipt(&agent, "complete", &prompt(false)).await;
    assert!(first.is_ok_and(|text| text.contains("|3+3")));
    assert_eq!((used_by_turn.tokens, used(&agent, "tokens")), (6, 6), "what was set aside came back");
    let (again, used_by_turn) = receipt(&agent, "complete", &prompt(false)).await;
    assert!(again.is_ok() && used_by_turn.tokens == 0, "what is answered again costs nothing");
    let large = order(json!({"text": "one", "most": 201, "warm": true}));
    let got = said(&agent, "complete", &large).await;
    assert!(got.contains("Limit(Limit { what: \"tokens\", retry_after: None })"), "there will never be as many: {got}");
    let got = said(&agent, "begin", &order(json!({"text": "one", "most": 90, "times": 3, "warm": true}))).await;
    assert!(got.contains('3'), "what is begun is told later: {got}");
    let (got, _) = receipt(&agent, "complete", &order(json!({"text": "one", "most": 190, "warm": true}))).await;
    let got = got.expect("it answers");
    let after = got.split("retry_after: Some(").nth(1).and_then(|rest| rest.split(')').next()?.parse::<u64>().ok());
    assert!(after.is_some_and(|after| after > 0 && after <= 60_000), "{got}");
    let sent = server.seen.lock().expect("not poisoned").iter().any(|seen| seen.body["max_tokens"] == 190);
    assert!(!sent, "nobody was asked");
    assert!(host.agent("thinker", "tokens=7/min", &[]).await.usage().iter().any(|usage| usage.limit == "7/min"));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_agents_and_two_grants_share_no_answer() {
    let server = Fake::new(fake::openai).await;
    let host = village(router(vec![near(&server)]));
    let prompt = order(json!({"text": "the same"}));
    let chats = || {
        let seen = server.seen.lock().expect("not poisoned");
        seen.iter().filter(|seen| seen.line.contains("chat")).count()
    };
    let one = host.agent("thinker", LIMITS, &["model=local/*"]).await;
    said(&one, "complete", &prompt).await;
    said(&one, "complete", &prompt).await;
    assert_eq!(chats(), 1, "its own is given again");
    let other = host.agent("thinker", LIMITS, &["model=local/echo"]).await;
    said(&other, "complete", &prompt).await;
    assert_eq!(chats(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn back_ends_that_hurt_end_in_an_error_within_the_deadline() {
    let chunk = |text: &str| data(&json!({"choices": [{"index": 0, "delta": {"content": text}}]}));
    let (endless, half) = (chunk("more and more "), chunk("half a "));
    let fault =
        |status, kind: &str| whole(status, "", &json!({"error": {"message": format!("no: {KEY}"), "type": kind}}));
    let cases: Vec<(&str, Vec<Act>, &str)> = vec![
        ("it hangs", vec![Act::Hang], "Timeout("),
        ("it hangs midway", vec![head(), half.clone(), Act::Hang], "Timeout("),
        ("half a stream", vec![head(), half, Act::Close], "Unavailable("),
        ("a wrong key", fault(401, "authentication_error"), "Unavailable(\"`near` does not accept its key\")"),
        ("a rate limit", fault(429, "rate_limit"), "Unavailable("),
        ("a broken server", fault(500, "server_error"), "Unavailable("),
        ("nonsense", vec![Act::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{]}".to_vec())], "Unavailable("),
        ("no HTTP", vec![Act::Send(b"what is this\r\n\r\n".to_vec()), Act::Close], "Unavailable("),
    ];
    for (what, acts, error) in cases {
        let server = Fake::new(move |_| acts.clone()).await;
        let host = village(router(vec![named(&server)]));
        let agent = host.agent("thinker", "cpu=100%,deadline=3s", &["model=local/*"]).await;
        let begun = Instant::now();
        let got = said(&agent, "complete", &order(json!({"text": "hello"}))).await;
        assert!(got.starts_with("\"error: ") || got.starts_with("error: "), "{what}: {got}");
        assert!(got.contains(&error.replace('"', "\\\"")) || got.contains(error), "{what}: {got}");
        assert!(begun.elapsed() < Duration::from_secs(3), "{what}: {:?}", begun.elapsed());
        for secret in [KEY, "127.0.0.1", &server.port.to_string()] {
            assert!(!got.contains(secret), "{what}: {got}");
        }
    }
    let server = Fake::new(move |_| vec![head(), flood(&endless)]).await;
    let host = village(router(vec![named(&server)]));
    let agent = host.agent("thinker", "cpu=100%,deadline=3s", &["model=local/*"]).await;
    let got = said(&agent, "complete", &order(json!({"text": "hello", "most": 20}))).await;
    assert!(got.contains("|Finish::Length|") && got.len() < 2_000, "one that never stops is stopped: {got}");
    let gone = Fake::new(fake::openai).await.port;
    let mut nobody = quick("near", gone);
    nobody.models = vec!["echo".into()];
    let host = village(router(vec![(Arc::new(OpenAi::new(nobody, &Arc::default())), Terms::default())]));
    let agent = host.agent("thinker", "cpu=100%,deadline=3s", &["model=local/*"]).await;
    let got = said(&agent, "complete", &order(json!({"text": "hello"}))).await;
    assert!(got.contains("Unavailable("), "{got}");
}

fn flood(act: &Act) -> Act {
    match act {
        Act::Send(bytes) => Act::Flood(bytes.clone()),
        other => other.clone(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_completion_that_is_dropped_stops_the_model_and_what_it_took_is_counted() {
    let chunk = data(&json!({"choices": [{"index": 0, "delta": {"content": "the beginning"}}]}));
    let server = Fake::new(move |_| vec![head(), chunk.clone(), Act::Hang]).await;
    let host = village(router(vec![named(&server)]));
    // Were it not for the drop, the model would write on for longer than anybody waits here.
    let agent = host.agent("thinker", "cpu=100%,deadline=60s", &["model=local/*"]).await;
    let (got, used_by_turn) = receipt(&agent, "taste", &order(json!({"text": "hello"}))).await;
    assert!(got.is_ok_and(|text| text.contains("the beginning")));
    assert!((2..20).contains(&used_by_turn.tokens), "{}", used_by_turn.tokens);
    eventually("the end of the connection", || *server.left.lock().expect("not poisoned") == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_counts_as_the_agents_memory_and_prompts_at_once_are_bounded() {
    let piece = data(&json!({"choices": [{"index": 0, "delta": {"content": "x".repeat(4096)}}]}));
    let server = Fake::new(move |_| vec![head(), flood(&piece)]).await;
    let host = village(router(vec![named(&server)]));
    let limits = "cpu=100%,deadline=10s,memory=2MiB,tokens=10M/min";
    let agent = host.agent("thinker", limits, &["model=local/*"]).await;
    let got = said(&agent, "complete", &order(json!({"text": "hello", "most": 4_000_000}))).await;
    assert!(
        got.contains("Limit(Limit { what: \"memory\"") || got.contains("Limit(Limit { what: \\\"memory\\\""),
        "{got}"
    );
    let hanging = Fake::new(|_| vec![Act::Hang]).await;
    let host = village(router(vec![named(&hanging)]));
    let agent = host.agent("thinker", "cpu=100%,tokens=10M/min", &["model=local/*"]).await;
    let got = said(&agent, "begin", &order(json!({"text": "hello", "times": 20, "warm": true}))).await;
    assert!(got.contains("16 and error: Unavailable("), "{got}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_not_kept_to_is_asked_for_once_more() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let server = Fake::new(move |_: &Seen| {
        let text = ["{\"spam\": 3}", "{\"spam\": true}"][count.fetch_add(1, Relaxed).min(1)];
        whole(
            200,
            "",
            &json!({"choices": [{"message": {"content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 6}}),
        )
    })
    .await;
    let host = village(router(vec![named(&server)]));
    let agent = host.agent("thinker", LIMITS, &["model=local/*"]).await;
    assert_eq!(said(&agent, "verdict", &order(json!({"text": "You won"}))).await, "true");
    assert_eq!(asked.load(Relaxed), 2);
    let seen = server.last().body.to_string();
    assert!(seen.contains("json_schema"), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_said_to() {
    let server = Fake::new(fake::openai).await;
    let host = village(router(vec![near(&server)]));
    let agent = host.agent("thinker", LIMITS, &["model=*"]).await;
    for (skill, payload, error) in [
        ("complete", json!({"model": "gpt 4", "text": "x"}), "Invalid("),
        ("complete", json!({"model": "local/nobody", "text": "x"}), "NotFound("),
        ("count", json!({"model": "local/nobody", "text": "x"}), "NotFound("),
        ("embed", json!({"model": "local/nobody", "texts": ["x"]}), "NotFound("),
        ("embed", json!({"model": "local/embed-small", "texts": vec!["x"; 2049]}), "Invalid("),
        ("praise", json!({"model": "local/echo", "score": 50}), "NotFound("),
        ("praise", json!({"model": "local/echo", "score": 101}), "Invalid("),
    ] {
        let got = said(&agent, skill, &order(payload)).await;
        assert!(got.contains("error: ") && got.contains(error), "{skill}: {got}");
    }
    let none = tests::host();
    let agent = none.agent("thinker", LIMITS, &["model=*"]).await;
    let got = said(&agent, "complete", &order(json!({"text": "x"}))).await;
    assert!(got.contains("Unavailable(") && got.contains("[models] in village.toml"), "{got}");
}
