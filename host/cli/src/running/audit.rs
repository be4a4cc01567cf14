//! `village audit`: the journal; `village backup` and `village restore`: all that is kept, elsewhere and back.

use super::follow::clock;
use super::reach::data;
use crate::arguments::{Audit, Backup, Restore};
use crate::problem::Problem;
use crate::{node, print};
use base::Size;
use hall::{Entry, Village};
use serde_json::{Value, json};
use std::process::ExitCode;

pub(crate) fn audit(options: &Audit, json: bool) -> Result<ExitCode, Problem> {
    let client = options.reach.client()?;
    if options.verify {
        let verified = node::asking(async || Ok(client.verify().await?))?;
        match json {
            true => print::json(&json!(verified)),
            false => print::line(&format!(
                "the chain of hashes is whole from entry {} to entry {}, {} of them erased: {}",
                verified.archived_from.unwrap_or(verified.after + 1),
                verified.head,
                verified.erased,
                verified.hash
            )),
        }
        return Ok(ExitCode::SUCCESS);
    }
    let (after, agent, limit) = (options.after, options.agent.as_deref(), options.limit);
    let entries = node::asking(async || Ok(client.audit(after, agent, limit).await?))?;
    match json {
        true => print::json(&json!(entries)),
        false => entries.entries.iter().for_each(|entry| print::line(&line(entry))),
    }
    Ok(ExitCode::SUCCESS)
}

/// An entry as a line: its number, when, who, what, to whom, and what else is known.
fn line(entry: &Entry) -> String {
    let details = match &entry.details {
        Value::Null => String::new(),
        details => format!(" {details}"),
    };
    let agent = if entry.agent.is_empty() { "village" } else { &entry.agent };
    print::tame(&format!("{:>8} {} {} {} {agent}{details}", entry.seq, clock(entry.time), entry.by, entry.what))
}

pub(crate) fn backup(options: &Backup, json: bool) -> Result<ExitCode, Problem> {
    let folder = std::path::absolute(&options.folder)
        .map_err(|error| Problem::file(&options.folder, crate::source::reason(&error)))?;
    let client = options.reach.client()?;
    let backup = node::asking(async || Ok(client.backup(&folder).await?))?;
    said("backed up to", &backup, json);
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn restore(options: &Restore, json: bool) -> Result<ExitCode, Problem> {
    let data = data(options.data.as_deref())?;
    let from = options.folder.clone();
    let backup = node::asking(async || Ok(Village::restore(from, data).await?))?;
    said("restored into", &backup, json);
    Ok(ExitCode::SUCCESS)
}

fn said(what: &str, backup: &hall::Backup, json: bool) {
    let hall::Backup { folder, bytes, blobs, head } = backup;
    match json {
        true => print::json(&json!(backup)),
        false => print::line(&format!(
            "{what} {folder}: {} of rows, {blobs} components, the journal up to entry {head}",
            Size::bytes(*bytes)
        )),
    }
}
