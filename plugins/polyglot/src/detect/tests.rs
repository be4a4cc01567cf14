use serde_json::{Value, json};

use super::*;
use crate::chance::Chance;

fn ask(request: Value) -> Answer {
    answer(serde_json::from_value(request).expect("it is of the right shape")).expect("it is valid")
}

fn detect(text: &str) -> Answer {
    ask(json!({"text": text}))
}

fn declaration() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = include_str!("declaration.txt").lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split_once('\t').expect("a language and a text"))
}

#[test]
fn the_declaration_of_human_rights_is_known_in_every_language() {
    let mut count = 0;
    for (language, text) in declaration() {
        let told = detect(text);
        assert_eq!(told.language, language, "{told:?}");
        assert!(told.certainty > 0.9, "{told:?}");
        assert_eq!(told.likeliest[0].language, language);
        count += 1;
    }
    assert!(count >= 50, "{count}");
}

#[test]
fn every_profile_is_tried_and_capitals_make_no_difference() {
    for profile in &PROFILES {
        let (_, text) = declaration().find(|(language, _)| *language == profile.code).expect(profile.code);
        assert_eq!(detect(&text.to_uppercase()).language, profile.code);
    }
}

#[test]
fn first_lines_of_books_are_known() {
    for (language, text) in [
        ("en", "Call me Ishmael. Some years ago—never mind how long precisely—having little or no money in my purse."),
        (
            "de",
            "Als Gregor Samsa eines Morgens aus unruhigen Träumen erwachte, fand er sich in seinem Bett zu einem ungeheueren Ungeziefer verwandelt.",
        ),
        ("fr", "Longtemps, je me suis couché de bonne heure."),
        (
            "es",
            "En un lugar de la Mancha, de cuyo nombre no quiero acordarme, no ha mucho tiempo que vivía un hidalgo.",
        ),
        (
            "it",
            "Nel mezzo del cammin di nostra vita mi ritrovai per una selva oscura, ché la diritta via era smarrita.",
        ),
        ("pt", "As armas e os barões assinalados que da ocidental praia lusitana, por mares nunca de antes navegados."),
        ("ru", "Все счастливые семьи похожи друг на друга, каждая несчастливая семья несчастлива по-своему."),
        (
            "pl",
            "Litwo! Ojczyzno moja! ty jesteś jak zdrowie; ile cię trzeba cenić, ten tylko się dowie, kto cię stracił.",
        ),
        ("fi", "Mieleni minun tekevi, aivoni ajattelevi lähteäni laulamahan, saa'ani sanelemahan."),
        ("uk", "Як умру, то поховайте мене на могилі, серед степу широкого, на Вкраїні милій."),
        ("cs", "Kde domov můj, kde domov můj? Voda hučí po lučinách, bory šumí po skalinách."),
        ("nl", "Ik ben makelaar in koffie, en woon op de Lauriergracht, No. 37."),
        ("sv", "Det var en gång en flicka som hette Pippi, och hon bodde ensam i ett stort gammalt hus."),
        ("da", "Der kom en soldat marcherende hen ad landevejen: én, to! én, to! Han havde sit tornyster på ryggen."),
        ("hu", "Talpra magyar, hí a haza! Itt az idő, most vagy soha! Rabok legyünk, vagy szabadok?"),
    ] {
        let told = detect(text);
        assert_eq!(told.language, language, "{told:?}");
    }
}

#[test]
fn where_it_says_that_it_is_sure_it_is_right_and_where_it_is_not_sure_it_says_so() {
    // Pieces of a few words of texts that the profiles were not made from.
    let mut chance = Chance::new(77);
    let (mut sure, mut right, mut claimed, mut all) = (0, 0, 0.0, 0);
    for (language, text) in declaration().filter(|(language, _)| PROFILES.iter().any(|known| known.code == *language)) {
        let words: Vec<&str> = text.split(' ').collect();
        for _ in 0..12 {
            let long = 3 + chance.below(5) as usize;
            let start = chance.below((words.len() - long) as u64) as usize;
            let told = detect(&words[start..start + long].join(" "));
            all += 1;
            if told.language != "und" {
                sure += 1;
                claimed += told.certainty;
                right += usize::from(told.language == language);
            }
        }
    }
    let (right, claimed) = (right as f64 / sure as f64, claimed / f64::from(sure));
    assert!(f64::from(sure) > 0.6 * f64::from(all), "{sure} of {all}");
    assert!(right > 0.95, "{right}");
    assert!((right - claimed).abs() < 0.05, "right in {right}, claimed {claimed}");
}

#[test]
fn what_is_too_short_or_mixed_or_unknown_is_undetermined_and_says_why() {
    for (text, reason) in [
        ("", "no letters"),
        ("42 % + 7", "no letters"),
        ("hello", "too short"),
        ("中国", "too short"),
        ("hello мир and good morning друзья мои", "mixed"),
        ("xqzt vbrkk wqpzz jjxq zzkw qqrt xvbn mzpq wwkz", "unlike"),
        ("Genir pawb yn rhydd ac yn gydradd â'i gilydd mewn urddas a hawliau. Fe'u cynysgaeddir â rheswm.", "unlike"),
        ("Të gjithë njerëzit lindin të lirë dhe të barabartë në dinjitet dhe në të drejta.", "unlike"),
        ("Барлық адамдар тумысынан азат және қадір-қасиеті мен кұқықтары тең болып дүниеге келеді.", "unlike"),
        ("Bonvolu alsendi la pordiston, lausajne estas rano en mia bideo.", ""),
    ] {
        let told = detect(text);
        assert_eq!(told.language, "und", "{text}: {told:?}");
        assert!(told.reason.starts_with(reason), "{text}: {told:?}");
    }
}

#[test]
fn a_text_in_several_languages_is_taken_apart() {
    let texts: Vec<(&str, &str)> =
        declaration().filter(|(language, _)| ["de", "fi", "ru"].contains(language)).collect();
    let text = texts.iter().map(|(_, text)| *text).collect::<Vec<_>>().join("\n");
    let told = detect(&text);
    assert!(told.language == "und" && told.reason.starts_with("mixed"), "{told:?}");
    let languages: Vec<_> = told.parts.iter().map(|part| part.language.as_str()).collect();
    assert_eq!(languages, texts.iter().map(|(language, _)| *language).collect::<Vec<_>>());
    for (part, (_, expected)) in told.parts.iter().zip(&texts) {
        assert_eq!(text[part.start..part.end].trim(), *expected);
    }
    // A quotation does not make a text another's.
    let quoted = format!("{} {} {} «Так говорят у нас»", texts[0].1, texts[0].1, texts[0].1);
    assert_eq!(detect(&quoted).language, "de");
}

#[test]
fn only_languages_that_are_asked_for_are_answered() {
    let told = ask(json!({"text": "Alle mennesker er født frie og lige", "among": ["nb", "sv"]}));
    assert!(told.likeliest.iter().all(|guess| ["nb", "sv"].contains(&guess.language.as_str())), "{told:?}");
    let told = ask(json!({"text": "Все люди рождаются свободными", "among": ["de", "el"]}));
    assert_eq!(told.language, "und");
    let wrong = answer(Request { text: String::new(), among: vec!["de".to_owned(), "xx".to_owned()] });
    assert!(matches!(wrong, Err(Error::Invalid { field, .. }) if field == "among[1]"));
    let long = answer(Request { text: "a".repeat(MOST_TEXT + 1), among: Vec::new() });
    assert!(matches!(long, Err(Error::Unsupported(_))));
}
