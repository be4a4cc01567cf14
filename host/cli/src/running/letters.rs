//! `village dead-letters`: messages that were given up.

use crate::arguments::DeadLetters;
use crate::problem::Problem;
use crate::{node, print};
use api::client::Client;
use serde_json::json;
use std::process::ExitCode;

/// In the place of an id: every letter of the agent.
const ALL: &str = "all";

pub(crate) fn dead_letters(options: &DeadLetters, json: bool) -> Result<ExitCode, Problem> {
    let (id, again) = match (&options.again, &options.drop) {
        (Some(id), _) => (Some(id), true),
        (None, Some(id)) => (Some(id), false),
        (None, None) => (None, false),
    };
    let client = options.reach.client()?;
    let Some(id) = id else { return list(&client, options.agent.as_deref(), json) };
    let Some(agent) = options.agent.as_deref() else {
        return Err(Problem::usage("whose letter? `village dead-letters AGENT --again ID`"));
    };
    let done = node::asking(async || {
        let ids = match id.as_str() {
            ALL => client.dead_letters(Some(agent)).await?.letters.into_iter().map(|letter| letter.id).collect(),
            id => vec![id.to_string()],
        };
        for id in &ids {
            match again {
                true => client.redrive(agent, id).await?,
                false => client.discard(agent, id).await?,
            }
        }
        Ok(ids)
    })?;
    let word = if again { "again" } else { "dropped" };
    match json {
        true => print::json(&json!({ word: done })),
        false => done.iter().for_each(|id| print::line(&format!("{agent}: {id} {word}"))),
    }
    Ok(ExitCode::SUCCESS)
}

fn list(client: &Client, agent: Option<&str>, json: bool) -> Result<ExitCode, Problem> {
    let letters = node::asking(async || Ok(client.dead_letters(agent).await?))?;
    if json {
        print::json(&json!(letters));
        return Ok(ExitCode::SUCCESS);
    }
    let title = ["agent", "id", "from", "skill", "tried", "why"].map(String::from).to_vec();
    let rows = letters.letters.iter().map(|letter| {
        let why = print::tame(&format!("{}: {}", letter.kind, letter.reason));
        let (skill, from) = (print::tame(&letter.skill), print::tame(&letter.from));
        vec![letter.agent.clone(), letter.id.clone(), from, skill, letter.attempts.to_string(), why]
    });
    let all: Vec<_> = std::iter::once(title).chain(rows).collect();
    print::out(print::columns(&all).as_bytes());
    Ok(ExitCode::SUCCESS)
}
