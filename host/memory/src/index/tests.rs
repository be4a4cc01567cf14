use super::*;
use std::collections::HashSet;

fn add(index: &mut Index, name: &str, tags: &[&str], texts: &[&str]) {
    let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
    index.add(
        name,
        index.sources.len() as u64,
        &tags,
        texts.iter().map(|text| Added { text, context: "", vector: None }),
    );
}

fn find(index: &Index, text: &str, tags: &[&str]) -> Vec<(String, u32)> {
    let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
    let hits =
        search(&[Layer { index, hidden: &HashSet::new() }], &Query { text, vector: None, tags: &tags, most: 10 });
    hits.into_iter().map(|hit| (hit.source, hit.part)).collect()
}

fn names(found: &[(String, u32)]) -> Vec<&str> {
    found.iter().map(|(name, _)| name.as_str()).collect()
}

fn some() -> Index {
    let mut index = Index::new();
    add(&mut index, "sea", &["water", "salt"], &["The sea is deep and salty", "Whales live in the sea"]);
    add(&mut index, "lake", &["water"], &["A lake is not salty"]);
    add(&mut index, "hill", &[], &["The hill is high"]);
    index
}

#[test]
fn passages_are_found_by_words_and_rare_ones_say_most() {
    let index = some();
    assert_eq!(find(&index, "whale", &[]), [("sea".into(), 1)]);
    assert_eq!(names(&find(&index, "is a lake", &[]))[0], "lake");
    assert_eq!(names(&find(&index, "salty", &["water"])), ["lake", "sea"]);
    assert_eq!(names(&find(&index, "salty", &["water", "salt"])), ["sea"]);
    assert_eq!(find(&index, "salty", &["fire"]), []);
    assert_eq!((find(&index, "", &[]), find(&index, "volcano", &[])), (vec![], vec![]));
}

#[test]
fn what_is_removed_or_replaced_is_not_found_and_weighs_nothing() {
    let mut index = some();
    assert!(index.remove("lake") && !index.remove("lake"));
    add(&mut index, "sea", &[], &["The ocean is deep"]);
    assert_eq!((index.passages(), index.sources(), index.has("sea"), index.has("lake")), (2, 2, true, false));
    let mut fresh = Index::new();
    add(&mut fresh, "hill", &[], &["The hill is high"]);
    add(&mut fresh, "sea", &[], &["The ocean is deep"]);
    for text in ["salty whales", "is deep", "the hill"] {
        let hits = |index: &Index| {
            let layer = Layer { index, hidden: &HashSet::new() };
            let hits = search(&[layer], &Query { text, vector: None, tags: &[], most: 9 });
            hits.into_iter().map(|hit| (hit.source, hit.part, hit.score)).collect::<Vec<_>>()
        };
        assert_eq!(hits(&index), hits(&fresh), "{text}");
    }
}

#[test]
fn two_layers_answer_as_one_index_would() {
    let mut below = some();
    let mut above = Index::new();
    add(&mut above, "sea", &["water"], &["The sea is cold"]);
    add(&mut above, "pond", &["water"], &["A pond is small, and salty never"]);
    let hidden: HashSet<String> = ["sea".to_owned(), "hill".to_owned()].into();
    let ask = |layers: &[Layer<'_>], text: &str| {
        let hits = search(layers, &Query { text, vector: None, tags: &["water".to_owned()], most: 9 });
        hits.into_iter().map(|hit| (hit.source, hit.part, hit.score)).collect::<Vec<_>>()
    };
    let none = HashSet::new();
    let texts = ["salty", "the sea", "whales", "is", "small pond"];
    let two: Vec<_> = texts
        .iter()
        .map(|text| ask(&[Layer { index: &below, hidden: &hidden }, Layer { index: &above, hidden: &none }], text))
        .collect();
    below.remove("hill");
    add(&mut below, "sea", &["water"], &["The sea is cold"]);
    add(&mut below, "pond", &["water"], &["A pond is small, and salty never"]);
    let one: Vec<_> = texts.iter().map(|text| ask(&[Layer { index: &below, hidden: &none }], text)).collect();
    assert_eq!(two, one);
    assert!(two[0].len() == 2 && two[2].is_empty(), "{two:?}");
}

#[test]
fn words_and_vectors_together_find_what_either_finds() {
    let vector = |numbers: &[f32]| Vector::of(numbers).expect("it has a length");
    let (east, north, between) = (vector(&[1.0, 0.0]), vector(&[0.0, 1.0]), vector(&[0.7, 0.7]));
    let mut index = Index::new();
    let one = |index: &mut Index, name: &str, text: &str, vector: Option<&Vector>| {
        index.add(name, 0, &[], [Added { text, context: "", vector }]);
    };
    one(&mut index, "word", "a rare zebra", Some(&north));
    one(&mut index, "vector", "a striped horse", Some(&east));
    one(&mut index, "both", "a zebra, again", Some(&between));
    one(&mut index, "neither", "nothing of that", Some(&north));
    one(&mut index, "bare", "without a vector, a zebra", None);
    let ask = |text: &str, vector: Option<&Vector>, most: usize| {
        let hits =
            search(&[Layer { index: &index, hidden: &HashSet::new() }], &Query { text, vector, tags: &[], most });
        hits.into_iter().map(|hit| hit.source).collect::<Vec<_>>()
    };
    assert_eq!(ask("zebra", Some(&east), 1), ["both"]);
    assert!(ask("zebra", Some(&east), 4)[1..].contains(&"vector".to_owned()));
    assert_eq!(ask("unicorn", Some(&east), 1), ["vector"]);
    assert_eq!(ask("zebra", None, 9).len(), 3);
    // One of another model's length: words alone.
    assert_eq!(ask("zebra", Some(&vector(&[1.0, 0.0, 0.0])), 9), ask("zebra", None, 9));
}

#[test]
fn what_is_gone_is_tidied_away_and_bytes_are_counted() {
    let mut index = Index::new();
    let mut most = 0;
    for round in 0..40u32 {
        for number in 0..300u32 {
            let text = format!("text number {number} of round{round} with zebra{}", number % 7);
            add(&mut index, &format!("source {number}"), &["tag"], &[&text, "and more"]);
        }
        most = most.max(index.bytes());
    }
    assert_eq!((index.passages(), index.sources()), (600, 300));
    assert!(index.passages.len() < 600 + 600.max(GONE) + 2, "{}", index.passages.len());
    let counted = index.bytes();
    index.recount();
    let words = index.words.len() as u64 * 200;
    assert!(counted.abs_diff(index.bytes()) < words, "{counted} {}", index.bytes());
    assert_eq!(find(&index, "round39", &["tag"]).len(), 10);
    assert_eq!(find(&index, "round3", &[]), []);
    for number in 0..300 {
        assert!(index.remove(&format!("source {number}")));
    }
    index.tidy();
    assert_eq!((index.bytes(), index.words.len(), most > 0), (0, 0, true));
}
