//! What files and objects may be called.

use super::{Answer, Refused};

const LONGEST: usize = 512;
const LONGEST_PART: usize = 255;

/// Whether `name` is a good one for `what`, a path or a name.
pub(super) fn check(what: &str, name: &str) -> Answer<()> {
    match fault(name) {
        None => Ok(()),
        Some(fault) => Err(Refused::Invalid(format!("{what} {fault}"))),
    }
}

fn fault(name: &str) -> Option<String> {
    if !(1..=LONGEST).contains(&name.len()) {
        return Some(format!("has 1 to {LONGEST} bytes, not {}", name.len()));
    }
    if name.contains(char::is_control) {
        return Some("has no control characters".into());
    }
    name.split('/').find_map(|part| match part {
        "" => Some("has no empty parts: none between two `/`, before the first or after the last".into()),
        "." | ".." => Some(format!("has no part `{part}`")),
        part if part.len() > LONGEST_PART => {
            Some(format!("has parts of at most {LONGEST_PART} bytes, not {}", part.len()))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parts_with_slashes_between_them() {
        let long = format!("{}/{}", "x".repeat(255), "y".repeat(255));
        for good in ["a", "a/b.txt", "ein Ordner/größe", ".hidden", "...", "a\\b", "C:", "-", &long] {
            assert!(check("a path", good).is_ok(), "{good}");
        }
        let (longer, part) = ("x/".repeat(256) + "x", "x".repeat(256));
        let bad = [
            "", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/.", "a\0b", "a\nb", "\u{7f}", "\u{9b}", &longer, &part,
        ];
        for bad in bad {
            assert!(matches!(check("a path", bad), Err(Refused::Invalid(_))), "{bad:?}");
        }
    }
}
