//! `village demo`: a real agent beside hostile ones, each held to its budget.

mod cast;

use crate::problem::Problem;
use crate::{node, print};
use cast::{Components, Row};
use guest::{Host, Pool};
use serde_json::json;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use toolchain::{Component, Progress, Wanted};

/// The hostile guests that play a part.
const GUESTS: [&str; 3] = ["cpu", "memory", "world"];

pub(crate) fn demo(json: bool) -> Result<ExitCode, Problem> {
    let say = |text: &str| {
        if !json {
            print::line(text)
        }
    };
    let root = root()?;
    let components = build(&root, json, &say)?;
    let live = std::io::stdout().is_terminal() && !json;
    let rows = node::with(Host::builder().pool(Pool::Slots(16)), async |host| {
        cast::play(host, &components, &say, live).await
    })?;
    let held = rows.iter().all(|row| row.held);
    if json {
        let agents: Vec<_> = rows.iter().map(Row::object).collect();
        print::json(&json!({ "held": held, "agents": agents }));
    } else {
        print::out(table(&rows).as_bytes());
        print::line(if held { "\nEach was held to its budget." } else { "\nNot every one was held to its budget." });
    }
    Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The checkout that this was started in.
fn root() -> Result<PathBuf, Problem> {
    let here = std::env::current_dir().map_err(|error| Problem::new("file", format!("the current folder: {error}")))?;
    let is_root = |folder: &&Path| folder.join("plugins/navigator").is_dir() && folder.join("tests/guests").is_dir();
    here.ancestors().find(is_root).map(Path::to_path_buf).ok_or_else(|| {
        let needs =
            "the demo builds its agents from their sources: start it in a checkout of village, with `cargo demo`";
        Problem::new("file", format!("{needs}; {} is in none", here.display()))
    })
}

fn build(root: &Path, json: bool, say: &dyn Fn(&str)) -> Result<Components, Problem> {
    let toolchain = match toolchain::find() {
        Ok(toolchain) => toolchain,
        Err(_) => {
            say("Setting up what agents are built with. This may take some minutes.");
            toolchain::install()?
        }
    };
    say(&format!("Building the agents with {}.", toolchain.describe()));
    let shown = std::io::stderr().is_terminal() && !json;
    let progress = if shown { Progress::Shown } else { Progress::Kept };
    let plugins = root.join("plugins");
    let mut built = toolchain.build(&plugins, Wanted::Packages(&["navigator"]), progress)?;
    built.extend(toolchain.build(&root.join("tests/guests"), Wanted::Example(&GUESTS), progress)?);
    Ok(Components {
        manifest: plugins.join("navigator/agent.toml"),
        navigator: named(&built, "navigator")?,
        cpu: named(&built, "cpu")?,
        memory: named(&built, "memory")?,
        world: named(&built, "world")?,
    })
}

fn named(built: &[Component], name: &str) -> Result<PathBuf, Problem> {
    let component = built.iter().find(|component| component.name == name);
    let missing = || Problem::new("toolchain", format!("`{name}` was built, and is not among what was built"));
    component.map(|component| component.path.clone()).ok_or_else(missing)
}

fn table(rows: &[Row]) -> String {
    let title = ["agent", "tried", "budget", "got", ""].map(String::from).to_vec();
    let rows = rows.iter().map(|row| {
        let held = if row.held { "held" } else { "NOT HELD" };
        [row.agent.into(), row.tried.clone(), row.budget.into(), row.got.clone(), held.into()].to_vec()
    });
    let all: Vec<_> = std::iter::once(title).chain(rows).collect();
    format!("\n{}", print::columns(&all))
}
