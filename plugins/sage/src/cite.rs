//! What a model has cited: `[2]` in its text is the second passage that it was shown.

/// The text without numbers that are no passage's, and the passages that it cites, in the order in which they are cited first.
pub(crate) fn check(text: &str, passages: usize) -> (String, Vec<usize>) {
    let (mut kept, mut cited) = (String::new(), Vec::new());
    let mut rest = text;
    while let Some(open) = rest.find('[') {
        kept.push_str(&rest[..open]);
        rest = &rest[open..];
        let Some(close) = rest.find(']') else { break };
        let numbers: Option<Vec<usize>> = rest[1..close].split(',').map(|number| number.trim().parse().ok()).collect();
        let Some(numbers) = numbers else {
            kept.push('[');
            rest = &rest[1..];
            continue;
        };
        for number in numbers.into_iter().filter(|number| (1..=passages).contains(number)) {
            kept.push_str(&format!("[{number}]"));
            if !cited.contains(&(number - 1)) {
                cited.push(number - 1);
            }
        }
        rest = &rest[close + 1..];
    }
    kept.push_str(rest);
    (kept.trim().to_owned(), cited)
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn numbers_that_are_no_passage_are_taken_out() {
        assert_eq!(
            check("It burned [2]. It is old [1, 9][2]. [see] [", 2),
            ("It burned [2]. It is old [1][2]. [see] [".into(), vec![1, 0])
        );
        assert_eq!(check(" none [7] ", 3), ("none".into(), vec![]));
        assert_eq!(check("é[1]", 1), ("é[1]".into(), vec![0]));
    }
}
