//! The back end, asked as the router asks it.

use super::*;
use crate::backend::{Ask, Backend};
use crate::error::Error;
use crate::prompt::{Completion, Finish, Prompt, Role, Turn};
use std::time::Duration;
use tokio::time::Instant;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

pub(super) fn open(folder: &TempDir, change: impl FnOnce(&mut Settings)) -> Models {
    let mut settings = settings(&[("tiny", folder.path())]);
    // The tokenizer has Llama 3's marks; these tests want the bare text.
    settings.models[0].template = Some(super::super::Template::Plain);
    change(&mut settings);
    Models::open(&settings).expect("opens")
}

pub(super) async fn ask(models: &Models, prompt: &Prompt) -> Result<Completion, Error> {
    let mut seen = String::new();
    let done = models.complete(Ask { model: "tiny", prompt, until: soon() }, &mut seen).await;
    if let Ok(done) = &done {
        assert_eq!(seen, done.text, "who reads along reads the same");
    }
    done
}

fn sampled(seed: u64) -> Prompt {
    Prompt { temperature: 1500, seed: Some(seed), ..Prompt::ask("the grain", 40) }
}

/// Writes as long as it is let.
pub(super) fn endless() -> TempDir {
    copy("llama", |config| {
        config["max_position_embeddings"] = 1_000_000.into();
        config["rope_parameters"]["factor"] = 4.0.into();
    })
}

#[tokio::test]
async fn the_likeliest_text_is_that_of_transformers() {
    let expected = &expected()["greedy"];
    let folder = copy("llama", |_| {});
    let models = open(&folder, |_| {});
    let done = ask(&models, &Prompt::ask(expected["prompt"].as_str().expect("a text"), 12)).await.expect("answers");
    // It ends with bytes that are no letter.
    assert_eq!(done.text, expected["text"].as_str().expect("a text").trim_end_matches('\u{fffd}'));
    assert_eq!((done.finish, done.tokens_out, done.model.as_str()), (Finish::Length, 12, "tiny"));
    let counted =
        models.count("tiny", expected["prompt"].as_str().expect("a text"), true, soon()).await.expect("counts");
    // The mark at the begin is read, too.
    assert!(counted.exact && done.tokens_in == counted.tokens + 1);
}

#[tokio::test]
async fn a_seed_gives_the_same_answer_whoever_asks_beside() {
    let folder = copy("llama", |_| {});
    let models = open(&folder, |settings| settings.together = 5);
    let alone = ask(&models, &sampled(3)).await.expect("answers");
    let prompts: Vec<Prompt> = (0..7).map(sampled).collect();
    let mut answers = Vec::new();
    let mut all = tokio::task::JoinSet::new();
    let models = std::sync::Arc::new(models);
    for (number, prompt) in prompts.into_iter().enumerate() {
        let models = models.clone();
        all.spawn(async move { (number, ask(&models, &prompt).await.expect("answers")) });
    }
    while let Some(answer) = all.join_next().await {
        answers.push(answer.expect("no panic"));
    }
    answers.sort_by_key(|(number, _)| *number);
    assert_eq!(answers[3].1, alone);
    assert!(answers.iter().filter(|(_, answer)| answer.text == alone.text).count() < 3, "seeds differ");
}

#[tokio::test]
async fn the_answer_ends_before_a_stop() {
    let folder = copy("llama", |_| {});
    let models = open(&folder, |_| {});
    let whole = ask(&models, &Prompt::ask("who mends the bridge?", 12)).await.expect("answers");
    let stop = "$\u{e}".to_owned();
    assert!(whole.text.contains(&stop));
    let cut = Prompt { stop: vec![stop.clone()], ..Prompt::ask("who mends the bridge?", 12) };
    let cut = ask(&models, &cut).await.expect("answers");
    assert_eq!(cut.finish, Finish::Stop);
    assert_eq!(cut.text, whole.text[..whole.text.find(&stop).expect("there")]);
    assert!(cut.tokens_out < whole.tokens_out);
}

#[tokio::test]
async fn who_is_late_is_told_so_and_stops() {
    let folder = endless();
    let models = open(&folder, |settings| settings.together = 1);
    let (prompt, begun) = (Prompt::ask("go on", 900_000), Instant::now());
    let until = begun + Duration::from_millis(200);
    let late = models.complete(Ask { model: "tiny", prompt: &prompt, until }, &mut ()).await;
    assert_eq!(late, Err(Error::Timeout));
    assert!(begun.elapsed() < Duration::from_secs(20));
    // There is one place, and it is free again.
    assert_eq!(ask(&models, &Prompt::ask("a", 3)).await.expect("answers").tokens_out, 3);
}

#[tokio::test]
async fn a_dropped_call_makes_room_and_a_full_queue_is_busy() {
    let folder = endless();
    let models = std::sync::Arc::new(open(&folder, |settings| {
        settings.together = 1;
        settings.waiting = 1;
    }));
    let mut calls = Vec::new();
    let mut busy = None;
    // One runs, one is next, one waits; a further one must be refused.
    for _ in 0..5 {
        let models = models.clone();
        let mut call = tokio::spawn(async move { ask(&models, &Prompt::ask("go on", 900_000)).await });
        match tokio::time::timeout(Duration::from_millis(500), &mut call).await {
            Ok(done) => busy = Some(done.expect("no panic")),
            Err(_) => calls.push(call),
        }
        if busy.is_some() {
            break;
        }
    }
    assert_eq!(busy, Some(Err(Error::Busy { backend: "here".into(), retry_after: None })));
    assert!(calls.len() <= 3, "{}", calls.len());
    for call in calls {
        call.abort();
        let _ = call.await;
    }
    // Those who waited are passed over as soon as the engine sees it.
    for _ in 0..100 {
        match ask(&models, &Prompt::ask("a", 3)).await {
            Err(Error::Busy { .. }) => tokio::time::sleep(Duration::from_millis(20)).await,
            done => return assert_eq!(done.expect("answers").tokens_out, 3),
        }
    }
    panic!("the queue stays full");
}

#[tokio::test]
async fn what_does_not_fit_is_too_long_and_never_more_than_fits_is_written() {
    let folder = copy("llama", |_| {});
    // 32 tokens of 2 layers with 2 heads of 4 keys and values.
    let models = open(&folder, |settings| settings.cache = 32 * 2 * 2 * 4 * 2 * 4);
    let listed = models.list(soon()).await.expect("lists");
    assert_eq!((listed[0].context, listed[0].embeds, listed[0].local), (32, false, true));
    let too_long = Err(Error::TooLong { model: "tiny".into() });
    assert_eq!(ask(&models, &Prompt::ask("§".repeat(40), 1)).await, too_long);
    assert_eq!(ask(&models, &Prompt::ask("x".repeat(1 << 20), 1)).await, too_long);
    let done = ask(&models, &Prompt::ask("the grain", 1000)).await.expect("answers");
    assert!(done.finish == Finish::Stop || done.tokens_in + done.tokens_out == 32, "{done:?}");
}

#[tokio::test]
async fn what_it_can_not_do_is_said() {
    let folder = copy("llama", |_| {});
    let vectors = copy("bert", |_| {});
    let models = Models::open(&settings(&[("tiny", folder.path()), ("vectors", vectors.path())])).expect("opens");
    let unsupported = |answer: Result<Completion, Error>| matches!(answer, Err(Error::Unsupported { .. }));
    let plain = Prompt::ask("x", 3);
    let odd = "{\"type\": \"string\", \"pattern\": \"a\"}";
    assert!(unsupported(ask(&models, &Prompt { schema: Some(odd.into()), ..plain.clone() }).await));
    let to = |model| Ask { model, prompt: &plain, until: soon() };
    assert!(unsupported(models.complete(to("vectors"), &mut ()).await));
    assert_eq!(models.complete(to("none"), &mut ()).await, Err(Error::Unknown { model: "none".into() }));
    for bad in [Prompt { turns: Vec::new(), ..plain.clone() }, Prompt { max_tokens: 0, ..plain.clone() }] {
        assert!(matches!(ask(&models, &bad).await, Err(Error::Invalid { .. })));
    }
    let texts = ["a".to_owned()];
    assert!(matches!(models.embed("tiny", &texts, false, soon()).await, Err(Error::Unsupported { .. })));
    // This tokenizer has the marks of Llama 3: the prompt is put between them.
    let done = ask(&models, &Prompt { turns: vec![Turn::new(Role::User, "x")], ..plain }).await.expect("answers");
    assert!(done.tokens_in > 8, "{done:?}");
}

#[tokio::test]
async fn texts_become_vectors_in_their_order() {
    let folder = copy("bert", |_| {});
    let models = Models::open(&settings(&[("vectors", folder.path())])).expect("opens");
    let expected = expected();
    let wanted = expected["vectors"].as_array().expect("an array");
    // More than go through together.
    let texts: Vec<String> = (0..100).map(|i| wanted[i % 3]["text"].as_str().expect("a text").to_owned()).collect();
    let made = models.embed("vectors", &texts, true, soon()).await.expect("embeds");
    assert_eq!(made.vectors.len(), 100);
    for (i, vector) in made.vectors.iter().enumerate() {
        assert_eq!(*vector, made.vectors[i % 3], "text {i}");
        let wanted = floats(&wanted[i % 3]["vector"]);
        assert!(vector.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-5));
    }
    assert_eq!(models.embed("vectors", &[], true, soon()).await.expect("embeds").vectors.len(), 0);
    let long = ["§".repeat(50)];
    let too_long = Err(Error::TooLong { model: "vectors".into() });
    assert_eq!(models.embed("vectors", &long, true, soon()).await, too_long);
    let past = Instant::now();
    assert_eq!(models.embed("vectors", &texts, true, past).await, Err(Error::Timeout));
}
