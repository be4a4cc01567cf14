use serde_json::{Value, json};

use super::*;

fn ask(request: Value) -> Result<Answer, Error> {
    answer(serde_json::from_value(request).expect("it is of the right shape"))
}

fn one(request: Value) -> String {
    ask(request).expect("it is valid").texts.concat()
}

#[test]
fn numbers_per_cents_and_money_agree_with_icu() {
    let (mut checked, mut wrong) = (0, Vec::new());
    for line in include_str!("cldr.txt").lines().filter(|line| !line.starts_with('#')) {
        let [language, style, number, expected] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        // Signs that are not the English ones, and per cents that are grouped in a way of their own.
        let own = matches!(
            (language, style),
            ("ar", "USD" | "JPY")
                | ("da" | "fi" | "is" | "mn", "SEK")
                | ("de-CH", "EUR")
                | ("ja", "JPY")
                | ("sq", "USD" | "SEK" | "JPY")
                | ("bn" | "ml" | "mr" | "te", "percent")
        );
        // The data here is of CLDR 49, in which these two changed their separators.
        let own = own || matches!(language, "fr-CH" | "gl") || (matches!(language, "ml" | "mr") && style != "decimal");
        if own {
            continue;
        }
        let request = match style {
            "decimal" | "percent" => json!({"language": language, "numbers": [number], "style": style}),
            currency => json!({"language": language, "numbers": [number], "style": "currency",
                "currency": currency.trim_end_matches('/'), "code": currency.ends_with('/')}),
        };
        let told = one(request);
        checked += 1;
        if told != expected {
            wrong.push(format!("{line}: {told}"));
        }
    }
    assert!(checked > 2_000, "{checked}");
    assert!(wrong.is_empty(), "{} of {checked}: {:#?}", wrong.len(), &wrong[..wrong.len().min(60)]);
}

#[test]
fn digits_after_the_point_are_as_asked_and_halves_go_up() {
    let en = |number: &str, least: u32, most: u32| {
        one(json!({"language": "en", "numbers": [number], "least_digits": least, "most_digits": most}))
    };
    assert_eq!(en("2.5", 0, 0), "3");
    assert_eq!(en("-2.5", 0, 0), "-3");
    assert_eq!(en("1", 2, 4), "1.00");
    assert_eq!(en("1.23456", 2, 4), "1.2346");
    assert_eq!(en("99999999999999999999.995", 2, 2), "100,000,000,000,000,000,000.00");
    assert_eq!(one(json!({"language": "en", "numbers": ["12345"], "grouping": false})), "12345");
    assert_eq!(one(json!({"language": "ar-u-nu-arab", "numbers": [12345]})), "١٢٬٣٤٥");
    assert_eq!(one(json!({"language": "en", "numbers": ["0.1234"], "style": "percent", "most_digits": 1})), "12.3%");
}

#[test]
fn what_is_wrong_is_named_and_what_is_not_known_is_unsupported() {
    for (request, wrong) in [
        (json!({"language": "e", "numbers": []}), "language"),
        (json!({"language": "en", "numbers": [1], "style": "currency"}), "currency"),
        (json!({"language": "en", "numbers": [1], "style": "currency", "currency": "eur"}), "currency"),
        (json!({"language": "en", "numbers": [1], "currency": "EUR"}), "currency"),
        (json!({"language": "en", "numbers": [1], "least_digits": 21}), "least_digits"),
        (json!({"language": "en", "numbers": [1], "least_digits": 3, "most_digits": 2}), "least_digits"),
        (json!({"language": "en", "numbers": ["0x10"]}), "numbers[0]"),
    ] {
        let refused = ask(request).err().expect("it is refused");
        assert!(matches!(&refused, Error::Invalid { field, .. } if field == wrong), "{refused:?}, not {wrong}");
    }
    // Digits are known, signs are not.
    assert_eq!(one(json!({"language": "zu", "numbers": [1]})), "1");
    for language in ["zu", "bn", "ar-EG", "en-DE", "fa-u-nu-latn"] {
        let refused = ask(json!({"language": language, "numbers": [1], "style": "percent"}));
        assert!(matches!(refused, Err(Error::Unsupported(_))), "{language}");
    }
}
