//! `village inspect`: what a component is, and whether it can run here.

use crate::arguments::Inspect;
use crate::problem::Problem;
use crate::source::Source;
use crate::{node, print, run};
use base::{Digest, Size};
use guest::{Card, Host, Kind, Shape};
use serde_json::{Map, Value, json};
use std::process::ExitCode;

pub(crate) fn inspect(options: &Inspect, json: bool) -> Result<ExitCode, Problem> {
    let source = Source::open(&options.file, None)?;
    let shape = Shape::read(&source.bytes)
        .map_err(|error| Problem::new(error.kind(), format!("{}: {error}", source.component.display())))?;
    if !json {
        print::out(facts(&source, &shape).as_bytes());
    }
    let known = if json { object(&source, &shape) } else { Map::new() };
    let card = node::with(run::small(0), async |host| card(host, &source, options.no_run).await);
    let card = card.map_err(|problem| problem.beside(known.clone()))?;
    if json {
        let mut object = known;
        object.insert("card".into(), card.as_ref().map(card_object).unwrap_or_default());
        print::json(&Value::Object(object));
    } else if let Some(card) = card {
        print::out(introduction(&card).as_bytes());
    }
    Ok(ExitCode::SUCCESS)
}

/// Loads the component, which finds every problem; and asks an agent what it is.
async fn card(host: &Host, source: &Source, no_run: bool) -> Result<Option<Card>, Problem> {
    let version = run::load(host, source).await?;
    if no_run || version.kind() == Kind::Command {
        return Ok(None);
    }
    let agent = host.start(&version, source.budget(), source.grants(), None)?;
    Ok(Some(agent.describe().await??))
}

fn kind(shape: &Shape) -> Option<&'static str> {
    shape.kind().map(word)
}

/// How a component is run, in a word.
pub(crate) fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Agent => "agent",
        Kind::Command => "command",
        Kind::Service => "service",
    }
}

fn object(source: &Source, shape: &Shape) -> Map<String, Value> {
    let known = json!({
        "file": source.component.display().to_string(),
        "kind": kind(shape),
        "digest": Digest::of(&source.bytes).to_string(),
        "size": source.bytes.len(),
        "imports": shape.imports,
        "exports": shape.exports,
        "grants": guest::grants_needed(shape),
    });
    match known {
        Value::Object(known) => known,
        _ => Map::new(),
    }
}

fn facts(source: &Source, shape: &Shape) -> String {
    let grants = match guest::grants_needed(shape).as_slice() {
        [] => "none".into(),
        some => some.join(", "),
    };
    let row = |name: &str, value: &str| vec![format!("  {name}"), value.to_string()];
    let mut rows = vec![
        row("kind", kind(shape).unwrap_or("neither agent nor command")),
        row("digest", &Digest::of(&source.bytes).to_string()),
        row("size", &Size::bytes(source.bytes.len() as u64).to_string()),
        row("grants it may need", &grants),
    ];
    for (name, all) in [("exports", &shape.exports), ("imports", &shape.imports)] {
        rows.extend(all.iter().enumerate().map(|(at, one)| row(if at == 0 { name } else { "" }, one)));
    }
    format!("{}\n{}", source.component.display(), print::columns(&rows))
}

fn card_object(card: &Card) -> Value {
    let skills = card.skills.iter().map(|skill| {
        json!({
            "name": skill.name,
            "description": skill.description,
            "input": crate::json::or_text(&skill.input),
            "output": crate::json::or_text(&skill.output),
            "tags": skill.tags,
            "examples": skill.examples.iter().map(|example| crate::json::or_text(example)).collect::<Vec<_>>(),
        })
    });
    json!({
        "name": card.name,
        "version": card.version,
        "role": card.role,
        "description": card.description,
        "skills": skills.collect::<Vec<_>>(),
        "tags": card.tags,
    })
}

fn introduction(card: &Card) -> String {
    let mut text = format!("{} {}: {}\n", card.name, card.version, card.role);
    if !card.description.is_empty() {
        text.push_str(&format!("  {}\n", card.description));
    }
    let skills = card.skills.iter().map(|skill| vec![format!("  skill {}", skill.name), skill.description.clone()]);
    text + &print::columns(&skills.collect::<Vec<_>>())
}
