//! Measures how well passages are found. `words SET` asks the questions of a labelled set in SQuAD's form; `speed` searches
//! a hundred thousand vectors, and compares with what an exact search finds.

use memory::{Added, Index, Layer, Query, Vector, read, search};
use std::collections::HashSet;
use std::time::{Duration, Instant};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["words", set] => words(set),
        ["speed"] => speed(),
        _ => eprintln!("words SET | speed"),
    }
}

fn find(index: &Index, text: &str, vector: Option<&Vector>, most: usize) -> Vec<memory::Hit> {
    let none = HashSet::new();
    search(&[Layer { index, hidden: &none }], &Query { text, vector, tags: &[], most })
}

/// A question counts as answered if one of the first five passages has its answer where the set says that it stands, or,
/// where the set says no place, the answer's words.
fn words(set: &str) {
    let text = std::fs::read_to_string(set).expect("the set can be read");
    let set: serde_json::Value = serde_json::from_str(&text).expect("the set is JSON");
    let list = |value: &serde_json::Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
    let (mut index, mut passages, mut questions) = (Index::new(), Vec::new(), Vec::new());
    for article in list(&set, "data") {
        for paragraph in list(&article, "paragraphs") {
            let context = paragraph["context"].as_str().expect("a text");
            let name = passages.len();
            let cut = read("text/plain", "x", context.as_bytes()).expect("it is text");
            let added = cut.iter().map(|one| Added { text: &one.text, context: &one.context, vector: None });
            index.add(&name.to_string(), 0, &[], added);
            passages.push(cut);
            for question in list(&paragraph, "qas") {
                let Some(answer) = question["answers"].get(0) else { continue };
                let said = answer["text"].as_str().unwrap_or_default().to_owned();
                let at = answer["answer_start"]
                    .as_u64()
                    .map(|at| context.chars().take(at as usize).map(char::len_utf8).sum());
                let asked = question["question"].as_str().unwrap_or_default().to_owned();
                if context.contains(&said) && !said.is_empty() {
                    questions.push((asked, name, said, at));
                }
            }
        }
    }
    let (mut first, mut five) = (0, 0);
    for (asked, name, said, at) in &questions {
        let at: &Option<usize> = at;
        let has = |hit: &memory::Hit| {
            let one = &passages[hit.source.parse::<usize>().expect("a number")][hit.part as usize];
            let there = at.is_none_or(|at| (one.start..one.end).contains(&(at as u64)));
            hit.source == name.to_string() && there && one.text.contains(said.split(". ").next().unwrap_or(said))
        };
        let place = find(&index, asked, None, 5).iter().position(has);
        first += usize::from(place == Some(0));
        five += usize::from(place.is_some());
    }
    let share = |count: usize| 100.0 * count as f64 / questions.len() as f64;
    println!("{} passages, {} questions", index.passages(), questions.len());
    println!("words: recall@1 {:.1} %, recall@5 {:.1} %", share(first), share(five));
}

/// The same for the same seed; nearly normal.
struct Chance(u64);

impl Chance {
    fn vector(&mut self, dimensions: usize) -> Vec<f32> {
        let mut next = || {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 40) as f32 / (1u64 << 24) as f32 - 0.5
        };
        (0..dimensions).map(|_| (0..6).map(|_| next()).sum()).collect()
    }
}

fn near(chance: &mut Chance, to: &[f32]) -> Vec<f32> {
    let noise = chance.vector(to.len());
    let mut made: Vec<f32> = to.iter().zip(noise).map(|(a, b)| a + b).collect();
    let length = made.iter().map(|number| number * number).sum::<f32>().sqrt();
    made.iter_mut().for_each(|number| *number /= length);
    made
}

fn speed() {
    const COUNT: usize = 100_000;
    const QUESTIONS: usize = 400;
    let mut chance = Chance(3);
    // In groups, as texts are: each question has some that are near, and many that are nearly so.
    let groups: Vec<_> = (0..1_000).map(|_| chance.vector(384)).collect();
    let all: Vec<_> = (0..COUNT).map(|at| near(&mut chance, &groups[at % groups.len()])).collect();
    let (mut index, begun) = (Index::new(), Instant::now());
    for (number, one) in all.iter().enumerate() {
        let vector = Vector::of(one);
        index.add(&number.to_string(), 0, &[], [Added { text: "passage", context: "", vector: vector.as_ref() }]);
    }
    println!("{COUNT} vectors of 384 dimensions in {:?}, {} MiB", begun.elapsed(), index.bytes() >> 20);
    let (mut times, mut found): (Vec<Duration>, usize) = Default::default();
    for question in 0..QUESTIONS {
        let asked = near(&mut chance, &groups[question * 7 % groups.len()]);
        let vector = Vector::of(&asked).expect("it has a length");
        let begun = Instant::now();
        let hits = find(&index, "", Some(&vector), 10);
        times.push(begun.elapsed());
        let dot = |one: &[f32]| one.iter().zip(&asked).map(|(a, b)| a * b).sum::<f32>();
        let mut exact: Vec<_> = all.iter().map(|one| dot(one)).enumerate().collect();
        exact.select_nth_unstable_by(10, |a, b| b.1.total_cmp(&a.1));
        found += exact[..10].iter().filter(|(at, _)| hits.iter().any(|hit| hit.source == at.to_string())).count();
    }
    times.sort();
    let (middle, last) = (times[QUESTIONS / 2], times[QUESTIONS * 99 / 100]);
    println!(
        "p50 {middle:?}, p99 {last:?}, {:.4} of what an exact search finds",
        found as f64 / (QUESTIONS * 10) as f64
    );
}
