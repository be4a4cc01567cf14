use serde_json::{Value, json};

use super::*;
use crate::chance::Chance;

fn ask(request: Value) -> Result<Answer, Error> {
    answer(serde_json::from_value(request).expect("it is of the right shape"))
}

fn put(entries: Value, text: &str) -> String {
    ask(json!({"text": text, "entries": entries})).expect("it is valid").text
}

fn pair(term: &str, replacement: &str) -> Value {
    json!({"term": term, "replacement": replacement})
}

#[test]
fn the_longest_term_is_put_in_the_case_of_what_it_replaces() {
    let entries =
        json!([pair("account", "Konto"), pair("account manager", "kundenbetreuer"), pair("sign in", "anmelden")]);
    assert_eq!(
        put(entries, "Account managers sign in. Your ACCOUNT MANAGER has no account; accounts, Sign\u{a0}in!"),
        "Konto managers anmelden. Your KUNDENBETREUER has no Konto; accounts, Anmelden!"
    );
    assert_eq!(
        put(json!([pair("account manager", "x"), pair("account", "konto")]), "account managers"),
        "konto managers"
    );
    let kept = json!([{"term": "ios", "replacement": "iOS", "case": "keep"}, {"term": "US", "replacement": "USA", "case": "exact"}]);
    assert_eq!(put(kept, "IOS, Ios, tell us of the US"), "iOS, iOS, tell us of the USA");
}

#[test]
fn inflected_forms_are_those_that_were_given() {
    let entries = json!([{"term": "Haus", "replacement": "house", "forms": [
        {"form": "Häuser", "replacement": "houses"}, {"form": "Hauses", "replacement": "of the house"}]}]);
    let told = ask(json!({"text": "Das Haus, die HÄUSER, des Hauses, der Häusern.", "entries": entries}))
        .expect("it is valid");
    assert_eq!(told.text, "Das House, die HOUSES, des Of the house, der Häusern.");
    assert_eq!(told.changes.iter().map(|change| change.term.as_str()).collect::<Vec<_>>(), ["Haus"; 3]);
}

#[test]
fn nothing_is_put_into_what_is_protected() {
    let entries = json!([pair("name", "Name_"), pair("s", "x"), pair("b", "y"), pair("file", "Datei")]);
    for text in [
        "{name} {{ name }} {name, plural, one {file} other {file}} ${name}",
        "%s %(name)s %1$s",
        "<b name=\"file > name\"></b> <!-- file name -->",
        "`file` ``the file` name`` https://file.example/name?b=s, name@file.example",
    ] {
        let bare = text.replace(", ", " ").replace("plural", "").is_empty();
        assert!(!bare);
        assert_eq!(put(entries.clone(), text), text);
    }
    assert_eq!(put(entries.clone(), "file {name} file; 100% file { file"), "Datei {name} Datei; 100% Datei { Datei");
    let told = ask(
        json!({"text": "{file} File Manager file", "entries": entries, "protect": ["File Manager"], "protect_markup": false}),
    );
    assert_eq!(told.expect("it is valid").text, "{Datei} File Manager Datei");
}

#[test]
fn words_are_whole_in_scripts_with_blanks_and_anywhere_in_scripts_without() {
    assert_eq!(
        put(json!([pair("cat", "chat")]), "cat concat cats cat_1 cat's (cat) cate\u{301}"),
        "chat concat cats cat_1 chat's (chat) cate\u{301}"
    );
    assert_eq!(
        put(json!([pair("東京", "Tokyo"), pair("東京都", "Tokyo-to")]), "私は東京都と東京に"),
        "私はTokyo-toとTokyoに"
    );
    assert_eq!(
        put(json!([pair("C++", "Rust"), pair("e-mail", "courriel")]), "C++, C+++ e-mail C++11"),
        "Rust, Rust+ courriel Rust11"
    );
    assert_eq!(
        put(json!([pair("straße", "street"), pair("İstanbul", "Byzantium")]), "STRASSE Straße İSTANBUL"),
        "STRASSE Street BYZANTIUM"
    );
}

#[test]
fn conflicts_are_named_and_none_of_them_is_put() {
    let told = ask(json!({"text": "The bank by the Bank of turkey, Turkey; fine.", "entries": [
        pair("bank", "Ufer"), pair("Bank", "Geldhaus"), pair("fine", "gut"), pair("fine", "gut"),
        {"term": "Turkey", "replacement": "Türkei", "case": "exact"}, pair("turkey", "Pute")]}))
    .expect("it is valid");
    assert_eq!(told.text, "The bank by the Bank of Pute, Türkei; gut.");
    assert_eq!(told.conflicts.len(), 1);
    assert_eq!(
        (told.conflicts[0].form.as_str(), &told.conflicts[0].replacements[..]),
        ("bank", &["Ufer".to_owned(), "Geldhaus".to_owned()][..])
    );
    assert_eq!(told.conflicts[0].entries, ["entries[0].term", "entries[1].term"]);
    assert_eq!(told.unused, ["bank", "Bank", "fine"]);
}

#[test]
fn terms_that_overlap_in_part_are_named() {
    let told = ask(
        json!({"text": "in New York City Hall", "entries": [pair("New York City", "NYC"), pair("City Hall", "Rathaus")]}),
    );
    let told = told.expect("it is valid");
    assert_eq!(told.text, "in NYC Hall");
    assert_eq!(told.overlaps, [Overlap { put: "New York City".to_owned(), left: "City Hall".to_owned(), start: 12 }]);
}

#[test]
fn what_was_put_is_not_replaced_again_and_both_offsets_are_right() {
    assert_eq!(put(json!([pair("a", "b"), pair("b", "a")]), "a b a"), "b a b");
    let terms = ["ab", "abc", "c d", "é", "{x}", "日", "d"];
    let pieces = ["ab", "c", " ", "d", "é", "{x}", "日本", ".", "ABC", "`", "<i>"];
    let mut chance = Chance::new(31);
    for _ in 0..3_000 {
        let text: String = (0..chance.below(14)).map(|_| pieces[chance.below(pieces.len() as u64) as usize]).collect();
        let entries: Vec<Value> = terms.iter().map(|term| pair(term, &format!("<{term}>"))).collect();
        let told = ask(json!({"text": text, "entries": entries})).expect("it is valid");
        let (mut old, mut new) = (0, 0);
        for change in &told.changes {
            assert_eq!(text[old..change.start], told.text[new..change.new_start], "{text:?}");
            assert_eq!(
                (&text[change.start..change.end], &told.text[change.new_start..change.new_end]),
                (change.was.as_str(), change.now.as_str())
            );
            (old, new) = (change.end, change.new_end);
        }
        assert_eq!(text[old..], told.text[new..], "{text:?}");
    }
}

#[test]
fn what_is_wrong_is_named_and_what_is_too_much_is_unsupported() {
    for (request, wrong) in [
        (json!({"text": "", "entries": [pair("a", "b"), pair(" ", "b")]}), "entries[1].term"),
        (
            json!({"text": "", "entries": [{"term": "a", "replacement": "b", "forms": [{"form": "", "replacement": "x"}]}]}),
            "entries[0].forms[0].form",
        ),
        (json!({"text": "", "entries": [], "protect": ["x", ""]}), "protect[1]"),
        (json!({"text": "", "entries": [pair(&"a".repeat(201), "b")]}), "entries[0].term"),
    ] {
        let refused = ask(request).err().expect("it is refused");
        assert!(matches!(&refused, Error::Invalid { field, .. } if field == wrong), "{refused:?}, not {wrong}");
    }
    assert!(matches!(ask(json!({"text": "a".repeat(MOST_TEXT + 1), "entries": []})), Err(Error::Unsupported(_))));
    let huge = json!({"text": "a ".repeat(1000), "entries": [pair("a", &"b".repeat(10_000))]});
    assert!(matches!(ask(huge), Err(Error::Unsupported(_))));
}

#[test]
fn a_text_made_to_be_slow_is_not() {
    for (term, piece) in [
        ("a".repeat(199), "a"),
        ("a ".repeat(99), "a "),
        ("x".to_owned(), "<!--"),
        ("x".to_owned(), "` "),
        ("x".to_owned(), "{"),
        ("x".to_owned(), "a@"),
    ] {
        let begun = std::time::Instant::now();
        ask(json!({"text": piece.repeat((1 << 14) / piece.len()), "entries": [pair(&format!("{term}b"), "y")]}))
            .expect("it is valid");
        assert!(begun.elapsed().as_secs() < 10, "{piece}: {:?}", begun.elapsed());
    }
}
