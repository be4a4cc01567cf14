//! Words, as they are looked for: in lower case, without the ends that English gives them, names in their parts as well.

use unicode_segmentation::UnicodeSegmentation as _;

/// A word counts no further than this: what is longer is no word.
const LONGEST: usize = 64;

/// Each word of a text, in order; names such as `readFile` and `read_file` as a whole and in parts.
pub(crate) fn each_word(text: &str, mut each: impl FnMut(&str)) {
    let mut word = String::new();
    for found in text.unicode_words() {
        let found = &found[..found.floor_char_boundary(LONGEST)];
        normal(found, &mut word);
        each(&word);
        if found.is_ascii() {
            for part in parts(found) {
                normal(part, &mut word);
                each(&word);
            }
        }
    }
}

fn normal(found: &str, word: &mut String) {
    word.clear();
    match found.is_ascii() {
        true => {
            word.push_str(found);
            word.make_ascii_lowercase();
        }
        false => word.extend(found.chars().flat_map(char::to_lowercase)),
    }
    if let Some(stem) = word.strip_suffix("'s").or_else(|| word.strip_suffix("’s")) {
        word.truncate(stem.len());
    }
    stem(word);
}

/// Takes off how English bends a word; those that it never bent stay alike in texts and in questions.
fn stem(word: &mut String) {
    if word.len() < 4 || !word.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return;
    }
    let length = word.len();
    if word.ends_with("ies") && length > 4 {
        word.truncate(length - 3);
        word.push('y');
    } else if word.ends_with("sses") || word.ends_with("shes") || word.ends_with("ches") || word.ends_with("xes") {
        word.truncate(length - 2);
    } else if word.ends_with('s') && !word.ends_with("ss") && !word.ends_with("us") && !word.ends_with("is") {
        word.truncate(length - 1);
    }
    for end in ["ing", "ed", "e"] {
        let Some(rest) = word.strip_suffix(end).filter(|_| !word.ends_with("eed")) else { continue };
        let spoken = rest.len() >= 3 && rest.bytes().any(|byte| b"aeiouy".contains(&byte));
        if !spoken || (end == "e" && rest.ends_with('e')) {
            continue;
        }
        let bytes = rest.as_bytes();
        let (last, before) = (bytes[bytes.len() - 1], bytes[bytes.len() - 2]);
        // As in `running`, and not as in `falling`.
        let doubled = end != "e" && last == before && !b"aeioulsz".contains(&last);
        word.truncate(rest.len() - usize::from(doubled));
        return;
    }
}

/// The parts of a name; none if it has but one.
fn parts(name: &str) -> Vec<&str> {
    let bytes = name.as_bytes();
    let (mut parts, mut start) = (Vec::new(), 0);
    for at in 1..bytes.len() {
        let (before, here) = (bytes[at - 1], bytes[at]);
        let next = bytes.get(at + 1).copied().unwrap_or(b'_');
        let hump = before.is_ascii_lowercase() && here.is_ascii_uppercase();
        let abbreviation = before.is_ascii_uppercase() && here.is_ascii_uppercase() && next.is_ascii_lowercase();
        if here == b'_' || here == b'.' {
            parts.push(&name[start..at]);
            start = at + 1;
        } else if hump || abbreviation {
            parts.push(&name[start..at]);
            start = at;
        }
    }
    if start == 0 {
        return Vec::new();
    }
    parts.push(&name[start..]);
    parts.retain(|part| part.len() > 1);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let mut words = Vec::new();
        each_word(text, |word| words.push(word.to_owned()));
        words
    }

    #[test]
    fn words_of_a_text_and_of_a_question_are_alike() {
        assert_eq!(words("The cities' buses, classes and Churches"), ["the", "city", "bus", "class", "and", "church"]);
        assert_eq!(words("a bus is glass; analysis"), ["a", "bus", "is", "glass", "analysis"]);
        for one in ["make makes making", "run runs running", "burn burned burning", "place placed places"] {
            let all = words(one);
            assert!(all.iter().all(|word| *word == all[0]), "{all:?}");
        }
        assert_eq!(
            words("string thing red need being sing speed"),
            ["string", "thing", "red", "need", "being", "sing", "speed"]
        );
        assert_eq!(words("Ada’s Straße ÜBER"), ["ada", "straße", "über"]);
        assert_eq!(words("データ 東京"), words("データ東京"));
        assert_eq!(words("don't 3.14 x2s"), ["don't", "3.14", "14", "x2s"]);
    }

    #[test]
    fn names_are_found_by_their_parts() {
        assert_eq!(words("read_file"), ["read_file", "read", "fil"]);
        assert_eq!(
            words("HttpServer parseXMLFile"),
            ["httpserver", "http", "server", "parsexmlfil", "pars", "xml", "fil"]
        );
    }

    #[test]
    fn a_word_is_cut_where_no_word_goes_on() {
        assert_eq!(words(&"é".repeat(1000))[0].len(), LONGEST);
    }
}
