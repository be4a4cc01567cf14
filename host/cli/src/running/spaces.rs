//! `village memory`: the spaces in which agents keep documents.

use crate::arguments::{Memory, MemoryAction};
use crate::problem::Problem;
use crate::{node, print};
use api::wire::Spaces;
use base::Size;
use serde_json::json;
use std::process::ExitCode;

pub(crate) fn memory(options: &Memory, json: bool) -> Result<ExitCode, Problem> {
    match &options.action {
        MemoryAction::List { reach } => {
            let client = reach.client()?;
            let all = node::asking(async || Ok(client.spaces().await?))?;
            match json {
                true => print::json(&json!(all)),
                false => print::out(table(&all).as_bytes()),
            }
        }
        MemoryAction::Rm { space, reach } => {
            let client = reach.client()?;
            let cleared = node::asking(async || Ok(client.clear_space(space).await?))?;
            let sources = cleared.sources;
            let documents = if sources == 1 { "document" } else { "documents" };
            match json {
                true => print::json(&json!(cleared)),
                false => print::line(&format!("removed: `{}`, with {sources} {documents}", print::tame(space))),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn table(all: &Spaces) -> String {
    if all.spaces.is_empty() {
        return "nothing is kept in any space\n".into();
    }
    let mut rows = vec![["SPACE", "DOCUMENTS", "PASSAGES", "BYTES"].map(str::to_owned).to_vec()];
    for space in &all.spaces {
        rows.push(vec![
            print::tame(&space.name),
            space.sources.to_string(),
            space.passages.to_string(),
            Size::bytes(space.bytes).to_string(),
        ]);
    }
    print::columns(&rows)
}
