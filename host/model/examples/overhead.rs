//! What the router itself takes, and how soon somebody else answers when the first is down.
//!
//! `overhead`: calls to back ends that answer at once, from the request to the answer. `failover`: the first token when the
//! first back end is well, refuses connections, answers nothing, or answers no prompt.

use async_trait::async_trait;
use model::{
    Allowance, Ask, Backend, Completion, Counted, Embedded, Error, Finish, Grant, Listed, Price, Prompt, Reader,
    Request, Router, Routing, Terms,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

const WELL: u8 = 0;
const DOWN: u8 = 1;
/// It takes prompts and answers none; what else it is asked it answers.
const SILENT: u8 = 2;
/// It answers nothing.
const GONE: u8 = 3;

struct Model {
    name: String,
    state: AtomicU8,
    takes: Duration,
    /// The part of that by which a call may take longer or shorter.
    spread: f64,
    asked: AtomicU64,
}

#[async_trait]
impl Backend for Model {
    fn name(&self) -> &str {
        &self.name
    }

    async fn list(&self, until: Instant) -> Result<Vec<Listed>, Error> {
        if self.state.load(Ordering::Relaxed) == GONE {
            tokio::time::sleep_until(until).await;
            return Err(Error::Timeout);
        }
        Ok(vec![Listed { name: self.name.clone(), context: 100_000, embeds: false, local: false }])
    }

    async fn complete(&self, ask: Ask<'_>, reader: &mut dyn Reader) -> Result<Completion, Error> {
        match self.state.load(Ordering::Relaxed) {
            DOWN => {
                let why = "the connection was refused".into();
                return Err(Error::Unavailable { backend: self.name.clone(), why, retry_after: None });
            }
            SILENT | GONE => tokio::time::sleep_until(ask.until).await,
            _ if !self.takes.is_zero() => tokio::time::sleep(self.takes.mul_f64(self.longer())).await,
            _ => {}
        }
        reader.text("hello");
        let (text, model) = ("hello".into(), ask.model.into());
        Ok(Completion { text, calls: Vec::new(), finish: Finish::Stop, model, tokens_in: 10, tokens_out: 1 })
    }

    async fn embed(&self, _model: &str, _texts: &[String], _private: bool, _until: Instant) -> Result<Embedded, Error> {
        Err(Error::Timeout)
    }

    async fn count(&self, _model: &str, _text: &str, _private: bool, _until: Instant) -> Result<Counted, Error> {
        Err(Error::Timeout)
    }
}

impl Model {
    /// Most calls take about as long, and some much longer.
    fn longer(&self) -> f64 {
        let number = self.asked.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let unit = (number as f64 + 0.5) / f64::from(1 << 24);
        (self.spread * (unit / (1.0 - unit)).ln() / 1.7).exp()
    }
}

/// When the first text came.
struct First(Option<Instant>);

impl Reader for First {
    fn text(&mut self, _text: &str) {
        self.0.get_or_insert_with(Instant::now);
    }
}

fn router(count: u64, takes: Duration, spread: f64) -> (Router, Vec<Arc<Model>>) {
    let model = |at| {
        let (name, state, asked) = (format!("m{at}"), AtomicU8::new(WELL), AtomicU64::new(at));
        Arc::new(Model { name, state, takes, spread, asked })
    };
    let models: Vec<_> = (0..count).map(model).collect();
    let price = |at: u64| Price { read: 1 + 1_000_000 * at, write: 1 + 1_000_000 * at };
    let terms = |at| Terms { prices: vec![("*".into(), price(at))], quality: vec![("*".into(), 90)] };
    let backends = models.iter().zip(0..).map(|(model, at)| (model.clone() as Arc<dyn Backend>, terms(at))).collect();
    (Router::new(backends, Routing::default(), 1), models)
}

/// Until the first token, and until the end.
async fn ask(router: &Router, grant: &Grant, text: String) -> (Duration, Duration) {
    let prompt = Prompt { temperature: 700, ..Prompt::ask(text, 100) };
    let begun = Instant::now();
    let mut first = First(None);
    let request = Request {
        agent: "a",
        prompt: &prompt,
        grant,
        policy: None,
        until: begun + Duration::from_secs(30),
        allowance: Allowance { tokens: 100_000, retry_after: None },
    };
    router.complete(request, &mut first).await.expect("it answers");
    (first.0.expect("it wrote").duration_since(begun), begun.elapsed())
}

#[tokio::main]
async fn main() {
    let grant = Grant::parse(["*"]).expect("a grant");
    for count in [1, 4, 20] {
        let (router, _) = router(count, Duration::ZERO, 0.0);
        let mut all = Vec::new();
        for at in 0..20_000 {
            all.push(ask(&router, &grant, format!("question {at}, which is as long as many are")).await.1);
        }
        all.sort_unstable();
        println!(
            "overhead, {count} models: p50 {:?}, p99 {:?} (bar of all between an agent and a model: 100 µs, 1 ms)",
            all[all.len() / 2],
            all[all.len() * 99 / 100]
        );
    }
    for (state, what) in [(DOWN, "down"), (GONE, "gone"), (SILENT, "silent")] {
        for spread in [0.0, 0.3] {
            failover(&grant, state, what, spread).await;
        }
    }
    for spread in [0.0, 0.3] {
        let (router, _) = router(2, Duration::from_millis(20), spread);
        for at in 0..1000 {
            ask(&router, &grant, format!("{at}")).await;
        }
        let hedged = router.totals().hedged;
        println!("all well, a spread of {spread}: {:.1} % of calls were made twice", hedged as f64 / 10.0);
    }
}

async fn failover(grant: &Grant, state: u8, what: &str, spread: f64) {
    let (router, models) = router(2, Duration::from_millis(100), spread);
    let mut well = Vec::new();
    for at in 0..40 {
        well.push(ask(&router, grant, format!("{at}")).await.0);
    }
    well.sort_unstable();
    let (healthy, slow) = (well[well.len() / 2], well[well.len() * 95 / 100]);
    models[0].state.store(state, Ordering::Relaxed);
    let mut times = Vec::new();
    for at in 0..6 {
        let first = ask(&router, grant, format!("again {at}")).await.0;
        times.push(format!("{:.2}", first.as_secs_f64() / healthy.as_secs_f64()));
    }
    println!(
        "the first is {what}, a spread of {spread}: first token after {} of a healthy call's median ({healthy:.0?}, 95 of 100 \
         {slow:.0?}; bar: 2)",
        times.join(", ")
    );
}
