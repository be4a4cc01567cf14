//! Which models could answer a prompt, in which order they are asked, and why.

use super::chance::Chance;
use super::health::Health;
use super::learned::{KindOf, Learned};
use super::{Policy, Price, Request, Seen};
use crate::backend::{Listed, guess};
use crate::error::Error;
use crate::pattern::{Pattern, wanted};
use std::fmt;
use std::time::Duration;
use tokio::time::Instant;

/// A model of a back end that may be asked.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    /// Which back end.
    pub(super) backend: usize,
    pub(super) backend_name: String,
    pub(super) listed: Listed,
    /// As agents call it.
    pub(super) name: String,
    pub(super) price: Price,
    /// How well it is thought to do before anybody has said a word.
    pub(super) before: f64,
}

/// Why a model is asked, or is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is asked, at this place, counted from one.
    Asked(usize),
    /// It makes vectors, and does not write.
    Embeds,
    /// It is not what was asked for.
    Other,
    /// No grant covers it.
    NotGranted,
    /// What is private may not go there.
    Leaves,
    /// The prompt does not fit into its window.
    TooLong,
    /// It failed, and is left alone.
    Resting,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Asked(1) => "asked first",
            Verdict::Asked(place) => return write!(f, "asked if {} before it fail", place - 1),
            Verdict::Embeds => "makes vectors only",
            Verdict::Other => "not asked for",
            Verdict::NotGranted => "not granted",
            Verdict::Leaves => "not on this machine",
            Verdict::TooLong => "the prompt is longer than its window",
            Verdict::Resting => "failed, and rests",
        })
    }
}

/// What was thought of one model.
#[derive(Debug, Clone, PartialEq)]
pub struct Considered {
    /// As agents call it.
    pub model: String,
    /// The back end that has it.
    pub backend: String,
    /// What came of it.
    pub verdict: Verdict,
    /// How well it does with such prompts, from nothing to one.
    pub quality: f64,
    /// From how many words of the agent's that is known.
    pub words: f64,
    /// What the answer may cost, in billionths.
    pub cost: u64,
    /// How long it may take.
    pub takes: Duration,
    /// The part of its calls that failed lately.
    pub failing: f64,
}

/// How a prompt is answered, and why so.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// What it was chosen by.
    pub policy: Policy,
    /// All models, those that are asked first, in their order.
    pub models: Vec<Considered>,
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "policy {}", self.policy)?;
        let widest = self.models.iter().map(|model| model.model.chars().count()).max().unwrap_or(0);
        for Considered { model, backend, verdict, quality, words, cost, takes, failing } in &self.models {
            let (cost, quality, failing) = (*cost as f64 / 1e9, quality * 100.0, failing * 100.0);
            writeln!(
                f,
                "{model:widest$}  {verdict} (by {backend}; does {quality:.0} % of {words:.0}, costs {cost:.6}, takes {} ms, \
                 fails {failing:.0} %)",
                takes.as_millis(),
            )?;
        }
        Ok(())
    }
}

/// What is needed to judge.
pub(super) struct Scales<'a> {
    pub(super) request: &'a Request<'a>,
    pub(super) policy: Policy,
    pub(super) kind: KindOf,
    pub(super) learned: &'a Learned,
    pub(super) now: Instant,
}

/// The part of calls that may fail without any consequence.
const SELDOM: f64 = 0.3;

/// A candidate with what is expected of it.
struct Weighed {
    at: usize,
    /// Drawn by chance around what is known: what is known little gets a try now and then.
    drawn: f64,
    /// How well it does, as far as is known.
    mean: f64,
    /// How far that may be off.
    spread: f64,
    cost: f64,
    takes: f64,
    late: bool,
}

/// Candidates in the order in which they are asked, and what was thought of each.
pub(super) fn order<'s>(
    scales: &Scales<'_>,
    candidates: &[Candidate],
    health: impl Fn(&Candidate) -> Seen<'s>,
    chance: &mut Chance,
) -> Result<(Vec<usize>, Vec<Verdict>), Error> {
    let wanted = wanted(&scales.request.prompt.model)?;
    let mut verdicts = Vec::with_capacity(candidates.len());
    let mut asked = Vec::new();
    for (at, candidate) in candidates.iter().enumerate() {
        let wants = wanted.as_ref().is_none_or(|wanted| wanted.covers(&candidate.name));
        let verdict = judge(scales, candidate, wants, &health(candidate));
        if verdict == Verdict::Asked(0) {
            asked.push((at, candidate.before));
        }
        verdicts.push(verdict);
    }
    believe(scales, candidates, &mut asked);
    let weigh = |(at, before): (usize, f64)| {
        let candidate = &candidates[at];
        weigh(scales, (at, before), candidate, health(candidate).health, chance)
    };
    let mut weighed: Vec<Weighed> = asked.into_iter().map(weigh).collect();
    rank(scales.policy, &mut weighed);
    let order: Vec<usize> = weighed.iter().map(|weighed| weighed.at).collect();
    for (place, at) in order.iter().enumerate() {
        verdicts[*at] = Verdict::Asked(place + 1);
    }
    Ok((order, verdicts))
}

/// What stands against a candidate, in the order in which an agent may learn of it.
fn judge(scales: &Scales<'_>, candidate: &Candidate, wants: bool, seen: &Seen<'_>) -> Verdict {
    let Request { prompt, grant, .. } = scales.request;
    let private = prompt.private || scales.policy == Policy::Privacy;
    // A guess that is too high would refuse what fits: the back end itself has the last word.
    let tokens = guess(prompt.bytes()) / 2 + 1;
    match () {
        () if !wants => Verdict::Other,
        () if !grant.covers(&candidate.name) => Verdict::NotGranted,
        () if candidate.listed.embeds => Verdict::Embeds,
        () if private && !candidate.listed.local => Verdict::Leaves,
        () if tokens >= u64::from(candidate.listed.context) => Verdict::TooLong,
        () if seen.rests_until.is_some() => Verdict::Resting,
        () => Verdict::Asked(0),
    }
}

/// What is thought of models before anything is known of them: where a dearer one does badly, a cheaper one is thought to
/// do worse. Each is given with what is thought of it so far.
fn believe(scales: &Scales<'_>, candidates: &[Candidate], asked: &mut [(usize, f64)]) {
    let worth = |at: usize| candidates[at].price.read + candidates[at].price.write;
    let mut order: Vec<usize> = (0..asked.len()).collect();
    order.sort_by_key(|place| std::cmp::Reverse(worth(asked[*place].0)));
    // The part of what was thought of the next dearer ones that has come true.
    let (mut part, mut next): (f64, Option<f64>) = (1.0, None);
    let mut before = None;
    for place in order {
        let (at, thought) = asked[place];
        if before.is_some_and(|dearer| worth(at) < dearer) {
            (part, next) = (next.unwrap_or(1.0), None);
        }
        before = Some(worth(at));
        let believed = (thought * part * part).max(LEAST);
        let (mean, _) = scales.learned.mean(&scales.kind, &candidates[at].name, believed);
        // Of several that cost the same, the best tells most.
        let true_of = (mean / thought.max(LEAST)).min(1.0);
        next = Some(next.map_or(true_of, |next: f64| next.max(true_of)));
        asked[place].1 = believed;
    }
}

/// What is thought of a model at least: it gets its chance.
const LEAST: f64 = 0.02;

fn weigh(
    scales: &Scales<'_>,
    (at, before): (usize, f64),
    candidate: &Candidate,
    health: &Health,
    chance: &mut Chance,
) -> Weighed {
    let Request { prompt, until, .. } = scales.request;
    let drawn = scales.learned.draw(&scales.kind, &candidate.name, before, chance);
    let (cost, takes) = expected(prompt, candidate, health);
    let failing = health.failing(scales.now);
    let (mean, _) = scales.learned.mean(&scales.kind, &candidate.name, before);
    let spread = scales.learned.spread(&scales.kind, &candidate.name, before);
    // What fails now and then is made good by the next one, which takes time; what fails often is asked later.
    let answers = 1.0 - (failing - SELDOM).max(0.0);
    Weighed {
        at,
        drawn: drawn * answers,
        mean: mean * answers,
        spread,
        cost,
        takes: takes.as_secs_f64() * (1.0 + failing),
        late: health.measured() > 0 && takes > until.saturating_duration_since(scales.now),
    }
}

/// What an answer may cost, in billionths, and how long it may take.
fn expected(prompt: &crate::Prompt, candidate: &Candidate, health: &Health) -> (f64, Duration) {
    let written = health.written(prompt.max_tokens);
    let cost = guess(prompt.bytes()) as f64 * candidate.price.read as f64 + written * candidate.price.write as f64;
    (cost, health.whole(written))
}

/// How much of what is not known of the best is held against it.
const DOUBT: f64 = 0.02;

/// How much worse than the best one may do, to be asked before it.
fn tolerance(policy: Policy) -> f64 {
    match policy {
        Policy::Quality => 0.0,
        Policy::Balanced | Policy::Privacy => 0.02,
        Policy::Cost | Policy::Speed => 0.05,
    }
}

/// Puts those first that do well enough, by what the policy asks for; then the others, the better the sooner; then those
/// that would be too late.
fn rank(policy: Policy, weighed: &mut [Weighed]) {
    let best = weighed.iter().filter(|one| !one.late).max_by(|a, b| a.mean.total_cmp(&b.mean));
    let doubt = |one: &Weighed| if policy == Policy::Quality { 0.0 } else { one.spread.min(DOUBT) };
    let enough = best.map_or(0.0, |best| best.mean - doubt(best)) - tolerance(policy);
    let key = |one: &Weighed| {
        let price = match policy {
            Policy::Quality => -one.drawn,
            Policy::Speed => one.takes,
            Policy::Cost => one.cost,
            // Half the cost is worth four times the wait.
            Policy::Balanced | Policy::Privacy => (one.cost + 1e3).ln() + 0.5 * (one.takes + 0.01).ln(),
        };
        match one.drawn >= enough {
            true => (one.late, false, price),
            false => (one.late, true, -one.mean),
        }
    };
    weighed.sort_by(|a, b| {
        let (a, b) = (key(a), key(b));
        (a.0, a.1).cmp(&(b.0, b.1)).then(a.2.total_cmp(&b.2))
    });
}

/// Why nobody can be asked, by what came nearest to being asked.
pub(super) fn none<'s>(
    scales: &Scales<'_>,
    verdicts: &[Verdict],
    candidates: &[Candidate],
    health: impl Fn(&Candidate) -> Seen<'s>,
) -> Error {
    let prompt = scales.request.prompt;
    let model = if prompt.model.is_empty() { "any model".to_owned() } else { format!("`{}`", prompt.model) };
    let has = |verdict| verdicts.contains(&verdict);
    let exact = wanted(&prompt.model).ok().flatten().filter(Pattern::exact);
    if exact.is_some_and(|_| !scales.request.grant.covers(&prompt.model)) {
        // Whether there is such a model is not said to those who may not use it.
        return Error::Denied { model };
    }
    if has(Verdict::Resting) {
        let rests = candidates.iter().filter_map(|candidate| health(candidate).rests_until).min();
        let retry_after = rests.map(|until| until.saturating_duration_since(scales.now));
        return Error::NoBackend { why: "those that could failed, and rest".into(), retry_after };
    }
    match () {
        () if has(Verdict::TooLong) => Error::TooLong { model: prompt.model.clone() },
        () if has(Verdict::Leaves) => {
            Error::Denied { model: format!("{model} on this machine, where the prompt must stay") }
        }
        () if has(Verdict::Embeds) => Error::Invalid { what: format!("{model} makes vectors, and does not write") },
        () if has(Verdict::NotGranted) => Error::Denied { model },
        () if candidates.is_empty() => {
            Error::NoBackend { why: "none has said which models it has".into(), retry_after: None }
        }
        () => Error::Unknown { model: prompt.model.clone() },
    }
}

/// What was thought of each.
pub(super) fn explain<'s>(
    scales: &Scales<'_>,
    candidates: &[Candidate],
    verdicts: &[Verdict],
    health: impl Fn(&Candidate) -> Seen<'s>,
) -> Explained {
    let considered = |(candidate, verdict): (&Candidate, &Verdict)| {
        let health = health(candidate).health;
        let (quality, words) = scales.learned.mean(&scales.kind, &candidate.name, candidate.before);
        let (cost, takes) = expected(scales.request.prompt, candidate, health);
        Considered {
            model: candidate.name.clone(),
            backend: candidate.backend_name.clone(),
            verdict: *verdict,
            quality,
            words,
            cost: cost as u64,
            takes,
            failing: health.failing(scales.now),
        }
    };
    let mut models: Vec<Considered> = candidates.iter().zip(verdicts).map(considered).collect();
    models.sort_by_key(|model| match model.verdict {
        Verdict::Asked(place) => place,
        _ => usize::MAX,
    });
    Explained { policy: scales.policy, models }
}
