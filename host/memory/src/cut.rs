//! Where a text is cut: between paragraphs, else between sentences, else between words.

use std::ops::Range;
use unicode_segmentation::UnicodeSegmentation as _;

/// A passage is at most so many bytes: about as many tokens as the small models of vectors read, in most languages.
pub(crate) const LONGEST: usize = 1_000;

/// A part of a text in which no passage goes on from another part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) range: Range<usize>,
    /// What it stands under.
    pub(crate) context: String,
    /// Whether its lines matter more than its sentences.
    pub(crate) lines: bool,
}

impl Section {
    /// All of a text.
    pub(crate) fn all(text: &str) -> Section {
        Section { range: 0..text.len(), context: String::new(), lines: false }
    }
}

/// The passages of a section: none empty, none beginning or ending with white space, in order.
pub(crate) fn cut(text: &str, section: &Section) -> Vec<Range<usize>> {
    let mut cut: Vec<Range<usize>> = Vec::new();
    let mut add = |piece: Range<usize>, joins: bool| {
        let Some(piece) = trimmed(text, piece) else { return };
        match cut.last_mut() {
            Some(range) if joins && piece.end - range.start <= LONGEST => range.end = piece.end,
            _ => cut.push(piece),
        }
    };
    for paragraph in paragraphs(text, section.range.clone()) {
        match paragraph.len() {
            0..=LONGEST => add(paragraph, true),
            _ => {
                // What is long enough for passages of its own begins one.
                let mut first = true;
                pieces(text, paragraph, section.lines, &mut |piece| {
                    add(piece, !first);
                    first = false;
                });
            }
        }
    }
    cut
}

fn trimmed(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    let piece = &text[range.clone()];
    let start = range.start + (piece.len() - piece.trim_start().len());
    let end = range.end - (piece.len() - piece.trim_end().len());
    (start < end).then_some(start..end)
}

/// Parts with an empty line between them.
fn paragraphs(text: &str, range: Range<usize>) -> Vec<Range<usize>> {
    let (mut parts, mut start, mut at) = (Vec::new(), range.start, range.start);
    for line in text[range.clone()].split_inclusive('\n') {
        at += line.len();
        if line.trim().is_empty() {
            parts.push(start..at);
            start = at;
        }
    }
    parts.push(start..range.end);
    parts
}

/// A paragraph that is too long, in pieces that are not.
fn pieces(text: &str, range: Range<usize>, lines: bool, add: &mut impl FnMut(Range<usize>)) {
    let mut at = range.start;
    let part = &text[range];
    let mut each = |piece: &str| {
        let piece = at..at + piece.len();
        at = piece.end;
        match piece.len() {
            0..=LONGEST => add(piece),
            _ => between_words(text, piece, add),
        }
    };
    match lines {
        true => part.split_inclusive('\n').for_each(&mut each),
        false => part.split_sentence_bounds().for_each(&mut each),
    }
}

/// A sentence that is too long, cut between words, or within one that is too long itself.
fn between_words(text: &str, range: Range<usize>, add: &mut impl FnMut(Range<usize>)) {
    let mut start = range.start;
    while range.end - start > LONGEST {
        let most = text.floor_char_boundary(start + LONGEST);
        let space = text[start..most].rfind(char::is_whitespace).filter(|at| *at > 0);
        let end = space.map_or(most, |at| start + at);
        add(start..end);
        start = end;
    }
    add(start..range.end);
}
