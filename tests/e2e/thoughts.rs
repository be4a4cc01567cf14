//! Models in turns that last: recorded and run again, tried again, and a planted key searched in all that is written.

use crate::fake::{self, Fake, KEY, head, whole};
use agents::{Entry, Event};
use guest::Record;
use hall::{Deployment, Letter, Options};
use model::embedded::{self, Settings, Settled};
use model::{Backend, OpenAi, Remote, Router, Routing, Terms};
use serde_json::{Value, json};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use tests::lasting::Lasting;
use tests::{Village, ask, budget, builder, grants, guest, root};

pub(crate) const LIMITS: &str = "cpu=100%,memory=16MiB,deadline=5s,tokens=100k/min";

pub(crate) type Far = (Arc<dyn Backend>, Terms);

/// A back end on this machine.
pub(crate) fn near(server: &Fake) -> Far {
    (Arc::new(OpenAi::new(server.remote("near"), &Arc::default())), Terms::default())
}

/// One whose server need not say which models it has.
pub(crate) fn named(server: &Fake) -> Far {
    let remote = Remote { models: vec!["echo".into()], ..server.remote("near") };
    (Arc::new(OpenAi::new(remote, &Arc::default())), Terms::default())
}

/// One that is said to pass on what it is given, so that it counts as any other in the cloud.
pub(crate) fn far(server: &Fake) -> Far {
    let remote = Remote { passes_on: true, ..server.remote("far") };
    (Arc::new(OpenAi::new(remote, &Arc::default())), Terms::default())
}

/// A back end at a port, which need not be there.
pub(crate) fn quick(name: &str, port: u16) -> Remote {
    Remote {
        name: name.into(),
        address: format!("http://127.0.0.1:{port}").parse().expect("an address"),
        key: None,
        models: Vec::new(),
        context: 4096,
        at_once: 16,
        passes_on: false,
    }
}

pub(crate) fn router(backends: Vec<Far>) -> Arc<Router> {
    Arc::new(Router::new(backends, Routing { hedge: false, ..Routing::default() }, 7))
}

/// A tiny model that writes and one that makes vectors, in this process.
pub(crate) fn tiny() -> Arc<Router> {
    let golden = root().join("host/model/tests/golden/embedded");
    let folder = tempfile::tempdir().expect("a folder");
    let models = ["llama", "bert"].map(|name| {
        let path = folder.path().join(name);
        std::fs::create_dir(&path).expect("a folder");
        for (from, to) in [
            (golden.join("tokenizer.json"), "tokenizer.json"),
            (golden.join(name).join("model.safetensors"), "model.safetensors"),
            (golden.join(name).join("config.json"), "config.json"),
        ] {
            std::fs::copy(from, path.join(to)).expect("copies");
        }
        Settled { name: name.into(), path, template: None }
    });
    let threads = NonZeroUsize::MIN;
    let (name, memory, cache) = ("inside".into(), 1 << 20, 1 << 20);
    let settings = Settings { name, threads, memory, cache, together: 2, waiting: 8, models: models.into() };
    let opened = embedded::Models::open(&settings).unwrap_or_else(|error| panic!("{error}"));
    router(vec![(Arc::new(opened), Terms::default())])
}

pub(crate) fn village(models: Arc<Router>) -> Village {
    Village(builder(8).models(models).build().expect("a host can be made"))
}

pub(crate) fn order(value: Value) -> String {
    value.to_string()
}

/// What the guest answers, as text; a refusal is part of it.
pub(crate) async fn said(agent: &guest::Agent, skill: &str, payload: &str) -> String {
    let text = ask(agent, skill, payload).await.unwrap_or_else(|no| panic!("{skill} {payload}: {no}"));
    serde_json::from_str::<String>(&text).unwrap_or(text)
}

async fn lasting(folder: &Path, models: Arc<Router>) -> Lasting {
    let store = store::Store::open(folder, store::Options::default()).unwrap_or_else(|error| panic!("{error}"));
    let books = guest::Books::open(store).await.unwrap_or_else(|error| panic!("{error}"));
    let village = Lasting::on(builder(16).models(models), books).await;
    village.enrol_guest("ada", "thinker", LIMITS, &["model=local/*"]).await;
    village
}

fn records(village: &Lasting) -> Vec<(Entry, Record)> {
    let all = village.books.store().read().journal(0..u64::MAX, usize::MAX).expect("it can be read");
    let entries = all.iter().filter_map(|record| match record.read::<Event>().expect("it is an event") {
        Some(Event::Turn(entry)) => Some(*entry),
        _ => None,
    });
    entries.map(|entry| (entry.clone(), Record::read(&entry.record).expect("it was recorded"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_is_run_again_hears_what_the_models_said_and_asks_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Fake::new(fake::openai).await;
    let village = lasting(folder.path(), router(vec![near(&server)])).await;
    let prompt = order(json!({"text": "one two three", "warm": true, "score": 70}));
    let texts = order(json!({"model": "local/embed-small", "texts": ["a", "bcd"], "text": "a b"}));
    for (skill, payload) in [
        ("complete", &prompt),
        ("stream", &prompt),
        ("taste", &prompt),
        ("judge", &prompt),
        ("embed", &texts),
        ("count", &texts),
        ("models", &"null".to_string()),
        ("praise", &texts),
    ] {
        village.post("ada", skill, payload).await.unwrap_or_else(|error| panic!("{skill}: {error}"));
    }
    let asked = server.seen.lock().expect("not poisoned").len();
    let turns = records(&village);
    assert_eq!(turns.len(), 8);
    let version = village.host.load(guest("thinker")).await.unwrap_or_else(|error| panic!("{error}"));
    for (entry, record) in &turns {
        let replayed = village.host.replay(&version, record, budget(LIMITS), &grants(&["model=local/*"])).await;
        let replayed = replayed.unwrap_or_else(|error| panic!("{error}"));
        // How many pieces a stream comes in is for the clock to say.
        let differs: Vec<_> = replayed.differs.iter().filter(|_| entry.skill != "stream").collect();
        assert!(differs.is_empty(), "{}: {differs:?}", entry.skill);
        assert_eq!(replayed.missing, Vec::<String>::new(), "{}", entry.skill);
        assert!(!replayed.outcome.contains("error: Un"), "{}: {}", entry.skill, replayed.outcome);
    }
    assert_eq!(server.seen.lock().expect("not poisoned").len(), asked, "nobody was asked");
    let mut other = turns[0].1.clone();
    let mail = other.message.as_mut().expect("it has one");
    mail.body = order(json!({"text": "another question"})).into_bytes();
    let replayed = village.host.replay(&version, &other, budget(LIMITS), &grants(&["model=local/*"])).await;
    let replayed = replayed.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(replayed.missing, ["what a model said to a prompt"]);
    assert_eq!(server.seen.lock().expect("not poisoned").len(), asked, "nobody was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_in_a_turn_that_fails_is_not_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Fake::new(fake::openai).await;
    let models = router(vec![near(&server)]);
    let village = lasting(folder.path(), models.clone()).await;
    let prompt = order(json!({"text": "one", "score": 0}));
    let failed = village.post("ada", "judge-and-fail", &prompt).await.expect_err("it fails");
    assert_eq!(failed.kind(), "refused");
    let waiting = models.unjudged("ada", "local/echo");
    assert!(waiting > 0, "its answer waits for a word");
    village.post("ada", "judge", &prompt).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(models.unjudged("ada", "local/echo"), waiting, "one more came, and one was judged");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_known_by_the_same_key_at_each_try_of_its_turn() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Fake::new(fake::openai).await;
    let village = lasting(folder.path(), router(vec![near(&server)])).await;
    village.post("ada", "falter", &order(json!({"text": "hello", "warm": true}))).await.expect_err("it fails");
    let keys = |server: &Fake| -> Vec<String> {
        let seen = server.seen.lock().expect("not poisoned");
        let key = |head: &str| head.lines().find_map(|line| line.strip_prefix("idempotency-key: ").map(str::to_owned));
        seen.iter().filter(|seen| seen.line.contains("chat")).filter_map(|seen| key(&seen.head)).collect()
    };
    let tried = keys(&server);
    assert_eq!(tried.len(), 4, "the turn was tried again: {tried:?}");
    assert!(tried.iter().all(|key| *key == tried[0]), "{tried:?}");
    let fine = Fake::new(fake::openai).await;
    let place = tempfile::tempdir().expect("a folder");
    let village = lasting(place.path(), router(vec![near(&fine)])).await;
    let twice = order(json!({"text": "hello", "times": 2, "warm": true}));
    village.post("ada", "times", &twice).await.unwrap_or_else(|error| panic!("{error}"));
    let keys = keys(&fine);
    assert!(keys.len() == 2 && keys[0] != keys[1], "two calls of a turn are two: {keys:?}");
}

/// Every file below a folder that has these bytes in it.
fn holding(folder: &Path, bytes: &[u8], found: &mut Vec<String>) -> usize {
    let mut files = 0;
    for entry in std::fs::read_dir(folder).expect("it can be listed").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files += holding(&path, bytes, found);
            continue;
        }
        files += 1;
        let content = std::fs::read(&path).expect("it can be read");
        if content.windows(bytes.len()).any(|part| part == bytes) {
            found.push(path.display().to_string());
        }
    }
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planted_key_is_in_nothing_that_is_written() {
    let repeats = |seen: &fake::Seen| match seen.body["messages"][0]["content"].as_str() {
        Some("fail") => whole(401, "", &json!({"error": {"message": format!("bad key {KEY}")}})),
        Some("stream") => vec![
            head(),
            fake::data(&json!({"choices": [{"index": 0, "delta": {"content": format!("it is {KEY}")}}]})),
            fake::Act::Close,
        ],
        Some(_) => whole(
            200,
            "",
            &json!({"choices": [{"message": {"content": format!("your key is {KEY}")},
            "finish_reason": "stop"}]}),
        ),
        None => whole(200, "", &json!({"data": [{"id": "echo"}]})),
    };
    let server = Fake::new(repeats).await;
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let options = Options { data: data.clone(), ..Options::default() };
    let host = builder(8).models(router(vec![near(&server)]));
    let village = hall::Village::begin(host, options).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(village.models().is_some());
    let uploaded = village.upload(guest("thinker").to_vec()).await.unwrap_or_else(|error| panic!("{error}"));
    let deployment = Deployment {
        name: Some("ada".into()),
        digest: uploaded.digest.parse().ok(),
        grants: vec!["model=local/*".into()],
        turns: vec![("record".into(), "true".into())],
        ..Deployment::default()
    };
    village.deploy(deployment).await.unwrap_or_else(|error| panic!("{error}"));
    let mut written = String::new();
    for text in ["tell me", "fail", "stream"] {
        for skill in ["complete", "stream", "times"] {
            let body = order(json!({"text": text, "times": 1, "warm": true})).into_bytes();
            let letter = Letter::new(skill, guest::Payload { content_type: String::new(), body });
            let came = village.ask("ada", letter).await;
            written += &match came {
                Ok(came) => match came.outcome {
                    Ok(reply) => String::from_utf8_lossy(&reply.body).into_owned(),
                    Err(failed) => format!("{failed} {failed:?}"),
                },
                Err(error) => format!("{error} {error:?}"),
            };
        }
    }
    assert!(written.contains("[key]"), "it came back, and was taken out: {written}");
    written += &format!("{:?}", village.events(0, usize::MAX));
    written += &format!("{:?}", village.details("ada").unwrap_or_else(|error| panic!("{error}")));
    written += &format!("{:?}", village.models().map(|models| models.figures()));
    village.stop(std::time::Duration::from_secs(5)).await;
    village.close().await.unwrap_or_else(|error| panic!("{error}"));
    assert!(server.last().head.contains(KEY), "its back end got it");
    assert!(!written.contains("planted"), "{written}");
    let mut found = Vec::new();
    assert!(holding(&data, KEY.as_bytes(), &mut found) > 2, "there are files");
    assert_eq!(found, Vec::<String>::new());
    let (mut marks, text) = (Vec::new(), b"tell me");
    holding(&data, text, &mut marks);
    assert!(!marks.is_empty(), "what is searched is there to be found");
}
