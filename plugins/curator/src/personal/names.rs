//! Names that were declared: whole words, in capitals or not, with any spaces between their parts.

use std::collections::HashMap;

use super::text::Text;
use super::{Ground, Hit, Kind};

pub(super) fn find(text: &Text<'_>, declared: &[String], hits: &mut Vec<Hit>) {
    // By their first word, so that a long list costs no more than a look at each word of the text.
    let mut names: HashMap<String, Vec<Vec<String>>> = HashMap::new();
    for name in declared {
        let words: Vec<String> = words(name).map(|(start, end)| name[start..end].to_lowercase()).collect();
        if let Some(first) = words.first() {
            names.entry(first.clone()).or_default().push(words);
        }
    }
    if names.is_empty() {
        return;
    }
    let places: Vec<(usize, usize)> = words(text.all).collect();
    for (at, place) in places.iter().enumerate() {
        let Some(candidates) = names.get(&text.all[place.0..place.1].to_lowercase()) else {
            continue;
        };
        let fits = |name: &&Vec<String>| {
            let Some(there) = places.get(at..at + name.len()) else {
                return false;
            };
            there.iter().zip(name.iter()).all(|(place, word)| text.all[place.0..place.1].to_lowercase() == *word)
                && there.windows(2).all(|pair| joint(&text.all[pair[0].1..pair[1].0]))
        };
        if let Some(name) = candidates.iter().filter(fits).max_by_key(|name| name.len()) {
            let end = places[at + name.len() - 1].1;
            let detail = String::new();
            hits.push(Hit { kind: Kind::Name, start: place.0, end, ground: Ground::Listed, detail });
        }
    }
}

/// What may stand between the parts of a name: spaces, the dot of an initial, a hyphen or an apostrophe.
fn joint(between: &str) -> bool {
    between.len() <= 8
        && between.chars().all(|c| c.is_whitespace() || matches!(c, '.' | '-' | '\u{2010}' | '\u{2011}' | '\'' | '’'))
}

/// First byte and the byte after the last of each word of letters, marks and digits.
fn words(text: &str) -> impl Iterator<Item = (usize, usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        // Marks that combine with a letter before them are parts of its word.
        let inside = |c: char| c.is_alphanumeric() || ('\u{300}'..='\u{36f}').contains(&c);
        let start = at + text[at..].find(inside)?;
        at = start + text[start..].find(|c| !inside(c)).unwrap_or(text.len() - start);
        Some((start, at))
    })
}
