//! `village erase`: what messages said, taken out of all that is kept.

use crate::arguments::Erase;
use crate::problem::Problem;
use crate::{node, print};
use api::wire::Erasure;
use hall::Erased;
use serde_json::json;
use std::process::ExitCode;

pub(crate) fn erase(options: &Erase, json: bool) -> Result<ExitCode, Problem> {
    let client = options.reach.client()?;
    let erasure = Erasure { agent: options.agent.clone(), message: options.message.clone() };
    let erased = node::asking(async || Ok(client.erase(&erasure).await?))?;
    let Erased { entries, letters, messages, answers } = erased;
    match json {
        true => print::json(&json!(erased)),
        false => print::line(&format!(
            "erased: {entries} entries of the journal, {letters} dead letters, {messages} messages, {answers} answers"
        )),
    }
    Ok(ExitCode::SUCCESS)
}
