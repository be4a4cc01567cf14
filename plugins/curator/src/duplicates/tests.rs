use serde_json::{Value, json};

use super::*;
use crate::chance::Chance;

fn ask(request: Value) -> Result<Answer, Error> {
    answer(serde_json::from_value(request).expect("it is of the right shape"), &mut || true)
}

fn ids(answer: &Answer) -> Vec<Vec<&str>> {
    let ids = |group: &Group| group.documents.len();
    answer
        .groups
        .iter()
        .map(|group| group.documents.iter().take(ids(group)).map(|one| one.id.as_str()).collect())
        .collect()
}

/// Texts of words by chance; each later one is an earlier one with some words changed, or a new one.
fn library(count: usize, seed: u64) -> Vec<(String, String)> {
    let mut chance = Chance::new(seed);
    let word = |chance: &mut Chance| format!("w{}", chance.below(5_000));
    let mut texts: Vec<Vec<String>> = Vec::new();
    for _ in 0..count {
        let mut text = match chance.below(2) {
            0 if !texts.is_empty() => texts[chance.below(texts.len() as u64) as usize].clone(),
            _ => (0..60 + chance.below(60)).map(|_| word(&mut chance)).collect(),
        };
        for _ in 0..chance.below(8) {
            let at = chance.below(text.len() as u64) as usize;
            text[at] = word(&mut chance);
        }
        texts.push(text);
    }
    texts.into_iter().enumerate().map(|(at, text)| (at.to_string(), text.join(" "))).collect()
}

fn documents(library: &[(String, String)]) -> Value {
    library.iter().map(|(id, text)| json!({"id": id, "text": text})).collect()
}

#[test]
fn a_hand_counted_pair_has_its_similarity() {
    // Shingles of two words: {the cat, cat sat, sat on, on the, the mat} and {the cat, cat sat, sat on, on a, a mat}: 3 of 7.
    let told = ask(json!({"size": 2, "threshold": 0.4, "documents": [
        {"id": "a", "text": "The cat sat on the mat."}, {"id": "b", "text": "the cat... sat ON a mat"}, {"id": "c", "text": "?!"}]}))
    .expect("it is valid");
    assert_eq!(ids(&told), [["a", "b"]]);
    assert!((told.groups[0].documents[1].similarity - 3.0 / 7.0).abs() < 1e-12);
    assert!((told.groups[0].weakest_link - 3.0 / 7.0).abs() < 1e-12);
    assert_eq!((told.empty, told.measured, told.missed), (vec!["c".to_owned()], 1, 0.0));
}

#[test]
fn two_printings_of_a_poem_are_found_among_other_texts() {
    // Blake, 1794, as first printed and in modern spelling; the others are from the same book.
    let told = ask(json!({"unit": "characters", "threshold": 0.5, "documents": [
        {"id": "1794", "text": "Tyger Tyger, burning bright, In the forests of the night; What immortal hand or eye, Could frame thy fearful symmetry?"},
        {"id": "lamb", "text": "Little Lamb who made thee Dost thou know who made thee Gave thee life & bid thee feed. By the stream & o'er the mead;"},
        {"id": "modern", "text": "Tiger, tiger, burning bright\nIn the forests of the night,\nWhat immortal hand or eye\nCould frame thy fearful symmetry?"},
        {"id": "rose", "text": "O Rose thou art sick. The invisible worm, That flies in the night In the howling storm:"}]}))
    .expect("it is valid");
    assert_eq!(ids(&told), [["1794", "modern"]]);
    assert!(told.groups[0].weakest_link > 0.8, "{}", told.groups[0].weakest_link);
}

#[test]
fn minhash_finds_what_measuring_every_pair_finds() {
    for threshold in [0.5, 0.7, 0.9] {
        let library = documents(&library(400, 17));
        let ask = |method: &str| {
            ask(json!({"documents": library, "threshold": threshold, "method": method})).expect("it is valid")
        };
        let (all, likely) = (ask("all-pairs"), ask("minhash"));
        let linked = |answer: &Answer| answer.groups.iter().map(|group| group.documents.len() - 1).sum::<usize>();
        assert!(linked(&all) > 40, "{threshold}: {}", linked(&all));
        // Half a per cent of the pairs at the threshold may be missed, and fewer of those above it.
        assert!(
            linked(&likely) as f64 >= 0.98 * linked(&all) as f64,
            "{threshold}: {} of {}",
            linked(&likely),
            linked(&all)
        );
        assert!(likely.measured * 10 < all.measured, "{threshold}: {} of {}", likely.measured, all.measured);
        assert!(likely.missed > 0.0 && likely.missed <= 0.005 && likely.complete);
    }
}

#[test]
fn the_share_in_which_signatures_agree_estimates_the_similarity() {
    let library = library(60, 3);
    let sets: Vec<_> = library.iter().map(|(_, text)| sketch::shingles(text, Unit::Words, 3)).collect();
    let signatures: Vec<_> = sets.iter().map(|set| signature(set)).collect();
    let mut worst = 0.0f64;
    for (a, left) in sets.iter().enumerate() {
        for (b, right) in sets.iter().enumerate().skip(a + 1) {
            let agree = signatures[a].iter().zip(&signatures[b]).filter(|pair| pair.0 == pair.1).count();
            worst = worst.max((agree as f64 / signatures[a].len() as f64 - similarity(left, right)).abs());
        }
    }
    // Five standard deviations of 128 draws are 0.22.
    assert!(worst < 0.22, "{worst}");
}

#[test]
fn a_chain_is_one_group_and_says_how_far_its_ends_are_apart() {
    let words = |from: usize| (from..from + 40).map(|at| format!("w{at}")).collect::<Vec<_>>().join(" ");
    let told = ask(json!({"size": 1, "threshold": 0.6, "documents": [
        {"id": "a", "text": words(0)}, {"id": "b", "text": words(10)}, {"id": "c", "text": words(20)}]}))
    .expect("it is valid");
    assert_eq!(ids(&told), [["a", "b", "c"]]);
    assert!((told.groups[0].documents[2].similarity - 20.0 / 60.0).abs() < 1e-12);
    assert!((told.groups[0].weakest_link - 30.0 / 50.0).abs() < 1e-12);
}

#[test]
fn a_search_that_is_cut_short_says_so() {
    let request = json!({"documents": documents(&library(300, 9)), "method": "minhash"});
    let mut left = 310;
    let mut go_on = || {
        left -= 1;
        left > 0
    };
    let told =
        answer(serde_json::from_value(request).expect("it is of the right shape"), &mut go_on).expect("it is valid");
    assert!(!told.complete);
}

#[test]
fn what_is_wrong_is_named_and_what_is_too_much_is_unsupported() {
    let one = |id: &str| json!({"id": id, "text": "x"});
    for (request, wrong) in [
        (json!({"documents": [], "threshold": 0.1}), "threshold"),
        (json!({"documents": [], "threshold": 1.5}), "threshold"),
        (json!({"documents": [], "size": 0}), "size"),
        (json!({"documents": [one("a"), one("b"), one("a")]}), "documents[2].id"),
    ] {
        assert!(matches!(ask(request), Err(Error::Invalid { field, .. }) if field == wrong), "{wrong}");
    }
    let many: Vec<Value> = (0..=MOST_DOCUMENTS).map(|at| one(&at.to_string())).collect();
    assert!(matches!(ask(json!({"documents": many})), Err(Error::Unsupported(_))));
    let long = json!({"documents": [{"id": "a", "text": "x".repeat(MOST_TEXT + 1)}]});
    assert!(matches!(ask(long), Err(Error::Unsupported(_))));
    assert!(ask(json!({"documents": []})).expect("it is valid").groups.is_empty());
}
