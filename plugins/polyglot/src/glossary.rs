//! Puts a glossary's words into a text: the longest that fits, whole words, in the case of what they replace, and never in
//! what is protected.
//!
//! How terms are found is in `trie`, what is protected in `spans`.

mod spans;
mod trie;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use village::Schema;

use crate::{Error, at_most, invalid};
use trie::{Match, Trie};

const MOST_TEXT: usize = 1 << 20;
const MOST_FORMS: usize = 20_000;
const LONGEST_FORM: usize = 200;
/// Most characters of all terms and forms: each may be a node of the trie.
const MOST_LETTERS: usize = 300_000;
const MOST_OUTPUT: usize = 4 << 20;
/// More changes would not fit into the agent's memory.
const MOST_CHANGES: usize = 50_000;

#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// At most 1 MiB.
    pub text: String,
    /// At most 20000 terms and forms.
    pub entries: Vec<Entry>,
    /// Texts that stay as they are, such as names of products.
    #[serde(default)]
    pub protect: Vec<String>,
    /// Whether placeholders (`{name}`, `%s`, `${x}`), tags (`<b>`), addresses (`https://…`, `a@b.example`) and code
    /// (`` `x` ``) stay as they are.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub protect_markup: bool,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What stands in the text, of at most 200 characters.
    #[schema(min_length = 1, max_length = 200)]
    pub term: String,
    pub replacement: String,
    /// Its inflected forms, each with its own replacement: nothing is inflected here.
    #[serde(default)]
    pub forms: Vec<Form>,
    #[serde(default)]
    pub case: Case,
}

#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Form {
    pub form: String,
    pub replacement: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Schema)]
#[serde(rename_all = "kebab-case")]
pub enum Case {
    /// Found in any case; `TERM` becomes `REPLACEMENT` and `Term` becomes `Replacement`.
    #[default]
    Transfer,
    /// Found in any case; the replacement is put as it is given.
    Keep,
    /// Found, and put, only as it is given.
    Exact,
}

#[derive(Serialize, Schema)]
pub struct Answer {
    pub text: String,
    /// In the order of the text.
    pub changes: Vec<Change>,
    /// Terms that are given more than one replacement: none of them is put.
    pub conflicts: Vec<Conflict>,
    /// Places where two terms overlap in part: the longer one was put, the first of two as long.
    pub overlaps: Vec<Overlap>,
    /// Entries that nothing was found of.
    pub unused: Vec<String>,
}

#[derive(Serialize, Schema)]
pub struct Change {
    /// The entry's term.
    pub term: String,
    pub was: String,
    pub now: String,
    /// In the given text, in bytes of UTF-8.
    pub start: usize,
    pub end: usize,
    /// In the new text.
    pub new_start: usize,
    pub new_end: usize,
}

#[derive(Debug, PartialEq, Serialize, Schema)]
pub struct Conflict {
    /// As it is written in the first entry that has it.
    pub form: String,
    pub replacements: Vec<String>,
    /// Where they stand, such as `entries[2].forms[0]`.
    pub entries: Vec<String>,
}

#[derive(Debug, PartialEq, Serialize, Schema)]
pub struct Overlap {
    pub put: String,
    pub left: String,
    /// Where what was left begins.
    pub start: usize,
}

/// One thing to look for.
struct Wanted<'a> {
    form: &'a str,
    replacement: &'a str,
    entry: usize,
    case: Case,
    field: String,
}

pub fn answer(request: Request) -> Result<Answer, Error> {
    at_most("text", request.text.len(), MOST_TEXT)?;
    let wanted = request.wanted()?;
    let (conflicts, disputed) = conflicts(&wanted);
    let mut trie = Trie::default();
    for (at, one) in wanted.iter().enumerate().filter(|(at, _)| !disputed[*at]) {
        trie.add(one.form, one.case == Case::Exact, at);
    }
    let protected = spans::protected(&request.text, &request.protect, request.protect_markup);
    let (matches, overlaps) = choose(trie.matches(&request.text, &protected));

    at_most("changes", matches.len(), MOST_CHANGES)?;
    let mut text = String::with_capacity(request.text.len());
    let mut changes = Vec::with_capacity(matches.len());
    let mut used = vec![false; request.entries.len()];
    let mut at = 0;
    for found in &matches {
        let one = &wanted[found.wanted];
        let was = &request.text[found.start..found.end];
        text.push_str(&request.text[at..found.start]);
        let new_start = text.len();
        let now = if one.case == Case::Transfer { transfer(was, one.replacement) } else { one.replacement.to_owned() };
        text.push_str(&now);
        at_most("the new text", text.len(), MOST_OUTPUT)?;
        used[one.entry] = true;
        let (start, end, new_end) = (found.start, found.end, text.len());
        changes.push(Change {
            term: request.entries[one.entry].term.clone(),
            was: was.to_owned(),
            now,
            start,
            end,
            new_start,
            new_end,
        });
        at = found.end;
    }
    text.push_str(&request.text[at..]);
    let overlap = |(put, left): (Match, Match)| Overlap {
        put: wanted[put.wanted].form.to_owned(),
        left: wanted[left.wanted].form.to_owned(),
        start: left.start,
    };
    let unused = request.entries.iter().zip(used).filter(|(_, used)| !used).map(|(entry, _)| entry.term.clone());
    Ok(Answer {
        text,
        changes,
        conflicts,
        overlaps: overlaps.into_iter().map(overlap).collect(),
        unused: unused.collect(),
    })
}

impl Request {
    /// Every term and form, checked.
    fn wanted(&self) -> Result<Vec<Wanted<'_>>, Error> {
        let count = self.entries.iter().map(|entry| 1 + entry.forms.len()).sum();
        at_most("entries", count, MOST_FORMS)?;
        at_most("protect", self.protect.len(), MOST_FORMS)?;
        let mut wanted = Vec::with_capacity(count);
        for (at, entry) in self.entries.iter().enumerate() {
            let (replacement, case) = (entry.replacement.as_str(), entry.case);
            wanted.push(Wanted {
                form: &entry.term,
                replacement,
                entry: at,
                case,
                field: format!("entries[{at}].term"),
            });
            for (place, form) in entry.forms.iter().enumerate() {
                let (field, replacement) = (format!("entries[{at}].forms[{place}].form"), form.replacement.as_str());
                wanted.push(Wanted { form: &form.form, replacement, entry: at, case, field });
            }
        }
        at_most("entries' characters", wanted.iter().map(|one| one.form.len()).sum(), MOST_LETTERS)?;
        let protect = self.protect.iter().enumerate().map(|(at, text)| (format!("protect[{at}]"), text.as_str()));
        for (field, form) in wanted.iter().map(|one| (one.field.clone(), one.form)).chain(protect) {
            if form.trim().is_empty() {
                return Err(invalid(field, "is empty"));
            }
            if form.chars().count() > LONGEST_FORM {
                return Err(invalid(field, format!("has more than {LONGEST_FORM} characters")));
            }
        }
        Ok(wanted)
    }
}

/// Forms with several replacements, and which of all are among them. The same entry twice is no conflict.
fn conflicts(wanted: &[Wanted<'_>]) -> (Vec<Conflict>, Vec<bool>) {
    let mut places: HashMap<String, Vec<usize>> = HashMap::new();
    for (at, one) in wanted.iter().enumerate() {
        places.entry(one.form.to_lowercase()).or_default().push(at);
    }
    let mut disputed = vec![false; wanted.len()];
    let mut conflicts = Vec::new();
    let mut groups: Vec<Vec<usize>> = places.into_values().filter(|group| group.len() > 1).collect();
    groups.sort();
    for group in groups {
        // Two that are only found as written may differ in case: `Polish` and `polish`.
        let clash = |a: usize, b: usize| {
            let (a, b) = (&wanted[a], &wanted[b]);
            let apart = a.case == Case::Exact && b.case == Case::Exact && a.form != b.form;
            // What is found only as written goes before what is found in any case.
            let ranked = (a.case == Case::Exact) != (b.case == Case::Exact);
            !apart && !ranked && a.replacement != b.replacement
        };
        let mine: Vec<usize> = group.iter().copied().filter(|a| group.iter().any(|b| clash(*a, *b))).collect();
        if let Some(first) = mine.first() {
            conflicts.push(Conflict {
                form: wanted[*first].form.to_owned(),
                replacements: mine.iter().map(|at| wanted[*at].replacement.to_owned()).collect(),
                entries: mine.iter().map(|at| wanted[*at].field.clone()).collect(),
            });
            mine.iter().for_each(|at| disputed[*at] = true);
        }
    }
    (conflicts, disputed)
}

/// The longest of matches that overlap, and those pairs of which neither contains the other.
fn choose(mut matches: Vec<Match>) -> (Vec<Match>, Vec<(Match, Match)>) {
    matches.sort_by_key(|found| (std::cmp::Reverse(found.end - found.start), found.start));
    let mut kept: std::collections::BTreeMap<usize, Match> = std::collections::BTreeMap::new();
    let mut overlaps = Vec::new();
    for found in matches {
        let crossing =
            kept.range(..found.end).next_back().filter(|(_, other)| other.end > found.start).map(|(_, other)| *other);
        match crossing {
            None => {
                kept.insert(found.start, found);
            }
            Some(other) if found.start >= other.start && found.end <= other.end => {}
            Some(other) => overlaps.push((other, found)),
        }
    }
    overlaps.sort_by_key(|(_, left)| left.start);
    (kept.into_values().collect(), overlaps)
}

/// The replacement in the case of what it replaces: all capitals, a capital at the beginning, or as it is given.
fn transfer(was: &str, now: &str) -> String {
    let cased: Vec<char> = was.chars().filter(|c| c.is_uppercase() || c.is_lowercase()).collect();
    if cased.len() > 1 && cased.iter().all(|c| c.is_uppercase()) {
        return now.to_uppercase();
    }
    let mut letters = now.chars();
    match letters.next() {
        Some(first) if was.chars().next().is_some_and(char::is_uppercase) => {
            first.to_uppercase().chain(letters).collect()
        }
        _ => now.to_owned(),
    }
}

#[cfg(test)]
mod tests;
