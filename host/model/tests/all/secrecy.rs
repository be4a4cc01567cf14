//! A planted key: it reaches its back end, and nothing else that is ever written.

use crate::fake::{self, Fake, KEY, head, whole};
use crate::suite::{ask, soon};
use model::{Anthropic, Backend, OpenAi, Prompt};
use serde_json::json;

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
