use serde_json::{Value, json};

use super::*;

fn ask(request: Value) -> Result<Answer, Error> {
    answer(serde_json::from_value(request).expect("it is of the right shape"))
}

#[test]
fn every_language_agrees_with_icu_on_every_number() {
    let mut lines = include_str!("cldr.txt").lines().filter(|line| !line.starts_with('#'));
    let numbers: Vec<&str> = lines.next().expect("there are numbers").split(' ').skip(1).collect();
    let (mut checked, mut wrong) = (0, Vec::new());
    // The data here is of CLDR 49, which has new rules for these.
    const NEW: [&str; 5] = ["af ordinal", "bg ordinal", "es ordinal", "gl cardinal", "vi cardinal"];
    for line in lines.filter(|line| !NEW.iter().any(|new| line.starts_with(new))) {
        let [language, kind, letters] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let known = letters.chars().zip(&numbers).filter(|(letter, _)| *letter != '-');
        let (expected, asked): (String, Vec<&str>) = known.map(|(letter, number)| (letter, *number)).unzip();
        let told = ask(json!({"language": language, "numbers": asked, "ordinal": kind == "ordinal"})).expect(language);
        let letter = |name: &String| if name == "other" { 'x' } else { name.chars().next().expect("it has a name") };
        let told_letters = told.categories.iter().map(letter).collect::<String>();
        if told_letters != expected {
            wrong.push(format!("{line}: {told_letters}"));
        }
        assert!(told.categories.iter().all(|category| told.all.contains(category)), "{line}");
        checked += told.categories.len();
    }
    assert!(checked > 10_000, "{checked}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_digits_that_are_written_count() {
    let told = ask(json!({"language": "en", "numbers": ["1", "1.0", 1]})).expect("it is valid");
    assert_eq!(told.categories, ["one", "other", "one"]);
}

#[test]
fn what_is_wrong_is_named_and_an_unknown_language_is_unsupported() {
    for (request, wrong) in [
        (json!({"language": "english!", "numbers": []}), "language"),
        (json!({"language": "en", "numbers": ["1", "one"]}), "numbers[1]"),
        (json!({"language": "en", "numbers": ["1e999999999"]}), "numbers[0]"),
        (json!({"language": "en", "numbers": ["9".repeat(41)]}), "numbers[0]"),
        (json!({"language": "en", "numbers": [1e300]}), "numbers[0]"),
        (json!({"language": "en", "numbers": [""]}), "numbers[0]"),
    ] {
        let refused = ask(request).err().expect("it is refused");
        assert!(matches!(&refused, Error::Invalid { field, .. } if field == wrong), "{refused:?}, not {wrong}");
    }
    assert!(matches!(ask(json!({"language": "tlh", "numbers": []})), Err(Error::Unsupported(_))));
    assert!(matches!(ask(json!({"language": "en", "numbers": vec![1; MOST_NUMBERS + 1]})), Err(Error::Unsupported(_))));
}
