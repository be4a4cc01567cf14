//! `village swap`, `rollback` and `versions`: another version of an agent, while it runs.

use super::follow::clock;
use crate::arguments::{MemoryWish, Rollback, Swap, Versions};
use crate::problem::Problem;
use crate::source::Source;
use crate::{node, print};
use api::client::{Client, Pieces};
use api::wire::NewVersion;
use base::Part;
use guest::Replicas;
use hall::Step;
use serde_json::{Value, json};
use std::process::ExitCode;

pub(crate) fn swap(options: &Swap, json: bool) -> Result<ExitCode, Problem> {
    let wrong = |field: &str, bad: base::Bad| Problem::usage(format!("--{field}: {bad}"));
    for (field, text) in [("canary", &options.canary), ("max-failures", &options.max_failures)] {
        text.as_ref().map_or(Ok(Part::NONE), |text| text.parse()).map_err(|bad| wrong(field, bad))?;
    }
    for (field, text) in [("max-p99", &options.max_p99), ("within", &options.within)] {
        text.as_ref().map_or(Ok(Default::default()), |text| base::span(text)).map_err(|bad| wrong(field, bad))?;
    }
    if options.cancel {
        let client = options.reach.client()?;
        let cancelled = node::asking(async || Ok(client.cancel_swap(&options.agent).await?))?;
        match json {
            true => print::json(&json!(cancelled)),
            false => print::line(if cancelled.cancelled { "called off" } else { "no swap is under way" }),
        }
        return Ok(ExitCode::SUCCESS);
    }
    let Some(file) = &options.file else {
        return Err(Problem::usage("which version? `village swap AGENT FILE`; --help says what else it takes"));
    };
    let source = Source::open(file, None)?;
    if let (Some(stale), false) = (source.stale(), json) {
        print::err(&format!("village: {stale}"));
    }
    let client = options.reach.client()?;
    let component = source.component.display().to_string();
    let (turns, replicas) = (source.turns(), source.replicas());
    node::asking(async || {
        let uploaded = client.upload(source.bytes).await;
        let uploaded = uploaded.map_err(|error| Problem::from(error).prefixed(&format!("{component}: ")))?;
        let version = NewVersion {
            digest: uploaded.digest,
            shadow: options.shadow,
            canary: options.canary.clone(),
            window: options.window,
            max_failures: options.max_failures.clone(),
            max_p99: options.max_p99.clone(),
            within: options.within.clone(),
            memory: options.memory.map(word),
            fewer_skills: options.fewer_skills,
            turns,
        };
        let ended = follow(client.swap(&options.agent, &version).await?, json).await?;
        if let (Some(Replicas { min, max }), false) = (replicas, json) {
            let now = client.details(&options.agent).await?.replicas;
            if (now.min, now.max) != (min, max) {
                let (agent, said) = (&options.agent, "agent.toml says other [replicas], which no swap changes");
                print::err(&format!("village: {said}: `village scale {agent} --min {min} --max {max}` does"));
            }
        }
        Ok(ended)
    })
}

fn word(memory: MemoryWish) -> String {
    match memory {
        MemoryWish::Carried => "carried",
        MemoryWish::CarriedOrCold => "carried-or-cold",
        MemoryWish::Cold => "cold",
    }
    .into()
}

pub(crate) fn rollback(options: &Rollback, json: bool) -> Result<ExitCode, Problem> {
    let client = options.reach.client()?;
    node::asking(async || follow(client.rollback(&options.agent).await?, json).await)
}

/// Shows the steps as they come. What did not take over is an error.
async fn follow(mut pieces: Pieces, as_json: bool) -> Result<ExitCode, Problem> {
    let mut steps = Vec::new();
    while let Some(step) = pieces.step().await? {
        if !as_json && !step.is_last() {
            print::err(&format!("village: {}", line(&step)));
        }
        let last = step.is_last().then(|| step.clone());
        steps.push(json!(step));
        let Some(last) = last else { continue };
        if last.is_done() {
            match as_json {
                true => print::json(&json!({ "steps": steps })),
                false => print::line(&line(&last)),
            }
            return Ok(ExitCode::SUCCESS);
        }
        let said = last.details["message"].as_str().unwrap_or_default();
        let kind = last.details["kind"].as_str().unwrap_or("refused").to_string();
        let known = json!({ "steps": steps });
        let problem = Problem::new(kind, format!("{said}; the version that served before serves on"));
        return Err(problem.beside(known.as_object().cloned().unwrap_or_default()));
    }
    Err(Problem::new("no-village", "the village ended before the swap did; `village versions` says which one serves"))
}

/// A step as a line.
pub(crate) fn line(step: &Step) -> String {
    // The way back has its switch beside its reason.
    let back = step.step == "back" && step.is_done();
    let details = if back { &step.details["switch"] } else { &step.details };
    let pause = || details["pause_us"].as_f64().map_or(String::new(), |micros| format!("{:.3} ms", micros / 1e3));
    let said = match step.step.as_str() {
        _ if back && details.is_null() => "live again".into(),
        "live" | "back" if step.is_done() => {
            let bytes = details["memory_bytes"].as_u64().unwrap_or(0);
            let memory = match details["memory"].as_str() {
                Some("restored") => format!("{} of memory restored", base::Size::bytes(bytes)),
                Some("nothing") => "there was no memory to carry".into(),
                Some("own") => "with the memory that it had".into(),
                _ => "its memory was left".into(),
            };
            format!("live, after a pause of {}; {memory}", pause())
        }
        "probed" => format!("probed: {} {}", text(&details["name"]), text(&details["version"])),
        other => {
            let rest = details.as_object().into_iter().flatten();
            let rest = rest.map(|(name, value)| format!(" {name}={}", text(value)));
            format!("{other}:{}", rest.collect::<String>())
        }
    };
    print::tame(&said)
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

pub(crate) fn versions(options: &Versions, json: bool) -> Result<ExitCode, Problem> {
    let client: Client = options.reach.client()?;
    let versions = node::asking(async || Ok(client.versions(&options.agent).await?))?;
    if json {
        print::json(&json!(versions));
        return Ok(ExitCode::SUCCESS);
    }
    let rows = versions.versions.into_iter().map(|version| {
        let time = match (version.place.as_str(), version.time) {
            ("live", Some(time)) => format!("since {}", clock(time)),
            (_, Some(time)) => format!("until {}", clock(time)),
            _ => String::new(),
        };
        vec![version.place, version.digest, time]
    });
    print::out(print::columns(&rows.collect::<Vec<_>>()).as_bytes());
    Ok(ExitCode::SUCCESS)
}
