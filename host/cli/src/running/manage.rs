//! `village start`, `stop`, `rm` and `budget`.

use super::ps::{part, whole};
use crate::arguments::{Budget, Named};
use crate::problem::Problem;
use crate::run::fields;
use crate::{node, print};
use api::client::Client;
use base::{Budget as Limits, Group};
use hall::Details;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::ExitCode;

pub(crate) fn start(options: &Named, json: bool) -> Result<ExitCode, Problem> {
    each(options, json, "agents", async |client, name| {
        let agent = client.start(name).await?;
        Ok((format!("{}: {}", agent.name, agent.state.word()), json!(agent)))
    })
}

pub(crate) fn stop(options: &Named, json: bool) -> Result<ExitCode, Problem> {
    each(options, json, "agents", async |client, name| {
        let agent = client.stop(name).await?;
        Ok((format!("{}: {}", agent.name, agent.state.word()), json!(agent)))
    })
}

pub(crate) fn rm(options: &Named, json: bool) -> Result<ExitCode, Problem> {
    each(options, json, "removed", async |client, name| {
        client.remove(name).await?;
        Ok((format!("{name}: removed"), name.into()))
    })
}

/// Does something to each of the agents; ends with the first that it can't be done to.
fn each(
    options: &Named,
    as_json: bool,
    all: &str,
    work: impl AsyncFn(&Client, &str) -> Result<(String, Value), Problem>,
) -> Result<ExitCode, Problem> {
    let client = options.reach.client()?;
    node::asking(async || {
        let mut done = Vec::new();
        for name in &options.agents {
            let (line, object) = work(&client, name).await.map_err(|problem| {
                let known = json!({ all: done });
                problem.beside(known.as_object().cloned().unwrap_or_default())
            })?;
            done.push(object);
            if !as_json {
                print::line(&print::tame(&line));
            }
        }
        if as_json {
            print::json(&json!({ all: done }));
        }
        Ok(ExitCode::SUCCESS)
    })
}

pub(crate) fn budget(options: &Budget, json: bool) -> Result<ExitCode, Problem> {
    let wanted: BTreeMap<_, _> = fields(&options.fields)?.into_iter().collect();
    for (field, value) in &wanted {
        let known = match options.group {
            true => Group::default().set(field, value),
            false => Limits::default().set(field, value),
        };
        known.map_err(|error| Problem::usage(error.to_string()))?;
    }
    let client = options.reach.client()?;
    match options.group {
        true => group(&client, &options.name, &wanted, json),
        false => agent(&client, &options.name, &wanted, json),
    }
}

fn agent(client: &Client, name: &str, wanted: &BTreeMap<String, String>, json: bool) -> Result<ExitCode, Problem> {
    let agent: Details = node::asking(async || {
        Ok(match wanted.is_empty() {
            true => client.details(name).await?,
            false => client.set_budget(name, wanted).await?,
        })
    })?;
    let changed = |field: &str| wanted.is_empty() || wanted.contains_key(field);
    match json {
        true => print::json(&json!({ "name": agent.name, "budget": agent.budget })),
        false if wanted.is_empty() => print::out(whole(&agent).as_bytes()),
        false => {
            for used in agent.budget.iter().filter(|used| changed(&used.field)) {
                print::line(&format!("{}: {} {}", agent.name, used.field, part(used)));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn group(client: &Client, name: &str, wanted: &BTreeMap<String, String>, json: bool) -> Result<ExitCode, Problem> {
    let groups = node::asking(async || {
        Ok(match wanted.is_empty() {
            true => client.groups().await?,
            false => client.set_group(name, wanted).await?,
        })
    })?;
    let Some(group) = groups.groups.into_iter().find(|group| group.name == name) else {
        let said = format!("there is no group `{name}`: groups are named in village.toml, as [groups.{name}]");
        return Err(Problem::new("unknown-group", said));
    };
    if json {
        print::json(&json!(group));
        return Ok(ExitCode::SUCCESS);
    }
    let memory = base::Size::bytes(group.memory);
    print::line(&format!("{}: {} agents, {memory} held, {:.1} ms of CPU used", group.name, group.agents, group.cpu_ms));
    let rows: Vec<_> = group.limits.into_iter().map(|(field, limit)| vec![format!("  {field}"), limit]).collect();
    print::out(print::columns(&rows).as_bytes());
    Ok(ExitCode::SUCCESS)
}
