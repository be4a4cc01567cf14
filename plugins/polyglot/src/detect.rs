//! Which language a text is in: its script first, then how likely its words are in each language of that script.
//!
//! What a language looks like is in `profile`, how scripts are told apart in `script`. Where the answer is not sure it is
//! `und`, the code for "undetermined", and says why.

mod profile;
mod script;

use serde::{Deserialize, Serialize};
use village::Schema;

use crate::{Error, at_most, invalid};
use profile::{PROFILES, Profile};
use script::Script;

const MOST_TEXT: usize = 256 << 10;
/// Letters of a script with several languages below which nothing is said.
const LEAST_LETTERS: usize = 12;
/// Below this, the runner-up is too close.
const SURE: f64 = 0.8;
/// The share of another script, or of another language, from which a text is mixed.
const MIXED: f64 = 0.2;
/// How unlikely the language of the whole text must be in a piece of it for that to be in another.
const STRAY: f64 = 0.01;
/// A piece of fewer letters says too little about a language of its own.
const PIECE: usize = 40;
/// Most pieces of a text, and letters of each that are weighed.
const MOST_PIECES: usize = 150;
const PIECE_LETTERS: usize = 300;
/// Letters that are weighed; more would not change the answer.
const MOST_LETTERS: usize = 4_000;

#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// At most 256 KiB.
    pub text: String,
    /// Codes of the languages that come into question, such as `de`; all that are known if it is empty or not given.
    #[serde(default)]
    pub among: Vec<String>,
}

#[derive(Debug, Serialize, Schema)]
pub struct Answer {
    /// ISO 639 code such as `de`, or `und`.
    pub language: String,
    /// In English; empty for `und`.
    pub name: String,
    /// ISO 15924 code such as `Latn`; `Zyyy` if there is no letter.
    pub script: String,
    /// How likely it is right, as far as the model can say, from 0 to 1. For `und`: of the likeliest language.
    pub certainty: f64,
    /// Why it is `und`; empty otherwise.
    pub reason: String,
    /// The likeliest languages, the answer among them, at most five.
    pub likeliest: Vec<Guess>,
    /// Of a text in several languages: its pieces.
    pub parts: Vec<Part>,
}

#[derive(Debug, Serialize, Schema)]
pub struct Guess {
    pub language: String,
    pub certainty: f64,
}

#[derive(Debug, Serialize, Schema)]
pub struct Part {
    pub language: String,
    /// In bytes of UTF-8.
    pub start: usize,
    pub end: usize,
}

pub fn answer(request: Request) -> Result<Answer, Error> {
    at_most("text", request.text.len(), MOST_TEXT)?;
    for (at, code) in request.among.iter().enumerate() {
        if !script::LONE.iter().any(|(_, known, _)| known == code) && !PROFILES.iter().any(|known| known.code == code) {
            return Err(invalid(format!("among[{at}]"), format!("is `{code}`, which is not known here")));
        }
    }
    let whole = judge(&request.text, &request.among, MOST_LETTERS);
    let parts = parts(&request.text, &request.among, &whole);
    let letters = |code: Option<&str>| {
        let of = parts.iter().filter(|part| code.is_none_or(|code| part.language == code));
        of.map(|part| script::letters(&request.text[part.start..part.end])).sum::<usize>() as f64
    };
    let strays = 1.0 - letters(Some(&whole.language)) / letters(None).max(1.0);
    let several = parts.windows(2).any(|pair| pair[0].language != pair[1].language);
    if several && whole.reason.is_empty() && strays < MIXED {
        return Ok(whole);
    }
    if several {
        return Ok(Answer {
            language: "und".to_owned(),
            name: String::new(),
            reason: "mixed: see its parts".to_owned(),
            parts,
            ..whole
        });
    }
    Ok(whole)
}

/// One verdict for all of a text, of which at most so many letters are weighed.
fn judge(text: &str, among: &[String], most: usize) -> Answer {
    let scripts = script::shares(text);
    let Some(&(main, share)) = scripts.first() else {
        return undetermined(Script::Common, "no letters", Vec::new());
    };
    if share < 1.0 - MIXED {
        let names: Vec<_> = scripts.iter().map(|(script, _)| script.code()).collect();
        return undetermined(main, &format!("mixed: letters of {}", names.join(", ")), Vec::new());
    }
    if let Some((_, code, name)) = script::LONE.iter().find(|(script, ..)| *script == main) {
        return lone(text, main, code, name, among);
    }
    let letters = script::letters(text);
    if letters < LEAST_LETTERS {
        return undetermined(
            main,
            &format!("too short: {letters} letters, and {LEAST_LETTERS} are needed"),
            Vec::new(),
        );
    }
    let candidates: Vec<&Profile> = PROFILES
        .iter()
        .filter(|known| known.script == main && (among.is_empty() || among.iter().any(|code| code == known.code)))
        .collect();
    if candidates.is_empty() {
        return undetermined(main, "no language of this script is known here, or asked for", Vec::new());
    }
    weigh(text, main, &candidates, most)
}

/// The answer for a script that one language alone has, as far as is known here.
fn lone(text: &str, script: Script, code: &str, name: &str, among: &[String]) -> Answer {
    if !among.is_empty() && !among.iter().any(|other| other == code) {
        return undetermined(script, "no language of this script is asked for", Vec::new());
    }
    // A short Japanese text can do without its own letters.
    if script == Script::Han && script::letters(text) < 6 {
        return undetermined(script, "too short: a few Han characters may be Chinese or Japanese", Vec::new());
    }
    // Other languages have borrowed some of these scripts, and are not known here.
    let certainty = if script::letters(text) < 3 { 0.8 } else { 0.97 };
    let likeliest = vec![Guess { language: code.to_owned(), certainty }];
    Answer {
        language: code.to_owned(),
        name: name.to_owned(),
        script: script.code().to_owned(),
        certainty,
        reason: String::new(),
        likeliest,
        parts: Vec::new(),
    }
}

fn weigh(text: &str, script: Script, candidates: &[&Profile], most: usize) -> Answer {
    let words = profile::words(text, most);
    let count: usize = words.iter().map(|word| word.len() + 1).sum();
    let mut scores: Vec<(f64, &Profile)> =
        candidates.iter().map(|known| (known.model().score(&words), *known)).collect();
    scores.sort_by(|a, b| b.0.total_cmp(&a.0));
    let best = scores[0].0;
    // Letters of a word are not independent of each other: their evidence counts for less than it seems.
    let weights: Vec<f64> = scores.iter().map(|(score, _)| ((score - best) / profile::DEPENDENCE).exp()).collect();
    let sum: f64 = weights.iter().sum();
    let guess = |(weight, (_, known)): (&f64, &(f64, &Profile))| Guess {
        language: known.code.to_owned(),
        certainty: (weight / sum).min(0.999),
    };
    let likeliest: Vec<Guess> = weights.iter().zip(&scores).take(5).map(guess).collect();
    let certainty = likeliest[0].certainty;
    if best / (count as f64) < profile::unlikely(script) {
        return undetermined(script, "unlike any language that is known here", likeliest);
    }
    if certainty < SURE {
        let names: Vec<_> = likeliest.iter().take(2).map(|guess| guess.language.as_str()).collect();
        return undetermined(script, &format!("close: it may be {}", names.join(" or ")), likeliest);
    }
    Answer {
        language: scores[0].1.code.to_owned(),
        name: scores[0].1.name.to_owned(),
        script: script.code().to_owned(),
        certainty,
        reason: String::new(),
        likeliest,
        parts: Vec::new(),
    }
}

fn undetermined(script: Script, reason: &str, likeliest: Vec<Guess>) -> Answer {
    Answer {
        language: "und".to_owned(),
        name: String::new(),
        script: script.code().to_owned(),
        certainty: likeliest.first().map_or(0.0, |guess| guess.certainty),
        reason: reason.to_owned(),
        likeliest,
        parts: Vec::new(),
    }
}

/// Pieces whose language is clear, those of one language that follow each other joined.
fn parts(text: &str, among: &[String], whole: &Answer) -> Vec<Part> {
    let main = whole.likeliest.first().map(|guess| guess.language.as_str());
    let mut parts: Vec<Part> = Vec::new();
    for (start, end) in pieces(text) {
        let verdict = judge(&text[start..end], among, PIECE_LETTERS);
        // A piece that may well be in the language of the whole text is: a sentence of Norwegian can be as good Danish.
        let fits =
            verdict.likeliest.iter().find(|guess| Some(guess.language.as_str()) == main && guess.certainty > STRAY);
        let language = fits.map_or(verdict.language, |guess| guess.language.clone());
        if language == "und" {
            continue;
        }
        match parts.last_mut() {
            Some(last) if last.language == language => last.end = end,
            _ => parts.push(Part { language, start, end }),
        }
    }
    parts
}

/// Sentences, or several short ones together; a change of script ends a piece as well.
fn pieces(text: &str) -> Vec<(usize, usize)> {
    let mut pieces = Vec::new();
    let least = PIECE.max(script::letters(text) / MOST_PIECES);
    let (mut start, mut letters, mut last) = (0, 0, None);
    for (at, c) in text.char_indices() {
        let script = Script::of(c);
        let turned = last.is_some_and(|last: Script| script.is_some_and(|script| !script.mingles(last)));
        let ended = letters >= least && matches!(c, '.' | '!' | '?' | '\n' | '。' | '۔' | '।');
        if turned || ended {
            let end = if turned { at } else { at + c.len_utf8() };
            pieces.push((start, end));
            (start, letters, last) = (end, 0, None);
        }
        if script.is_some() && !ended {
            letters += 1;
            last = script;
        }
    }
    pieces.push((start, text.len()));
    pieces.retain(|piece| script::letters(&text[piece.0..piece.1]) > 0);
    pieces
}

#[cfg(test)]
mod tests;
