//! The nearest of several names to one that is not among them.

/// The name in `known` that `name` was probably meant to be: at most a third of its letters differ.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let far = name.chars().count().max(3) / 3;
    let (distance, nearest) = known.iter().map(|other| (distance(name, other), *other)).min()?;
    (distance <= far).then_some(nearest)
}

/// Levenshtein's: letters to put in, take out or change.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_name_and_another_word_finds_none() {
        let known = ["greet", "part", "shortest-path"];
        assert_eq!(nearest("gret", &known), Some("greet"));
        assert_eq!(nearest("shortest_path", &known), Some("shortest-path"));
        assert_eq!(nearest("teleport", &known), None);
        assert_eq!(nearest("", &known), None);
        assert_eq!(nearest("greet", &[]), None);
    }

    #[test]
    fn a_distance_counts_each_change_once() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("flaw", "lawn"), 2);
    }
}
