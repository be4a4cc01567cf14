//! A workload by seed: kinds of tasks, models that do some of them better than others, and an agent that says so.

use async_trait::async_trait;
use model::{
    Allowance, Ask, Backend, Completion, Counted, Embedded, Error, Finish, Grant, Listed, Policy, Price, Prompt,
    Reader, Request, Role, Router, Routing, Terms, Turn,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Tasks in a run.
const TASKS: u64 = 10_000;

/// Who does less well than the best by no more than this does as well.
const POINT: f64 = 0.01;

/// Who does which tasks how well.
struct Workload {
    /// Name, and the price of a token that is read, the best last. One that is written costs five times as much.
    models: Vec<(&'static str, u64)>,
    /// How often each model does each kind.
    rates: Vec<Vec<f64>>,
    /// The part of tasks that is of each kind.
    often: Vec<f64>,
}

/// What all tasks together came to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sum {
    pub(crate) passed: u64,
    pub(crate) cost: u64,
}

impl Sum {
    pub(crate) fn rate(self) -> f64 {
        100.0 * self.passed as f64 / TASKS as f64
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    pub(crate) router: Sum,
    pub(crate) best: Sum,
    /// What somebody does who knows all rates.
    pub(crate) knowing: Sum,
}

impl Outcome {
    /// The part of what the best costs that was saved.
    pub(crate) fn saved(&self) -> f64 {
        1.0 - self.router.cost as f64 / self.best.cost as f64
    }
}

/// SplitMix64, of the workload's own.
struct Dice(u64);

impl Dice {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Three models and six kinds: the large model does nearly all; the smaller ones do as well at easy kinds, and badly at
/// hard ones. The router was tuned on this.
fn known(dice: &mut Dice) -> Workload {
    const KINDS: usize = 6;
    let mut rates = Vec::new();
    for kind in 0..KINDS {
        let large = 0.90 + 0.08 * dice.unit();
        // Two kinds that any model does, two for the middle one and up, two for the large one alone.
        let same = |dice: &mut Dice| large - 0.005 * dice.unit();
        let worse = |dice: &mut Dice| 0.2 + 0.5 * dice.unit();
        rates.push(match kind % 3 {
            0 => vec![same(dice), same(dice), large],
            1 => vec![worse(dice), same(dice), large],
            _ => vec![worse(dice), worse(dice), large],
        });
    }
    // Easy kinds are as frequent as hard ones.
    let often = vec![1.0 / KINDS as f64; KINDS];
    Workload { models: vec![("small", 250), ("middle", 1000), ("large", 5000)], rates, often }
}

/// Four models and nine kinds, some of which are frequent and some rare. The best model does less, and those that are worse
/// are not always much worse: which does what is by chance.
fn other(dice: &mut Dice) -> Workload {
    let models = vec![("tiny", 100), ("small", 400), ("middle", 800), ("large", 3000)];
    let (mut rates, mut often) = (Vec::new(), Vec::new());
    for _ in 0..9 {
        let best = 0.80 + 0.18 * dice.unit();
        // The cheapest that does.
        let needs = (dice.unit() * 4.0) as usize;
        let rate = |at: usize| match at {
            3 => best,
            at if at >= needs => best - 0.01 * dice.unit(),
            _ => best * (0.4 + 0.5 * dice.unit()),
        };
        rates.push((0..4).map(rate).collect());
    }
    for _ in 0..9 {
        often.push(0.2 + dice.unit());
    }
    let all: f64 = often.iter().sum();
    Workload { models, rates, often: often.into_iter().map(|part| part / all).collect() }
}

/// A model that answers at once, and of which nobody knows how well.
struct Model(&'static str);

#[async_trait]
impl Backend for Model {
    fn name(&self) -> &str {
        self.0
    }

    async fn list(&self, _until: Instant) -> Result<Vec<Listed>, Error> {
        Ok(vec![Listed { name: self.0.into(), context: 100_000, embeds: false, local: false }])
    }

    async fn complete(&self, ask: Ask<'_>, reader: &mut dyn Reader) -> Result<Completion, Error> {
        reader.text("an answer");
        let (text, model) = ("an answer".into(), ask.model.into());
        Ok(Completion { text, calls: Vec::new(), finish: Finish::Stop, model, tokens_in: 400, tokens_out: 100 })
    }

    async fn embed(&self, _model: &str, _texts: &[String], _private: bool, _until: Instant) -> Result<Embedded, Error> {
        Err(Error::Timeout)
    }

    async fn count(&self, _model: &str, _text: &str, _private: bool, _until: Instant) -> Result<Counted, Error> {
        Err(Error::Timeout)
    }
}

/// Gives all tasks of a seed to a router, and to the best model.
pub(crate) async fn run(seed: u64) -> Outcome {
    let mut dice = Dice(seed.wrapping_mul(0x5851_f42d_4c95_7f2d) + 1);
    let workload = known(&mut dice);
    play(&workload, &mut dice, seed).await
}

/// The same with the workload that nothing was tuned on.
pub(crate) async fn run_other(seed: u64) -> Outcome {
    let mut dice = Dice(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) + 99);
    let workload = other(&mut dice);
    play(&workload, &mut dice, seed).await
}

async fn play(workload: &Workload, dice: &mut Dice, seed: u64) -> Outcome {
    let terms = |read| Terms { prices: vec![("*".into(), Price { read, write: 5 * read })], quality: Vec::new() };
    let backend = |(name, read): &(&'static str, u64)| (Arc::new(Model(name)) as Arc<dyn Backend>, terms(*read));
    let router = Router::new(workload.models.iter().map(backend).collect(), Routing::default(), seed);
    let grant = Grant::parse(["cloud/*"]).expect("a grant");
    let mut outcome = Outcome { router: Sum::default(), best: Sum::default(), knowing: Sum::default() };
    for task in 0..TASKS {
        let kind = workload.kind(dice.unit());
        // What a task needs is the same for all models: one that passes with a rate passes with any higher one.
        let needs = dice.unit();
        let turns = vec![
            Turn::new(Role::System, format!("You do tasks of kind {kind}.")),
            Turn::new(Role::User, format!("Task {task}")),
        ];
        let prompt = Prompt { turns, ..Prompt::ask("", 100) };
        let request = Request {
            agent: "worker",
            prompt: &prompt,
            grant: &grant,
            policy: Some(Policy::Balanced),
            until: Instant::now() + Duration::from_secs(60),
            allowance: Allowance { tokens: u64::MAX, retry_after: None },
        };
        let answer = router.complete(request, &mut ()).await.expect("it answers");
        let name = answer.completion.model.strip_prefix("cloud/").expect("it is elsewhere").to_owned();
        let at = workload.models.iter().position(|(model, _)| *model == name).expect("it is one of them");
        let passed = needs < workload.rates[kind][at];
        router.feedback("worker", &answer.completion.model, if passed { 100 } else { 0 }).expect("it is heard");
        outcome.router.passed += u64::from(passed);
        outcome.router.cost += answer.cost;
        let best = workload.models.len() - 1;
        outcome.best.passed += u64::from(needs < workload.rates[kind][best]);
        outcome.best.cost += 900 * workload.models[best].1;
        let rates = &workload.rates[kind];
        let enough = rates.iter().position(|rate| *rate >= rates[best] - POINT).unwrap_or(best);
        outcome.knowing.passed += u64::from(needs < rates[enough]);
        outcome.knowing.cost += 900 * workload.models[enough].1;
    }
    outcome
}

impl Workload {
    fn kind(&self, mut chance: f64) -> usize {
        let found = self.often.iter().position(|part| {
            chance -= part;
            chance < 0.0
        });
        found.unwrap_or(self.often.len() - 1)
    }
}
