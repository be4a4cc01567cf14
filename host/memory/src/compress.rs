//! A text made shorter: the sentences that a task needs, in their order.

use crate::words::each_word;
use std::collections::{HashMap, HashSet};
use unicode_segmentation::UnicodeSegmentation as _;

/// A piece of the text that stays or goes as a whole.
struct Sentence<'a> {
    text: &'a str,
    start: usize,
    words: HashSet<String>,
    /// How many words it has.
    length: usize,
    worth: f32,
    tokens: usize,
}

/// What stands where sentences were left out.
const GAP: &str = " … ";

/// Shortens `text` to at most `budget` tokens as `count` counts them, keeping the sentences that `task` needs. Text that fits
/// comes back as it is. Without a task those stay that have most in common with the rest.
pub fn compress<E>(
    text: &str,
    task: &str,
    budget: usize,
    mut count: impl FnMut(&str) -> Result<usize, E>,
) -> Result<String, E> {
    let whole = if text.is_empty() { 0 } else { count(text)? };
    if whole <= budget {
        return Ok(text.to_owned());
    }
    if budget == 0 {
        return Ok(String::new());
    }
    let mut sentences = split(text);
    weigh(&mut sentences, task);
    // Counting may be dear: each is taken for its part of the whole, and what comes of it is counted.
    let each = whole as f64 / text.len() as f64;
    for sentence in &mut sentences {
        sentence.tokens = ((sentence.text.len() + GAP.len()) as f64 * each).ceil() as usize;
    }
    let mut order: Vec<usize> = (0..sentences.len()).collect();
    order.sort_by(|a, b| sentences[*b].worth.total_cmp(&sentences[*a].worth).then(a.cmp(b)));
    let mut aim = budget;
    while aim > 0 {
        let chosen = choose(&sentences, &order, aim);
        if chosen.is_empty() {
            break;
        }
        let made = joined(text, &sentences, &chosen);
        let tokens = count(&made)?;
        if tokens <= budget {
            return Ok(made);
        }
        // Together they are more than one by one: aim lower, by as much.
        aim = (aim * budget / tokens).min(aim - 1);
    }
    match order.first() {
        Some(best) => cut(sentences[*best].text, budget, count),
        None => Ok(String::new()),
    }
}

/// The sentences and lines of a text.
fn split(text: &str) -> Vec<Sentence<'_>> {
    let mut sentences = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        for piece in line.split_sentence_bounds() {
            let start = at + (piece.len() - piece.trim_start().len());
            at += piece.len();
            let bare = piece.trim();
            if bare.is_empty() {
                continue;
            }
            let (mut words, mut length) = (HashSet::new(), 0);
            each_word(bare, |word| {
                length += 1;
                if !words.contains(word) {
                    words.insert(word.to_owned());
                }
            });
            sentences.push(Sentence { text: bare, start, words, length, worth: 0.0, tokens: 0 });
        }
    }
    sentences
}

/// How much each is worth: by the words that it shares with the task, the rare ones most, and a little by those that it
/// shares with the rest of the text.
fn weigh(sentences: &mut [Sentence<'_>], task: &str) {
    let mut counts: HashMap<String, f32> = HashMap::new();
    for sentence in sentences.iter() {
        for word in &sentence.words {
            *counts.entry(word.clone()).or_default() += 1.0;
        }
    }
    let all = sentences.len() as f32;
    let mean = (sentences.iter().map(|sentence| sentence.length).sum::<usize>() as f32 / all.max(1.0)).max(1.0);
    let mut wanted: HashSet<String> = HashSet::new();
    each_word(task, |word| {
        wanted.insert(word.to_owned());
    });
    let mut seen: HashSet<&str> = HashSet::new();
    for (place, sentence) in sentences.iter_mut().enumerate() {
        let rarity = |word: &String| {
            let count = counts.get(word).copied().unwrap_or(0.0);
            (1.0 + (all - count + 0.5) / (count + 0.5)).ln()
        };
        // Short words hold sentences together, in most languages, and say little.
        let says =
            |word: &String| if word.chars().count() < 4 && word.chars().all(char::is_alphabetic) { 0.2 } else { 1.0 };
        let shared = sentence.words.iter().filter(|word| wanted.contains(*word));
        let shared: f32 = shared.map(|word| says(word) * rarity(word)).sum();
        let common: f32 = sentence
            .words
            .iter()
            .filter_map(|word| counts.get(word).filter(|count| **count > 1.0).map(|count| count.ln() * rarity(word)))
            .sum();
        let long = 0.25 + 0.75 * sentence.length as f32 / mean;
        let central = common / (sentence.length as f32 + mean);
        // What stands first often says what it is about.
        let first = 1.0 / (1.0 + place as f32);
        sentence.worth = shared / long + 0.1 * central + 0.1 * first;
        if !seen.insert(sentence.text) {
            sentence.worth = 0.0;
        }
    }
}

/// Which sentences fit, the best first, in the order of the text.
fn choose(sentences: &[Sentence<'_>], order: &[usize], aim: usize) -> Vec<usize> {
    let (mut chosen, mut left) = (Vec::new(), aim);
    for number in order {
        let sentence = &sentences[*number];
        if sentence.tokens <= left && sentence.worth > 0.0 {
            left -= sentence.tokens;
            chosen.push(*number);
        }
    }
    chosen.sort_unstable();
    chosen
}

fn joined(text: &str, sentences: &[Sentence<'_>], chosen: &[usize]) -> String {
    let mut made = String::new();
    let mut before: Option<usize> = None;
    for number in chosen {
        let sentence = &sentences[*number];
        match before {
            Some(other) if other + 1 == *number => {
                let last = &sentences[other];
                made.push_str(&text[last.start + last.text.len()..sentence.start]);
            }
            Some(_) => made.push_str(GAP),
            None => {}
        }
        made.push_str(sentence.text);
        before = Some(*number);
    }
    made
}

/// As many of a sentence's first words as fit.
fn cut<E>(sentence: &str, budget: usize, mut count: impl FnMut(&str) -> Result<usize, E>) -> Result<String, E> {
    let mut ends: Vec<usize> = sentence.split_word_bound_indices().map(|(at, _)| at).collect();
    ends.push(sentence.len());
    let (mut fits, mut too_long) = (0, ends.len());
    while too_long - fits > 1 {
        let middle = (fits + too_long) / 2;
        match count(sentence[..ends[middle]].trim_end())? <= budget {
            true => fits = middle,
            false => too_long = middle,
        }
    }
    Ok(sentence[..ends[fits]].trim_end().to_owned())
}

#[cfg(test)]
mod tests;
