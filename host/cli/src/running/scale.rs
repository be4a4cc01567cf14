//! `village scale`: how many instances serve an agent's mailbox.

use crate::arguments::Scale;
use crate::problem::Problem;
use crate::{node, print};
use api::wire::NewScale;
use guest::Replicas;
use guest::replicas::{checked, number};
use serde_json::json;
use std::process::ExitCode;

pub(crate) fn scale(options: &Scale, json: bool) -> Result<ExitCode, Problem> {
    let wanted = wanted(options)?;
    let client = options.reach.client()?;
    let agent = node::asking(async || {
        Ok(match wanted {
            None => client.details(&options.agent).await?,
            Some(Replicas { min, max }) => client.scale(&options.agent, &NewScale { min, max: Some(max) }).await?,
        })
    })?;
    let hall::Scale { serving, min, max } = agent.replicas;
    match json {
        true => print::json(&json!({ "name": agent.name, "replicas": agent.replicas })),
        false => print::line(&format!("{}: {serving} serving, {min} to {max} wanted", agent.name)),
    }
    Ok(ExitCode::SUCCESS)
}

/// What is wrong with a command line is said before anybody is asked.
fn wanted(options: &Scale) -> Result<Option<Replicas>, Problem> {
    let read = |field, text: &Option<String>| text.as_ref().map(|text| number(field, text)).transpose();
    let all = || {
        let (count, min, max) = (read("N", &options.count)?, read("min", &options.min)?, read("max", &options.max)?);
        let least = count.or(min);
        if least.is_none() && max.is_none() {
            return Ok(None);
        }
        let least = least.unwrap_or(1);
        checked(least, max.unwrap_or(least)).map(Some)
    };
    all().map_err(|error: guest::replicas::Error| Problem::usage(error.to_string()))
}
