//! Who plays in the demo, what each tries, and how it is told whether it was held.

use super::panel::{self, Shown};
use super::{Meters, succession};
use crate::bundled::{self, Bundled};
use crate::print;
use crate::problem::Problem;
use base::{Budget, Size};
use guest::{Agent, Answer, Card, Failed, Fault, Grants, Host, Message, Payload, Priority, Sender, Version};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// One agent: what it tried, and what it got.
pub(super) struct Row {
    pub(super) agent: &'static str,
    pub(super) tried: String,
    pub(super) budget: String,
    pub(super) got: String,
    pub(super) held: bool,
    pub(super) figures: Value,
}

impl Row {
    pub(super) fn object(&self) -> Value {
        json!({
            "agent": self.agent,
            "tried": self.tried,
            "budget": self.budget,
            "got": self.got,
            "held": self.held,
            "figures": self.figures,
        })
    }
}

/// How long the honest ones are alone, and how long they have company.
const ALONE: Duration = Duration::from_secs(1);
const TOGETHER: Duration = Duration::from_secs(5);

/// How often each honest agent is asked.
const EVERY: Duration = Duration::from_millis(20);

/// How often hostile agents that are stopped at once try again.
const AGAIN: Duration = Duration::from_millis(100);

/// How long the spinner runs before its share is measured, so that its burst is spent.
const WARM: Duration = Duration::from_secs(1);

const HONEST: [&str; 3] = ["navigator", "curator", "polyglot"];
const SPINNER: &str = "cpu=10%,burst=50ms,deadline=60s";
const LATE: &str = "deadline=1s";
const HOG: &str = "memory=16MiB";

/// Gives each agent its part, all at once.
pub(super) async fn play(host: &Host, meters: Meters) -> Result<Vec<Row>, Problem> {
    let say = |text: &str| {
        if meters != Meters::Off {
            print::line(text);
        }
    };
    say("Loading the agents; the first time they are compiled.");
    let [navigator, curator, polyglot] = HONEST.map(named);
    let honest = [
        Honest::start(host, navigator?).await?,
        Honest::start(host, curator?).await?,
        Honest::start(host, polyglot?).await?,
    ];
    let places = Places::make()?;
    let mischief = host.load(named("mischief")?.component).await?;
    let spinner = start(host, &mischief, SPINNER, Grants::default())?;
    let late = start(host, &mischief, LATE, Grants::default())?;
    let hog = start(host, &mischief, HOG, Grants::default())?;
    let curious = start(host, &mischief, "", places.grants()?)?;

    say(&format!("Three honest agents alone, for {} s.", ALONE.as_secs()));
    let alone = all(&honest, Instant::now() + ALONE).await?;
    say(&format!(
        "Beside one that spins, one that overstays, a memory hog and a curious one, for {} s.",
        TOGETHER.as_secs()
    ));
    let until = Instant::now() + TOGETHER;
    let shown = |agent, name, does| Shown { agent, name, does };
    let panel: Vec<_> = honest
        .iter()
        .map(|one| shown(&one.agent, one.name, "answers questions"))
        .chain([
            shown(&spinner, "spinner", "computes for ever"),
            shown(&late, "latecomer", "overstays its deadline"),
            shown(&hog, "hog", "takes all memory"),
            shown(&curious, "curious", "opens others' files"),
        ])
        .collect();
    let (beside, spun, stopped, refused, looked, ()) = tokio::join!(
        all(&honest, until),
        spin(&spinner, until),
        repeat(&late, "spin", "", until),
        repeat(&hog, "hog", "", until),
        repeat(&curious, "peek", &places.question, until),
        panel::show(&panel, until, meters),
    );
    let beside = beside?;
    let asked = honest.iter().zip(alone.iter().zip(&beside)).map(|(one, (alone, beside))| asked(one, alone, beside));
    let mut rows: Vec<_> = asked.collect();
    rows.extend([computed(&spun?, budget(SPINNER)?), overran(&stopped?), took(&refused?), peeked(&looked?)]);
    say("A better version takes over from an apprentice, while four clients ask it.");
    rows.push(succession::play(host).await?);
    Ok(rows)
}

pub(super) fn named(name: &str) -> Result<&'static Bundled, Problem> {
    bundled::named(name).ok_or_else(|| Problem::new("internal", format!("`{name}` is not in the program")))
}

fn start(host: &Host, version: &Version, fields: &str, grants: Grants) -> Result<Agent, Problem> {
    Ok(host.start(version, budget(fields)?, grants, None)?)
}

fn budget(fields: &str) -> Result<Budget, Problem> {
    let mut budget = Budget::default();
    for (field, value) in fields.split(',').filter_map(|field| field.split_once('=')) {
        budget.set(field, value).map_err(|error| Problem::new("internal", error.to_string()))?;
    }
    Ok(budget)
}

async fn ask(agent: &Agent, skill: &str, body: &str) -> Result<Answer, Problem> {
    let message = Message {
        id: String::new(),
        sender: Sender::Client("demo".into()),
        skill: skill.into(),
        payload: Payload { content_type: "application/json".into(), body: body.into() },
        priority: Priority::Normal,
        attempt: 1,
        accepted: 0,
    };
    Ok(agent.ask(message).await?)
}

/// An agent that does what it is for, with the questions that its own card gives as examples.
struct Honest {
    name: &'static str,
    agent: Agent,
    budget: Budget,
    questions: Vec<(String, String)>,
}

impl Honest {
    async fn start(host: &Host, bundled: &Bundled) -> Result<Honest, Problem> {
        let manifest = bundled.manifest()?;
        let version = host.load(bundled.component).await?;
        let agent = host.start(&version, manifest.budget, manifest.grants, None)?;
        let questions = questions(&agent.describe().await??);
        if questions.is_empty() {
            return Err(Problem::new("internal", format!("`{}` gives no examples", bundled.name)));
        }
        Ok(Honest { name: bundled.name, agent, budget: manifest.budget, questions })
    }

    /// Asks one question after the other.
    async fn questions(&self, until: Instant) -> Result<Answers, Problem> {
        let mut answers = Answers { took: Vec::new(), failed: 0 };
        let mut clock = tokio::time::interval(EVERY);
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut questions = self.questions.iter().cycle();
        while let (Some((skill, body)), true) = (questions.next(), Instant::now() < until) {
            clock.tick().await;
            let begun = Instant::now();
            let answer = ask(&self.agent, skill, body).await?;
            answers.took.push(begun.elapsed());
            answers.failed += usize::from(answer.outcome.is_err());
        }
        answers.took.sort();
        Ok(answers)
    }
}

fn questions(card: &Card) -> Vec<(String, String)> {
    let examples = |skill: &guest::Skill| -> Vec<_> {
        skill.examples.iter().map(|example| (skill.name.clone(), example.clone())).collect()
    };
    card.skills.iter().flat_map(examples).collect()
}

/// Asks all of them at once.
async fn all(honest: &[Honest; 3], until: Instant) -> Result<[Answers; 3], Problem> {
    let [a, b, c] = honest;
    let (a, b, c) = tokio::join!(a.questions(until), b.questions(until), c.questions(until));
    Ok([a?, b?, c?])
}

/// How long the answers took, the shortest first, and how many were no good.
struct Answers {
    took: Vec<Duration>,
    failed: usize,
}

impl Answers {
    /// The time within which so many of a thousand were answered.
    fn percentile(&self, permille: usize) -> Duration {
        let at = (self.took.len() * permille).div_ceil(1000).max(1) - 1;
        self.took.get(at).copied().unwrap_or_default()
    }
}

/// What the curious one may read, and what lies beside it.
struct Places {
    folder: tempfile::TempDir,
    question: String,
}

impl Places {
    fn make() -> Result<Places, Problem> {
        let broken = |error: std::io::Error| Problem::new("file", format!("the demo's folder: {error}"));
        let folder = tempfile::tempdir().map_err(broken)?;
        let (open, secret) = (folder.path().join("open"), folder.path().join("secret"));
        std::fs::create_dir(&open).map_err(broken)?;
        std::fs::write(open.join("notice"), "for everybody").map_err(broken)?;
        std::fs::write(&secret, "for nobody").map_err(broken)?;
        link(&secret, &open.join("link")).map_err(broken)?;
        let paths = ["/open/notice", "/open/link", "/open/../secret", "/etc/passwd"];
        Ok(Places { folder, question: json!({ "paths": paths }).to_string() })
    }

    fn grants(&self) -> Result<Grants, Problem> {
        let mut grants = Grants::default();
        let open = format!("files={}:/open:ro", self.folder.path().join("open").display());
        grants.open(&open).map_err(|error| Problem::new("internal", error.to_string()))?;
        Ok(grants)
    }
}

#[cfg(unix)]
fn link(to: &Path, at: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(to, at)
}

/// Where making a link needs a privilege, there is none to follow.
#[cfg(not(unix))]
fn link(_to: &Path, _at: &Path) -> std::io::Result<()> {
    Ok(())
}

/// What an endless loop got of a core.
struct Spun {
    used: Duration,
    of: Duration,
}

/// Lets an endless loop run, and stops it at the end.
async fn spin(spinner: &Agent, until: Instant) -> Result<Spun, Problem> {
    let measure = async {
        tokio::time::sleep(WARM).await;
        let (begun, before) = (Instant::now(), spinner.cpu());
        tokio::time::sleep_until(until.into()).await;
        Spun { used: spinner.cpu() - before, of: begun.elapsed() }
    };
    tokio::select! {
        answer = ask(spinner, "spin", "") => match answer?.outcome {
            Ok(_) => Err(Problem::new("internal", "an endless loop ended")),
            Err(error) => Err(error.into()),
        },
        spun = measure => {
            spinner.stop();
            Ok(spun)
        }
    }
}

/// Asks the same again and again.
async fn repeat(agent: &Agent, skill: &str, body: &str, until: Instant) -> Result<Vec<Answer>, Problem> {
    let mut answers = Vec::new();
    while Instant::now() < until {
        answers.push(ask(agent, skill, body).await?);
        tokio::time::sleep(AGAIN).await;
    }
    Ok(answers)
}

fn asked(one: &Honest, alone: &Answers, beside: &Answers) -> Row {
    let failed = alone.failed + beside.failed;
    let all = alone.took.len() + beside.took.len();
    let ms = |answers: &Answers, permille| crate::json::ms(answers.percentile(permille));
    let [p50, p99, quiet50, quiet99] = [ms(beside, 500), ms(beside, 990), ms(alone, 500), ms(alone, 990)];
    Row {
        agent: one.name,
        tried: format!("to answer {all} questions"),
        budget: format!("cpu={},memory={}", one.budget.cpu, one.budget.memory),
        got: format!(
            "{} answered; p50 {p50:.1} ms, p99 {p99:.1} ms (alone {quiet50:.1} and {quiet99:.1})",
            all - failed
        ),
        held: failed == 0,
        figures: json!({
            "answered": all - failed,
            "failed": failed,
            "alone": { "p50_ms": quiet50, "p99_ms": quiet99 },
            "beside": { "p50_ms": p50, "p99_ms": p99 },
        }),
    }
}

/// The slice under way when the time is read.
const SLICE: Duration = Duration::from_millis(10);

fn computed(spun: &Spun, budget: Budget) -> Row {
    let share = spun.used.as_secs_f64() / spun.of.as_secs_f64();
    // On a machine that was too busy to spend the burst before, the rest of it may have been spent since.
    let most = spun.of.mul_f64(budget.cpu.fraction()) + budget.burst + SLICE;
    Row {
        agent: "spinner",
        tried: "to compute for ever".into(),
        budget: SPINNER.into(),
        got: format!("{:.1}% of a core", share * 100.0),
        held: spun.used <= most,
        figures: json!({ "cpu_share": share }),
    }
}

/// A turn is stopped within a tick; the rest is for a machine that is busy with other things.
const OVERSHOOT: Duration = Duration::from_millis(500);

fn overran(answers: &[Answer]) -> Row {
    let longest = answers.iter().map(|answer| answer.receipt.wall).max().unwrap_or_default();
    let stopped = broke(answers, |fault| matches!(fault, Fault::Deadline { .. }));
    Row {
        agent: "latecomer",
        tried: format!("to take longer than it may, {} times", answers.len()),
        budget: LATE.into(),
        got: format!("stopped {stopped} times (deadline), at the latest after {:.3} s", longest.as_secs_f64()),
        held: stopped == answers.len() && longest <= Duration::from_secs(1) + OVERSHOOT,
        figures: json!({ "times": answers.len(), "longest_ms": crate::json::ms(longest) }),
    }
}

fn took(answers: &[Answer]) -> Row {
    let peak = answers.iter().map(|answer| answer.receipt.memory).max().unwrap_or_default();
    let refused = broke(answers, |fault| matches!(fault, Fault::Memory { .. }));
    Row {
        agent: "hog",
        tried: format!("to take all memory, {} times", answers.len()),
        budget: HOG.into(),
        got: format!("{} at most, refused more {refused} times (memory)", Size::bytes(peak)),
        held: refused == answers.len() && peak <= Size::mib(16).get(),
        figures: json!({ "times": answers.len(), "memory_peak_bytes": peak }),
    }
}

/// Of what the curious one found: it may have read the notice, and nothing else.
fn peeked(answers: &[Answer]) -> Row {
    let lists = |answer: &Answer| {
        let reply = answer.outcome.as_ref().ok()?;
        let found: Value = serde_json::from_slice(&reply.payload.body).ok()?;
        Some((found["read"].clone(), found["refused"].as_array()?.len()))
    };
    let held = answers.iter().filter(|answer| lists(answer).is_some_and(|(read, _)| read == json!(["/open/notice"])));
    let held = held.count();
    let refused: usize = answers.iter().filter_map(lists).map(|(_, refused)| refused).sum();
    Row {
        agent: "curious",
        tried: format!("to open files it was not granted, {} times", answers.len()),
        budget: "one folder to read".into(),
        got: format!("the one file in its folder; denied {refused} others"),
        held: held == answers.len(),
        figures: json!({ "times": answers.len(), "denied": refused }),
    }
}

/// How many turns broke in this way.
fn broke(answers: &[Answer], expected: impl Fn(&Fault) -> bool) -> usize {
    let broke = |answer: &&Answer| matches!(&answer.outcome, Err(Failed::Broke(fault)) if expected(fault));
    answers.iter().filter(broke).count()
}
