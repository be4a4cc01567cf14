use serde_json::{Value, json};

use super::*;

fn ask(request: Value) -> Result<Answer, Error> {
    answer(serde_json::from_value(request).expect("it is of the right shape"))
}

fn told(language: &str, template: &str, values: Value) -> String {
    ask(json!({"language": language, "template": template, "values": values})).expect("it is valid").text
}

#[test]
fn each_language_takes_its_own_form() {
    let polish = "{count, plural, one {# plik} few {# pliki} many {# plików} other {# pliku}}";
    for (count, text) in [
        ("1", "1 plik"),
        ("3", "3 pliki"),
        ("5", "5 plików"),
        ("22", "22 pliki"),
        ("12", "12 plików"),
        ("1.5", "1,5 pliku"),
    ] {
        assert_eq!(told("pl", polish, json!({"count": count})), text);
    }
    let arabic = "{n, plural, zero {لا كتب} one {كتاب} two {كتابان} few {# كتب} many {# كتابا} other {# كتاب}}";
    for (count, text) in [(0, "لا كتب"), (1, "كتاب"), (2, "كتابان"), (3, "3 كتب"), (11, "11 كتابا"), (100, "100 كتاب")]
    {
        assert_eq!(told("ar-u-nu-latn", arabic, json!({"n": count})), text);
    }
    let place = "{n, selectordinal, one {#st} two {#nd} few {#rd} other {#th}}";
    for (count, text) in [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (21, "21st"), (112, "112th")] {
        assert_eq!(told("en", place, json!({"n": count})), text);
    }
}

#[test]
fn the_example_of_icus_own_guide_comes_out_as_it_says() {
    // The party of the ICU user guide, with its offset.
    let party = "{gender, select, female {{guests, plural, offset:1 =0 {{host} does not give a party.} \
        =1 {{host} invites {guest} to her party.} =2 {{host} invites {guest} and one other person to her party.} \
        other {{host} invites {guest} and # other people to her party.}}} other {{host} invites {guest}.}}";
    let text =
        |guests: u32| told("en", party, json!({"gender": "female", "guests": guests, "host": "Ana", "guest": "Bo"}));
    assert_eq!(text(0), "Ana does not give a party.");
    assert_eq!(text(1), "Ana invites Bo to her party.");
    assert_eq!(text(2), "Ana invites Bo and one other person to her party.");
    assert_eq!(text(1235), "Ana invites Bo and 1,234 other people to her party.");
    assert_eq!(told("en", party, json!({"gender": "x", "guests": 1, "host": "Ana", "guest": "Bo"})), "Ana invites Bo.");
}

#[test]
fn values_are_put_as_they_are_and_numbers_in_the_languages_way() {
    assert_eq!(
        told(
            "de",
            "{a} {b} {c, number} {d, number, percent}",
            json!({"a": "{x}", "b": 1234.5, "c": "1234567", "d": 0.5})
        ),
        "{x} 1.234,5 1.234.567 50\u{a0}%"
    );
    assert_eq!(told("en", "It''s '{'quoted'}' and isn't #1", json!({})), "It's {quoted} and isn't #1");
    assert_eq!(told("en", "{n, plural, other {'#' is #}}", json!({"n": 3})), "# is 3");
    assert_eq!(told("en", "{n, plural, =1.0 {one} other {more}}", json!({"n": "1"})), "one");
}

#[test]
fn forms_that_the_language_needs_and_the_template_lacks_are_named() {
    let told =
        ask(json!({"language": "ru", "template": "{n, plural, one {# файл} other {# файлов}}", "values": {"n": 3}}));
    let told = told.expect("it is valid");
    assert_eq!(told.text, "3 файлов");
    assert_eq!(told.lacking, [Lack { name: "n".to_owned(), forms: vec!["few".to_owned(), "many".to_owned()] }]);
}

#[test]
fn what_is_wrong_with_a_template_is_said_with_its_place() {
    for (template, place) in [
        ("{", "line 1, column 2"),
        ("a }", "line 1, column 3"),
        ("{n, plural, one {x}}", "no case `other`"),
        ("{n, plural, some {x} other {y}}", "the plural form `some`"),
        ("{n, plural, one {x} one {z} other {y}}", "the case `one` twice"),
        ("a\nb {n, plural other {y}}", "line 2, column 14"),
        ("{n, plural, other {y}", "column 22"),
        ("{n, plural, offset:x other {y}}", "offset"),
    ] {
        let refused =
            ask(json!({"language": "en", "template": template, "values": {"n": 1}})).err().expect("it is refused");
        assert!(
            refused.to_string().starts_with("`template` has ") && refused.to_string().contains(place),
            "{template}: {refused}"
        );
    }
    let deep = format!("{}{}", "{n, plural, other {".repeat(20), "}}".repeat(20));
    assert!(matches!(ask(json!({"language": "en", "template": deep, "values": {"n": 1}})), Err(Error::Invalid { .. })));
    for (template, values, wrong) in [
        ("{a}", json!({}), "values.a"),
        ("{a, number}", json!({"a": "many"}), "values.a"),
        ("{a, plural, offset:1 other {#}}", json!({"a": "1.5"}), "values.a"),
    ] {
        let refused =
            ask(json!({"language": "en", "template": template, "values": values})).err().expect("it is refused");
        assert!(matches!(&refused, Error::Invalid { field, .. } if field == wrong), "{refused:?}, not {wrong}");
    }
    assert!(matches!(
        ask(json!({"language": "en", "template": "{a, date}", "values": {"a": 1}})),
        Err(Error::Unsupported(_))
    ));
    let huge = json!({"language": "en", "template": "{a}".repeat(1000), "values": {"a": "x".repeat(10_000)}});
    assert!(matches!(ask(huge), Err(Error::Unsupported(_))));
}
