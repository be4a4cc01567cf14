//! How people name peers: by the letters in which they differ.

/// What every peer's name begins with: it is of no use for telling them apart.
const COMMON: &str = "12D3KooW";

/// The letters by which people tell peers apart.
const SHORT: usize = 8;

/// The short name of a peer: the first letters after those that all have.
pub fn short(peer: &str) -> &str {
    let rest = peer.strip_prefix(COMMON).unwrap_or(peer);
    rest.get(..SHORT).unwrap_or(rest)
}

/// Whether a peer may be meant: its name begins so, with or without the letters that all have.
pub fn may_be(peer: &str, text: &str) -> bool {
    peer.starts_with(text) || peer.strip_prefix(COMMON).is_some_and(|rest| rest.starts_with(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_known_by_the_letters_after_those_that_all_have() {
        let peer = "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5";
        assert_eq!(short(peer), "K99VoVxN");
        assert_eq!((short("12D3KooWab"), short("é")), ("ab", "é"));
        assert!(may_be(peer, "K99Vo") && may_be(peer, "12D3KooWK9") && may_be(peer, peer));
        assert!(!may_be(peer, "99Vo") && !may_be(peer, "12D3KooWL"));
    }
}
