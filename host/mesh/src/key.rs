//! Keys and signatures as they are written and sent: ed25519, 32 and 64 bytes.

use libp2p::PeerId;
use libp2p::identity::{Keypair, PublicKey, ed25519};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A peer's public key. A [`PeerId`] of this mesh is nothing but this in another writing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key([u8; 32]);

/// What a peer has signed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Signature([u8; 32], [u8; 32]);

/// The code of the multihash that holds the key itself.
const IDENTITY: u64 = 0;
/// What a key begins with there: that it is ed25519, and its 32 bytes.
const ED25519: [u8; 4] = [8, 1, 18, 32];

impl Key {
    /// The key that this peer is named by; nothing if it is no ed25519 key.
    pub fn of(peer: &PeerId) -> Option<Key> {
        let hash = peer.as_ref();
        let key = (hash.code() == IDENTITY).then(|| PublicKey::try_decode_protobuf(hash.digest()).ok())??;
        key.try_into_ed25519().ok().map(|key| Key(key.to_bytes()))
    }

    /// The bytes by which a peer is named, without a look whether they are a key, which takes as long as all else that is
    /// done with a message: enough for a peer that has proved who it is, and to look for it among those that are known.
    pub(crate) fn named(peer: &PeerId) -> Option<Key> {
        let hash = peer.as_ref();
        let bytes = (hash.code() == IDENTITY).then(|| hash.digest().strip_prefix(&ED25519))??;
        bytes.try_into().ok().map(Key)
    }

    /// The public half of these keys.
    pub(crate) fn of_pair(keys: &Keypair) -> Option<Key> {
        Key::of(&keys.public().to_peer_id())
    }

    /// The peer that has it; nothing if these bytes are no key.
    pub fn peer(&self) -> Option<PeerId> {
        let key = ed25519::PublicKey::try_from_bytes(&self.0).ok()?;
        Some(PublicKey::from(key).to_peer_id())
    }

    /// Whether the holder of this key has signed these bytes for this purpose.
    pub(crate) fn has_signed(&self, purpose: &str, bytes: &[u8], signature: &Signature) -> bool {
        match ed25519::PublicKey::try_from_bytes(&self.0) {
            Ok(key) => key.verify(&purposed(purpose, bytes), &signature.bytes()),
            Err(_) => false,
        }
    }

    /// Its 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.peer() {
            Some(peer) => write!(f, "{peer}"),
            None => f.write_str("no key"),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Signature {
    fn bytes(&self) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&self.0);
        bytes[32..].copy_from_slice(&self.1);
        bytes
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(..)")
    }
}

/// Signs these bytes for one purpose, so that they are good for no other.
pub(crate) fn sign(keys: &Keypair, purpose: &str, bytes: &[u8]) -> Signature {
    let signed = keys.sign(&purposed(purpose, bytes)).expect("an ed25519 key signs anything");
    let (mut left, mut right) = ([0; 32], [0; 32]);
    left.copy_from_slice(&signed[..32]);
    right.copy_from_slice(&signed[32..64]);
    Signature(left, right)
}

fn purposed(purpose: &str, bytes: &[u8]) -> Vec<u8> {
    let mut all = Vec::with_capacity(purpose.len() + bytes.len() + 9);
    all.extend_from_slice(b"village ");
    all.extend_from_slice(purpose.as_bytes());
    all.push(0);
    all.extend_from_slice(bytes);
    all
}

/// Random bytes of the system.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system has random bytes");
    bytes
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_named_by_its_key() {
        let keys = Keypair::ed25519_from_bytes([7; 32]).unwrap();
        let peer = keys.public().to_peer_id();
        let key = Key::of_pair(&keys).unwrap();
        assert_eq!((Key::named(&peer), key.peer()), (Some(key), Some(peer)));
        // Only its hash is in the name of one with another kind of key.
        let hashed = PeerId::from_multihash(libp2p::multihash::Multihash::wrap(0x12, &[7; 32]).unwrap()).unwrap();
        assert_eq!((Key::named(&hashed), Key::of(&hashed)), (None, None));
    }
}
