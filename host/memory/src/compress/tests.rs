use super::*;
use std::convert::Infallible;

/// Counts words and marks, as a tokenizer would that knows only these.
fn tokens(text: &str) -> usize {
    text.split_word_bounds().filter(|word| !word.trim().is_empty()).count()
}

fn short(text: &str, task: &str, budget: usize) -> String {
    let made =
        compress(text, task, budget, |text| Ok::<_, Infallible>(tokens(text))).expect("it can always be counted");
    assert!(tokens(&made) <= budget, "{} of {budget}: {made}", tokens(&made));
    made
}

const TEXT: &str = "The village was founded in 1204. It lies by a river. Its mill burned down in 1822.\n\
    The school has two rooms. A new mill was built of stone in 1825. Today it is a museum.\n\nSheep graze on the hills.";

#[test]
fn what_fits_comes_back_as_it_is() {
    assert_eq!(short(TEXT, "mill", 1000), TEXT);
    assert_eq!((short("", "mill", 0), short("", "", 5)), (String::new(), String::new()));
}

#[test]
fn the_sentences_that_the_task_needs_stay_in_their_order() {
    let made = short(TEXT, "When did the mill burn, and when was the new mill built?", 20);
    assert!(
        made.contains("Its mill burned down in 1822.") && made.contains("A new mill was built of stone in 1825."),
        "{made}"
    );
    assert!(made.find("1822") < made.find("1825") && made.contains('…') && !made.contains("Sheep"), "{made}");
    let other = short(TEXT, "sheep", 8);
    assert_eq!(other, "Sheep graze on the hills.");
}

#[test]
fn the_budget_holds_however_little_it_is() {
    for budget in 0..60 {
        short(TEXT, "mill", budget);
        short(&"word ".repeat(500), "word", budget);
        short(&"x".repeat(500), "", budget);
    }
    assert_eq!(short(TEXT, "mill", 3), "Its mill burned", "of the best sentence what fits");
    assert_eq!(short(TEXT, "mill", 0), "");
}

#[test]
fn what_is_said_twice_is_kept_once() {
    let made = short(&"The mill burned. ".repeat(50), "mill", 30);
    assert_eq!(made.matches("burned").count(), 1, "{made}");
}

#[test]
fn a_count_that_fails_is_handed_on() {
    assert_eq!(compress("a b", "", 1, |_| Err::<usize, _>("no model")), Err("no model"));
}

#[test]
fn a_counter_that_counts_more_of_the_whole_than_of_its_parts_is_kept_to() {
    let odd = |text: &str| Ok::<_, Infallible>(text.len() * text.len() / 64);
    let text = "One sentence here. Another one there. ".repeat(20);
    let made = compress(&text, "sentence", 100, odd).expect("it can always be counted");
    assert!(!made.is_empty() && made.len() * made.len() / 64 <= 100, "{made}");
}
