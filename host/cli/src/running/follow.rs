//! `village logs` and `village events`: what was said, and what is said from now on.

use super::signals::Signals;
use crate::arguments::{Events, Logs};
use crate::problem::Problem;
use crate::{node, print};
use hall::{Event, Spoken, Stamped};
use serde_json::{Value, json};
use std::process::ExitCode;

pub(crate) fn logs(options: &Logs, json: bool) -> Result<ExitCode, Problem> {
    let client = options.reach.client()?;
    node::asking(async || {
        let log = client.log(&options.agent, options.lines).await?;
        if !options.follow {
            match json {
                true => print::json(&json!(log)),
                false => log.lines.iter().for_each(line),
            }
            return Ok(ExitCode::SUCCESS);
        }
        let say = |one: &Stamped<Spoken>| match json {
            true => print::json(&json!(one)),
            false => line(one),
        };
        log.lines.iter().for_each(say);
        let last = log.lines.last().map_or(0, |one| one.id);
        let mut more = client.follow(&options.agent, last).await?;
        let mut signals = Signals::new();
        loop {
            tokio::select! {
                () = signals.next() => return Ok(ExitCode::SUCCESS),
                one = more.line() => match one? {
                    Some(one) => say(&one),
                    None => return Ok(ExitCode::SUCCESS),
                },
            }
        }
    })
}

fn line(one: &Stamped<Spoken>) {
    print::line(&format!("{} {:<5} {}", clock(one.time), one.what.level, print::tame(&one.what.text)));
}

pub(crate) fn events(options: &Events, json: bool) -> Result<ExitCode, Problem> {
    let client = options.reach.client()?;
    node::asking(async || {
        let mut more = client.events(options.since).await?;
        let mut signals = Signals::new();
        loop {
            tokio::select! {
                () = signals.next() => return Ok(ExitCode::SUCCESS),
                one = more.event() => match one? {
                    Some(one) if json => print::json(&json!(one)),
                    Some(one) => print::line(&event(&one)),
                    None => return Ok(ExitCode::SUCCESS),
                },
            }
        }
    })
}

/// An event as a line: when, to whom, what, and what else is known of it.
fn event(one: &Stamped<Event>) -> String {
    let known = json!(one.what);
    let said = known.as_object().into_iter().flatten().filter(|(name, _)| !matches!(name.as_str(), "agent" | "event"));
    let said = said.map(|(name, value)| match value {
        Value::String(text) => format!(" {name}={text}"),
        other => format!(" {name}={other}"),
    });
    let agent = if one.what.agent.is_empty() { "village" } else { &one.what.agent };
    let what = known["event"].as_str().unwrap_or_default();
    print::tame(&format!("{} {agent} {what}{}", clock(one.time), said.collect::<String>()))
}

/// The time of day, in UTC.
pub(super) fn clock(millis: u64) -> String {
    let seconds = millis / 1000;
    let (hours, minutes) = (seconds / 3600 % 24, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}.{:03}", seconds % 60, millis % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hall::What;

    #[test]
    fn an_event_is_a_line() {
        let what = What::Broke { kind: "trap".into(), message: "oh\u{1b}[2J no".into() };
        let one = Stamped { id: 1, time: 3_723_004, what: Event { agent: "a".into(), what } };
        assert_eq!(event(&one), "01:02:03.004 a broke kind=trap message=oh\\u{1b}[2J no");
    }
}
