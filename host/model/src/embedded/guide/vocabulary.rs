//! The bytes that each token stands for, in the order of the bytes, so that what begins alike is looked at once.

use crate::embedded::tokens::Tokens;

/// Longer tokens than this are cut off from counting: no text is shorter for them than it is said to be.
const LONGEST: usize = 64;

/// Tokens in the order of their bytes.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    pub(super) ids: Vec<u32>,
    ends: Vec<u32>,
    bytes: Vec<u8>,
    /// How many bytes each has in common with the one before.
    pub(super) common: Vec<u32>,
}

impl Sorted {
    /// Of tokens with their bytes.
    fn new(mut tokens: Vec<(Vec<u8>, u32)>) -> Sorted {
        tokens.sort();
        let mut sorted = Sorted::default();
        let mut before: &[u8] = &[];
        for (bytes, id) in &tokens {
            sorted.ids.push(*id);
            sorted.bytes.extend(bytes);
            sorted.ends.push(sorted.bytes.len() as u32);
            sorted.common.push(before.iter().zip(bytes).take_while(|(a, b)| a == b).count() as u32);
            before = bytes;
        }
        sorted
    }

    pub(super) fn bytes(&self, place: usize) -> &[u8] {
        let from = if place == 0 { 0 } else { self.ends[place - 1] as usize };
        &self.bytes[from..self.ends[place] as usize]
    }

    fn has(&self, bytes: &[u8]) -> bool {
        let (mut low, mut high) = (0, self.ids.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.bytes(middle).cmp(bytes) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return true,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        false
    }
}

/// What the tokens of a model stand for.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    pub(super) all: Sorted,
    /// Those that are whole letters which need no escape within a string, with how many.
    pub(super) plain: Vec<(u32, u32)>,
    /// The others.
    pub(super) odd: Sorted,
    /// Where each token stands among all.
    places: Vec<u32>,
}

impl Vocabulary {
    /// Of a model with so many tokens; none if it isn't known what they stand for.
    pub(crate) fn new(tokens: &Tokens, count: usize) -> Option<Vocabulary> {
        let mut known: Vec<(Vec<u8>, u32)> =
            tokens.bytes()?.into_iter().filter(|(bytes, id)| !bytes.is_empty() && (*id as usize) < count).collect();
        known.sort_by_key(|(_, id)| *id);
        let mut plain = Vec::new();
        let mut odd = Vec::new();
        for (bytes, id) in &known {
            match std::str::from_utf8(bytes) {
                Ok(text) if bytes.iter().all(|byte| *byte >= 0x20 && *byte != b'"' && *byte != b'\\') => {
                    plain.push((*id, text.chars().count() as u32));
                }
                _ => odd.push((bytes.clone(), *id)),
            }
        }
        let all = Sorted::new(known);
        let mut places = vec![u32::MAX; count];
        for (place, id) in all.ids.iter().enumerate() {
            places[*id as usize] = place as u32;
        }
        Some(Vocabulary { all, plain, odd: Sorted::new(odd), places })
    }

    /// The bytes of a token; none for one that only the host may set.
    pub(super) fn bytes(&self, id: u32) -> Option<&[u8]> {
        let place = *self.places.get(id as usize)?;
        (place != u32::MAX).then(|| self.all.bytes(place as usize))
    }

    /// How many tokens a text takes at least, from each of its bytes on.
    pub(super) fn count(&self, text: &[u8]) -> Vec<u64> {
        let mut least = vec![super::grammar::NEVER; text.len() + 1];
        least[text.len()] = 0;
        for at in (0..text.len()).rev() {
            for end in at + 1..=text.len().min(at + LONGEST) {
                if least[end] + 1 < least[at] && self.all.has(&text[at..end]) {
                    least[at] = least[end] + 1;
                }
            }
        }
        least
    }

    /// Whether each byte can be written by itself that strings and numbers are made of.
    pub(super) fn writes(&self) -> bool {
        b"0123456789-.\"a".iter().all(|byte| self.all.has(&[*byte]))
    }
}
