//! `village demo`: real agents beside hostile ones, each held to its budget; one that is replaced while it is asked; and two
//! villages that talk. All agents are inside the program.

mod cast;
mod panel;
mod succession;
mod villages;

use crate::problem::Problem;
use crate::{node, print};
use cast::Row;
use guest::{Host, Pool};
use serde_json::json;
use std::io::IsTerminal;
use std::process::ExitCode;

/// How the demo tells what happens while it happens.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meters {
    /// Written over, four times a second.
    Live,
    /// A line a second.
    Lines,
    /// Not at all.
    Off,
}

pub(crate) fn demo(json: bool) -> Result<ExitCode, Problem> {
    let meters = match (json, std::io::stdout().is_terminal()) {
        (true, _) => Meters::Off,
        (false, true) => Meters::Live,
        (false, false) => Meters::Lines,
    };
    let mut rows = node::with(Host::builder().pool(Pool::Slots(16)), async |host| cast::play(host, meters).await)?;
    rows.push(node::serving(async || villages::play(meters).await)?);
    let held = rows.iter().all(|row| row.held);
    if json {
        let agents: Vec<_> = rows.iter().map(Row::object).collect();
        print::json(&json!({ "held": held, "agents": agents }));
    } else {
        print::out(table(&rows).as_bytes());
        print::line(match held {
            true => {
                "\nEach was held to its budget, and nothing was lost: neither when one was replaced, nor between two villages."
            }
            false => "\nNot every one was held to what it was promised.",
        });
        print::line(
            "`village inspect navigator` says what one of them can be asked, `village run navigator …` asks it.",
        );
    }
    Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn table(rows: &[Row]) -> String {
    let title = ["agent", "tried", "budget", "got", ""].map(String::from).to_vec();
    let rows = rows.iter().map(|row| {
        let held = if row.held { "held" } else { "NOT HELD" };
        [row.agent.into(), row.tried.clone(), row.budget.clone(), row.got.clone(), held.into()].to_vec()
    });
    let all: Vec<_> = std::iter::once(title).chain(rows).collect();
    format!("\n{}", print::columns(&all))
}
