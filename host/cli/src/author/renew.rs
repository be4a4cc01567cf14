//! What an `agent.toml` says anew, for an agent that runs: done part by part, and told line by line.

use crate::problem::Problem;
use guest::{Manifest, STRATEGIES, Supervision};
use hall::Village;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// One thing that a manifest says anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Renewed {
    /// Its table.
    table: &'static str,
    field: String,
    before: String,
    now: String,
    /// What has to be said beside.
    note: Option<&'static str>,
}

impl Renewed {
    fn new(table: &'static str, field: &str, before: String, now: String) -> Renewed {
        Renewed { table, field: field.into(), before, now, note: None }
    }

    /// As a line.
    pub(super) fn line(&self) -> String {
        let Renewed { table, field, before, now, note } = self;
        let note = note.map(|note| format!("; {note}")).unwrap_or_default();
        format!("[{table}] {field}: {now}, before {before}{note}")
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let Renewed { table, field, before, now, note } = self;
        json!({ "table": table, "field": field, "before": before, "now": now, "note": note })
    }
}

/// What is said of grants: the agent has them from its next life on.
const ANEW: &str = "the agent begins anew with that, without what it kept in memory";

/// What is said of its name.
const NAME: &str = "it is known by that when `village dev` is started anew";

/// Has an agent do as its manifest says now. What is done is added to `all`, and noted in `before`, so that what could not be
/// is tried again.
pub(super) async fn renew(
    village: &Village,
    name: &str,
    before: &mut Manifest,
    now: &Manifest,
    all: &mut Vec<Renewed>,
) -> Result<(), Problem> {
    if before.name != now.name {
        let renewed = Renewed::new("agent", "name", before.name.clone(), now.name.clone());
        all.push(Renewed { note: Some(NAME), ..renewed });
        before.name.clone_from(&now.name);
    }
    if before.budget != now.budget {
        let fields = now.budget.exact().map(|(field, text)| (field.to_string(), text));
        village.set_budget(name, &fields).await?;
        // What is written for people is rounded.
        let differ = before.budget.exact().into_iter().zip(now.budget.exact()).map(|(before, now)| before != now);
        let both = before.budget.fields().into_iter().zip(now.budget.fields()).zip(differ);
        let both = both.filter_map(|(both, differs)| differs.then_some(both));
        all.extend(both.map(|((field, before), (_, now))| Renewed::new("budget", field, before, now)));
        before.budget = now.budget;
    }
    if before.turns != now.turns {
        let fields = now.turns.fields().map(|(field, text)| (field.to_string(), text));
        village.set_turns(name, &fields).await?;
        all.extend(fields_of("turns", &before.turns.fields(), &now.turns.fields()));
        before.turns = now.turns;
    }
    if before.supervision != now.supervision {
        village.set_supervision(name, now.supervision).await?;
        all.extend(fields_of("supervision", &family(before.supervision), &family(now.supervision)));
        before.supervision = now.supervision;
    }
    if before.replicas != now.replicas {
        village.scale(name, now.replicas.min, now.replicas.max).await?;
        let fields = |replicas: guest::Replicas| [("min", replicas.min.to_string()), ("max", replicas.max.to_string())];
        all.extend(fields_of("replicas", &fields(before.replicas), &fields(now.replicas)));
        before.replicas = now.replicas;
    }
    if before.grants != now.grants {
        village.set_grants(name, now.grants.clone()).await?;
        let (was, is): (BTreeSet<_>, BTreeSet<_>) =
            (before.grants.texts().into_iter().collect(), now.grants.texts().into_iter().collect());
        let (open, shut) = (|| "open".to_string(), || "shut".to_string());
        let renewed = is.difference(&was).map(|grant| Renewed::new("grants", grant, shut(), open()));
        let renewed = renewed.chain(was.difference(&is).map(|grant| Renewed::new("grants", grant, open(), shut())));
        all.extend(renewed.map(|renewed| Renewed { note: Some(ANEW), ..renewed }));
        before.grants.clone_from(&now.grants);
    }
    Ok(())
}

/// How what it creates is looked after, field by field.
fn family(plan: Option<Supervision>) -> [(&'static str, String); 3] {
    let Some(Supervision { strategy, restarts, within }) = plan else {
        return ["strategy", "restarts", "within"].map(|field| (field, "not said".into()));
    };
    let word = STRATEGIES.iter().find(|(_, known)| *known == strategy).map_or("", |(word, _)| word);
    [("strategy", word.into()), ("restarts", restarts.to_string()), ("within", base::span_text(within))]
}

/// The fields that differ.
fn fields_of<'a>(
    table: &'static str,
    before: &'a [(&'static str, String)],
    now: &'a [(&'static str, String)],
) -> impl Iterator<Item = Renewed> + 'a {
    let both = before.iter().zip(now).filter(|((_, before), (_, now))| before != now);
    both.map(move |((field, before), (_, now))| Renewed::new(table, field, before.clone(), now.clone()))
}
