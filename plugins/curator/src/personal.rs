//! Finds personal data in a text: what has its shape, and its check digits where it has any.
//!
//! Each kind has a file of its own; what overlaps is settled here, and offsets are counted here.

mod bank;
mod birth;
mod email;
mod names;
mod national;
mod network;
mod phone;
mod text;

use serde::{Deserialize, Serialize};
use village::Schema;

use crate::{Error, at_most, invalid};
use text::Text;

/// Most bytes of one text.
pub const MOST_TEXT: usize = 1 << 20;
/// Most findings of one text: more of them would not fit into the agent's memory.
const MOST_FINDINGS: usize = 50_000;
/// Most declared names.
const MOST_NAMES: usize = 10_000;
/// Most characters of one.
const LONGEST_NAME: usize = 200;

#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// At most 1 MiB of UTF-8.
    pub text: String,
    /// What to look for; everything if it is empty or not given.
    #[serde(default)]
    pub kinds: Vec<Kind>,
    /// Names of people to look for. Others are not found: no list here knows what is a name. At most 10000.
    #[serde(default)]
    #[schema(max_items = 10000)]
    pub names: Vec<String>,
}

/// A kind of personal data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize, Schema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Email,
    Phone,
    Iban,
    Card,
    Ipv4,
    Ipv6,
    NationalId,
    BirthDate,
    Name,
}

/// Why something is taken for what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, Schema)]
#[serde(rename_all = "kebab-case")]
pub enum Ground {
    /// Its shape alone.
    Shape,
    /// The words before it.
    Context,
    /// It is in the list of names that was given.
    Listed,
    /// Its check digits are right.
    Checked,
}

#[derive(Serialize, Schema)]
pub struct Answer {
    /// In the order of the text; none overlaps another.
    pub findings: Vec<Finding>,
    /// How many there are of each kind that was found.
    pub counts: Vec<Count>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Schema)]
pub struct Finding {
    pub kind: Kind,
    /// As it stands in the text.
    pub text: String,
    /// Offset of its first byte in UTF-8.
    pub start: usize,
    /// Offset of the byte after it.
    pub end: usize,
    /// The same, counted in Unicode characters (scalar values).
    pub start_character: usize,
    pub end_character: usize,
    /// Why it is taken for what it is.
    pub ground: Ground,
    /// What more is known, such as a country or a network; may be empty.
    pub detail: String,
}

#[derive(Serialize, Schema)]
pub struct Count {
    pub kind: Kind,
    pub count: usize,
}

/// Something found, as bytes of the text.
#[derive(Debug)]
struct Hit {
    kind: Kind,
    start: usize,
    end: usize,
    ground: Ground,
    detail: String,
}

pub fn answer(request: Request) -> Result<Answer, Error> {
    let findings = find(&request.text, &request.kinds, &request.names)?;
    let mut counts: Vec<Count> = Vec::new();
    for finding in &findings {
        match counts.iter_mut().find(|count| count.kind == finding.kind) {
            Some(count) => count.count += 1,
            None => counts.push(Count { kind: finding.kind, count: 1 }),
        }
    }
    counts.sort_by_key(|count| count.kind);
    Ok(Answer { findings, counts })
}

/// What there is of these kinds, all kinds if none is named, in the order of the text.
pub(crate) fn find(all: &str, kinds: &[Kind], declared: &[String]) -> Result<Vec<Finding>, Error> {
    at_most("text", all.len(), MOST_TEXT)?;
    at_most("names", declared.len(), MOST_NAMES)?;
    let wanted = |kind| kinds.is_empty() || kinds.contains(&kind);
    if declared.is_empty() && kinds.contains(&Kind::Name) {
        return Err(invalid("names", "is empty: only names that are given can be found"));
    }
    for (at, name) in declared.iter().enumerate() {
        let characters = name.chars().count();
        if name.trim().is_empty() || characters > LONGEST_NAME {
            return Err(invalid(format!("names[{at}]"), format!("must have from 1 to {LONGEST_NAME} characters")));
        }
    }
    let text = Text::new(all);
    let mut hits = Vec::new();
    email::find(&text, &mut hits);
    network::find(&text, &mut hits);
    bank::find(&text, &mut hits);
    national::find(&text, &mut hits);
    phone::find(&text, &mut hits);
    birth::find(&text, &mut hits);
    names::find(&text, declared, &mut hits);
    // Overlaps are settled among all kinds, so that a part of an IBAN is no phone number when only those are asked for.
    let hits: Vec<Hit> = settle(hits).into_iter().filter(|hit| wanted(hit.kind)).collect();
    at_most("findings", hits.len(), MOST_FINDINGS)?;
    Ok(locate(all, hits))
}

/// The longest of those that overlap; among equals the best grounded.
fn settle(mut hits: Vec<Hit>) -> Vec<Hit> {
    hits.sort_by(|a, b| {
        let long = |hit: &Hit| hit.end - hit.start;
        long(b).cmp(&long(a)).then(b.ground.cmp(&a.ground)).then((a.start, a.kind).cmp(&(b.start, b.kind)))
    });
    let mut kept: std::collections::BTreeMap<usize, Hit> = std::collections::BTreeMap::new();
    for hit in hits {
        let before = kept.range(..hit.end).next_back();
        if before.is_none_or(|(_, other)| other.end <= hit.start) {
            kept.insert(hit.start, hit);
        }
    }
    kept.into_values().collect()
}

/// Counts characters up to each hit; they come in order.
fn locate(all: &str, hits: Vec<Hit>) -> Vec<Finding> {
    let (mut byte, mut character) = (0, 0);
    let mut count = |to: usize| {
        character += all[byte..to].chars().count();
        byte = to;
        character
    };
    let place = |hit: Hit| Finding {
        start_character: count(hit.start),
        end_character: count(hit.end),
        kind: hit.kind,
        text: all[hit.start..hit.end].to_owned(),
        start: hit.start,
        end: hit.end,
        ground: hit.ground,
        detail: hit.detail,
    };
    hits.into_iter().map(place).collect()
}

#[cfg(test)]
mod tests;
