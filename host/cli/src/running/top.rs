//! `village top`: what the agents use, as they use it.

use super::signals::Signals;
use crate::arguments::Top;
use crate::problem::Problem;
use crate::{node, print};
use api::client::Client;
use console::Term;
use hall::{Details, Figures, State};
use serde_json::json;
use std::process::ExitCode;
use std::time::Duration;

/// How wide a meter is.
const WIDE: u64 = 12;

/// It is drawn no more often.
const FASTEST: Duration = Duration::from_millis(100);

pub(crate) fn top(options: &Top, json: bool) -> Result<ExitCode, Problem> {
    let every = base::span(&options.every).map_err(|bad| Problem::usage(format!("--every: {bad}")))?.max(FASTEST);
    let client = options.reach.client()?;
    let terminal = Term::stdout();
    let live = terminal.is_term() && !json;
    let count = options.count.unwrap_or(if live { u64::MAX } else { 1 });
    node::asking(async || {
        let mut signals = Signals::new();
        let _screen = live.then(Screen::take);
        for round in 0..count {
            let (figures, agents) = look(&client).await?;
            match (json, live) {
                (true, _) => print::json(&json!({ "village": figures, "agents": agents })),
                (false, true) => draw(&terminal, &figures, &agents),
                (false, false) => print::out(page(&figures, &agents, usize::MAX, usize::MAX).as_bytes()),
            }
            if round + 1 == count {
                break;
            }
            tokio::select! {
                () = signals.next() => break,
                () = tokio::time::sleep(every) => {}
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// The village, and its agents: those that use most first.
async fn look(client: &Client) -> Result<(Figures, Vec<Details>), Problem> {
    let (figures, mut agents) = (client.village().await?, client.agents().await?);
    let used = |agent: &Details, field: &str| {
        agent.budget.iter().find(|used| used.field == field).map_or(0, |used| used.used_units)
    };
    agents.sort_by(|a, b| {
        let rank = |agent: &Details| {
            (agent.state != State::Awake, u64::MAX - used(agent, "cpu"), u64::MAX - used(agent, "memory"))
        };
        rank(a).cmp(&rank(b)).then_with(|| a.name.cmp(&b.name))
    });
    Ok((figures, agents))
}

/// A screen of its own, given back also when something breaks.
struct Screen;

impl Screen {
    fn take() -> Screen {
        print::out(b"\x1b[?1049h\x1b[?25l");
        Screen
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        print::out(b"\x1b[?25h\x1b[?1049l");
    }
}

fn draw(terminal: &Term, figures: &Figures, agents: &[Details]) {
    let (high, wide) = terminal.size();
    let text = page(figures, agents, wide.into(), usize::from(high).saturating_sub(1));
    let lines: String = text.lines().map(|line| format!("{line}\x1b[K\n")).collect();
    print::out(format!("\x1b[H{lines}\x1b[J").as_bytes());
}

/// The page, no wider and no higher than there is room.
fn page(figures: &Figures, agents: &[Details], wide: usize, high: usize) -> String {
    let states: Vec<_> = figures.agents.iter().map(|(state, count)| format!("{count} {}", state.word())).collect();
    let sends = figures.sends;
    let head = format!(
        "village {}, up {} s: {}; {} messages under way, {} answered, {} failed, {} broke, {} refused\n\n",
        figures.version,
        figures.up_ms / 1000,
        states.join(", "),
        figures.under_way,
        sends.answered,
        sends.failed,
        sends.broke,
        sends.refused,
    );
    let title = ["agent", "state", "health", "cpu", "", "memory", "", "mailbox", "answered", "broke"];
    let mut rows = vec![title.map(String::from).to_vec()];
    rows.extend(agents.iter().map(row));
    let text = head + &print::columns(&rows);
    text.lines().take(high).map(|line| line.chars().take(wide).collect::<String>() + "\n").collect()
}

fn row(agent: &Details) -> Vec<String> {
    let meter = |field: &str| {
        let Some(used) = agent.budget.iter().find(|used| used.field == field) else { return Default::default() };
        let filled = used.used_units.saturating_mul(WIDE).div_ceil(used.limit_units.max(1)).min(WIDE);
        let bar = "█".repeat(filled as usize) + &"·".repeat((WIDE - filled) as usize);
        (bar, format!("{}/{}", used.used, used.limit))
    };
    let ((cpu_bar, cpu), (memory_bar, memory), (_, mailbox)) = (meter("cpu"), meter("memory"), meter("mailbox"));
    let sends = agent.sends;
    vec![
        agent.name.clone(),
        agent.state.word().into(),
        agent.health.word().into(),
        cpu_bar,
        cpu,
        memory_bar,
        memory,
        mailbox,
        sends.answered.to_string(),
        sends.broke.to_string(),
    ]
}
