//! The sentences of some passages that answer a question best, as they stand there.

use std::collections::{HashMap, HashSet};

use unicode_segmentation::UnicodeSegmentation as _;
use village::memory::Passage;

/// A sentence of a passage.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sentence {
    pub(crate) text: String,
    /// Which of the passages it is from.
    pub(crate) passage: usize,
    /// Where it stands in that, in bytes.
    pub(crate) at: usize,
    worth: f32,
}

/// Words that hold sentences together, or ask. What is left of a question is what it is about.
const SMALL: [&str; 64] = [
    "a", "an", "and", "are", "as", "at", "be", "been", "by", "can", "could", "did", "do", "does", "for", "from", "had",
    "has", "have", "how", "i", "if", "in", "into", "is", "it", "its", "many", "me", "much", "name", "of", "on", "or",
    "our", "tell", "than", "that", "the", "their", "them", "there", "these", "they", "this", "those", "to", "was",
    "we", "were", "what", "when", "where", "which", "who", "whom", "whose", "why", "will", "with", "would", "you",
    "your", "s",
];

/// So many sentences answer at most, each at least this near to the best.
const MOST: usize = 3;
const NEAR: f32 = 0.6;

/// The best sentences, the best first; none if nothing there has anything to do with the question.
pub(crate) fn best(question: &str, passages: &[Passage]) -> Vec<Sentence> {
    let wanted = content(question);
    let mut counts: HashMap<String, f32> = HashMap::new();
    let mut all = Vec::new();
    for (number, passage) in passages.iter().enumerate() {
        for (at, text) in passage.text.split_sentence_bound_indices() {
            let words = content(text);
            for word in &words {
                *counts.entry(word.clone()).or_default() += 1.0;
            }
            let at = at + (text.len() - text.trim_start().len());
            all.push((words, Sentence { text: text.trim().to_owned(), passage: number, at, worth: 0.0 }));
        }
    }
    let total = all.len() as f32;
    let rarity = |word: &String| {
        let count = counts.get(word).copied().unwrap_or(0.0);
        (1.0 + (total - count + 0.5) / (count + 0.5)).ln()
    };
    let whole: f32 = wanted.iter().map(rarity).sum();
    let mut found: Vec<Sentence> = all
        .into_iter()
        .filter_map(|(words, mut sentence)| {
            let shared: f32 = words.intersection(&wanted).map(rarity).sum();
            let length = words.len() as f32;
            // A heading repeats a question, and answers nothing.
            if shared <= 0.0 || length < 2.0 {
                return None;
            }
            let near = 1.0 / (1.0 + 0.15 * sentence.passage as f32);
            sentence.worth = shared / whole * near * (6.0 / (6.0 + (length - 12.0).max(0.0) / 4.0));
            sentence.worth += answers(question, &sentence.text) * shared / whole;
            Some(sentence)
        })
        .collect();
    found.sort_by(|a, b| b.worth.total_cmp(&a.worth).then(a.passage.cmp(&b.passage)).then(a.at.cmp(&b.at)));
    let least = found.first().map_or(0.0, |best| best.worth * NEAR);
    let mut seen = HashSet::new();
    found.retain(|sentence| sentence.worth >= least && seen.insert(sentence.text.clone()));
    found.truncate(MOST);
    found
}

/// Whether a sentence has what a question of that kind asks for: a number, a year.
fn answers(question: &str, sentence: &str) -> f32 {
    let question = question.to_lowercase();
    let number = sentence.bytes().any(|byte| byte.is_ascii_digit());
    let asks = question.contains("when")
        || question.contains("how many")
        || question.contains("how much")
        || question.contains("year");
    if asks && number { 0.2 } else { 0.0 }
}

/// The words that a text is about, bent back a little.
fn content(text: &str) -> HashSet<String> {
    let words = text.unicode_words().map(str::to_lowercase).filter(|word| !SMALL.contains(&word.as_str()));
    words.map(stem).collect()
}

fn stem(mut word: String) -> String {
    for end in ["ing", "ies", "ed", "es", "s", "e", "y"] {
        if word.len() >= end.len() + 4 && word.is_ascii() && word.ends_with(end) {
            word.truncate(word.len() - end.len());
            break;
        }
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passage(text: &str) -> Passage {
        let (source, start, end, score, tags) = ("s".to_owned(), 0, text.len() as u64, 1.0, Vec::new());
        Passage { text: text.to_owned(), source, start, end, score, tags }
    }

    #[test]
    fn the_sentence_that_answers_is_found_in_its_passage() {
        let passages = [
            passage("The mill was built of stone. It burned down in 1822, and was built again. Today it is a museum."),
            passage("Sheep graze on the hills. Mills grind corn."),
        ];
        let found = best("When did the mill burn down?", &passages);
        assert_eq!(
            (found[0].text.as_str(), found[0].passage, found[0].at),
            ("It burned down in 1822, and was built again.", 0, 29)
        );
        assert_eq!(best("What do sheep do?", &passages)[0].passage, 1);
        assert_eq!(best("Which planet is largest?", &passages), []);
        assert_eq!(best("what is it?", &passages), []);
        assert_eq!(best("mill", &[]), []);
    }
}
