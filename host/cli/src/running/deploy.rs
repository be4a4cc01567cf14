//! `village deploy`: an agent for a running village.

use crate::arguments::Deploy;
use crate::problem::Problem;
use crate::run::fields;
use crate::source::Source;
use crate::{node, print};
use api::wire::{ManifestText, NewAgent};
use base::Budget;
use serde_json::json;
use std::process::ExitCode;

pub(crate) fn deploy(options: &Deploy, json: bool) -> Result<ExitCode, Problem> {
    // What is wrong with the command line is said before any file is looked at.
    let budget = fields(&options.budget)?;
    for (field, value) in &budget {
        Budget::default().set(field, value).map_err(|error| Problem::usage(error.to_string()))?;
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
    match json {
        true => print::json(&json!(deployed)),
        false => print::line(&format!("{}: {}, {}", deployed.name, deployed.state.word(), deployed.digest)),
    }
    Ok(ExitCode::SUCCESS)
}
