//! Who plays in the demo, what each tries, and how it is told whether it was held.

use crate::print;
use crate::problem::Problem;
use crate::source::read_file;
use base::{Budget, Size};
use guest::{Agent, Answer, Failed, Fault, Grants, Host, Manifest, Message, Payload, Priority, Sender, Version};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The files that the agents are loaded from.
pub(super) struct Components {
    pub(super) manifest: PathBuf,
    pub(super) navigator: PathBuf,
    pub(super) cpu: PathBuf,
    pub(super) memory: PathBuf,
    pub(super) world: PathBuf,
}

/// One agent: what it tried, and what it got.
pub(super) struct Row {
    pub(super) agent: &'static str,
    pub(super) tried: String,
    pub(super) budget: &'static str,
    pub(super) got: String,
    pub(super) held: bool,
    figures: Value,
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

/// How long the navigator is alone, and how long it has company.
const ALONE: Duration = Duration::from_secs(1);
const TOGETHER: Duration = Duration::from_secs(5);

/// How often the navigator is asked.
const EVERY: Duration = Duration::from_millis(10);

/// How often hostile agents that are stopped at once try again.
const AGAIN: Duration = Duration::from_millis(100);

/// How long the spinner runs before its share is measured, so that its burst is spent.
const WARM: Duration = Duration::from_secs(1);

/// Gives each agent its part, all at once. `live` shows what they use meanwhile, on a terminal.
pub(super) async fn play(
    host: &Host,
    components: &Components,
    say: &dyn Fn(&str),
    live: bool,
) -> Result<Vec<Row>, Problem> {
    let load = async |path: &Path| Ok::<_, Problem>(host.load(&read_file(path)?).await?);
    let navigator = navigator(host, &load(&components.navigator).await?, &components.manifest)?;
    let cpu = load(&components.cpu).await?;
    let memory = load(&components.memory).await?;
    let world = load(&components.world).await?;
    let spinner = start(host, &cpu, SPINNER)?;
    let late = start(host, &cpu, LATE)?;
    let hog = start(host, &memory, HOG)?;
    let curious = start(host, &world, CURIOUS)?;

    say(&format!("The navigator alone, for {} s.", ALONE.as_secs()));
    let alone = questions(&navigator, Instant::now() + ALONE).await?;
    say(&format!("Beside a spinner, a memory hog and two others, for {} s.", TOGETHER.as_secs()));
    let until = Instant::now() + TOGETHER;
    let all = [("navigator", &navigator), ("spinner", &spinner), ("latecomer", &late), ("hog", &hog)];
    let (beside, spun, stopped, refused, denied, ()) = tokio::join!(
        questions(&navigator, until),
        spin(&spinner, until),
        repeat(&late, "spin", "", until),
        repeat(&hog, "abort", "1", until),
        repeat(&curious, "now", "", until),
        meters(&all, until, live),
    );
    let beside = beside?;
    Ok(vec![
        asked(&alone, &beside),
        computed(&spun?, budget(SPINNER)?),
        overran(&stopped?),
        took(&refused?),
        looked(&denied?),
    ])
}

const SPINNER: &str = "cpu=10%,burst=50ms,deadline=60s";
const LATE: &str = "deadline=1s";
const HOG: &str = "memory=16MiB";
const CURIOUS: &str = "";

fn start(host: &Host, version: &Version, fields: &str) -> Result<Agent, Problem> {
    Ok(host.start(version, budget(fields)?, Grants::default(), None)?)
}

fn budget(fields: &str) -> Result<Budget, Problem> {
    let mut budget = Budget::default();
    for (field, value) in fields.split(',').filter_map(|field| field.split_once('=')) {
        budget.set(field, value).map_err(|error| Problem::new("internal", error.to_string()))?;
    }
    Ok(budget)
}

fn navigator(host: &Host, version: &Version, manifest: &Path) -> Result<Agent, Problem> {
    let text = String::from_utf8_lossy(&read_file(manifest)?).into_owned();
    let manifest = Manifest::parse(&text, manifest)?;
    Ok(host.start(version, manifest.budget, manifest.grants, None)?)
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

/// Asks the navigator for a route and a path in turn.
async fn questions(navigator: &Agent, until: Instant) -> Result<Answers, Problem> {
    let mut answers = Answers { took: Vec::new(), failed: 0 };
    let (route, path) = (route(), path());
    let mut clock = tokio::time::interval(EVERY);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while Instant::now() < until {
        clock.tick().await;
        let (skill, body, field) = match answers.took.len() % 2 {
            0 => ("route", &route, "routes"),
            _ => ("shortest-path", &path, "cost"),
        };
        let begun = Instant::now();
        let answer = ask(navigator, skill, body).await?;
        answers.took.push(begun.elapsed());
        let good = answer.outcome.is_ok_and(|reply| {
            serde_json::from_slice::<Value>(&reply.payload.body).is_ok_and(|answer| answer.get(field).is_some())
        });
        answers.failed += usize::from(!good);
    }
    answers.took.sort();
    Ok(answers)
}

/// Twelve stops around a depot.
fn route() -> String {
    let stops: Vec<_> = (0..12)
        .map(|n| json!({ "name": n.to_string(), "x": n * 7 % 12, "y": n * 5 % 11, "demand": 1 + n % 4 }))
        .collect();
    json!({ "depot": { "x": 5, "y": 5 }, "capacity": 10, "stops": stops }).to_string()
}

/// A ring of thirty places, with some roads across it.
fn path() -> String {
    let road =
        |from: u32, to: u32| json!({ "from": from.to_string(), "to": (to % 30).to_string(), "cost": 1 + from % 5 });
    let roads: Vec<_> = (0..30).flat_map(|n| [road(n, n + 1), road(n, n * 7 + 3)]).collect();
    json!({ "edges": roads, "from": "0", "to": "17" }).to_string()
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

/// How often the meters are read.
const METER: Duration = Duration::from_millis(250);

/// Shows what each uses of core and memory, on one line that is written over.
async fn meters(agents: &[(&str, &Agent)], until: Instant, live: bool) {
    while live && Instant::now() < until {
        tokio::time::sleep(METER).await;
        let meters = agents.iter().map(|(name, agent)| {
            let usage = agent.usage();
            let used = |field| usage.iter().find(|usage| usage.field == field).map_or("", |usage| &usage.used);
            format!("{name} {} {}", used("cpu"), used("memory"))
        });
        print::out(format!("\r{}{CLEAR}", meters.collect::<Vec<_>>().join(" | ")).as_bytes());
    }
    if live {
        print::out(format!("\r{CLEAR}").as_bytes());
    }
}

/// Clears the line from here on.
const CLEAR: &str = "\x1b[K";

fn asked(alone: &Answers, beside: &Answers) -> Row {
    let failed = alone.failed + beside.failed;
    let all = alone.took.len() + beside.took.len();
    let ms = |answers: &Answers, permille| crate::json::ms(answers.percentile(permille));
    let [p50, p99, quiet50, quiet99] = [ms(beside, 500), ms(beside, 990), ms(alone, 500), ms(alone, 990)];
    Row {
        agent: "navigator",
        tried: format!("{all} questions for routes and paths"),
        budget: "cpu=50%,memory=32MiB",
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
        budget: SPINNER,
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
        budget: LATE,
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
        budget: HOG,
        got: format!("{} at most, refused more {refused} times (memory)", Size::bytes(peak)),
        held: refused == answers.len() && peak <= Size::mib(16).get(),
        figures: json!({ "times": answers.len(), "memory_peak_bytes": peak }),
    }
}

fn looked(answers: &[Answer]) -> Row {
    let refused = broke(answers, |fault| matches!(fault, Fault::Denied { .. }));
    Row {
        agent: "curious",
        tried: format!("to read the clock, {} times", answers.len()),
        budget: "no grants",
        got: format!("refused {refused} times (denied)"),
        held: refused == answers.len(),
        figures: json!({ "times": answers.len() }),
    }
}

/// How many turns broke in this way.
fn broke(answers: &[Answer], expected: impl Fn(&Fault) -> bool) -> usize {
    let broke = |answer: &&Answer| matches!(&answer.outcome, Err(Failed::Broke(fault)) if expected(fault));
    answers.iter().filter(broke).count()
}
