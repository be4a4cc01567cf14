//! A planted key: it reaches its back end, and nothing else that is ever written.

use crate::fake::{self, Fake, KEY, head, whole};
use crate::suite::{ask, soon};
use model::{Allowance, Anthropic, Backend, Grant, OpenAi, Prompt, Request, Router, Routing, Terms};
use serde_json::json;
use std::sync::Arc;

#[tokio::test]
async fn a_key_is_in_no_error_even_if_the_server_repeats_it() {
    let said = format!("the key {KEY} at 127.0.0.1 is no good, Bearer {KEY}");
    for status in [400, 401, 403, 404, 422, 429, 500] {
        for body in [
            json!({"error": {"message": said, "type": KEY, "code": KEY}}),
            json!({"error": said}),
            json!({"detail": said}),
            json!(said),
        ] {
            let fake = Fake::new(move |_| whole(status, "", &body)).await;
            let remote = fake.remote("far");
            let all: [Box<dyn Backend>; 2] = [
                Box::new(OpenAi::new(remote.clone(), &Default::default())),
                Box::new(Anthropic::new(remote.clone(), &Default::default())),
            ];
            for backend in all {
                let prompt = Prompt::ask("hello", 20);
                let error = backend.complete(ask("m", &prompt), &mut ()).await.expect_err("it fails");
                let written = format!("{error} {error:?} {remote:?}");
                assert!(!written.contains("planted"), "{written}");
                assert!(!error.to_string().contains(&fake.port.to_string()), "{error}");
                assert!(fake.last().head.contains(KEY), "the back end got it");
            }
        }
    }
}

#[tokio::test]
async fn a_key_that_a_stream_repeats_in_an_error_is_taken_out() {
    let event = json!({"error": {"code": 400, "message": format!("not with {KEY}")}});
    let fake = Fake::new(move |_| vec![head(), fake::data(&event)]).await;
    let backend = OpenAi::new(fake.remote("far"), &Default::default());
    let prompt = Prompt::ask("hello", 20);
    let error = backend.complete(ask("m", &prompt), &mut ()).await.expect_err("it fails").to_string();
    assert!(error.contains("not with [key]"), "{error}");
    let list = Fake::new(|_| whole(400, "", &json!({"error": {"message": format!("not with {KEY}")}}))).await;
    let error = OpenAi::new(list.remote("far"), &Default::default()).list(soon()).await.expect_err("it fails");
    assert!(!error.to_string().contains("planted"));
}

#[tokio::test]
async fn a_key_is_in_nothing_that_the_router_says_counts_or_stores() {
    let repeats = json!({"choices": [{"message": {"content": format!("your key is {KEY}")}, "finish_reason": "stop"}]});
    let fake = Fake::new(move |seen| match seen.body["temperature"].as_f64() {
        Some(warm) if warm > 0.0 => whole(500, "", &json!({"error": {"message": KEY}})),
        Some(_) => whole(200, "", &repeats),
        None => whole(200, "", &json!({"data": [{"id": "m"}]})),
    })
    .await;
    let backend: Arc<dyn Backend> = Arc::new(OpenAi::new(fake.remote("far"), &Default::default()));
    let router = Router::new(vec![(backend, Terms::default())], Routing::default(), 1);
    let (grant, mut prompt) = (Grant::parse(["*"]).expect("a grant"), Prompt::ask("hello", 20));
    let allowance = Allowance { tokens: 1000, retry_after: None };
    let mut written = String::new();
    for temperature in [0, 1] {
        prompt.temperature = temperature;
        let request = Request { agent: "a", prompt: &prompt, grant: &grant, policy: None, until: soon(), allowance };
        let explained = router.explain(request).await.map(|explained| format!("{explained} {explained:?}"));
        written += &format!("{explained:?}");
        let answer = router.complete(request, &mut ()).await;
        match answer {
            // Even a server that hands the key to the model does not get it to an agent.
            Ok(answer) => written += &format!("{answer:?}"),
            Err(error) => written += &format!("{error} {error:?}"),
        }
    }
    router.feedback("a", "local/m", 100).expect("it is heard");
    let stored = router.learned();
    written += &format!("{:?} {:?} {:?}", router.figures(), router.totals(), router.models(&grant, soon()).await);
    assert!(written.contains("status 500") && written.contains("your key is"), "{written}");
    assert!(!written.contains("planted"), "{written}");
    assert!(!stored.is_empty() && !stored.windows(7).any(|seven| seven == b"planted"));
}

#[tokio::test]
async fn a_key_that_a_server_hands_to_its_model_is_taken_out_however_it_is_cut() {
    let text = format!("your key: {KEY}, and {}", &KEY[..9]);
    for size in [1, 3, 7, 100] {
        let pieces: Vec<String> =
            text.as_bytes().chunks(size).map(|part| String::from_utf8_lossy(part).into()).collect();
        let fake = Fake::new(move |_| {
            let event = |piece: &String| fake::data(&json!({"choices": [{"index": 0, "delta": {"content": piece}}]}));
            let mut acts: Vec<_> = std::iter::once(head()).chain(pieces.iter().map(event)).collect();
            acts.push(fake::data(&json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})));
            acts.push(fake::Act::Close);
            acts
        })
        .await;
        let backend = OpenAi::new(fake.remote("far"), &Default::default());
        let (prompt, mut told) = (Prompt::ask("hello", 200), String::new());
        let answer = backend.complete(ask("m", &prompt), &mut told).await.expect("it answers");
        assert_eq!(answer.text, format!("your key: [key], and {}", &KEY[..9]), "pieces of {size}");
        assert_eq!(told, answer.text);
    }
}
