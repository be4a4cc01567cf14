//! Invitations: a short-lived text, signed by a member, with which another peer can join through that member.

use crate::Error;
use crate::key::{self, Key, Signature};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libp2p::Multiaddr;
use libp2p::identity::Keypair;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What a member hands to somebody whom it lets in. It is as good as a key until it is spent, expired or revoked.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    said: Said,
    signature: Signature,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Said {
    village: Key,
    inviter: Key,
    id: [u8; 16],
    expires: u64,
    addresses: Vec<String>,
}

const PREFIX: &str = "village1-";
const PURPOSE: &str = "invitation 1";
/// An invitation has some hundred bytes, and a few addresses.
const TEXT_LIMIT: usize = 8 << 10;

impl Invitation {
    pub(crate) fn new(keys: &Keypair, village: Key, expires: u64, addresses: &[Multiaddr]) -> Invitation {
        let inviter = Key::of_pair(keys).expect("a peer's own keys are ed25519");
        let addresses = addresses.iter().map(Multiaddr::to_string).collect();
        let said = Said { village, inviter, id: key::random(), expires, addresses };
        let signature = key::sign(keys, PURPOSE, &said.bytes());
        Invitation { said, signature }
    }

    /// Who has made it, and lets in.
    pub fn inviter(&self) -> Key {
        self.said.inviter
    }

    /// The village that it is for.
    pub fn village(&self) -> Key {
        self.said.village
    }

    /// Its number, by which it can be revoked.
    pub fn id(&self) -> [u8; 16] {
        self.said.id
    }

    /// When it expires, in milliseconds since 1970.
    pub fn expires(&self) -> u64 {
        self.said.expires
    }

    /// Where the inviter can be reached, as far as these addresses are understood.
    pub fn addresses(&self) -> Vec<Multiaddr> {
        self.said.addresses.iter().filter_map(|text| text.parse().ok()).collect()
    }

    /// Whether its inviter has signed it.
    pub(crate) fn is_signed(&self) -> bool {
        self.said.inviter.has_signed(PURPOSE, &self.said.bytes(), &self.signature)
    }
}

impl Said {
    fn bytes(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("it has nothing that cannot be written")
    }
}

impl fmt::Display for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = postcard::to_stdvec(self).map_err(|_| fmt::Error)?;
        write!(f, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

/// The text lets its reader in, so it is not shown where somebody only looks.
impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Invitation of {} until {}", self.said.inviter, self.said.expires)
    }
}

impl FromStr for Invitation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Invitation, Error> {
        let bad = |what| Error::BadInvitation { what };
        if text.len() > TEXT_LIMIT {
            return Err(bad("it is too long"));
        }
        let text = text.trim().strip_prefix(PREFIX).ok_or(bad("it does not begin with village1-"))?;
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| bad("it was cut or changed"))?;
        let read: Invitation = postcard::from_bytes(&bytes).map_err(|_| bad("it was cut or changed"))?;
        if !read.is_signed() {
            return Err(bad("its signature is wrong"));
        }
        Ok(read)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use super::*;

    fn keys() -> Keypair {
        Keypair::ed25519_from_bytes([1; 32]).unwrap()
    }

    #[test]
    fn an_invitation_reads_as_it_is_written_and_any_changed_letter_is_seen() {
        let village = Key::of_pair(&keys()).unwrap();
        let made = Invitation::new(&keys(), village, 5000, &["/ip4/10.0.0.1/tcp/4000".parse().unwrap()]);
        let text = made.to_string();
        assert_eq!(text.parse::<Invitation>().unwrap(), made);
        assert_eq!(format!("  {text}\n").parse::<Invitation>().unwrap(), made);
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            // The last letter has bits that mean nothing; then it is refused for those.
            assert!(changed.parse::<Invitation>().is_err(), "letter {at} can be changed");
        }
        assert!(!format!("{made:?}").contains(&text[PREFIX.len()..PREFIX.len() + 40]));
    }

    #[test]
    fn an_invitation_of_version_1_still_reads() {
        let golden = include_str!("../tests/golden/invitation-1.txt");
        let read: Invitation = golden.parse().unwrap();
        assert_eq!((read.expires(), read.id()), (1_790_000_000_000, [9; 16]));
        assert_eq!(read.addresses(), ["/ip4/192.0.2.1/tcp/4000".parse::<Multiaddr>().unwrap()]);
        assert_eq!(read.to_string(), golden.trim());
    }
}
