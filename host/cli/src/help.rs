//! The parts of the help that teach.

use base::{Budget, Size};
use std::fmt::Write;

pub(crate) const VILLAGE: &str = "\
To begin with:
  village doctor                     what this machine has, and what to do about what it lacks
  village demo                       a real agent beside hostile ones, from a checkout of the sources
  village inspect agent.wasm         what a component is, and what it would need
  village run agent.wasm --input hi  one message, one reply

Exit codes: 0 it is done; 1 the agent or the village said no; 2 it was called wrongly.
With --json an error is {\"error\": {\"kind\", \"message\", \"details\"}}.
Compiled components are kept in $VILLAGE_CACHE, or else in the user's cache folder.";

pub(crate) const DEMO: &str = "\
It is run from a checkout of the sources, and sets up by itself what agents are built with.
Exit code 1 if any agent was not held to its budget.";

pub(crate) const INSPECT: &str = "\
Examples:
  village inspect agent.wasm            all of it, and the agent's own card
  village inspect agent.wasm --no-run   the same, without running anything of it
  village inspect agent.wasm --json

What can't run here is exit code 1, with everything that is missing or too much.";

const EXAMPLES: &str = "\
Examples:
  village run agent.wasm --skill echo --input 'hello'
  village run plugins/navigator --skill shortest-path --input @question.json --json
  village run agent.wasm --budget cpu=10%,memory=32MiB --budget deadline=2s --grant log
  village run tool.wasm --grant files=./notes:/notes:ro -- --all /notes/today.txt

An agent gets one message, and its reply goes to the standard output; lines of its log go to the standard error.
A command (a component that exports wasi:cli/run) gets ARGS and the standard input. Its exit code is in the JSON;
this program's own is 0 if it was 0, and 1 if not.

An agent.toml in the component's folder that names it is used: --budget overrides it, --grant adds to it.

Budget: every field has a limit, and these are the defaults
";

/// What each field of a budget means.
const FIELDS: [(&str, &str); 6] = [
    ("cpu", "CPU time of one core, sustained"),
    ("burst", "CPU time that it may run ahead of its share"),
    ("deadline", "wall time of one turn, waiting included"),
    ("memory", "all that it holds, and what the host holds for it"),
    ("storage", "durable state, and what it adds to files"),
    ("log", "bytes that it may log in a second"),
];

/// What each grant opens, with how it is written.
const GRANTS: [(&str, &str, &str); 7] = [
    ("log", "log", "its own log"),
    ("state", "state", "its own state"),
    ("budget", "budget", "reading its own budget"),
    ("clock", "clock", "the time, and waiting for it"),
    ("random", "random", "random numbers"),
    ("env", "env=NAME", "an environment variable, with the value that it has here"),
    ("files", "files=HOST:GUEST:ro", "a folder of this machine, under the guest's name for it; rw to write as well"),
];

/// What follows the options of `run`.
pub(crate) fn run() -> String {
    let mut text = String::from(EXAMPLES);
    // Writing to a string cannot fail.
    for (field, limit) in Budget::default().fields() {
        let meaning = FIELDS.iter().find(|(name, _)| *name == field).map_or("", |(_, meaning)| meaning);
        let _ = writeln!(text, "  {:<20} {meaning}", format!("{field}={limit}"));
    }
    let _ = writeln!(text, "\nGrants: nothing is open unless it is granted");
    for (_, written, meaning) in GRANTS {
        let _ = writeln!(text, "  {written:<20} {meaning}");
    }
    let most = Size::bytes(crate::source::MOST);
    let _ = write!(text, "\nA component or an input may have {most} at most.");
    text
}

pub(crate) const BENCH: &str = "\
Measurements: spawn, turn, metering, shares, fairness, deadline, density, program.

Each row is a ratio or a percentile of repeated runs that take turns with their baseline. A row that misses its bar is
marked so, and does not make the program fail. Times on a busy machine wander: measure on a quiet one.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_and_grant_is_explained() {
        assert_eq!(FIELDS.map(|(name, _)| name), base::BUDGET_FIELDS);
        assert_eq!(GRANTS.map(|(name, ..)| name), guest::GRANTS);
        let text = run();
        for (field, limit) in Budget::default().fields() {
            assert!(text.contains(&format!("{field}={limit}")), "{field}");
        }
    }
}
