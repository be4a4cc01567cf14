//! Spaces of memory with vectors: what means the same is found, tokens are charged, words do where vectors can't be had; and sage.

use crate::fake::{self, Act, Fake, Seen, whole};
use crate::spaces::{again, last};
use crate::thoughts::{near, router, tiny};
use guest::{Agent, Books, Payload};
use hall::{Deployment, Letter, Options};
use model::Router;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use tests::lasting::Lasting;
use tests::{Village, builder, bundle, receipt};

const LIMITS: &str = "deadline=20s,memory=32MiB,storage=1MiB,tokens=100k/min";
const PER_CALL: u64 = 7;

/// A server with two models that know what is about the sea, and what is about trees.
fn meaning(seen: &Seen) -> Vec<Act> {
    let near = |text: &str, words: [&str; 2]| f32::from(words.iter().any(|word| text.contains(word)));
    let vector = |(at, text): (usize, &Value)| {
        let text = text.as_str().unwrap_or_default().to_lowercase();
        let [sea, wood] = [near(&text, ["whale", "ocean"]), near(&text, ["oak", "tree"])];
        let embedding = match seen.body["model"] == "embed-two" {
            true => json!([sea, wood + 0.01]),
            false => json!([sea, wood, 0.01]),
        };
        json!({"index": at, "embedding": embedding})
    };
    match seen.line.split(' ').nth(1).unwrap_or_default() {
        "/v1/models" => whole(200, "", &json!({"data": [{"id": "embed-three"}, {"id": "embed-two"}]})),
        "/v1/embeddings" => {
            let data: Vec<Value> =
                seen.body["input"].as_array().into_iter().flatten().enumerate().map(vector).collect();
            whole(200, "", &json!({"data": data, "usage": {"prompt_tokens": PER_CALL, "total_tokens": PER_CALL}}))
        }
        _ => whole(404, "", &json!({})),
    }
}

fn calls(server: &Fake) -> usize {
    let seen = server.seen.lock().expect("not poisoned");
    seen.iter().filter(|seen| seen.line.contains("/v1/embeddings")).count()
}

async fn village(folder: &Path, models: Arc<Router>, embedder: &str) -> Lasting {
    let store = store::Store::open(folder, store::Options::default()).unwrap_or_else(|error| panic!("{error}"));
    let books = Books::open(store).await.unwrap_or_else(|error| panic!("{error}"));
    let village = Lasting::on(builder(16).models(models).embedder(embedder), books).await;
    village.enrol_guest("ann", "scholar", LIMITS, &["memory=notes"]).await;
    village
}

async fn posted(village: &Lasting, skill: &str, line: &str) -> String {
    village.post("ann", skill, line).await.unwrap_or_else(|error| panic!("{skill} {line}: {error}"))
}

/// What is answered, and the tokens that it cost.
async fn cost(agent: &Agent, skill: &str, line: &str) -> (String, u64) {
    let (outcome, receipt) = receipt(agent, skill, line).await;
    (outcome.unwrap_or_else(|no| panic!("{skill} {line}: {no}")), receipt.tokens)
}

fn host(models: Arc<Router>, embedder: &str) -> Village {
    Village(builder(8).models(models).embedder(embedder).build().unwrap_or_else(|error| panic!("{error}")))
}

const SEA: &str = "sea 0-12 [] Whales sing.\n";
const WOOD: &str = "wood 0-14 [] An oak stands.\n";

#[tokio::test(flavor = "multi_thread")]
async fn what_means_the_same_is_found_and_its_tokens_are_charged() {
    let server = Fake::new(meaning).await;
    let host = host(router(vec![near(&server)]), "local/embed-three");
    // No grant `model`: the village has chosen what makes vectors.
    let agent = host.agent("scholar", LIMITS, &["memory=notes"]).await;
    assert_eq!(cost(&agent, "ingest", "notes sea - Whales sing.").await, ("1".into(), PER_CALL));
    assert_eq!(cost(&agent, "ingest", "notes wood - An oak stands.").await, ("1".into(), PER_CALL));
    assert_eq!(cost(&agent, "search", "notes 1 - ocean").await, (SEA.into(), PER_CALL));
    assert_eq!(cost(&agent, "search", "notes 1 - tree").await, (WOOD.into(), PER_CALL));
    // Within the turn that ingests it too.
    let (seen, tokens) = cost(&agent, "both", "x a tall tree").await;
    assert_eq!((seen.lines().next(), tokens), (Some("new 0-11 [] a tall tree"), 2 * PER_CALL));
    // A turn's tokens are gone, whatever becomes of it.
    let (failed, receipt) = receipt(&agent, "both-and", "fail a tall tree").await;
    assert_eq!((failed.expect_err("it is told to fail").kind, receipt.tokens), ("internal", 2 * PER_CALL));
}

#[tokio::test(flavor = "multi_thread")]
async fn words_do_where_vectors_can_not_be_had() {
    let server = Fake::new(meaning).await;
    let host = host(router(vec![near(&server)]), "local/embed-three");
    let poor = host.agent("scholar", "deadline=20s,memory=32MiB,tokens=6/min", &["memory=notes"]).await;
    assert_eq!(cost(&poor, "ingest", "notes sea - Whales sing.").await, ("1".into(), PER_CALL));
    // It owes one now.
    assert_eq!(cost(&poor, "ingest", "notes wood - An oak stands.").await, ("1".into(), 0));
    assert_eq!(cost(&poor, "search", "notes 9 - oak").await, (WOOD.into(), 0));
    let rich = host.agent("scholar", LIMITS, &["memory=notes"]).await;
    let (found, _) = cost(&rich, "search", "notes 9 - tree").await;
    assert_eq!(found, SEA, "only that has a vector, near or not");
    assert!(cost(&rich, "search", "notes 9 - oak").await.0.contains(WOOD), "what has none is found by its words");
    drop(server);
    assert_eq!(cost(&rich, "search", "notes 9 - ocean").await, (String::new(), 0));
    assert_eq!(cost(&rich, "ingest", "notes lake - An oak by a lake.").await, ("1".into(), 0));
    assert_eq!(cost(&rich, "search", "notes 9 - lake").await, ("lake 0-17 [] An oak by a lake.\n".into(), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn vectors_of_another_model_are_not_compared_and_those_of_a_turn_are_not_made_again() {
    let server = Fake::new(meaning).await;
    let folder = tempfile::tempdir().expect("a folder");
    {
        let village = village(folder.path(), router(vec![near(&server)]), "local/embed-three").await;
        posted(&village, "ingest", "notes sea - Whales sing.").await;
        posted(&village, "ingest", "notes wood - An oak stands.").await;
        assert_eq!(posted(&village, "search", "notes 1 - ocean").await, SEA);
        let (entry, before) = (last(&village, "ann"), calls(&server));
        let replayed = again(&village, &entry, "scholar").await;
        assert_eq!((replayed.differs, replayed.missing, replayed.outcome), (vec![], vec![], SEA.into()));
        assert_eq!((calls(&server), before), (3, 3), "nobody was asked");
    }
    {
        let village = village(folder.path(), router(vec![near(&server)]), "local/embed-three").await;
        assert_eq!(posted(&village, "search", "notes 1 - tree").await, WOOD, "vectors last");
    }
    let village = village(folder.path(), router(vec![near(&server)]), "local/embed-two").await;
    assert_eq!(posted(&village, "search", "notes 9 - ocean").await, "");
    assert_eq!(posted(&village, "search", "notes 9 - whales").await, SEA, "its words are there");
    posted(&village, "ingest", "notes sea - Whales sing.").await;
    assert_eq!(posted(&village, "search", "notes 9 - ocean").await, SEA);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passage_that_is_too_long_for_the_model_has_the_vector_of_what_it_begins_with() {
    let host = host(tiny(), "local/bert");
    let agent = host.agent("scholar", LIMITS, &["memory=notes"]).await;
    let text = "once there was a village by the sea ".repeat(25);
    let (count, tokens) = cost(&agent, "ingest", &format!("notes long - {text}")).await;
    assert!(count == "1" && (1..=40).contains(&tokens), "{count} passages, {tokens} tokens");
    let (found, _) = cost(&agent, "search", "notes 1 - zzz").await;
    assert!(found.starts_with("long 0-"), "by its vector: {found}");
    let refused = builder(8).embedder("cloud/embed").build().err().map(|error| error.to_string()).unwrap_or_default();
    assert!(refused.contains("`cloud/embed` is no name of a model of this machine"), "{refused}");
}

async fn sage(models: Option<Arc<Router>>, grants: &[&str]) -> (tempfile::TempDir, hall::Village) {
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options { data: folder.path().join("data"), ..Options::default() };
    let host = models.into_iter().fold(builder(8), |host, models| host.models(models));
    let village = hall::Village::begin(host, options).await.unwrap_or_else(|error| panic!("{error}"));
    let component = std::fs::read(bundle::component("sage")).expect("it was bundled");
    let uploaded = village.upload(component).await.unwrap_or_else(|error| panic!("{error}"));
    let grants = ["memory=library", "memory=library/*"].iter().chain(grants).map(|grant| (*grant).into()).collect();
    let deployment = Deployment {
        name: Some("sage".into()),
        digest: uploaded.digest.parse().ok(),
        grants,
        budget: vec![("memory".into(), "64MiB".into()), ("storage".into(), "16MiB".into())],
        ..Deployment::default()
    };
    village.deploy(deployment).await.unwrap_or_else(|error| panic!("{error}"));
    (folder, village)
}

async fn asked(village: &hall::Village, skill: &str, body: &Value) -> Value {
    let payload = Payload { content_type: "application/json".into(), body: body.to_string().into_bytes() };
    let answer = village.ask("sage", Letter::new(skill, payload)).await.unwrap_or_else(|error| panic!("{error}"));
    let reply = answer.outcome.unwrap_or_else(|failed| panic!("{skill}: {failed}"));
    serde_json::from_slice(&reply.body).expect("it is JSON")
}

const MILL: &str = "The mill stands by the river. It burned down in 1822. Nobody was hurt.";

#[tokio::test(flavor = "multi_thread")]
async fn sage_keeps_finds_and_answers_with_citations_with_a_model_and_without() {
    let server = Fake::new(fake::openai).await;
    for (models, grants, wrote) in [
        (None, vec![], ""),
        // A model of random weights cites nothing, so that the sources speak.
        (Some(tiny()), vec!["model=local/llama"], ""),
        (Some(router(vec![near(&server)])), vec!["model=local/echo"], "local/echo"),
    ] {
        let (_folder, village) = sage(models, &grants).await;
        let kept = asked(&village, "ingest", &json!({"source": "mill.txt", "text": MILL})).await;
        assert_eq!(kept, json!({"source": "mill.txt", "passages": 1}));
        asked(&village, "ingest", &json!({"source": "school.md", "text": "# School\nIt has two rooms."})).await;
        let found = asked(&village, "retrieve", &json!({"question": "When did the mill burn?", "limit": 1})).await;
        assert_eq!(found["passages"][0]["text"], MILL);
        assert_eq!((&found["passages"][0]["start"], &found["passages"][0]["end"]), (&json!(0), &json!(MILL.len())));
        let said = asked(&village, "answer", &json!({"question": "When did the mill burn down?"})).await;
        assert_eq!((&said["model"], &said["citations"][0]["source"]), (&json!(wrote), &json!("mill.txt")), "{said}");
        let answer = said["answer"].as_str().unwrap_or_default();
        assert!(answer.contains("1822") && answer.contains("[1]"), "{said}");
        let gone = asked(&village, "forget", &json!({"source": "mill.txt"})).await;
        assert_eq!(gone, json!({"forgotten": true}));
        let found = asked(&village, "retrieve", &json!({"question": "mill"})).await;
        assert_eq!(found, json!({"passages": []}));
        village.stop(std::time::Duration::from_secs(5)).await;
        village.close().await.unwrap_or_else(|error| panic!("{error}"));
    }
}
