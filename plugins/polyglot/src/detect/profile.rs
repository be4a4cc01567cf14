//! What a language looks like: how likely its words are, by the words and letters of a short text in it.
//!
//! The texts in `profiles/` were written for this, none is taken from elsewhere: a line of common words, and a paragraph.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::script::Script;

/// By how much too sure the model is when it takes each letter for new evidence; found on the texts of the tests.
pub(super) const DEPENDENCE: f64 = 3.0;

/// The mean logarithm of a letter's likelihood below which a text is in none of the languages; found like the above. What a
/// syllable's signs are varies more than letters do.
pub(super) fn unlikely(script: Script) -> f64 {
    match script {
        Script::Devanagari => -4.0,
        Script::Arabic => -3.6,
        _ => -3.25,
    }
}

/// How much of a word's likelihood comes from its being known, rather than from its letters.
const KNOWN: f64 = 0.3;

/// How much the last two letters, the last one, none, and no knowledge at all have to say about the next one.
const SHARES: [f64; 4] = [0.5, 0.3, 0.18, 0.02];

/// Letters, roughly, among which one that was never seen is one.
const ALPHABET: f64 = 120.0;

pub(super) struct Profile {
    pub(super) code: &'static str,
    pub(super) name: &'static str,
    pub(super) script: Script,
    text: &'static str,
    model: OnceLock<Model>,
}

const fn profile(code: &'static str, name: &'static str, script: Script, text: &'static str) -> Profile {
    Profile { code, name, script, text, model: OnceLock::new() }
}

macro_rules! profiles {
    ($($code:literal $name:literal $script:ident,)*) => {
        [$(profile($code, $name, Script::$script, include_str!(concat!("profiles/", $code, ".txt"))),)*]
    };
}

pub(super) static PROFILES: [Profile; 37] = profiles![
    "en" "English" Latin,
    "de" "German" Latin,
    "nl" "Dutch" Latin,
    "fr" "French" Latin,
    "es" "Spanish" Latin,
    "pt" "Portuguese" Latin,
    "it" "Italian" Latin,
    "ca" "Catalan" Latin,
    "ro" "Romanian" Latin,
    "sv" "Swedish" Latin,
    "da" "Danish" Latin,
    "nb" "Norwegian Bokmål" Latin,
    "fi" "Finnish" Latin,
    "et" "Estonian" Latin,
    "hu" "Hungarian" Latin,
    "pl" "Polish" Latin,
    "cs" "Czech" Latin,
    "sk" "Slovak" Latin,
    "sl" "Slovenian" Latin,
    "hr" "Croatian" Latin,
    "lt" "Lithuanian" Latin,
    "lv" "Latvian" Latin,
    "tr" "Turkish" Latin,
    "vi" "Vietnamese" Latin,
    "id" "Indonesian" Latin,
    "sw" "Swahili" Latin,
    "ru" "Russian" Cyrillic,
    "uk" "Ukrainian" Cyrillic,
    "be" "Belarusian" Cyrillic,
    "bg" "Bulgarian" Cyrillic,
    "sr" "Serbian" Cyrillic,
    "ar" "Arabic" Arabic,
    "fa" "Persian" Arabic,
    "ur" "Urdu" Arabic,
    "hi" "Hindi" Devanagari,
    "mr" "Marathi" Devanagari,
    "ne" "Nepali" Devanagari,
];

impl Profile {
    /// Counted when it is first asked for.
    pub(super) fn model(&self) -> &Model {
        self.model.get_or_init(|| Model::of(self.text))
    }
}

/// The letters of each word, without case, up to so many letters in all.
pub(super) fn words(text: &str, most: usize) -> Vec<Vec<char>> {
    let mut words: Vec<Vec<char>> = Vec::new();
    let mut inside = false;
    let mut count = 0;
    for c in text.chars().flat_map(char::to_lowercase) {
        // An apostrophe joins, as in `l'eau`; marks such as vowel signs are letters of their script.
        let letter = c.is_alphabetic() || Script::of(c).is_some() || ('\u{300}'..='\u{36f}').contains(&c);
        let joins = inside && matches!(c, '\'' | '’');
        if !letter && !joins {
            inside = false;
            continue;
        }
        if !inside {
            if count >= most {
                break;
            }
            words.push(Vec::new());
        }
        inside = true;
        count += 1;
        if let Some(word) = words.last_mut() {
            word.push(if c == '’' { '\'' } else { c });
        }
    }
    words
}

/// Counts of words and of runs of up to three letters; a blank stands at the ends of words.
pub(super) struct Model {
    words: HashMap<Vec<char>, f64>,
    total: f64,
    /// How often each letter follows two others, one other, and at all; a blank for none.
    runs: HashMap<[char; 3], f64>,
    contexts: HashMap<[char; 2], f64>,
}

impl Model {
    fn of(text: &str) -> Self {
        let mut model = Self { words: HashMap::new(), total: 0.0, runs: HashMap::new(), contexts: HashMap::new() };
        for word in words(text, usize::MAX) {
            for (two, letter) in steps(&word) {
                for context in contexts(two) {
                    *model.runs.entry([context[0], context[1], letter]).or_default() += 1.0;
                    *model.contexts.entry(context).or_default() += 1.0;
                }
            }
            model.total += 1.0;
            *model.words.entry(word).or_default() += 1.0;
        }
        model
    }

    /// The logarithm of the likelihood of these words.
    pub(super) fn score(&self, words: &[Vec<char>]) -> f64 {
        words.iter().map(|word| self.word(word)).sum()
    }

    fn word(&self, word: &[char]) -> f64 {
        let known = self.words.get(word).map_or(0.0, |count| count / self.total);
        let spelt: f64 = steps(word).map(|(two, letter)| self.letter(two, letter).ln()).sum();
        // Of a long word the likelihood itself would be too small a number.
        let (a, b) = ((KNOWN * known).max(f64::MIN_POSITIVE).ln(), (1.0 - KNOWN).ln() + spelt);
        a.max(b) + (-(a - b).abs()).exp().ln_1p()
    }

    fn letter(&self, two: [char; 2], letter: char) -> f64 {
        let mut likelihood = SHARES[3] / ALPHABET;
        for (context, share) in contexts(two).into_iter().zip(SHARES) {
            if let Some(all) = self.contexts.get(&context) {
                let times = self.runs.get(&[context[0], context[1], letter]).copied().unwrap_or(0.0);
                likelihood += share * times / all;
            }
        }
        likelihood
    }
}

/// What stands for no letter in a context; it is in no word.
const NONE: char = '\0';

/// The last two letters, the last one, and none.
fn contexts(two: [char; 2]) -> [[char; 2]; 3] {
    [two, [NONE, two[1]], [NONE, NONE]]
}

/// Each letter of a word, and the blank at its end, with the two before it.
fn steps(word: &[char]) -> impl Iterator<Item = ([char; 2], char)> {
    let at = |at: usize| if at < 2 { ' ' } else { word.get(at - 2).copied().unwrap_or(' ') };
    (0..=word.len()).map(move |index| ([at(index), at(index + 1)], at(index + 2)))
}
