//! Models: which there are, which would answer and why, and how fast they are.

use crate::error::{Error, bad};
use crate::routes::{App, Json, Route, Shape};
use crate::shape::{given, whole};
use axum::extract::State;
use axum::routing::{MethodRouter, get, post};
use http::StatusCode;
use model::embedded::bandwidth;
use model::{Allowance, Error as Why, Grant, Known, Policy, Prompt, Request, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The models of a village.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Models {
    /// What one is chosen by, where a prompt does not say.
    pub policy: String,
    /// All of them, by their names.
    pub models: Vec<ModelRow>,
    /// Back ends that have never said which models they have.
    pub silent: Vec<String>,
    /// Answers that were given again.
    pub cached: u64,
    /// Second calls that were made because the first was slow.
    pub hedged: u64,
    /// Calls that somebody else took over.
    pub failovers: u64,
}

/// One model. What is not known, or was not measured yet, is null.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelRow {
    /// As agents call it.
    pub name: String,
    /// The back end that has it.
    pub backend: String,
    /// Tokens that fit in its window.
    pub context: u32,
    /// Whether nothing that it is given leaves this machine.
    pub local: bool,
    /// Whether it makes vectors; otherwise it writes.
    pub embeds: bool,
    /// What a million tokens cost that are read.
    pub price_read: f64,
    /// What a million tokens cost that are written.
    pub price_written: f64,
    /// `untried`, `well`, `failing`, or `resting` while it is left alone.
    pub health: String,
    /// Calls.
    pub calls: u64,
    /// Those that failed.
    pub failures: u64,
    /// Tokens read.
    pub tokens_read: u64,
    /// Tokens written.
    pub tokens_written: u64,
    /// What they cost.
    pub cost: f64,
    /// Until the first token, in most calls.
    pub first_ms: Option<f64>,
    /// In all but five of a hundred.
    pub first_p95_ms: Option<f64>,
    /// Tokens a second after the first.
    pub tokens_per_second: Option<f64>,
}

/// A prompt of which is asked who would answer it. Nobody is given it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRoute {
    /// What would be asked.
    pub prompt: String,
    /// A name or pattern; any, unless it is said.
    #[serde(default)]
    pub model: String,
    /// Cost, speed, privacy, quality or balanced; as it is configured, unless it is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Whether it must not leave this machine.
    #[serde(default)]
    pub private: bool,
    /// How much may be written; 1000 tokens, unless it is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// The agent that would ask: what it said of earlier answers counts.
    #[serde(default)]
    pub agent: String,
}

/// How a prompt would be answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Routed {
    /// What is chosen by.
    pub policy: String,
    /// The one that would be asked first; null if none would.
    pub model: Option<String>,
    /// All models, those that would be asked first, in their order.
    pub considered: Vec<ConsideredModel>,
}

/// What is thought of one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConsideredModel {
    /// As agents call it.
    pub model: String,
    /// The back end that has it.
    pub backend: String,
    /// The place at which it would be asked; null if it would not.
    pub place: Option<usize>,
    /// In words.
    pub verdict: String,
    /// How well it does with such prompts, from 0 to 1.
    pub quality: f64,
    /// From how many words of the agent's that is known.
    pub words: f64,
    /// What the answer may cost.
    pub cost: f64,
    /// How long it may take.
    pub takes_ms: f64,
    /// The part of its calls that failed lately.
    pub failing: f64,
}

/// Models that are to be measured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewMeasure {
    /// A name or pattern; all that write on this machine and cost nothing, unless it is said.
    #[serde(default)]
    pub model: String,
    /// How much each is to write; 64 tokens, unless it is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u32>,
}

/// How fast models answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeasuredModels {
    /// One after the other.
    pub measured: Vec<MeasuredModel>,
}

/// How fast one model answered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MeasuredModel {
    /// As agents call it.
    pub model: String,
    /// Why it did not answer; null if it did.
    pub failed: Option<String>,
    /// Until the first token.
    pub first_ms: Option<f64>,
    /// Tokens that it wrote.
    pub tokens: u64,
    /// Tokens a second after the first.
    pub tokens_per_second: Option<f64>,
    /// What it cost.
    pub cost: f64,
    /// Bytes of weights that it reads for each token.
    pub bytes: Option<u64>,
    /// Tokens a second that this machine's memory would allow for so many bytes.
    pub memory_allows: Option<f64>,
}

type Answered<T> = Result<axum::Json<T>, Error>;

/// How long back ends may take to say which models they have.
const LISTING: Duration = Duration::from_secs(10);

/// How long one model may take.
const EACH: Duration = Duration::from_secs(120);

/// The most that one is asked to write.
const TOKENS: u32 = 4096;

pub(crate) fn routes() -> Vec<(Route, MethodRouter<App>)> {
    let route =
        |method, path, id, summary, body, answers| Route { method, path, id, summary, query: &[], body, answers };
    let summary = "The models that agents may be granted, and how each does";
    let list = route("get", "/v1/models", "models", summary, None, &[(200, Shape::Json("Models"))]);
    let summary = "Who would answer a prompt, and why; nobody is given it";
    let answers = &[(200, Shape::Json("Routed"))];
    let routed = route("post", "/v1/models/route", "route", summary, Some("NewRoute"), answers);
    let summary = "Ask models to write something, and measure how fast they do";
    let answers = &[(200, Shape::Json("MeasuredModels"))];
    let measure = route("post", "/v1/models/bench", "measure", summary, Some("NewMeasure"), answers);
    vec![(list, get(listed)), (routed, post(self::routed)), (measure, post(measured))]
}

fn router(app: &App) -> Result<Arc<model::Router>, Error> {
    app.village.models().cloned().ok_or_else(|| Error::Request {
        status: StatusCode::NOT_FOUND,
        kind: "no-models",
        message: "this village has no models: name a back end under [models] in its configuration".into(),
    })
}

fn problem(why: Why) -> Error {
    let (status, kind) = match why {
        Why::Unknown { .. } => (StatusCode::NOT_FOUND, "no-model"),
        _ => return bad(why.to_string()),
    };
    Error::Request { status, kind, message: why.to_string() }
}

async fn listed(State(app): State<App>) -> Answered<Models> {
    let router = router(&app)?;
    let known = router.known(Instant::now() + LISTING).await;
    let totals = router.totals();
    let mut models: Vec<ModelRow> = known.into_iter().map(row).collect();
    models.sort_by(|a, b| (&a.name, &a.backend).cmp(&(&b.name, &b.backend)));
    Ok(axum::Json(Models {
        policy: router.policy().to_string(),
        models,
        silent: router.silent(),
        cached: totals.cached,
        hedged: totals.hedged,
        failovers: totals.failovers,
    }))
}

fn row(known: Known) -> ModelRow {
    /// More than that is not by chance.
    const OFTEN: f64 = 0.2;
    let figure = known.figure;
    let health = match () {
        () if figure.rests => "resting",
        () if figure.calls == 0 => "untried",
        () if known.failing > OFTEN => "failing",
        () => "well",
    };
    let millis = |of: fn((Duration, Duration)) -> Duration| figure.first.map(|first| of(first).as_secs_f64() * 1e3);
    ModelRow {
        name: figure.model,
        backend: figure.backend,
        context: known.context,
        local: known.local,
        embeds: known.embeds,
        price_read: known.price.read as f64 / 1e3,
        price_written: known.price.write as f64 / 1e3,
        health: health.into(),
        calls: figure.calls,
        failures: figure.failures,
        tokens_read: figure.tokens_in,
        tokens_written: figure.tokens_out,
        cost: figure.cost as f64 / 1e9,
        first_ms: millis(|first| first.0),
        first_p95_ms: millis(|first| first.1),
        tokens_per_second: known.speed,
    }
}

async fn routed(State(app): State<App>, Json(wanted): Json<NewRoute>) -> Answered<Routed> {
    let router = router(&app)?;
    let policy = wanted.policy.as_deref().map(str::parse::<Policy>).transpose();
    let policy = policy.map_err(|said| bad(format!("`policy`: {said}")))?;
    let prompt = Prompt {
        model: wanted.model,
        private: wanted.private,
        ..Prompt::ask(wanted.prompt, wanted.max_tokens.unwrap_or(1000))
    };
    // Whoever has the token may see all of them.
    let grant = Grant::parse(["*"]).map_err(bad)?;
    let request = Request {
        agent: &wanted.agent,
        prompt: &prompt,
        grant: &grant,
        policy,
        until: Instant::now() + LISTING,
        allowance: Allowance { tokens: u64::MAX, retry_after: None },
    };
    let explained = router.explain(request).await.map_err(problem)?;
    let considered: Vec<ConsideredModel> = explained.models.iter().map(considered).collect();
    let first = considered.iter().find(|one| one.place == Some(1)).map(|one| one.model.clone());
    Ok(axum::Json(Routed { policy: explained.policy.to_string(), model: first, considered }))
}

fn considered(one: &model::Considered) -> ConsideredModel {
    ConsideredModel {
        model: one.model.clone(),
        backend: one.backend.clone(),
        place: if let Verdict::Asked(place) = one.verdict { Some(place) } else { None },
        verdict: one.verdict.to_string(),
        quality: one.quality,
        words: one.words,
        cost: one.cost as f64 / 1e9,
        takes_ms: one.takes.as_secs_f64() * 1e3,
        failing: one.failing,
    }
}

async fn measured(State(app): State<App>, Json(wanted): Json<NewMeasure>) -> Answered<MeasuredModels> {
    let router = router(&app)?;
    let tokens = wanted.tokens.unwrap_or(64);
    if !(2..=TOKENS).contains(&tokens) {
        return Err(bad(format!("`tokens` is {tokens}, and must be from 2 to {TOKENS}")));
    }
    let all = router.measure(&wanted.model, tokens, EACH).await.map_err(problem)?;
    let mut measured = Vec::new();
    for (model, answer) in all {
        measured.push(match answer {
            Err(why) => MeasuredModel { model, failed: Some(why.to_string()), ..MeasuredModel::default() },
            Ok(answer) => MeasuredModel {
                model,
                failed: None,
                first_ms: Some(answer.first.as_secs_f64() * 1e3),
                tokens: answer.tokens,
                tokens_per_second: answer.speed,
                cost: answer.cost as f64 / 1e9,
                bytes: answer.weighs.map(|(bytes, _)| bytes),
                memory_allows: allows(answer.weighs).await,
            },
        });
    }
    Ok(axum::Json(MeasuredModels { measured }))
}

async fn allows(weighs: Option<(u64, usize)>) -> Option<f64> {
    let (bytes, threads) = weighs.filter(|(bytes, _)| *bytes > 0)?;
    let read = tokio::task::spawn_blocking(move || bandwidth(NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN)));
    Some(read.await.ok()? / bytes as f64)
}

pub(crate) fn schemas() -> Vec<(&'static str, Value)> {
    let (text, number, flag) = (json!({ "type": "string" }), json!({ "type": "number" }), json!({ "type": "boolean" }));
    let count = json!({ "type": "integer", "minimum": 0 });
    let maybe = |kind: &str| json!({ "type": [kind, "null"] });
    let list = |name: &str| json!({ "type": "array", "items": { "$ref": format!("#/components/schemas/{name}") } });
    let texts = json!({ "type": "array", "items": text });
    let policy = json!({ "type": "string", "enum": ["cost", "speed", "privacy", "quality", "balanced"] });
    vec![
        (
            "Models",
            whole(json!({
                "policy": policy, "models": list("ModelRow"), "silent": texts, "cached": count, "hedged": count,
                "failovers": count,
            })),
        ),
        (
            "ModelRow",
            whole(json!({
                "name": text, "backend": text, "context": count, "local": flag, "embeds": flag, "price_read": number,
                "price_written": number, "health": { "enum": ["untried", "well", "failing", "resting"] },
                "calls": count, "failures": count, "tokens_read": count, "tokens_written": count, "cost": number,
                "first_ms": maybe("number"), "first_p95_ms": maybe("number"), "tokens_per_second": maybe("number"),
            })),
        ),
        (
            "NewRoute",
            given(
                &["prompt"],
                json!({
                    "prompt": text, "model": text, "policy": policy, "private": flag,
                    "max_tokens": { "type": "integer", "minimum": 1, "default": 1000 }, "agent": text,
                }),
            ),
        ),
        ("Routed", whole(json!({ "policy": policy, "model": maybe("string"), "considered": list("ConsideredModel") }))),
        (
            "ConsideredModel",
            whole(json!({
                "model": text, "backend": text, "place": maybe("integer"), "verdict": text, "quality": number,
                "words": number, "cost": number, "takes_ms": number, "failing": number,
            })),
        ),
        (
            "NewMeasure",
            given(
                &[],
                json!({
                    "model": text,
                    "tokens": { "type": "integer", "minimum": 2, "maximum": TOKENS, "default": 64 },
                }),
            ),
        ),
        ("MeasuredModels", whole(json!({ "measured": list("MeasuredModel") }))),
        (
            "MeasuredModel",
            whole(json!({
                "model": text, "failed": maybe("string"), "first_ms": maybe("number"), "tokens": count,
                "tokens_per_second": maybe("number"), "cost": number, "bytes": maybe("integer"),
                "memory_allows": maybe("number"),
            })),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape;
    use model::{Considered, Figure, Price};

    fn holds(name: &str, value: &impl Serialize) {
        shape::holds(schemas(), name, value);
    }

    fn known(calls: u64, failing: f64, rests: bool) -> Known {
        let figure = Figure {
            backend: "far".into(),
            model: "cloud/m".into(),
            calls,
            failures: 1,
            tokens_in: 10,
            tokens_out: 20,
            cost: 2_000_000_000,
            first: Some((Duration::from_millis(5), Duration::from_millis(50))),
            rests,
        };
        let price = Price { read: 250, write: 3000 };
        Known { context: 9, embeds: false, local: false, price, quality: 0.5, failing, speed: None, figure }
    }

    #[test]
    fn every_schema_of_models_is_as_its_type() {
        let row = row(known(1, 0.0, false));
        let models = Models {
            policy: "cost".into(),
            models: vec![row.clone()],
            silent: vec![],
            cached: 0,
            hedged: 0,
            failovers: 0,
        };
        let one = Considered {
            model: "m".into(),
            backend: "b".into(),
            verdict: Verdict::Asked(1),
            quality: 1.0,
            words: 0.0,
            cost: 1,
            takes: Duration::ZERO,
            failing: 0.0,
        };
        holds("Models", &models);
        holds("ModelRow", &row);
        holds("ConsideredModel", &considered(&one));
        holds("Routed", &Routed { policy: "cost".into(), model: None, considered: vec![considered(&one)] });
        let asked = NewRoute { policy: Some("cost".into()), max_tokens: Some(1), ..NewRoute::default() };
        holds("NewRoute", &asked);
        holds("NewMeasure", &NewMeasure { tokens: Some(2), ..NewMeasure::default() });
        holds("MeasuredModel", &MeasuredModel::default());
        holds("MeasuredModels", &MeasuredModels { measured: Vec::new() });
        assert_eq!(schemas().len(), 8, "hold a new one too");
    }

    #[test]
    fn a_row_says_money_as_it_is_written_down_and_how_the_model_does() {
        let shown = row(known(4, 0.0, false));
        assert_eq!((shown.price_read, shown.price_written, shown.cost), (0.25, 3.0, 2.0));
        assert_eq!((shown.first_ms, shown.first_p95_ms), (Some(5.0), Some(50.0)));
        let health = |calls, failing, rests| row(known(calls, failing, rests)).health;
        assert_eq!(
            [health(0, 0.0, false), health(3, 0.1, false), health(3, 0.5, false), health(3, 0.5, true)],
            ["untried", "well", "failing", "resting"]
        );
    }
}
