//! What a request that may change something is known by at each try of its turn, so that its receiver can do it once.

use crate::ctx::Ctx;
use http::{HeaderName, HeaderValue, Request};

/// A request's turn, and its position there.
pub(crate) type Seed = [u8; 32];

/// The header that says it.
const IDEMPOTENCY: HeaderName = HeaderName::from_static("idempotency-key");

/// Marks a request that may change something, unless the guest has done so. Such a request takes the seed.
pub(crate) fn mark<B>(seed: &mut Option<Seed>, request: &mut Request<B>) {
    let Some(seed) = seed.take_if(|_| !request.method().is_safe()) else { return };
    if !request.headers().contains_key(&IDEMPOTENCY) {
        let key = known_by(&seed, request);
        request.headers_mut().insert(IDEMPOTENCY, key);
    }
}

/// Of the turn, the position in it, the method and the address: a try that asks something else has another key.
fn known_by<B>(seed: &Seed, request: &Request<B>) -> HeaderValue {
    let mut hasher = blake3::Hasher::new_keyed(seed);
    hasher.update(request.method().as_str().as_bytes());
    hasher.update(b" ");
    hasher.update(request.uri().to_string().as_bytes());
    let text = hasher.finalize().to_hex();
    HeaderValue::from_str(&text[..32]).unwrap_or(HeaderValue::from_static("none"))
}

impl Ctx {
    /// What a request is known by that this turn sends now, at each of its tries; none if it is tried once.
    pub(crate) fn request_seed(&self) -> Option<Seed> {
        let (turn, books) = (self.turn.as_ref()?, self.standing.books.as_ref()?);
        let mut hasher = blake3::Hasher::new();
        hasher.update(&books.salt().to_le_bytes());
        for part in [self.standing.name.as_bytes(), turn.id.as_bytes()] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        hasher.update(&self.posts.to_le_bytes());
        Some(*hasher.finalize().as_bytes())
    }
}
