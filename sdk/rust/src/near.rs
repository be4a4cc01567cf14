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

/// Bytes to put in, take out, change, or swap with the next.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    let mut before = row.clone();
    for (i, letter) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, other) in b.iter().enumerate() {
            let mut best = (row[j] + usize::from(letter != other)).min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && *letter == b[j - 1] && a[i - 1] == *other {
                best = best.min(before[j - 1] + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
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
        assert_eq!(nearest("graet", &known), Some("greet"));
        assert_eq!(nearest("prat", &known), Some("part"), "two letters that changed places are one slip");
        assert_eq!(nearest("teleport", &known), None);
        assert_eq!(nearest("", &known), None);
        assert_eq!(nearest("greet", &[]), None);
    }

    #[test]
    fn a_distance_counts_each_change_once() {
        assert_eq!(distance(b"kitten", b"sitting"), 3);
        assert_eq!(distance(b"", b"abc"), 3);
        assert_eq!(distance(b"flaw", b"lawn"), 2);
        assert_eq!(distance(b"nmae", b"name"), 1);
        assert_eq!(distance(b"abcd", b"badc"), 2);
    }
}
