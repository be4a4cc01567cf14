//! Everything that can go wrong on the way, for both kinds of back ends: a clear error each, within the deadline.

use crate::fake::{self, Act, Fake, data, event, head, whole};
use crate::suite::ask;
use model::{Anthropic, Ask, Backend, Error, Finish, OpenAi, Prompt, Remote};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

fn backends(remote: Remote) -> [Box<dyn Backend>; 2] {
    [Box::new(OpenAi::new(remote.clone(), &Default::default())), Box::new(Anthropic::new(remote, &Default::default()))]
}

async fn asked(backend: &dyn Backend, within: Duration) -> Result<model::Completion, Error> {
    let prompt = Prompt::ask("hello", 20);
    let (began, until) = (Instant::now(), Instant::now() + within);
    let answer = backend.complete(Ask { model: "m", prompt: &prompt, until }, &mut ()).await;
    assert!(began.elapsed() < within + Duration::from_millis(500), "it took {:?}", began.elapsed());
    answer
}

/// What both kinds say if the server does this.
async fn said(acts: Vec<Act>) -> [Error; 2] {
    let fake = Fake::new(move |_| acts.clone()).await;
    let [first, second] = backends(fake.remote("far"));
    let within = Duration::from_secs(5);
    [asked(&*first, within).await, asked(&*second, within).await].map(|answer| answer.expect_err("it fails"))
}

fn fault(kind: &str, message: &str) -> Value {
    json!({"type": "error", "error": {"type": kind, "code": kind, "message": message}})
}

#[tokio::test]
async fn a_reply_that_says_no_is_understood() {
    let far = || "far".to_owned();
    let after = |seconds| Some(Duration::from_secs(seconds));
    let busy = |retry_after| Error::Busy { backend: far(), retry_after };
    let away = |why: &str, retry_after| Error::Unavailable { backend: far(), why: why.into(), retry_after };
    let other = |what: &str| Error::Unsupported { backend: far(), what: what.into() };
    let cases = [
        (
            whole(401, "", &fault("authentication_error", "x")),
            Error::Key { backend: far(), why: "status 401, authentication_error".into() },
        ),
        (whole(403, "", &json!("no")), Error::Key { backend: far(), why: "status 403".into() }),
        (whole(402, "", &json!({})), away("its account has no credit", None)),
        (whole(404, "", &fault("not_found_error", "model: m")), Error::Unknown { model: "m".into() }),
        (
            whole(400, "", &fault("invalid_request_error", "Invalid model name passed in model=m.")),
            Error::Unknown { model: "m".into() },
        ),
        (whole(429, "retry-after: 7\r\n", &fault("rate_limit_error", "slow down")), busy(after(7))),
        (whole(429, "", &json!({})), busy(None)),
        (whole(429, "retry-after: 1e300\r\n", &json!({})), busy(None)),
        (whole(429, "retry-after: 999999\r\n", &json!({})), busy(after(3600))),
        (whole(429, "", &fault("insufficient_quota", "pay")), away("its account has no credit", None)),
        (whole(500, "", &json!({})), away("status 500", None)),
        (whole(503, "retry-after: 2\r\n", &json!({})), away("status 503", after(2))),
        (whole(529, "", &fault("overloaded_error", "Overloaded")), away("status 529, overloaded_error", None)),
        (whole(400, "", &fault("context_length_exceeded", "too many")), Error::TooLong { model: "m".into() }),
        (
            whole(400, "", &fault("invalid_request_error", "prompt is too long: 300 tokens")),
            Error::TooLong { model: "m".into() },
        ),
        (
            whole(400, "", &fault("content_filter", "hm")),
            Error::Refused { backend: far(), why: "status 400, content_filter".into() },
        ),
        (whole(422, "", &fault("odd", "tools\nare not known")), other("status 422, odd: tools are not known")),
    ];
    for (acts, expected) in cases {
        for error in said(acts).await {
            assert_eq!(error, expected);
        }
    }
    for error in said(whole(302, "location: http://127.0.0.1:1/\r\n", &json!({}))).await {
        assert!(matches!(&error, Error::Broken { why, .. } if why.contains("302")), "{error}");
    }
    for error in said(whole(404, "", &json!({}))).await {
        assert!(error.to_string().contains("`url`"), "{error}");
    }
}

#[tokio::test]
async fn half_an_answer_is_no_answer() {
    let delta = json!({"choices": [{"index": 0, "delta": {"content": "half"}}]});
    let block = json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "half"}});
    let cut = |act: Act| vec![head(), act, Act::Close];
    let why = |error: &Error| match error {
        Error::Broken { why, .. } => why.clone(),
        other => panic!("{other}"),
    };
    let [openai, _] = said(cut(data(&delta))).await;
    let [_, anthropic] = said(cut(event(&block))).await;
    assert_eq!((why(&openai), why(&anthropic)), ("it ended midway".into(), "it ended midway".into()));
    // A reply that says how long it is, and isn't.
    let short =
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 900\r\n\r\ndata: {}\n\n".to_vec();
    for error in said(vec![Act::Send(short), Act::Close]).await {
        assert!(matches!(error, Error::Broken { .. }), "{error}");
    }
    // Something else altogether.
    for text in ["SSH-2.0-OpenSSH\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nhi!"] {
        for error in said(vec![Act::Send(text.into()), Act::Close]).await {
            assert!(matches!(error, Error::Broken { .. } | Error::Unavailable { .. }), "{error}");
        }
    }
    for error in said(vec![head(), Act::Send(b"data: {nonsense\n\n".to_vec())]).await {
        assert_eq!(why(&error), "its answer is not what it should be");
    }
    for error in said(vec![Act::Close]).await {
        assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    }
}

#[tokio::test]
async fn an_error_in_the_midst_of_a_stream_is_understood() {
    let delta = json!({"choices": [{"index": 0, "delta": {"content": "half"}}]});
    let overloaded = event(&fault("overloaded_error", "Overloaded"));
    let [openai, _] = said(vec![head(), data(&delta), data(&json!({"error": {"code": 503, "message": "x"}}))]).await;
    assert!(matches!(&openai, Error::Unavailable { why, .. } if why == "status 503"), "{openai}");
    let [openai, _] =
        said(vec![head(), data(&delta), Act::Send(b"error: {\"code\":500,\"message\":\"x\"}\n\n".into())]).await;
    assert!(matches!(&openai, Error::Unavailable { why, .. } if why == "status 500"), "{openai}");
    let [_, anthropic] = said(vec![head(), overloaded]).await;
    assert!(matches!(&anthropic, Error::Unavailable { why, .. } if why.contains("overloaded")), "{anthropic}");
}

#[tokio::test]
async fn a_server_that_is_silent_is_waited_for_no_longer_than_the_deadline() {
    let delta = json!({"choices": [{"index": 0, "delta": {"content": "half"}}]});
    for acts in [vec![Act::Hang], vec![head(), Act::Hang], vec![head(), data(&delta), Act::Hang]] {
        let fake = Fake::new(move |_| acts.clone()).await;
        for backend in backends(fake.remote("far")) {
            let answer = asked(&*backend, Duration::from_millis(200)).await;
            assert!(matches!(answer, Err(Error::Timeout)) || backend_differs(&answer), "{answer:?}");
        }
        wait_for(|| *fake.left.lock().expect("not poisoned") == 2).await;
    }
}

/// The other kind does not know this delta, and says so at once.
fn backend_differs(answer: &Result<model::Completion, Error>) -> bool {
    matches!(answer, Err(Error::Broken { why, .. }) if why == "its answer is not what it should be")
}

async fn wait_for(done: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(5);
    while !done() {
        assert!(Instant::now() < until, "it does not come about");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_model_that_does_not_stop_is_stopped_and_so_is_its_server() {
    let delta = json!({"choices": [{"index": 0, "delta": {"content": "on "}}]});
    let block = json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "on "}});
    let flood = [format!("data: {delta}\n\n"), format!("event: x\ndata: {block}\n\n")];
    for (at, text) in flood.into_iter().enumerate() {
        let fake = Fake::new(move |_| vec![head(), Act::Flood(text.clone().into())]).await;
        let backend = &backends(fake.remote("far"))[at];
        let answer = asked(&**backend, Duration::from_secs(5)).await.expect("what it wrote will do");
        assert_eq!((answer.finish, answer.tokens_out), (Finish::Length, 28));
        assert_eq!(answer.text, "on ".repeat(28), "eight more than it may, and not a page");
        wait_for(|| *fake.left.lock().expect("not poisoned") == 1).await;
    }
}

#[tokio::test]
async fn an_answer_without_end_takes_no_memory() {
    let huge = "x".repeat(1 << 20);
    let delta = json!({"choices": [{"index": 0, "delta": {"content": huge}}]});
    let floods = [format!("data: {delta}\n\n"), "x".repeat(1 << 20), format!(": {huge}\n")];
    for (at, text) in floods.into_iter().enumerate() {
        let fake = Fake::new(move |_| vec![head(), Act::Flood(text.clone().into())]).await;
        let backend = &backends(fake.remote("far"))[0];
        let answer = asked(&**backend, Duration::from_secs(20)).await;
        assert!(
            matches!(&answer, Err(Error::Broken { why, .. }) if why.contains("large") || why.contains("no end")),
            "{at}: {answer:?}"
        );
    }
    let json = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n";
    let acts = vec![Act::Send(json.into()), Act::Flood(vec![b' '; 1 << 20])];
    let fake = Fake::new(move |_| acts.clone()).await;
    let answer = asked(&*backends(fake.remote("far"))[0], Duration::from_secs(20)).await;
    assert!(matches!(&answer, Err(Error::Broken { why, .. }) if why.contains("too large")), "{answer:?}");
}

#[tokio::test]
async fn nobody_there_is_said_at_once() {
    let fake = Fake::new(|_| vec![Act::Close]).await;
    let remote = fake.remote("far");
    drop(fake);
    for backend in backends(remote) {
        let answer = asked(&*backend, Duration::from_secs(2)).await.expect_err("nobody is there");
        assert!(matches!(&answer, Error::Unavailable { .. }), "{answer}");
        assert!(!answer.to_string().contains("127.0.0.1"), "{answer}");
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_while_it_was_kept_is_made_anew() {
    let fake = Fake::new(|seen| {
        let mut acts = crate::fake::openai(seen);
        acts.push(Act::Close);
        acts
    })
    .await;
    let backend = OpenAi::new(fake.remote("here"), &Default::default());
    for _ in 0..3 {
        assert!(backend.list(Instant::now() + Duration::from_secs(2)).await.is_ok());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(*fake.connections.lock().expect("not poisoned"), 3);
}

#[tokio::test]
async fn no_more_requests_are_under_way_than_are_allowed() {
    let fake = Fake::new(|_| vec![Act::Hang]).await;
    let remote = Remote { at_once: 2, ..fake.remote("far") };
    let backend = OpenAi::new(remote, &Default::default());
    let within = Duration::from_millis(300);
    let all = tokio::join!(asked(&backend, within), asked(&backend, within), asked(&backend, within));
    assert_eq!([all.0, all.1, all.2].map(|answer| answer.err()), [const { Some(Error::Timeout) }; 3]);
    assert_eq!(fake.seen.lock().expect("not poisoned").len(), 2);
}

#[tokio::test]
async fn a_model_that_takes_no_temperature_is_asked_without_and_remembered() {
    let refuses = |status: u16, kind: &'static str, dialect: fn(&fake::Seen) -> Vec<fake::Act>| {
        move |seen: &fake::Seen| match seen.body.get("temperature") {
            Some(_) => {
                let message = "`temperature` is deprecated for this model.";
                let error = json!({"message": message, "type": kind, "code": null});
                whole(status, "", &json!({"type": "error", "error": error}))
            }
            None => dialect(seen),
        }
    };
    let fake = Fake::new(refuses(400, "invalid_request_error", fake::openai)).await;
    let other = Fake::new(refuses(400, "invalid_request_error", fake::anthropic)).await;
    let backends: [(Box<dyn Backend>, &Fake); 2] = [
        (Box::new(OpenAi::new(fake.remote("a"), &Default::default())), &fake),
        (Box::new(Anthropic::new(other.remote("b"), &Default::default())), &other),
    ];
    for (backend, fake) in backends {
        let prompt = Prompt::ask("hello", 20);
        for calls in [2, 3] {
            let answer = backend.complete(ask("echo", &prompt), &mut ()).await.expect("it answers");
            assert_eq!((answer.text.as_str(), fake.seen.lock().expect("not poisoned").len()), ("hello", calls));
        }
    }
    // What refuses something else is not asked twice.
    let fake = Fake::new(|_| whole(400, "", &json!({"error": {"message": "no `seed` here"}}))).await;
    let backend = OpenAi::new(fake.remote("a"), &Default::default());
    let error = backend.complete(ask("echo", &Prompt::ask("hello", 20)), &mut ()).await.expect_err("it says no");
    assert!(matches!(error, Error::Unsupported { .. }) && fake.seen.lock().expect("not poisoned").len() == 1);
}
