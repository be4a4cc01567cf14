//! What must be kept, what must go and when: rules by class, and legal holds before all of them.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use village::Schema;

use crate::date::{Date, Span};
use crate::{Error, at_most, invalid};

const MOST_RECORDS: usize = 50_000;
const MOST_RULES: usize = 1_000;

#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The day to judge by, as `YYYY-MM-DD`.
    #[schema(format = "date")]
    pub today: String,
    /// At most 1000.
    #[schema(max_items = 1000)]
    pub rules: Vec<Rule>,
    /// At most 50000.
    #[schema(max_items = 50000)]
    pub records: Vec<Record>,
    /// Records that must stay, whatever the rules say. At most 1000.
    #[serde(default)]
    pub holds: Vec<Hold>,
}

#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub name: String,
    /// The class of records that it is for.
    pub class: String,
    /// The event that time runs from.
    #[serde(default = "created")]
    pub from: String,
    /// How long a record must be kept, such as `P10Y` or `P6M`.
    pub at_least: Option<String>,
    /// After how long it must go.
    pub at_most: Option<String>,
    /// What is to be done then, in a word: `delete`, `anonymise`, `review`.
    #[serde(default = "delete")]
    pub action: String,
}

fn created() -> String {
    "created".to_owned()
}

fn delete() -> String {
    "delete".to_owned()
}

#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Record {
    pub id: String,
    pub classes: Vec<String>,
    /// The days of its events: `{"created": "2020-01-31", "closed": "2024-06-30"}`.
    pub dates: BTreeMap<String, String>,
}

#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    pub name: String,
    /// Records, by id. A hold without ids and classes is on everything.
    #[serde(default)]
    pub ids: Vec<String>,
    #[serde(default)]
    pub classes: Vec<String>,
    /// The first and last day; open where it is not given.
    pub since: Option<String>,
    pub until: Option<String>,
}

#[derive(Serialize, Schema)]
pub struct Answer {
    /// Each record, what is due first at the top; those that nothing is to be done with at the end.
    pub records: Vec<Verdict>,
    /// How many there are of each.
    pub due: usize,
    pub held: usize,
    pub conflicts: usize,
    pub unruled: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Schema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The day has come.
    Due,
    /// The day has come, and a hold forbids it.
    Held,
    /// The day is to come.
    Later,
    /// Nothing says when it must go.
    Kept,
    /// Time runs from an event that has no day yet.
    Waiting,
    /// No rule is for its classes.
    Unruled,
}

#[derive(Serialize, Schema)]
pub struct Verdict {
    pub id: String,
    pub state: State,
    /// The day from which `action` is due.
    pub on: Option<String>,
    pub action: Option<String>,
    /// The last day up to which some rule wants it kept.
    pub keep_until: Option<String>,
    /// The rules that decided.
    pub rules: Vec<String>,
    /// The holds on it.
    pub holds: Vec<String>,
    /// Events that have no day, and that a rule's time runs from.
    pub missing: Vec<String>,
    /// Rules that contradict each other, and what was made of it.
    pub conflicts: Vec<String>,
}

pub fn answer(request: Request) -> Result<Answer, Error> {
    let today = day("today", &request.today)?;
    let rules = rules(&request)?;
    let holds = holds(&request, today)?;
    at_most("records", request.records.len(), MOST_RECORDS)?;
    let mut known = HashSet::new();
    let mut verdicts = Vec::with_capacity(request.records.len());
    for (at, record) in request.records.iter().enumerate() {
        if !known.insert(&record.id) {
            return Err(invalid(format!("records[{at}].id"), format!("is `{}`, as another's", record.id)));
        }
        let mut dates = BTreeMap::new();
        for (event, text) in &record.dates {
            dates.insert(event.as_str(), day(&format!("records[{at}].dates.{event}"), text)?);
        }
        verdicts.push(judge(record, &dates, &rules, &holds, today)?);
    }
    let stray = request.holds.iter().enumerate().find_map(|(at, hold)| {
        let place = hold.ids.iter().position(|id| !known.contains(id))?;
        Some((format!("holds[{at}].ids[{place}]"), hold.ids[place].clone()))
    });
    if let Some((field, id)) = stray {
        // A hold that misses its record by a letter would let it be deleted.
        return Err(invalid(field, format!("is `{id}`, which is no record here")));
    }
    verdicts.sort_by(|a, b| (a.on.is_none(), &a.on, &a.id).cmp(&(b.on.is_none(), &b.on, &b.id)));
    let count = |state| verdicts.iter().filter(|verdict| verdict.state == state).count();
    Ok(Answer {
        due: count(State::Due),
        held: count(State::Held),
        conflicts: verdicts.iter().filter(|verdict| !verdict.conflicts.is_empty()).count(),
        unruled: count(State::Unruled),
        records: verdicts,
    })
}

/// A rule whose spans have been read.
struct Term<'a> {
    rule: &'a Rule,
    at_least: Option<Span>,
    at_most: Option<Span>,
}

fn rules(request: &Request) -> Result<Vec<Term<'_>>, Error> {
    at_most("rules", request.rules.len(), MOST_RULES)?;
    let mut names = HashSet::new();
    let mut terms = Vec::with_capacity(request.rules.len());
    for (at, rule) in request.rules.iter().enumerate() {
        if !names.insert(&rule.name) {
            return Err(invalid(format!("rules[{at}].name"), format!("is `{}`, as another's", rule.name)));
        }
        let span = |field: &str, text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => Span::parse(text).map(Some).ok_or_else(|| {
                invalid(
                    format!("rules[{at}].{field}"),
                    format!("is `{text}`; spans are written as `P10Y`, `P18M` or `P30D`"),
                )
            }),
        };
        let term = Term { rule, at_least: span("at_least", &rule.at_least)?, at_most: span("at_most", &rule.at_most)? };
        if term.at_least.is_none() && term.at_most.is_none() {
            return Err(invalid(
                format!("rules[{at}].at_most"),
                "is missing, and so is `at_least`: the rule says nothing",
            ));
        }
        terms.push(term);
    }
    Ok(terms)
}

/// The holds that are in force on a day.
fn holds(request: &Request, today: Date) -> Result<Vec<&Hold>, Error> {
    at_most("holds", request.holds.len(), MOST_RULES)?;
    let mut active = Vec::new();
    for (at, hold) in request.holds.iter().enumerate() {
        let read = |field: &str, text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => day(&format!("holds[{at}].{field}"), text).map(Some),
        };
        let (since, until) = (read("since", &hold.since)?, read("until", &hold.until)?);
        if since.zip(until).is_some_and(|(since, until)| until < since) {
            return Err(invalid(format!("holds[{at}].until"), "is before `since`"));
        }
        if since.is_none_or(|since| since <= today) && until.is_none_or(|until| today <= until) {
            active.push(hold);
        }
    }
    Ok(active)
}

fn day(field: &str, text: &str) -> Result<Date, Error> {
    Date::parse(text).ok_or_else(|| invalid(field, format!("is `{text}`; a day is written as `2026-03-31`")))
}

/// When a record's rules end.
struct Ends<'a> {
    /// The longest that one must be kept.
    keep: Option<(Date, &'a Rule)>,
    /// When it must go, by each rule that says so.
    go: Vec<(Date, &'a Rule)>,
    /// Events without a day.
    missing: Vec<String>,
    /// A rule that keeps it, and whose time has not begun, keeps it.
    waits: bool,
}

fn ends<'a>(record: &Record, dates: &BTreeMap<&str, Date>, terms: &[&Term<'a>]) -> Result<Ends<'a>, Error> {
    let mut keep: Vec<(Date, &Rule)> = Vec::new();
    let mut go: Vec<(Date, &Rule)> = Vec::new();
    let (mut missing, mut waits) = (Vec::new(), false);
    for term in terms {
        let Some(start) = dates.get(term.rule.from.as_str()) else {
            waits |= term.at_least.is_some();
            if !missing.contains(&term.rule.from) {
                missing.push(term.rule.from.clone());
            }
            continue;
        };
        for (span, list) in [(term.at_least, &mut keep), (term.at_most, &mut go)] {
            if let Some(span) = span {
                let late = || format!("rule `{}` ends after the year 9999 for `{}`", term.rule.name, record.id);
                list.push((start.after(span).ok_or_else(|| Error::Unsupported(late()))?, term.rule));
            }
        }
    }
    Ok(Ends { keep: keep.into_iter().max_by_key(|(date, _)| *date), go, missing, waits })
}

impl Ends<'_> {
    /// The day on which it is due and what decides that, and the rules that contradict each other.
    fn settle(&self) -> (Option<(Date, &Rule)>, Option<Date>, Vec<String>) {
        let due = self.go.iter().copied().min_by_key(|(date, _)| *date);
        let mut conflicts = Vec::new();
        if let Some((date, rule)) = due {
            let others = self.go.iter().filter(|(other, with)| *other == date && with.action != rule.action);
            conflicts.extend(others.map(|(_, with)| {
                let (name, action) = (&rule.name, &rule.action);
                format!(
                    "`{name}` asks to {action}, `{}` to {}, on the same day: the first is taken",
                    with.name, with.action
                )
            }));
        }
        let mut on = due.map(|(date, _)| date);
        if let (Some((until, keeper)), Some((date, goer))) = (self.keep, due)
            && until > date
        {
            // What is deleted can't be brought back, so the longer one is taken.
            let (keeper, goer) = (&keeper.name, &goer.name);
            conflicts.push(format!("`{keeper}` keeps it until {until}, `{goer}` wants it gone on {date}: it is kept"));
            on = Some(until);
        }
        (due, on, conflicts)
    }
}

fn judge(
    record: &Record,
    dates: &BTreeMap<&str, Date>,
    terms: &[Term<'_>],
    holds: &[&Hold],
    today: Date,
) -> Result<Verdict, Error> {
    let mine: Vec<&Term<'_>> = terms.iter().filter(|term| record.classes.contains(&term.rule.class)).collect();
    let ends = ends(record, dates, &mine)?;
    let (due, on, conflicts) = ends.settle();
    let held: Vec<String> = holds.iter().filter(|hold| covers(hold, record)).map(|hold| hold.name.clone()).collect();
    let state = match on {
        _ if mine.is_empty() => State::Unruled,
        _ if ends.waits => State::Waiting,
        Some(on) if on <= today && !held.is_empty() => State::Held,
        Some(on) if on <= today => State::Due,
        Some(_) => State::Later,
        None if !ends.missing.is_empty() => State::Waiting,
        None => State::Kept,
    };
    let mut rules: Vec<String> = ends.keep.iter().chain(&due).map(|(_, rule)| rule.name.clone()).collect();
    rules.dedup();
    Ok(Verdict {
        id: record.id.clone(),
        state,
        on: on.filter(|_| !ends.waits).map(|on| on.to_string()),
        action: due.filter(|_| !ends.waits).map(|(_, rule)| rule.action.clone()),
        keep_until: ends.keep.map(|(date, _)| date.to_string()),
        rules,
        holds: held,
        missing: ends.missing,
        conflicts,
    })
}

fn covers(hold: &Hold, record: &Record) -> bool {
    let all = hold.ids.is_empty() && hold.classes.is_empty();
    all || hold.ids.contains(&record.id) || hold.classes.iter().any(|class| record.classes.contains(class))
}

#[cfg(test)]
mod tests;
