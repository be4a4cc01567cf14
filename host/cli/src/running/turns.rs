//! `village turns`: how an agent's messages are tried, recorded and looked after.

use crate::arguments::Turns;
use crate::problem::Problem;
use crate::{node, print};
use serde_json::json;
use std::collections::BTreeMap;
use std::process::ExitCode;

pub(crate) fn turns(options: &Turns, json: bool) -> Result<ExitCode, Problem> {
    let wanted = fields(&options.fields)?;
    let client = options.reach.client()?;
    let agent = node::asking(async || {
        Ok(match wanted.is_empty() {
            true => client.details(&options.agent).await?,
            false => client.set_turns(&options.agent, &wanted).await?,
        })
    })?;
    if json {
        let turns: BTreeMap<_, _> = agent.turns.iter().cloned().collect();
        print::json(&json!({ "name": agent.name, "turns": turns }));
        return Ok(ExitCode::SUCCESS);
    }
    let shown = agent.turns.into_iter().filter(|(field, _)| wanted.is_empty() || wanted.contains_key(field));
    let rows: Vec<_> = shown.map(|(field, value)| vec![format!("  {field}"), value]).collect();
    print::out(format!("{}\n{}", agent.name, print::columns(&rows)).as_bytes());
    Ok(ExitCode::SUCCESS)
}

/// FIELD=VALUE,… each, checked as far as it can be here: what is wrong with a command line is said before anybody is asked.
fn fields(texts: &[String]) -> Result<BTreeMap<String, String>, Problem> {
    let known = guest::TURNS_FIELDS.join(", ");
    let mut wanted = BTreeMap::new();
    for text in texts.iter().flat_map(|text| text.split(',')) {
        let said = || Problem::usage(format!("`{text}` is not FIELD=VALUE, such as record=true; there are {known}"));
        let (field, value) = text.split_once('=').ok_or_else(said)?;
        let (field, value) = (field.trim(), value.trim());
        guest::Turns::default().set(field, value).map_err(|error| Problem::usage(error.to_string()))?;
        wanted.insert(field.to_string(), value.to_string());
    }
    Ok(wanted)
}
