//! `village ps`: the agents, each with what it uses of its budget.

use crate::arguments::Ps;
use crate::problem::Problem;
use crate::{node, print};
use hall::{Details, Used};
use serde_json::json;
use std::process::ExitCode;

/// Fields that a line has room for on a terminal of usual width.
const NARROW: [&str; 3] = ["cpu", "memory", "mailbox"];

pub(crate) fn ps(options: &Ps, json: bool) -> Result<ExitCode, Problem> {
    let client = options.reach.client()?;
    match &options.agent {
        Some(name) => {
            let agent = node::asking(async || Ok(client.details(name).await?))?;
            match json {
                true => print::json(&json!(agent)),
                false => print::out(whole(&agent).as_bytes()),
            }
        }
        None => {
            let agents = node::asking(async || Ok(client.agents().await?))?;
            match json {
                true => print::json(&json!({ "agents": agents })),
                false => print::out(table(&agents, width()).as_bytes()),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// How wide a line may be; without end where nobody looks at it on a terminal.
fn width() -> usize {
    let terminal = console::Term::stdout();
    if terminal.is_term() { usize::from(terminal.size().1) } else { usize::MAX }
}

/// All agents, every field of each; only some where the lines would be too long.
fn table(agents: &[Details], width: usize) -> String {
    let all = rows(agents, |_| true);
    let fits = all.lines().next().is_none_or(|first| first.chars().count() <= width)
        && all.lines().all(|line| line.chars().count() <= width);
    if fits {
        return all;
    }
    let hint = "every field: `village ps AGENT`, or a wider terminal\n";
    rows(agents, |field| NARROW.contains(&field)) + hint
}

fn rows(agents: &[Details], shown: impl Fn(&str) -> bool) -> String {
    let fields = base::BUDGET_FIELDS.into_iter().filter(|field| shown(field));
    let mut title: Vec<String> = ["agent", "state", "health"].map(String::from).to_vec();
    title.extend(fields.map(String::from));
    let rows = agents.iter().map(|agent| {
        let mut row = vec![agent.name.clone(), agent.state.word().into(), health(agent).into()];
        row.extend(agent.budget.iter().filter(|used| shown(&used.field)).map(part));
        row
    });
    let all: Vec<_> = std::iter::once(title).chain(rows).collect();
    print::columns(&all)
}

/// How it is, in a word.
fn health(agent: &Details) -> &'static str {
    match agent.left_alone_ms {
        0 => agent.health.word(),
        _ => "left-alone",
    }
}

/// How it is, how often it broke, and for how long it is left alone.
fn health_in_full(agent: &Details) -> String {
    let broke = match agent.faults {
        0 => String::new(),
        1 => ", broke once".into(),
        times => format!(", broke {times} times"),
    };
    let alone = match agent.left_alone_ms {
        0 => String::new(),
        millis => format!(", left alone for another {millis} ms"),
    };
    format!("{}{broke}{alone}", agent.health.word())
}

/// What is used of a field, and its limit.
pub(super) fn part(used: &Used) -> String {
    let Used { used, limit, .. } = used;
    match (used.strip_suffix("/s"), limit.strip_suffix("/s")) {
        (Some(used), Some(limit)) => format!("{used}/{limit}/s"),
        _ => format!("{used}/{limit}"),
    }
}

/// All that is known of one agent.
pub(super) fn whole(agent: &Details) -> String {
    let row = |name: &str, value: String| vec![format!("  {name}"), value];
    let sends = agent.sends;
    let mut rows = vec![
        row("state", agent.state.word().into()),
        row("health", health_in_full(agent)),
        row("component", agent.digest.clone()),
        row("group", agent.group.clone().unwrap_or_else(|| "none".into())),
        row("grants", if agent.grants.is_empty() { "none".into() } else { agent.grants.join(", ") }),
        row(
            "messages",
            format!(
                "{} answered, {} failed, {} broke, {} refused",
                sends.answered, sends.failed, sends.broke, sends.refused
            ),
        ),
        row("cpu time", format!("{:.1} ms", agent.cpu_ms)),
    ];
    if let Some(problem) = &agent.problem {
        rows.push(row("problem", print::tame(problem)));
    }
    rows.extend(agent.budget.iter().map(|used| row(&used.field, part(used))));
    let turns: Vec<_> = agent.turns.iter().map(|(field, value)| format!("{field}={value}")).collect();
    let hall::Scale { serving, min, max } = agent.replicas;
    rows.push(row("replicas", format!("{serving} serving, {min} to {max} wanted")));
    rows.push(row("turns", turns.join(" ")));
    format!("{}\n{}", agent.name, print::columns(&rows))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hall::{Health, Sends, State};

    fn agent() -> Details {
        let budget = base::Budget::default().fields().into_iter().map(|(field, limit)| Used {
            field: field.into(),
            used: "0".into(),
            limit,
            used_units: 0,
            limit_units: 1,
        });
        Details {
            name: "a".into(),
            state: State::Asleep,
            health: Health::Well,
            faults: 2,
            left_alone_ms: 1500,
            digest: "sha256:0".into(),
            group: None,
            grants: Vec::new(),
            deployed: 0,
            queue: 0,
            sends: Sends::default(),
            cpu_ms: 0.0,
            gpu_ms: 0.0,
            budget: budget.collect(),
            turns: vec![("attempts".into(), "5".into()), ("record".into(), "false".into())],
            replicas: hall::Scale { serving: 3, min: 1, max: 4 },
            problem: None,
        }
    }

    #[test]
    fn every_field_is_shown_where_there_is_room() {
        let wide = table(&[agent()], usize::MAX);
        assert!(base::BUDGET_FIELDS.iter().all(|field| wide.contains(field)), "{wide}");
        assert!(wide.contains("0/25%") && wide.contains("0/1000"), "{wide}");
        let narrow = table(&[agent()], 80);
        assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
        assert!(narrow.contains("cpu") && !narrow.contains("storage") && narrow.contains("village ps AGENT"));
        let one = whole(&agent());
        assert!(wide.contains("left-alone") && one.contains("well, broke 2 times, left alone for another 1500 ms"));
        assert!(base::BUDGET_FIELDS.iter().all(|field| one.contains(field)), "{one}");
        assert!(one.contains("attempts=5 record=false"), "{one}");
    }

    #[test]
    fn a_rate_has_its_second_once() {
        let used = |used: &str, limit: &str| {
            let (used, limit) = (used.to_string(), limit.to_string());
            part(&Used { field: String::new(), used, limit, used_units: 0, limit_units: 0 })
        };
        assert_eq!((used("1B/s", "64KiB/s"), used("2", "3")), ("1B/64KiB/s".into(), "2/3".into()));
    }
}
