//! `village send`: a message to an agent of a running village.

use crate::arguments::{Send, Urgency};
use crate::problem::Problem;
use crate::run::{content_type, ended, input};
use crate::{node, print};
use api::client::{Client, Error};
use api::wire::{Body, Message, Reason, Reply};
use base64::Engine as _;
use serde_json::{Value, json};
use std::process::ExitCode;

pub(crate) fn send(options: &Send, json: bool) -> Result<ExitCode, Problem> {
    base::span(&options.timeout).map_err(|bad| Problem::usage(format!("--timeout: {bad}")))?;
    if let Some(after) = &options.after {
        base::span(after).map_err(|bad| Problem::usage(format!("--after: {bad}")))?;
    }
    let message = message(options)?;
    let client = options.reach.client()?;
    node::asking(async || {
        if options.no_wait || options.after.is_some() {
            let accepted = client.tell(&options.agent, &message).await?;
            match json {
                true => print::json(&json!(accepted)),
                false => print::line(&accepted.id),
            }
            return Ok(ExitCode::SUCCESS);
        }
        let (reply, parts) = match options.stream {
            true => listen(&client, &options.agent, &message, json).await?,
            false => (client.ask(&options.agent, &message).await?, None),
        };
        match json {
            true => {
                let mut object = json!(reply);
                if let Some(parts) = parts {
                    object["parts"] = parts;
                }
                print::json(&object);
            }
            false => print::out(&ended(reply.reply.bytes())),
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn message(options: &Send) -> Result<Message, Problem> {
    let bytes = input(options.input.as_deref())?;
    let mut message = Message {
        skill: options.skill.clone().unwrap_or_default(),
        from: options.from.clone().unwrap_or_default(),
        priority: Some(
            match options.priority {
                Urgency::Low => "low",
                Urgency::Normal => "normal",
                Urgency::High => "high",
                Urgency::Urgent => "urgent",
            }
            .into(),
        ),
        fast: options.fast,
        key: options.key.clone(),
        sequence: options.sequence,
        after: options.after.clone(),
        timeout: Some(options.timeout.clone()),
        ..Message::default()
    };
    let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) else { return Ok(message) };
    // Sent as the bytes that they are: JSON that is read and written anew may lose digits.
    message.content_type = Some(content_type(&bytes).into());
    match String::from_utf8(bytes) {
        Ok(text) => message.text = Some(text),
        Err(bytes) => message.base64 = Some(base64::engine::general_purpose::STANDARD.encode(bytes.as_bytes())),
    }
    Ok(message)
}

/// Sends it, and shows the parts of the answer as they come.
async fn listen(
    client: &Client,
    agent: &str,
    message: &Message,
    json: bool,
) -> Result<(Reply, Option<Value>), Problem> {
    let mut pieces = client.listen(agent, message).await?;
    let mut parts = Vec::new();
    let unread = |error: serde_json::Error| Problem::new("no-village", format!("its answer can't be read: {error}"));
    while let Some(piece) = pieces.next().await? {
        match piece.event.as_str() {
            "part" => {
                let part: Body = serde_json::from_value(piece.data).map_err(unread)?;
                match json {
                    true => parts.push(String::from_utf8_lossy(&part.bytes()).into_owned()),
                    false => print::out(&part.bytes()),
                }
            }
            "reply" => {
                let reply = serde_json::from_value(piece.data).map_err(unread)?;
                return Ok((reply, json.then(|| parts.into())));
            }
            "error" => {
                let reason: Reason = serde_json::from_value(piece.data).map_err(unread)?;
                return Err(Error::Said(reason).into());
            }
            "lost" => print::err("village: some parts were not read in time, and are gone"),
            _ => {}
        }
    }
    Err(Problem::new("no-village", "the village ended before the answer came"))
}
