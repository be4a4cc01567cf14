use serde_json::{Value, json};

use super::*;
use crate::chance::Chance;

fn ask(request: Value) -> Result<Answer, Error> {
    answer(serde_json::from_value(request).expect("it is of the right shape"))
}

fn sentences(language: &str, text: &str) -> Vec<String> {
    let told = ask(json!({"text": text, "language": language})).expect("it is valid");
    told.segments.into_iter().map(|segment| segment.text).collect()
}

fn words(language: &str, text: &str) -> Vec<String> {
    let told = ask(json!({"text": text, "language": language, "unit": "words"})).expect("it is valid");
    told.segments.into_iter().map(|segment| segment.text).collect()
}

#[test]
fn abbreviations_end_no_sentence_in_their_language() {
    for (language, text, parts) in [
        (
            "en",
            "Dr. Smith met Mr. J. R. Jones at 5 p.m. on Main St. in Boston. They left.",
            &["Dr. Smith met Mr. J. R. Jones at 5 p.m. on Main St. in Boston.", "They left."][..],
        ),
        (
            "en",
            "He lives in the U.S. and pays $3.50. \"Really?\" she asked. Yes!",
            &["He lives in the U.S. and pays $3.50.", "\"Really?\" she asked.", "Yes!"],
        ),
        ("en", "So do I. But who knows?", &["So do I.", "But who knows?"]),
        ("en", "See Fig. 3 and Vol. 2, e.g. The Times. End.", &["See Fig. 3 and Vol. 2, e.g. The Times.", "End."]),
        (
            "de",
            "Am 3. Oktober sprach Prof. Dr. Müller, z. B. über Nr. 5. Danach war Schluss.",
            &["Am 3. Oktober sprach Prof. Dr. Müller, z. B. über Nr. 5.", "Danach war Schluss."],
        ),
        ("de", "Das kostet ca. 5 Mio. Euro. Bzw. mehr.", &["Das kostet ca. 5 Mio. Euro.", "Bzw. mehr."]),
        ("fr", "M. Dupont et Mme. Curie sont là. Bonjour !", &["M. Dupont et Mme. Curie sont là.", "Bonjour !"]),
        (
            "es",
            "El Sr. García vive en la Av. Mayor. ¿Verdad? ¡Sí!",
            &["El Sr. García vive en la Av. Mayor.", "¿Verdad?", "¡Sí!"],
        ),
        (
            "pl",
            "Prof. Nowak mieszka na ul. Długiej, tzn. Blisko. Tak.",
            &["Prof. Nowak mieszka na ul. Długiej, tzn. Blisko.", "Tak."],
        ),
        ("ru", "Он живёт на ул. Ленина с 1990 г. Потом уехал.", &["Он живёт на ул. Ленина с 1990 г. Потом уехал."]),
        ("ja", "今日は晴れ。明日は雨？はい。", &["今日は晴れ。", "明日は雨？", "はい。"]),
        ("hi", "यह एक वाक्य है। यह दूसरा है।", &["यह एक वाक्य है।", "यह दूसरा है।"]),
        ("el", "Τι κάνεις; Καλά.", &["Τι κάνεις; Καλά."]),
    ] {
        assert_eq!(sentences(language, text), parts, "{text}");
    }
    // Without the language only Unicode's rules are there.
    assert_eq!(sentences("", "Ask Dr. Smith."), ["Ask Dr.", "Smith."]);
    assert_eq!(sentences("fi", "Ask Dr. Smith."), ["Ask Dr.", "Smith."]);
    // The end of a line ends a sentence, an abbreviation or not.
    assert_eq!(sentences("en", "Dr.\nSmith"), ["Dr.", "Smith"]);
}

#[test]
fn words_are_parted_as_unicode_says_and_elisions_as_the_language_does() {
    assert_eq!(
        words("en", "The quick (“brown”) fox can't jump 32.3 feet, right?"),
        ["The", "quick", "brown", "fox", "can't", "jump", "32.3", "feet", "right"]
    );
    assert_eq!(words("fr", "L'eau d’aujourd'hui qu'il boit"), ["L'", "eau", "d’", "aujourd'hui", "qu'", "il", "boit"]);
    assert_eq!(words("it", "dell'acqua un’altra"), ["dell'", "acqua", "un’", "altra"]);
    assert_eq!(words("en", "l'eau"), ["l'eau"]);
    assert_eq!(words("hi", "यह एक वाक्य है।"), ["यह", "एक", "वाक्य", "है"]);
    assert_eq!(words("", "e\u{301}te\u{301} naïve 👩‍👩‍👧 a_b"), ["e\u{301}te\u{301}", "naïve", "a_b"]);
}

#[test]
fn nothing_is_lost_between_segments_and_offsets_are_exact() {
    let pieces = [
        "Dr. ",
        "A",
        "b. ",
        "C? ",
        "\n",
        "\r\n",
        "ß",
        "é",
        "e\u{301}",
        "日本。",
        " ",
        "!",
        "3. ",
        "“Q.” ",
        "👩‍👩‍👧",
        "…",
        "z. B. ",
        "\u{2029}",
    ];
    let mut chance = Chance::new(13);
    for _ in 0..3_000 {
        let text: String = (0..chance.below(15)).map(|_| pieces[chance.below(pieces.len() as u64) as usize]).collect();
        for (language, unit) in [("de", "sentences"), ("", "sentences"), ("fr", "words")] {
            let Ok(told) = ask(json!({"text": text, "language": language, "unit": unit})) else {
                assert!(unit == "words" && text.contains('日'), "{text:?}");
                continue;
            };
            let mut at = 0;
            for segment in &told.segments {
                assert_eq!(text[segment.start..segment.end], segment.text, "{text:?}");
                let characters: String = text
                    .chars()
                    .skip(segment.start_character)
                    .take(segment.end_character - segment.start_character)
                    .collect();
                assert_eq!(characters, segment.text, "{text:?}");
                let between = &text[at..segment.start];
                assert!(unit == "words" || between.trim().is_empty(), "{text:?}: {between:?}");
                assert!(unit == "sentences" || !between.contains(['A', 'b', 'ß']), "{text:?}: {between:?}");
                at = segment.end;
            }
            assert!(unit == "words" || text[at..].trim().is_empty(), "{text:?}");
        }
    }
}

#[test]
fn what_takes_a_dictionary_is_unsupported() {
    for (text, unit) in [
        ("มนุษย์ทั้งหลายเกิดมามีอิสระ", "sentences"),
        ("មនុស្សទាំងអស់", "words"),
        ("人人生而自由", "words"),
        ("すべての人間は", "words"),
    ] {
        let refused = ask(json!({"text": text, "unit": unit}));
        assert!(matches!(&refused, Err(Error::Unsupported(what)) if what.contains("dictionary")), "{text}");
    }
    assert!(matches!(ask(json!({"text": "a".repeat(MOST_TEXT + 1)})), Err(Error::Unsupported(_))));
    assert!(ask(json!({"text": "Bangkok (กรุงเทพ) is large. So is Tokyo, 東京.", "unit": "words"})).is_ok());
    let told = ask(json!({"text": "x", "language": "eu"})).expect("it is valid");
    assert!(!told.language_known);
}
