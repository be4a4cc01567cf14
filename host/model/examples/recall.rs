//! Measures how well passages are found. `set FILE FOLDER` asks the questions of a labelled set in SQuAD's form, by the words,
//! by the vectors of the embedder in a folder, and by both; `speed` searches a hundred thousand vectors, and compares with
//! what an exact search finds.

use memory::{Added, Index, Layer, Passage, Query, Vector, read, search};
use model::Backend;
use model::embedded::{Models, Settings, Settled};
use serde_json::Value;
use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, Instant};

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["set", file, folder] => labelled(file, Path::new(folder)).await,
        ["speed"] => speed(),
        _ => eprintln!("set FILE FOLDER | speed"),
    }
}

fn find(index: &Index, text: &str, vector: Option<&Vector>, most: usize) -> Vec<memory::Hit> {
    let none = HashSet::new();
    search(&[Layer { index, hidden: &none }], &Query { text, vector, tags: &[], most })
}

fn open(folder: &Path) -> Models {
    Models::open(&Settings {
        name: "here".into(),
        threads: NonZeroUsize::MIN,
        memory: 1 << 30,
        cache: 1 << 20,
        together: 1,
        waiting: 8,
        models: vec![Settled { name: "m".into(), path: folder.into(), template: None }],
    })
    .expect("the embedder opens")
}

async fn vectors(models: &Models, texts: &[String]) -> Vec<Vector> {
    let mut vectors = Vec::new();
    for texts in texts.chunks(32) {
        let until = tokio::time::Instant::now() + Duration::from_secs(600);
        let made = models.embed("m", texts, true, until).await.expect("it makes vectors");
        vectors.extend(made.vectors.iter().map(|vector| Vector::of(vector).expect("it has a length")));
    }
    vectors
}

/// A question, and the words of its answer, where the set says that they stand.
struct Question {
    text: String,
    paragraph: usize,
    at: u64,
    answer: String,
}

/// The passages of each paragraph, and the questions that have an answer.
fn set(file: &str) -> (Vec<Vec<Passage>>, Vec<Question>) {
    let text = std::fs::read_to_string(file).expect("the set can be read");
    let set: Value = serde_json::from_str(&text).expect("the set is JSON");
    let list = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (mut passages, mut questions) = (Vec::new(), Vec::new());
    for paragraph in list(&set, "data").iter().flat_map(|article| list(article, "paragraphs")) {
        let context = word(&paragraph["context"]);
        for question in list(&paragraph, "qas") {
            let answer = &question["answers"][0];
            let Some(letters) = answer["answer_start"].as_u64() else { continue };
            let at: usize = context.chars().take(letters as usize).map(char::len_utf8).sum();
            let (text, answer) = (word(&question["question"]), word(&answer["text"]));
            questions.push(Question { text, paragraph: passages.len(), at: at as u64, answer });
        }
        passages.push(read("text/plain", "x", context.as_bytes()).expect("it is text"));
    }
    (passages, questions)
}

/// A question counts as answered if one of the first five passages is the one that has its answer where the set says.
async fn labelled(file: &str, folder: &Path) {
    let (models, (passages, questions)) = (open(folder), set(file));
    let text = |one: &Passage| [&one.context, "\n", &one.text].concat().trim().to_owned();
    let texts: Vec<String> = passages.iter().flatten().map(text).collect();
    let begun = Instant::now();
    let mut made = vectors(&models, &texts).await.into_iter();
    let asked: Vec<String> = questions.iter().map(|question| question.text.clone()).collect();
    let (near, took) = (vectors(&models, &asked).await, begun.elapsed());
    let mut indexes = [Index::new(), Index::new()];
    for (name, cut) in passages.iter().enumerate() {
        let made: Vec<Vector> = made.by_ref().take(cut.len()).collect();
        for (index, has) in indexes.iter_mut().zip([false, true]) {
            let added = cut.iter().zip(&made).map(|(one, vector)| Added {
                text: &one.text,
                context: &one.context,
                vector: Some(vector).filter(|_| has),
            });
            index.add(&name.to_string(), 0, &[], added);
        }
    }
    let count = indexes[0].passages();
    println!("{count} passages, {} questions; vectors of all in {took:.1?}", questions.len());
    for (way, index) in [("words", 0), ("vectors", 1), ("fused", 1)] {
        let (mut first, mut five) = (0, 0);
        for (question, vector) in questions.iter().zip(&near) {
            let (words, vector) = match way {
                "words" => (question.text.as_str(), None),
                "vectors" => ("", Some(vector)),
                _ => (question.text.as_str(), Some(vector)),
            };
            let has = |hit: &memory::Hit| {
                let one = &passages[hit.source.parse::<usize>().expect("a number")][hit.part as usize];
                let (from, to) = (question.at, question.at + question.answer.len() as u64);
                hit.source == question.paragraph.to_string() && one.start <= from && to <= one.end
            };
            let place = find(&indexes[index], words, vector, 5).iter().position(has);
            first += usize::from(place == Some(0));
            five += usize::from(place.is_some());
        }
        let share = |count: usize| 100.0 * count as f64 / questions.len() as f64;
        println!("{way}: recall@1 {:.1} %, recall@5 {:.1} %", share(first), share(five));
    }
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
