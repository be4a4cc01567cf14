//! Sentences and words, by Unicode's rules (UAX #29) and the abbreviations of some languages.

mod abbreviations;

use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;
use village::Schema;

use crate::{Error, at_most};
use abbreviations::Abbreviations;

const MOST_TEXT: usize = 256 << 10;

#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// At most 256 KiB.
    pub text: String,
    /// A language code such as `de`, so that its abbreviations end no sentence; Unicode's rules alone if it is not given.
    #[serde(default)]
    pub language: String,
    #[serde(default)]
    pub unit: Unit,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize, Schema)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    #[default]
    Sentences,
    /// Without what stands between them.
    Words,
}

#[derive(Serialize, Schema)]
pub struct Answer {
    /// In order. Between two sentences there are only blanks; between two words, only what is no word.
    pub segments: Vec<Segment>,
    /// Whether the language's abbreviations are known, or Unicode's rules stood alone.
    pub language_known: bool,
}

#[derive(Debug, PartialEq, Serialize, Schema)]
pub struct Segment {
    pub text: String,
    /// In bytes of UTF-8.
    pub start: usize,
    pub end: usize,
    /// In Unicode characters (scalar values).
    pub start_character: usize,
    pub end_character: usize,
}

pub fn answer(request: Request) -> Result<Answer, Error> {
    at_most("text", request.text.len(), MOST_TEXT)?;
    let text = request.text.as_str();
    refuse_unparted(text, request.unit)?;
    let known = Abbreviations::of(&request.language);
    let places = match request.unit {
        Unit::Sentences => sentences(text, known.as_ref()),
        Unit::Words => words(text, &request.language),
    };
    Ok(Answer { segments: locate(text, places), language_known: known.is_some() })
}

/// Some scripts part no words, and Thai and its neighbours no sentences either: that takes a dictionary.
fn refuse_unparted(text: &str, unit: Unit) -> Result<(), Error> {
    let thai = |c: char| matches!(u32::from(c), 0xe01..=0xedf | 0x1000..=0x109f | 0x1780..=0x17d3);
    let han = |c: char| matches!(u32::from(c), 0x3041..=0x30ff | 0x3400..=0x9fff | 0x20000..=0x2fa1f);
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    let many = |of: &dyn Fn(char) -> bool| text.chars().filter(|c| of(*c)).count() * 3 > letters.max(1);
    if many(&thai) {
        let what =
            "text in Thai, Lao, Burmese or Khmer has no marks between words and sentences: that takes a dictionary";
        return Err(Error::Unsupported(what.to_owned()));
    }
    if unit == Unit::Words && many(&han) {
        let what = "Chinese and Japanese have no blanks between words: that takes a dictionary";
        return Err(Error::Unsupported(what.to_owned()));
    }
    Ok(())
}

fn sentences(text: &str, known: Option<&Abbreviations>) -> Vec<(usize, usize)> {
    let mut places: Vec<(usize, usize)> = Vec::new();
    for (start, sentence) in text.split_sentence_bound_indices() {
        let end = start + sentence.len();
        match places.last_mut() {
            Some(last) if continues(&text[last.0..last.1], sentence, known) => last.1 = end,
            _ => places.push((start, end)),
        }
    }
    let trimmed = places.into_iter().map(|(start, end)| {
        let all = &text[start..end];
        let start = start + all.len() - all.trim_start().len();
        (start, start + all.trim().len())
    });
    trimmed.filter(|(start, end)| start < end).collect()
}

/// Whether what Unicode's rules call two sentences is one.
fn continues(before: &str, after: &str, known: Option<&Abbreviations>) -> bool {
    // The end of a paragraph is the end of a sentence.
    if before.ends_with(['\n', '\r', '\u{2029}']) {
        return false;
    }
    // `"Really?" she asked.` is one, for all that the rules say.
    if before.trim_end().ends_with(['"', '”', '“', '»', '«', '\'', '’', ')']) && after.starts_with(char::is_lowercase)
    {
        return true;
    }
    let Some(body) = before.trim_end().strip_suffix('.') else {
        return false;
    };
    let start = body
        .rfind(|c: char| c.is_whitespace() || matches!(c, '(' | '"' | '„' | '“' | '«' | '['))
        .map_or(0, |at| at + body[at..].chars().next().map_or(1, char::len_utf8));
    let word = &body[start..];
    // The initial of a name, `J. Smith`, but not the `I` that a sentence may end with.
    let mut letters = word.chars();
    let initial = matches!((letters.next(), letters.next()), (Some(c), None) if c.is_uppercase() && c != 'I');
    initial && after.starts_with(char::is_uppercase)
        || known.is_some_and(|known| known.knows(&body[..start], word, after))
}

fn words(text: &str, language: &str) -> Vec<(usize, usize)> {
    let elides = matches!(language.split('-').next(), Some("fr" | "it" | "ca"));
    let mut places = Vec::new();
    for (start, word) in text.unicode_word_indices() {
        let end = start + word.len();
        // `l'eau` is two words; `aujourd'hui` is one.
        let cut = word.find(['\'', '’']).filter(|at| elides && ELISIONS.contains(&word[..*at].to_lowercase().as_str()));
        match cut {
            Some(at) => {
                let joint = start + at + word[at..].chars().next().map_or(1, char::len_utf8);
                places.extend([(start, joint), (joint, end)]);
            }
            None => places.push((start, end)),
        }
    }
    places.retain(|(start, end)| start < end);
    places
}

/// What loses its vowel before another word, in French, Italian and Catalan.
const ELISIONS: [&str; 32] = [
    "l", "d", "j", "m", "t", "s", "n", "c", "qu", "jusqu", "lorsqu", "puisqu", "quoiqu", "un", "all", "dall", "dell",
    "nell", "sull", "coll", "quell", "quest", "bell", "sant", "tutt", "cos", "dov", "com", "senz", "mezz", "anch",
    "grand",
];

/// Counts characters up to each place; they come in order.
fn locate(text: &str, places: Vec<(usize, usize)>) -> Vec<Segment> {
    let (mut byte, mut character) = (0, 0);
    let mut count = |to: usize| {
        character += text[byte..to].chars().count();
        byte = to;
        character
    };
    let segment = |(start, end): (usize, usize)| Segment {
        text: text[start..end].to_owned(),
        start,
        end,
        start_character: count(start),
        end_character: count(end),
    };
    places.into_iter().map(segment).collect()
}

#[cfg(test)]
mod tests;
