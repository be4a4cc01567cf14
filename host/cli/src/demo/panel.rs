//! The meters: what each agent uses of its CPU and memory while the demo runs.

use super::Meters;
use crate::print;
use guest::Agent;
use std::time::{Duration, Instant};

/// An agent on the panel, and what it is up to.
pub(super) struct Shown<'a> {
    pub(super) agent: &'a Agent,
    pub(super) name: &'static str,
    pub(super) does: &'static str,
}

const LIVE: Duration = Duration::from_millis(250);
const LINE: Duration = Duration::from_secs(1);

/// How wide a meter is.
const WIDE: u64 = 20;

/// Shows the meters until then.
pub(super) async fn show(agents: &[Shown<'_>], until: Instant, meters: Meters) {
    let begun = Instant::now();
    let pace = match meters {
        Meters::Off => return,
        Meters::Live => LIVE,
        Meters::Lines => LINE,
    };
    let mut drawn = 0;
    while Instant::now() + pace < until {
        tokio::time::sleep(pace).await;
        match meters {
            Meters::Live => {
                let text: String = agents.iter().map(|shown| format!("{}\x1b[K\n", bars(shown))).collect();
                print::out(format!("{}{text}", up(drawn)).as_bytes());
                drawn = agents.len();
            }
            _ => {
                let all: Vec<_> = agents.iter().map(figures).collect();
                print::line(&format!("  after {} s: {}", begun.elapsed().as_secs(), all.join(", ")));
            }
        }
    }
    // The table comes in the meters' place.
    print::out(format!("{}{}", up(drawn), if drawn > 0 { "\x1b[J" } else { "" }).as_bytes());
}

/// Back to the first line of what was drawn.
fn up(lines: usize) -> String {
    if lines > 0 { format!("\x1b[{lines}A\r") } else { String::new() }
}

/// Of a field: what is used of it as text, and as twentieths of the limit.
fn used(agent: &Agent, field: &str) -> (String, u64, String) {
    let usage = agent.usage();
    let Some(usage) = usage.into_iter().find(|usage| usage.field == field) else { return Default::default() };
    let filled = usage.used_units.saturating_mul(WIDE).div_ceil(usage.limit_units.max(1)).min(WIDE);
    (usage.used, filled, usage.limit)
}

fn bars(shown: &Shown<'_>) -> String {
    let bar = |field| {
        let (used, filled, limit) = used(shown.agent, field);
        let (full, empty) = ("█".repeat(filled as usize), "·".repeat((WIDE - filled) as usize));
        format!("{full}{empty} {used:>7} of {limit:<6}")
    };
    format!("  {:<10} {:<24} cpu {} memory {}", shown.name, shown.does, bar("cpu"), bar("memory"))
}

fn figures(shown: &Shown<'_>) -> String {
    format!("{} {} {}", shown.name, used(shown.agent, "cpu").0, used(shown.agent, "memory").0)
}
