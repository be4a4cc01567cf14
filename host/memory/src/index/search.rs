//! Searching: BM25 over words, cosines of vectors, and both of them fused.

use super::Index;
use crate::vectors::Vector;
use crate::words::each_word;
use std::collections::{HashMap, HashSet};

/// What is looked for.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// In words. Beyond the first 8 KiB of them none counts.
    pub text: &'a str,
    /// As a vector, if there is one.
    pub vector: Option<&'a Vector>,
    /// Only sources that carry all of these.
    pub tags: &'a [String],
    /// So many are answered at most.
    pub most: usize,
}

/// An index, but for what another one has instead.
#[derive(Debug, Clone, Copy)]
pub struct Layer<'a> {
    /// The index.
    pub index: &'a Index,
    /// Sources of it that are not to be found.
    pub hidden: &'a HashSet<String>,
}

/// A passage that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// In which of the layers.
    pub layer: usize,
    /// Its source.
    pub source: String,
    /// What the source is known by.
    pub id: u64,
    /// Its place in the source.
    pub part: u32,
    /// Higher is nearer. Comparable within one answer.
    pub score: f32,
}

/// The usual constants of BM25.
const K1: f32 = 1.2;
const B: f32 = 0.75;

/// A question has so many bytes of words at most, and so many different ones: the rarest count.
const QUESTION: usize = 8 << 10;
const WORDS: usize = 64;

/// From each way of looking so many are taken, or some times what is wanted: the other way looks at these as well.
const CANDIDATES: usize = 100;

/// A passage of one of the layers.
type Spot = (usize, u32);

/// The passages nearest to a question, the nearest first.
pub fn search(layers: &[Layer<'_>], query: &Query<'_>) -> Vec<Hit> {
    if query.most == 0 {
        return Vec::new();
    }
    let open: Vec<Vec<bool>> = layers.iter().map(|layer| layer.open(query.tags)).collect();
    let take = CANDIDATES.max(query.most.saturating_mul(2));
    let words = by_words(layers, &open, query.text);
    let mut spots: HashSet<Spot> = best(&words, take).into_iter().collect();
    let mut vectors: HashMap<Spot, f32> = HashMap::new();
    if let Some(vector) = query.vector {
        let mut near = Vec::new();
        for (number, (layer, open)) in layers.iter().zip(&open).enumerate() {
            let wanted = |at: usize| open[layer.index.passages[at].source as usize];
            let found = layer.index.vectors.nearest(vector, take, wanted);
            near.extend(found.into_iter().map(|(score, at)| (score, (number, at as u32))));
        }
        near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        near.truncate(take);
        spots.extend(near.iter().map(|(_, spot)| *spot));
        for spot in &spots {
            if let Some(near) = layers[spot.0].index.vectors.near(vector, spot.1 as usize) {
                vectors.insert(*spot, near);
            }
        }
    }
    let mut scored: Vec<(f32, Spot)> = fuse(&spots, &words, &vectors);
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| layers_order(layers, a.1, b.1)));
    scored.truncate(query.most);
    scored.into_iter().map(|(score, spot)| hit(layers, score, spot)).collect()
}

/// Equals stand in an order that does not depend on when they were added.
fn layers_order(layers: &[Layer<'_>], a: Spot, b: Spot) -> std::cmp::Ordering {
    let key = |(layer, passage): Spot| {
        let index = layers[layer].index;
        let place = index.passages[passage as usize];
        (&index.sources[place.source as usize].name, place.part)
    };
    key(a).cmp(&key(b))
}

fn hit(layers: &[Layer<'_>], score: f32, (layer, passage): Spot) -> Hit {
    let index = layers[layer].index;
    let place = index.passages[passage as usize];
    let source = &index.sources[place.source as usize];
    Hit { layer, source: source.name.to_string(), id: source.id, part: place.part, score }
}

impl Layer<'_> {
    /// Which sources can be found.
    fn open(&self, tags: &[String]) -> Vec<bool> {
        let carries = |source: &super::Source| tags.iter().all(|tag| source.tags.iter().any(|own| **own == **tag));
        let open = |source: &super::Source| !source.gone && !self.hidden.contains(&*source.name) && carries(source);
        self.index.sources.iter().map(open).collect()
    }

    /// Passages that are not hidden, whatever their tags, and how many words they have.
    fn counts(&self) -> (usize, u64) {
        let (mut live, mut length) = (self.index.live, self.index.length);
        for number in self.hidden.iter().filter_map(|name| self.index.names.get(name.as_str())) {
            let first = self.index.passages.partition_point(|place| place.source < *number);
            let parts = self.index.sources[*number as usize].parts as usize;
            live -= parts;
            length -=
                self.index.passages[first..first + parts].iter().map(|place| u64::from(place.length)).sum::<u64>();
        }
        (live, length)
    }
}

/// BM25 of every passage that has a word of the question.
fn by_words(layers: &[Layer<'_>], open: &[Vec<bool>], text: &str) -> Vec<HashMap<u32, f32>> {
    let mut scores: Vec<HashMap<u32, f32>> = layers.iter().map(|_| HashMap::new()).collect();
    let (live, length) =
        layers.iter().map(Layer::counts).fold((0, 0), |sum, (live, length)| (sum.0 + live, sum.1 + length));
    if live == 0 {
        return scores;
    }
    let average = (length as f32 / live as f32).max(1.0);
    for (word, rarity) in rarest(layers, text, live) {
        for ((layer, open), scores) in layers.iter().zip(open).zip(&mut scores) {
            let Some(number) = layer.index.words.get(word.as_str()) else { continue };
            for posting in &layer.index.postings[*number as usize] {
                let place = layer.index.passages[posting.passage as usize];
                if !open[place.source as usize] {
                    continue;
                }
                let times = f32::from(posting.times);
                let long = K1 * (1.0 - B + B * place.length as f32 / average);
                *scores.entry(posting.passage).or_default() += rarity * times * (K1 + 1.0) / (times + long);
            }
        }
    }
    scores
}

/// The words of a question with how much each says, those that say most first.
fn rarest(layers: &[Layer<'_>], text: &str, live: usize) -> Vec<(String, f32)> {
    let mut words: HashSet<String> = HashSet::new();
    each_word(&text[..text.floor_char_boundary(QUESTION)], |word| {
        if !words.contains(word) {
            words.insert(word.to_owned());
        }
    });
    let mut rarities: Vec<(String, f32)> = words
        .into_iter()
        .map(|word| {
            let there = |layer: &Layer<'_>| {
                let number = layer.index.words.get(word.as_str())?;
                let seen = |place: super::Place| {
                    let source = &layer.index.sources[place.source as usize];
                    !source.gone && (layer.hidden.is_empty() || !layer.hidden.contains(&*source.name))
                };
                let postings = &layer.index.postings[*number as usize];
                Some(postings.iter().filter(|one| seen(layer.index.passages[one.passage as usize])).count())
            };
            let count = layers.iter().filter_map(there).sum::<usize>() as f32;
            (word, (1.0 + (live as f32 - count + 0.5) / (count + 0.5)).ln())
        })
        .collect();
    rarities.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    rarities.truncate(WORDS);
    rarities
}

/// The passages with the highest scores.
fn best(scores: &[HashMap<u32, f32>], most: usize) -> Vec<Spot> {
    let mut all: Vec<(f32, Spot)> = Vec::new();
    for (layer, scores) in scores.iter().enumerate() {
        all.extend(scores.iter().map(|(passage, score)| (*score, (layer, *passage))));
    }
    if all.len() > most {
        all.select_nth_unstable_by(most, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        all.truncate(most);
    }
    all.into_iter().map(|(_, spot)| spot).collect()
}

/// One score of two: each stretched so that the best of these passages has 1 and the worst 0, and then the mean. Where there is
/// but one of them, it stands as it is.
fn fuse(spots: &HashSet<Spot>, words: &[HashMap<u32, f32>], vectors: &HashMap<Spot, f32>) -> Vec<(f32, Spot)> {
    let word = |spot: &Spot| words[spot.0].get(&spot.1).copied();
    if vectors.is_empty() {
        return spots.iter().filter_map(|spot| Some((word(spot)?, *spot))).collect();
    }
    let ends = |scores: &mut dyn Iterator<Item = f32>| {
        scores.fold((f32::MAX, f32::MIN), |(least, most), score| (least.min(score), most.max(score)))
    };
    let best_word = ends(&mut spots.iter().filter_map(word)).1;
    let near = ends(&mut vectors.values().copied());
    let stretched =
        |score: f32, (least, most): (f32, f32)| if most > least { (score - least) / (most - least) } else { 1.0 };
    spots
        .iter()
        .map(|spot| {
            // A passage without any of the words has 0 of them.
            let by_words = word(spot).map_or(0.0, |score| stretched(score, (0.0, best_word)));
            let by_vector = vectors.get(spot).map_or(0.0, |score| stretched(*score, near));
            ((by_words + by_vector) / 2.0, *spot)
        })
        .collect()
}
