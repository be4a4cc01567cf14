//! What a request is known by that may be sent more than once, so that its receiver can do it once.
//!
//! It goes with the task that asks: which back end is chosen, and how often it is asked, is decided without looking at it.

use http::{HeaderName, HeaderValue};

tokio::task_local! {
    static SEED: [u8; 32];
}

/// The header that says it.
pub(super) const HEADER: HeaderName = HeaderName::from_static("idempotency-key");

/// Has all requests that `work` sends be known by a key made of `seed`: the same one for the same request.
pub async fn known_by<T>(seed: [u8; 32], work: impl Future<Output = T>) -> T {
    SEED.scope(seed, work).await
}

/// The key of a request to a path; none if nobody asked for one. Another body has another key.
pub(super) fn key(path: &str, body: &[u8]) -> Option<HeaderValue> {
    let seed = SEED.try_with(|seed| *seed).ok()?;
    let mut hasher = blake3::Hasher::new_keyed(&seed);
    hasher.update(&(path.len() as u64).to_le_bytes()).update(path.as_bytes()).update(body);
    HeaderValue::from_str(&hasher.finalize().to_hex()[..32]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_same_request_has_the_same_key_and_another_one_another() {
        assert_eq!(key("/a", b"1"), None);
        let keys = known_by([1; 32], async { [key("/a", b"1"), key("/a", b"1"), key("/b", b"1"), key("/a", b"2")] });
        let [one, again, path, body] = keys.await.map(|key| key.expect("there is one"));
        assert_eq!(one, again);
        assert!(one != path && one != body);
        assert_ne!(known_by([2; 32], async { key("/a", b"1") }).await, Some(one));
    }
}
