//! Finds terms in a text, letter by letter, all at once.

use std::collections::HashMap;

use super::spans::Protected;

/// A term found in a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Match {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Which one of those added.
    pub(super) wanted: usize,
}

/// Terms by their letters without case; terms found only as written are compared once more at their end.
#[derive(Default)]
pub(super) struct Trie {
    /// Of each node, the letters that go on from it, in order, and where to.
    next: Vec<Vec<(char, usize)>>,
    /// Of each node, what ends there; those found only as written first, with their letters.
    ends: HashMap<usize, Vec<(usize, Option<String>)>>,
}

impl Trie {
    pub(super) fn add(&mut self, form: &str, exact: bool, wanted: usize) {
        let mut node = 0;
        for c in fold(form) {
            node = self.follow(node, c).unwrap_or_else(|| self.grow(node, c));
        }
        let ends = self.ends.entry(node).or_default();
        let place = if exact { 0 } else { ends.len() };
        ends.insert(place, (wanted, exact.then(|| form.to_owned())));
    }

    fn follow(&self, node: usize, c: char) -> Option<usize> {
        let next = self.next.get(node)?;
        next.binary_search_by_key(&c, |(letter, _)| *letter).ok().map(|at| next[at].1)
    }

    fn grow(&mut self, node: usize, c: char) -> usize {
        self.next.resize_with(self.next.len().max(1), Vec::new);
        let fresh = self.next.len();
        self.next.push(Vec::new());
        let place = self.next[node].partition_point(|(letter, _)| *letter < c);
        self.next[node].insert(place, (c, fresh));
        fresh
    }

    /// At each place the longest term that begins there and stands as a whole word outside what is protected.
    pub(super) fn matches(&self, text: &str, protected: &Protected) -> Vec<Match> {
        let mut matches = Vec::new();
        let mut before = None;
        for (start, c) in text.char_indices() {
            if !protected.holds(start) && apart(before, c) {
                matches.extend(self.longest(text, start, protected));
            }
            before = Some(c);
        }
        matches
    }

    fn longest(&self, text: &str, start: usize, protected: &Protected) -> Option<Match> {
        let mut node = 0;
        let mut found = None;
        for (at, c) in text[start..].char_indices() {
            if protected.holds(start + at) {
                break;
            }
            // One letter may be two without case: they go together.
            let mut small = blank(c).to_lowercase();
            let Some(next) = small.try_fold(node, |node, c| self.follow(node, c)) else {
                break;
            };
            node = next;
            let end = start + at + c.len_utf8();
            let whole = text[end..].chars().next().is_none_or(|after| apart(Some(c), after));
            if let Some(ends) = self.ends.get(&node).filter(|_| whole) {
                let fits = |exact: &Option<String>| exact.as_ref().is_none_or(|exact| *exact == text[start..end]);
                let fitting = ends.iter().find(|(_, exact)| fits(exact));
                found = fitting.map(|(wanted, _)| Match { start, end, wanted: *wanted }).or(found);
            }
        }
        found
    }
}

/// Whether a word may end between two characters. Scripts without blanks part no words.
fn apart(before: Option<char>, after: char) -> bool {
    let unparted = |c: char| matches!(u32::from(c), 0xe01..=0xeff | 0x1000..=0x109f | 0x1780..=0x17ff | 0x3041..=0x30ff | 0x3400..=0x9fff);
    let letter = |c: char| (c.is_alphanumeric() || c == '_' || mark(c)) && !unparted(c);
    // A mark belongs to the letter before it.
    !(mark(after) || before.is_some_and(letter) && letter(after))
}

fn mark(c: char) -> bool {
    ('\u{300}'..='\u{36f}').contains(&c)
}

/// Blanks that do not break are blanks.
fn blank(c: char) -> char {
    if matches!(c, '\u{a0}' | '\u{202f}' | '\n') { ' ' } else { c }
}

fn fold(text: &str) -> impl Iterator<Item = char> {
    text.chars().map(blank).flat_map(char::to_lowercase)
}
