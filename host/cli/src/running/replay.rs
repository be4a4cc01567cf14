//! `village replay`: a recorded turn, run again outside the world.

use super::follow::clock;
use crate::arguments::Replay;
use crate::problem::Problem;
use crate::source::Source;
use crate::{node, print};
use hall::Again;
use serde_json::json;
use std::process::ExitCode;

pub(crate) fn replay(options: &Replay, json: bool) -> Result<ExitCode, Problem> {
    let source = options.with.as_deref().map(|file| Source::open(file, None)).transpose()?;
    let client = options.reach.client()?;
    let again = node::asking(async || {
        let mut replay = api::wire::Replay { turn: options.turn.clone(), attempt: options.attempt, digest: None };
        if let Some(source) = source {
            let component = source.component.display().to_string();
            let uploaded = client.upload(source.bytes).await;
            let uploaded = uploaded.map_err(|error| Problem::from(error).prefixed(&format!("{component}: ")))?;
            replay.digest = Some(uploaded.digest);
        }
        Ok(client.replay(&replay).await?)
    })?;
    match json {
        true => print::json(&json!(again)),
        false => print::out(shown(&again).as_bytes()),
    }
    Ok(if again.same { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn shown(again: &Again) -> String {
    let Again { seq, agent, id, attempt, skill, time, .. } = again;
    let mut lines = vec![format!("{agent} {skill}: message {id}, try {attempt}, entry {seq}, {}", clock(*time))];
    if again.with != again.version {
        lines.push(format!("  had by {}, run again on {}", again.version, again.with));
    }
    lines.extend(again.differs.iter().map(|text| format!("  differs: {text}")));
    lines.extend(again.missing.iter().map(|text| format!("  the record lacks {text}")));
    if again.cut {
        lines.push("  the record is cut: the turn read more than is kept of one turn".into());
    }
    let millis = again.took_us as f64 / 1e3;
    match again.same {
        true => lines.push(format!("  the same, in {millis:.1} ms")),
        false => lines.push(format!("  not the same, in {millis:.1} ms: {}", again.outcome)),
    }
    lines.iter().map(|line| print::tame(line) + "\n").collect()
}
