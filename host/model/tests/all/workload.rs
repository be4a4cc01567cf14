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

/// Kinds of tasks.
const KINDS: usize = 6;

/// The models: name, and the price of a token that is read. One that is written costs five times as much.
const MODELS: [(&str, u64); 3] = [("small", 250), ("middle", 1000), ("large", 5000)];

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

/// How often each model does each kind: the large one nearly always; the smaller ones as well at easy kinds, badly at hard ones.
fn rates(dice: &mut Dice) -> [[f64; 3]; KINDS] {
    let mut all = [[0.0; 3]; KINDS];
    for (kind, rates) in all.iter_mut().enumerate() {
        let large = 0.90 + 0.08 * dice.unit();
        // Two kinds that any model does, two for the middle one and up, two for the large one alone.
        let same = |dice: &mut Dice| large - 0.005 * dice.unit();
        let worse = |dice: &mut Dice| 0.2 + 0.5 * dice.unit();
        *rates = match kind % 3 {
            0 => [same(dice), same(dice), large],
            1 => [worse(dice), same(dice), large],
            _ => [worse(dice), worse(dice), large],
        };
    }
    all
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
    let rates = rates(&mut dice);
    let terms = |read| Terms { prices: vec![("*".into(), Price { read, write: 5 * read })], quality: Vec::new() };
    let backends = MODELS.map(|(name, read)| (Arc::new(Model(name)) as Arc<dyn Backend>, terms(read)));
    let router = Router::new(backends.into(), Routing::default(), seed);
    let grant = Grant::parse(["cloud/*"]).expect("a grant");
    let mut outcome = Outcome { router: Sum::default(), best: Sum::default() };
    for task in 0..TASKS {
        // Easy kinds are as frequent as hard ones.
        let kind = (dice.unit() * KINDS as f64) as usize;
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
        let at = MODELS.iter().position(|(model, _)| *model == name).expect("it is one of them");
        let passed = needs < rates[kind][at];
        router.feedback("worker", &answer.completion.model, if passed { 100 } else { 0 }).expect("it is heard");
        outcome.router.passed += u64::from(passed);
        outcome.router.cost += answer.cost;
        let (_, dearest) = MODELS[2];
        outcome.best.passed += u64::from(needs < rates[kind][2]);
        outcome.best.cost += 400 * dearest + 100 * 5 * dearest;
    }
    outcome
}
