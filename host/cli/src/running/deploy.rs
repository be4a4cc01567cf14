//! `village deploy`: an agent for a running village.

use crate::arguments::Deploy;
use crate::problem::Problem;
use crate::run::fields;
use crate::source::{Source, read_file, reason};
use crate::{node, print};
use api::wire::{ManifestText, NewAdoption, NewAgent};
use base::{Budget, Digest};
use hall::Details;
use serde_json::json;
use std::process::ExitCode;

pub(crate) fn deploy(options: &Deploy, json: bool) -> Result<ExitCode, Problem> {
    // What is wrong with the command line is said before any file is looked at.
    let budget = fields(&options.budget)?;
    for (field, value) in &budget {
        Budget::default().set(field, value).map_err(|error| Problem::usage(error.to_string()))?;
    }
    if !options.file.exists()
        && let Some(text) = options.file.to_str()
    {
        if let Some((agent, peer)) = text.split_once('@') {
            return adopt(options, agent, peer, budget, json);
        }
        if let Ok(digest) = text.parse::<Digest>() {
            return of_digest(options, digest, budget, json);
        }
    }
    let source = Source::open(&options.file, options.manifest.as_deref())?;
    if let (Some(stale), false) = (source.stale(), json) {
        print::err(&format!("village: {stale}"));
    }
    let manifest = source.manifest_text()?;
    let manifest = manifest.map(|(text, path)| ManifestText { text, path: path.display().to_string() });
    let client = options.reach.client()?;
    let (component, bytes) = (source.component.display().to_string(), source.bytes);
    let deployed = node::asking(async || {
        let uploaded =
            client.upload(bytes).await.map_err(|error| Problem::from(error).prefixed(&format!("{component}: ")))?;
        let agent = NewAgent {
            digest: uploaded.digest,
            name: options.name.clone(),
            manifest,
            budget: budget.into_iter().collect(),
            grants: options.grant.clone(),
            group: options.group.clone(),
        };
        Ok(client.deploy(&agent).await?)
    })?;
    said(&deployed, json);
    Ok(ExitCode::SUCCESS)
}

fn said(deployed: &Details, json: bool) {
    match json {
        true => print::json(&json!(deployed)),
        false => print::line(&format!("{}: {}, {}", deployed.name, deployed.state.word(), deployed.digest)),
    }
}

type Fields = Vec<(String, String)>;

/// An agent as another village has it.
fn adopt(options: &Deploy, agent: &str, peer: &str, budget: Fields, json: bool) -> Result<ExitCode, Problem> {
    if options.manifest.is_some() {
        return Err(Problem::usage(
            "--manifest is for a component; an agent of another village has its budget from there",
        ));
    }
    if agent.is_empty() || peer.is_empty() {
        return Err(Problem::usage("write NAME@PEER: an agent's name there, and the village's id or how that begins"));
    }
    let wanted = NewAdoption {
        peer: peer.into(),
        agent: agent.into(),
        name: options.name.clone(),
        budget: budget.into_iter().collect(),
        grants: options.grant.clone(),
        group: options.group.clone(),
    };
    let client = options.reach.client()?;
    let adopted = node::asking(async || Ok(client.adopt(&wanted).await?))?;
    if json {
        print::json(&json!(adopted));
        return Ok(ExitCode::SUCCESS);
    }
    said(&adopted.agent, false);
    if !adopted.less.is_empty() {
        let there = adopted.less.iter().map(|(field, there)| format!("{field} ({there} there)"));
        let fields = print::tame(&there.collect::<Vec<_>>().join(", "));
        print::err(&format!("village: smaller here than there: {fields}; --budget says otherwise when it is deployed"));
    }
    let here: Vec<_> = adopted.agent.grants.iter().filter_map(|grant| grant.split('=').next()).collect();
    let shut: Vec<_> = adopted.grants_there.iter().filter(|grant| !here.contains(&grant.as_str())).cloned().collect();
    if !shut.is_empty() {
        let shut = print::tame(&shut.join(", "));
        print::err(&format!("village: open to it there, and not here: {shut}; --grant opens it when it is deployed"));
    }
    Ok(ExitCode::SUCCESS)
}

/// An agent of a component that is kept already.
fn of_digest(options: &Deploy, digest: Digest, budget: Fields, json: bool) -> Result<ExitCode, Problem> {
    let manifest = match &options.manifest {
        Some(path) => {
            let text = String::from_utf8(read_file(path)?)
                .map_err(|_| Problem::new("manifest", format!("{}: it is not text", path.display())))?;
            let path = std::path::absolute(path).map_err(|error| Problem::file(path, reason(&error)))?;
            Some(ManifestText { text, path: path.display().to_string() })
        }
        None => None,
    };
    let wanted = NewAgent {
        digest: digest.to_string(),
        name: options.name.clone(),
        manifest,
        budget: budget.into_iter().collect(),
        grants: options.grant.clone(),
        group: options.group.clone(),
    };
    let client = options.reach.client()?;
    said(&node::asking(async || Ok(client.deploy(&wanted).await?))?, json);
    Ok(ExitCode::SUCCESS)
}
