//! `village models`: which there are, which would answer, and how fast they are.

use crate::arguments::{Models, ModelsAction, Reach, RouteWish};
use crate::problem::Problem;
use crate::{node, print};
use api::wire::{ConsideredModel, MeasuredModel, ModelRow, NewMeasure, NewRoute, Routed};
use serde_json::json;
use std::io::Read as _;
use std::process::ExitCode;

/// A longer prompt than this no model reads.
const LONGEST: u64 = 1 << 20;

pub(crate) fn models(options: &Models, json: bool) -> Result<ExitCode, Problem> {
    match &options.action {
        ModelsAction::List { reach } => list(reach, json),
        ModelsAction::Route(wish) => route(wish, json),
        ModelsAction::Bench { model, tokens, reach } => bench(model, *tokens, reach, json),
    }
}

fn list(reach: &Reach, json: bool) -> Result<ExitCode, Problem> {
    let client = reach.client()?;
    let models = node::asking(async || Ok(client.models().await?))?;
    if json {
        print::json(&json!(models));
        return Ok(ExitCode::SUCCESS);
    }
    print::out(table(&models.models).as_bytes());
    for backend in &models.silent {
        print::err(&format!("village: the back end `{}` does not say which models it has", print::tame(backend)));
    }
    Ok(ExitCode::SUCCESS)
}

fn table(models: &[ModelRow]) -> String {
    if models.is_empty() {
        return "no back end has any models\n".into();
    }
    let head = ["MODEL", "BACK END", "DOES", "CONTEXT", "PRICE", "CALLS", "FAILED", "FIRST", "TOKENS/S", "HEALTH"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for model in models {
        let price = match (model.price_read, model.price_written) {
            (0.0, 0.0) => "free".into(),
            (read, written) => format!("{read}/{written}"),
        };
        rows.push(vec![
            print::tame(&model.name),
            print::tame(&model.backend),
            if model.embeds { "embeds" } else { "writes" }.into(),
            model.context.to_string(),
            price,
            model.calls.to_string(),
            model.failures.to_string(),
            model.first_ms.map_or("-".into(), millis),
            model.tokens_per_second.map_or("-".into(), speed),
            model.health.clone(),
        ]);
    }
    print::columns(&rows)
}

fn millis(millis: f64) -> String {
    if millis < 10.0 { format!("{millis:.1}ms") } else { format!("{millis:.0}ms") }
}

fn speed(speed: f64) -> String {
    if speed < 100.0 { format!("{speed:.1}") } else { format!("{speed:.0}") }
}

fn route(wish: &RouteWish, json: bool) -> Result<ExitCode, Problem> {
    let mut prompt = wish.prompt.clone();
    if prompt == "-" {
        prompt.clear();
        let read = std::io::stdin().take(LONGEST).read_to_string(&mut prompt);
        read.map_err(|_| Problem::usage("the standard input is not text"))?;
    }
    let wanted = NewRoute {
        prompt,
        model: wish.model.clone(),
        policy: wish.policy.clone(),
        private: wish.private,
        max_tokens: wish.max_tokens,
        agent: wish.agent.clone(),
    };
    let client = wish.reach.client()?;
    let routed = node::asking(async || Ok(client.route(&wanted).await?))?;
    match json {
        true => print::json(&json!(routed)),
        false => print::out(told(&routed, wish.explain).as_bytes()),
    }
    // Scripts ask whether anybody would answer.
    Ok(if routed.model.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn told(routed: &Routed, explain: bool) -> String {
    let asked = |one: &&ConsideredModel| one.place.is_some();
    if !explain {
        let all: Vec<String> = routed.considered.iter().filter(asked).map(|one| print::tame(&one.model)).collect();
        return if all.is_empty() { "no model would answer\n".into() } else { all.join("\n") + "\n" };
    }
    let head = ["MODEL", "BACK END", "", "DOES", "FROM", "COST", "TAKES", "FAILS"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for one in &routed.considered {
        let figures = [
            format!("{:.0}%", one.quality * 100.0),
            format!("{:.0} words", one.words),
            format!("{:.6}", one.cost),
            millis(one.takes_ms),
            format!("{:.0}%", one.failing * 100.0),
        ];
        // What is not asked is not weighed.
        let figures = if one.place.is_some() { figures } else { figures.map(|_| "-".into()) };
        let words = [print::tame(&one.model), print::tame(&one.backend), one.verdict.clone()];
        rows.push(words.into_iter().chain(figures).collect());
    }
    format!("policy: {}\n{}", routed.policy, print::columns(&rows))
}

fn bench(model: &str, tokens: u32, reach: &Reach, json: bool) -> Result<ExitCode, Problem> {
    let client = reach.client()?;
    let wanted = NewMeasure { model: model.into(), tokens: Some(tokens) };
    let done = node::asking(async || Ok(client.measure(&wanted).await?))?;
    let failed = done.measured.iter().any(|one| one.failed.is_some());
    match json {
        true => print::json(&json!(done)),
        false => print::out(measured(&done.measured).as_bytes()),
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn measured(all: &[MeasuredModel]) -> String {
    let head = ["MODEL", "FIRST TOKEN", "TOKENS", "TOKENS/S", "WEIGHTS", "MEMORY ALLOWS", "COST"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for one in all {
        if let Some(why) = &one.failed {
            rows.push(vec![print::tame(&one.model), print::tame(why)]);
            continue;
        }
        let part = one.tokens_per_second.zip(one.memory_allows).map(|(is, may)| is / may);
        let allows =
            one.memory_allows.zip(part).map(|(may, part)| format!("{} tokens/s ({part:.2} of it)", speed(may)));
        rows.push(vec![
            print::tame(&one.model),
            one.first_ms.map_or("-".into(), millis),
            one.tokens.to_string(),
            one.tokens_per_second.map_or("-".into(), speed),
            one.bytes.map_or("-".into(), |bytes| base::Size::bytes(bytes).to_string()),
            allows.unwrap_or("-".into()),
            if one.cost == 0.0 { "free".into() } else { format!("{:.6}", one.cost) },
        ]);
    }
    print::columns(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_is_a_dash_and_what_is_said_elsewhere_commands_no_terminal() {
        let model = ModelRow {
            name: "local/\u{1b}[2J".into(),
            backend: "ollama".into(),
            context: 8192,
            local: true,
            embeds: false,
            price_read: 0.0,
            price_written: 0.0,
            health: "untried".into(),
            calls: 0,
            failures: 0,
            tokens_read: 0,
            tokens_written: 0,
            cost: 0.0,
            first_ms: None,
            first_p95_ms: None,
            tokens_per_second: None,
        };
        let text = table(&[model]);
        let last = text.lines().last().expect("a row");
        assert!(!text.contains('\u{1b}') && last.contains("\\u{1b}[2J"), "{text}");
        let cells: Vec<&str> = last.split_whitespace().skip(1).collect();
        assert_eq!(cells, ["ollama", "writes", "8192", "free", "0", "0", "-", "-", "untried"]);
        let row = MeasuredModel {
            model: "local/a".into(),
            first_ms: Some(3.25),
            tokens: 64,
            tokens_per_second: Some(12.0),
            bytes: Some(1 << 30),
            memory_allows: Some(16.0),
            ..MeasuredModel::default()
        };
        assert!(measured(&[row]).contains("16.0 tokens/s (0.75 of it)"));
    }
}
