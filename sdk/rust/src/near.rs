//! The nearest of several names to one that is not among them.

/// The name in `known` that `name` was probably meant to be: at most a third of its bytes differ.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let mut best = name.len().max(3) / 3 + 1;
    let mut nearest = None;
    for other in known {
        let distance = distance(name.as_bytes(), other.as_bytes());
        if distance < best {
            (best, nearest) = (distance, Some(*other));
        }
    }
    nearest
}

/// Levenshtein's: bytes to put in, take out or change.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        row[0] = left;
        for (cell, other) in row[1..].iter_mut().zip(b) {
            let changed = diagonal + usize::from(letter != other);
            diagonal = *cell;
            left = changed.min(diagonal + 1).min(left + 1);
            *cell = left;
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
        assert_eq!(distance(b"kitten", b"sitting"), 3);
        assert_eq!(distance(b"", b"abc"), 3);
        assert_eq!(distance(b"flaw", b"lawn"), 2);
    }
}
