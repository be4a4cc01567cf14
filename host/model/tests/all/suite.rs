//! What is true of every back end.

use crate::fake::{self, Fake};
use model::{Anthropic, Ask, Backend, Error, Finish, OpenAi, Prompt, Reader};
use std::time::Duration;
use tokio::time::Instant;

/// The models of a back end that the suite asks. `embeds` is none for one that has no vectors.
pub(crate) struct Models<'a> {
    pub(crate) writes: &'a str,
    pub(crate) embeds: Option<&'a str>,
}

pub(crate) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

pub(crate) fn ask<'a>(model: &'a str, prompt: &'a Prompt) -> Ask<'a> {
    Ask { model, prompt, until: soon() }
}

/// Counts the pieces, and wants to be told none that are empty.
#[derive(Default)]
struct Pieces(Vec<String>);

impl Reader for Pieces {
    fn text(&mut self, text: &str) {
        assert!(!text.is_empty(), "a piece is never empty");
        self.0.push(text.into());
    }
}

/// Everything that agents rely on.
pub(crate) async fn suite(backend: &dyn Backend, models: Models<'_>) {
    writes(backend, models.writes).await;
    stops(backend, models.writes).await;
    ends_in_time(backend, models.writes).await;
    embeds_and_counts(backend, models).await;
}

async fn writes(backend: &dyn Backend, model: &str) {
    let listed = backend.list(soon()).await.expect("it lists its models");
    let found = listed.iter().find(|listed| listed.name == model).expect("the model is listed");
    assert!(!found.embeds && found.context > 0);
    let prompt = Prompt::ask("one two three four five six seven eight", 64);
    let mut pieces = Pieces::default();
    let first = backend.complete(ask(model, &prompt), &mut pieces).await.expect("it answers");
    assert_eq!((pieces.0.concat(), first.model.as_str()), (first.text.clone(), model));
    assert!(pieces.0.len() > 1 || first.tokens_out <= 1, "it is told as it is written");
    assert!(first.tokens_in > 0 && first.tokens_out <= 64, "{first:?}");
    let again = backend.complete(ask(model, &prompt), &mut ()).await.expect("it answers");
    assert_eq!(again, first, "without warmth the same prompt has the same answer");
    let nobody = backend.complete(ask("nobody", &prompt), &mut ()).await;
    assert_eq!(nobody, Err(Error::Unknown { model: "nobody".into() }));
}

async fn stops(backend: &dyn Backend, model: &str) {
    let mut prompt = Prompt::ask("one two three four five six seven eight", 64);
    let whole = backend.complete(ask(model, &prompt), &mut ()).await.expect("it answers").text;
    let middle = whole.char_indices().nth(whole.chars().count() / 2).expect("it has a middle").0;
    let stop: String = whole[middle..].chars().take(3).collect();
    prompt.stop = vec!["never said".into(), stop.clone()];
    let mut told = String::new();
    let cut = backend.complete(ask(model, &prompt), &mut told).await.expect("it answers");
    let at = whole.find(&stop).expect("it is in there");
    assert_eq!((cut.text.as_str(), cut.finish), (&whole[..at], Finish::Stop), "it stops before `{stop}`");
    assert_eq!(told, cut.text, "nobody was told more");
    prompt.stop.clear();
    prompt.max_tokens = 1;
    let short = backend.complete(ask(model, &prompt), &mut ()).await.expect("it answers");
    assert!(whole.starts_with(&short.text) && short.text.len() <= whole.len());
}

async fn ends_in_time(backend: &dyn Backend, model: &str) {
    let prompt = Prompt::ask("one two three", 64);
    let began = Instant::now();
    let late = backend.complete(Ask { until: began, ..ask(model, &prompt) }, &mut ()).await;
    assert_eq!(late, Err(Error::Timeout));
    assert!(began.elapsed() < Duration::from_secs(1), "a deadline that has passed is not waited for");
    for micros in [0, 50, 500] {
        // Dropped wherever it has come to by then.
        let mut nobody = ();
        let call = backend.complete(ask(model, &prompt), &mut nobody);
        let _ = tokio::time::timeout(Duration::from_micros(micros), call).await;
    }
    assert!(backend.complete(ask(model, &prompt), &mut ()).await.is_ok(), "one that was dropped is in nobody's way");
    let listed = backend.list(soon()).await.expect("it lists its models");
    let local = listed.iter().find(|listed| listed.name == model).expect("the model is listed").local;
    let private = Prompt { private: true, ..prompt };
    let answer = backend.complete(ask(model, &private), &mut ()).await;
    assert_eq!(answer.is_ok(), local, "what is private is answered here or not at all: {answer:?}");
}

async fn embeds_and_counts(backend: &dyn Backend, models: Models<'_>) {
    let model = models.embeds.unwrap_or(models.writes);
    let none = backend.embed(model, &[], false, soon()).await.expect("no texts are no trouble");
    assert!(none.vectors.is_empty());
    let texts = ["a".to_owned(), "bb".to_owned(), String::new()];
    let vectors = backend.embed(model, &texts, false, soon()).await;
    match models.embeds {
        None => assert!(matches!(vectors, Err(Error::Unsupported { .. })), "{vectors:?}"),
        Some(_) => {
            let vectors = vectors.expect("it makes vectors").vectors;
            assert_eq!(vectors.len(), 3);
            assert!(vectors.iter().all(|vector| !vector.is_empty() && vector.len() == vectors[0].len()));
            assert_ne!(vectors[0], vectors[1]);
        }
    }
    let count = async |text: &str| backend.count(models.writes, text, false, soon()).await.expect("it counts").tokens;
    assert_eq!(count("").await, 0);
    let (one, many) = (count("word").await, count("word word word word word word word word").await);
    assert!(0 < one && one < many, "{one} {many}");
}

#[tokio::test]
async fn openai() {
    let fake = Fake::new(fake::openai).await;
    let backend = OpenAi::new(fake.remote("here"), &Default::default());
    suite(&backend, Models { writes: "echo", embeds: Some("embed-small") }).await;
    let mut far = fake.remote("far");
    far.passes_on = true;
    suite(&OpenAi::new(far, &Default::default()), Models { writes: "echo", embeds: Some("embed-small") }).await;
}

#[tokio::test]
async fn anthropic() {
    let fake = Fake::new(fake::anthropic).await;
    let backend = Anthropic::new(fake.remote("here"), &Default::default());
    suite(&backend, Models { writes: "echo", embeds: None }).await;
}
