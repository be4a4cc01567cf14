//! Keys: their bytes sort as they do, and none is the beginning of another one's.

use base::Digest;

/// What a table's rows can be found by.
pub trait Key: Sized {
    /// How it is given: `&str` for a `String`, a tuple of such for a tuple.
    type Ref<'a>: Copy;

    /// Appends the key's bytes.
    fn encode(key: Self::Ref<'_>, into: &mut Vec<u8>);

    /// Takes a key off the front of `bytes`; nothing if they do not begin with one.
    fn decode(bytes: &mut &[u8]) -> Option<Self>;
}

macro_rules! number {
    ($($number:ty),*) => {$(
        impl Key for $number {
            type Ref<'a> = $number;

            fn encode(key: $number, into: &mut Vec<u8>) {
                into.extend_from_slice(&key.to_be_bytes());
            }

            fn decode(bytes: &mut &[u8]) -> Option<$number> {
                <[u8; size_of::<$number>()]>::decode(bytes).map(<$number>::from_be_bytes)
            }
        }
    )*};
}

number!(u8, u16, u32, u64);

impl<const N: usize> Key for [u8; N] {
    type Ref<'a> = [u8; N];

    fn encode(key: [u8; N], into: &mut Vec<u8>) {
        into.extend_from_slice(&key);
    }

    fn decode(bytes: &mut &[u8]) -> Option<[u8; N]> {
        let (key, rest) = bytes.split_first_chunk()?;
        *bytes = rest;
        Some(*key)
    }
}

impl Key for Digest {
    type Ref<'a> = &'a Digest;

    fn encode(key: &Digest, into: &mut Vec<u8>) {
        into.extend_from_slice(key.as_bytes());
    }

    fn decode(bytes: &mut &[u8]) -> Option<Digest> {
        Key::decode(bytes).map(Digest::from_bytes)
    }
}

// Bytes end with 0 0; a 0 among them is written as 0 255. So "a" sorts before "a\0", and that before "b".
const END: [u8; 2] = [0, 0];
const ZERO: [u8; 2] = [0, 255];

impl Key for Vec<u8> {
    type Ref<'a> = &'a [u8];

    fn encode(key: &[u8], into: &mut Vec<u8>) {
        escape(key, into);
        into.extend_from_slice(&END);
    }

    fn decode(bytes: &mut &[u8]) -> Option<Vec<u8>> {
        let mut key = Vec::with_capacity(bytes.len());
        loop {
            let zero = bytes.iter().position(|&byte| byte == 0)?;
            key.extend_from_slice(&bytes[..zero]);
            let mark = *bytes.get(zero + 1)?;
            *bytes = &bytes[zero + 2..];
            match mark {
                0 => return Some(key),
                255 => key.push(0),
                _ => return None,
            }
        }
    }
}

/// Appends bytes without their end: what all keys that begin with them begin with.
pub(crate) fn escape(key: &[u8], into: &mut Vec<u8>) {
    for (number, part) in key.split(|&byte| byte == 0).enumerate() {
        if number > 0 {
            into.extend_from_slice(&ZERO);
        }
        into.extend_from_slice(part);
    }
}

impl Key for String {
    type Ref<'a> = &'a str;

    fn encode(key: &str, into: &mut Vec<u8>) {
        <Vec<u8> as Key>::encode(key.as_bytes(), into);
    }

    fn decode(bytes: &mut &[u8]) -> Option<String> {
        String::from_utf8(<Vec<u8> as Key>::decode(bytes)?).ok()
    }
}

impl<A: Key, B: Key> Key for (A, B) {
    type Ref<'a> = (A::Ref<'a>, B::Ref<'a>);

    fn encode((a, b): Self::Ref<'_>, into: &mut Vec<u8>) {
        A::encode(a, into);
        B::encode(b, into);
    }

    fn decode(bytes: &mut &[u8]) -> Option<(A, B)> {
        Some((A::decode(bytes)?, B::decode(bytes)?))
    }
}

impl<A: Key, B: Key, C: Key> Key for (A, B, C) {
    type Ref<'a> = (A::Ref<'a>, B::Ref<'a>, C::Ref<'a>);

    fn encode((a, b, c): Self::Ref<'_>, into: &mut Vec<u8>) {
        A::encode(a, into);
        B::encode(b, into);
        C::encode(c, into);
    }

    fn decode(bytes: &mut &[u8]) -> Option<(A, B, C)> {
        Some((A::decode(bytes)?, B::decode(bytes)?, C::decode(bytes)?))
    }
}

/// The first bytes after all that begin with `prefix`; nothing if there are none.
pub(crate) fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != 255)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<K: Key>(key: K::Ref<'_>) -> Vec<u8> {
        let mut into = Vec::new();
        K::encode(key, &mut into);
        into
    }

    #[test]
    fn keys_sort_as_their_bytes_do_and_come_back() {
        let words = ["", "\0", "\0\0", "\0a", "a", "a\0", "a\0b", "a\u{1}", "ab", "b", "ÿ", "日"];
        let numbers = [0, 1, 255, 256, u64::MAX];
        let mut keys = Vec::new();
        for word in words {
            for number in numbers {
                keys.push((word.to_owned(), number));
            }
        }
        let encoded: Vec<_> = keys.iter().map(|(word, number)| bytes::<(String, u64)>((word, *number))).collect();
        assert!(encoded.is_sorted_by(|a, b| a < b));
        for (key, bytes) in keys.iter().zip(&encoded) {
            let mut rest = bytes.as_slice();
            assert_eq!(Key::decode(&mut rest).as_ref(), Some(key));
            assert!(rest.is_empty());
        }
    }

    #[test]
    fn what_follows_a_prefix_is_after_all_that_begin_with_it() {
        assert_eq!(after_prefix(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(after_prefix(&[1, 255, 255]), Some(vec![2]));
        assert_eq!(after_prefix(&[255]), None);
    }

    #[test]
    fn bytes_that_are_no_key_are_refused() {
        assert_eq!(String::decode(&mut b"abc".as_slice()), None);
        assert_eq!(String::decode(&mut b"abc\0".as_slice()), None);
        assert_eq!(String::decode(&mut b"abc\0\x07".as_slice()), None);
        assert_eq!(String::decode(&mut b"\xff\0\0".as_slice()), None);
        assert_eq!(u64::decode(&mut [0; 7].as_slice()), None);
    }
}
