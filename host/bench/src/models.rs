//! What the import of models costs: from an agent through the router to a back end that answers at once, and back.

use crate::report::{Bar, Row, percentile, sorted};
use crate::village::{io, message};
use crate::{Error, Plan, Rows};
use async_trait::async_trait;
use base::Budget;
use guest::{Compiler, Grants, Host, Pool};
use model::{
    Allowance, Ask, Backend, Completion, Counted, Embedded, Finish, Grant, Listed, Prompt, Reader, Request, Router,
    Routing, Terms,
};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

const THINKER: &[u8] = include_bytes!("../guests/thinker.wasm");

/// A back end that answers at once, and notes when it was asked and when it had answered.
#[derive(Default)]
struct AtOnce {
    times: Mutex<Vec<(Instant, Instant)>>,
}

type Outcome<T> = Result<T, model::Error>;

#[async_trait]
impl Backend for AtOnce {
    fn name(&self) -> &str {
        "at-once"
    }

    async fn list(&self, _until: tokio::time::Instant) -> Outcome<Vec<Listed>> {
        Ok(vec![Listed { name: "at-once".into(), context: 8192, embeds: false, local: true }])
    }

    async fn complete(&self, ask: Ask<'_>, reader: &mut dyn Reader) -> Outcome<Completion> {
        let asked = Instant::now();
        reader.text("yes");
        let (text, model) = ("yes".to_owned(), ask.model.to_owned());
        let done = Completion { text, calls: Vec::new(), finish: Finish::Stop, model, tokens_in: 4, tokens_out: 1 };
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.push((asked, Instant::now()));
        Ok(done)
    }

    async fn embed(
        &self,
        _model: &str,
        _texts: &[String],
        _private: bool,
        _until: tokio::time::Instant,
    ) -> Outcome<Embedded> {
        Err(model::Error::Unsupported { backend: "at-once".into(), what: "vectors".into() })
    }

    async fn count(&self, _: &str, text: &str, _: bool, _: tokio::time::Instant) -> Outcome<Counted> {
        Ok(Counted { tokens: model::guess(text.len()), exact: false })
    }
}

impl AtOnce {
    /// Microseconds from each answer to the next question: all that is not the back end.
    fn between(&self) -> Vec<f64> {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let gaps = times.windows(2).map(|pair| pair[1].0.duration_since(pair[0].1).as_nanos() as f64 / 1e3).collect();
        times.clear();
        gaps
    }
}

pub(crate) fn measure(plan: &Plan) -> Rows {
    let (rounds, each) = if plan.quick { (3, 200) } else { (9, 2_000) };
    io(2)?.block_on(async {
        let backend = Arc::new(AtOnce::default());
        let all: Vec<(Arc<dyn Backend>, Terms)> = vec![(backend.clone(), Terms::default())];
        let router = Arc::new(Router::new(all, Routing::default(), 1));
        let cache = tempfile::tempdir()?;
        let host = Host::builder()
            .pool(Pool::Slots(8))
            .cache(cache.path().join("native"))
            .compiler(Compiler::ThisProgram)
            .models(router.clone())
            .build()?;
        let version = host.load(THINKER).await?;
        let mut budget = Budget::default();
        for (field, value) in [("cpu", "100%"), ("burst", "1h"), ("deadline", "1h"), ("tokens", "1000M/min")] {
            budget.set(field, value)?;
        }
        let mut grants = Grants::default();
        grants.open("model=local/*")?;
        let agent = host.start(&version, budget, grants, None)?;
        let order = format!("{{\"text\":\"is it so?\",\"warm\":true,\"most\":8,\"times\":{each}}}");
        let (mut medians, mut tails, mut alone) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..=rounds {
            let reply = agent.ask(message("times", &order)).await?.outcome?;
            if reply.payload.body != (3 * each).to_string().as_bytes() {
                return Err(format!("the agent says {}", String::from_utf8_lossy(&reply.payload.body)).into());
            }
            let ours = sorted(backend.between());
            bare(&router, each).await?;
            let bare = sorted(backend.between());
            // The first round warms both.
            if round > 0 {
                medians.push(percentile(&ours, 0.5));
                tails.push(percentile(&ours, 0.99));
                alone.push(percentile(&bare, 0.5));
            }
        }
        let beside = format!("the router alone, {:.1} µs", percentile(&sorted(alone), 0.5));
        Ok(vec![
            Row::of("models: a prompt through an agent's import, median", "µs", medians, beside, Bar::AtMost(100.0)),
            Row::of("models: the same, 99 of 100", "µs", tails, "the same", Bar::AtMost(1000.0)),
        ])
    })
}

/// The same prompts without an agent.
async fn bare(router: &Router, each: usize) -> Result<(), Error> {
    let grant = Grant::parse(["local/*"])?;
    let prompt = Prompt { temperature: 1000, ..Prompt::ask("is it so?", 8) };
    for _ in 0..each {
        let request = Request {
            agent: "bare",
            prompt: &prompt,
            grant: &grant,
            policy: None,
            until: tokio::time::Instant::now() + std::time::Duration::from_secs(60),
            allowance: Allowance { tokens: u64::MAX, retry_after: None },
        };
        router.complete(request, &mut ()).await?;
    }
    Ok(())
}
