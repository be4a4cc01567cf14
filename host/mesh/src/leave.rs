//! A good-bye: a member says that it belongs to the village no more. It is signed, so it can come through others' hands.

use crate::key::{self, Key, Signature};
use crate::pass::Pass;
use libp2p::identity::Keypair;
use serde::{Deserialize, Serialize};

/// That its holder gives up this pass, and each that it got earlier. With a later one it may come back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Leave {
    /// Without it, anybody could fill the lists of those who have left with keys that were never in the village.
    pass: Pass,
    signature: Signature,
}

const PURPOSE: &str = "leave 1";

impl Leave {
    pub(crate) fn new(keys: &Keypair, pass: Pass) -> Leave {
        let signature = key::sign(keys, PURPOSE, &signed(&pass));
        Leave { pass, signature }
    }

    pub(crate) fn holder(&self) -> Key {
        self.pass.holder()
    }

    /// When the last pass that is given up was given.
    pub(crate) fn until(&self) -> u64 {
        self.pass.at()
    }

    /// Whether it is of one who was in this village, and by itself.
    pub(crate) fn is_of(&self, village: &Key) -> bool {
        self.pass.is_of(village) && self.holder().has_signed(PURPOSE, &signed(&self.pass), &self.signature)
    }
}

fn signed(pass: &Pass) -> Vec<u8> {
    [pass.village().as_bytes().as_slice(), pass.holder().as_bytes(), &pass.at().to_le_bytes()].concat()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use super::*;

    fn keys(seed: u8) -> (Keypair, Key) {
        let keys = Keypair::ed25519_from_bytes([seed; 32]).unwrap();
        let key = Key::of_pair(&keys).unwrap();
        (keys, key)
    }

    #[test]
    fn only_who_leaves_can_say_so_and_no_byte_of_it_can_be_changed() {
        let ((founder, village), (own, member), (_, other)) = (keys(1), keys(2), keys(3));
        let pass = Pass::found(village).extend(&founder, member, [7; 16], 1000);
        let good = Leave::new(&own, pass.clone());
        assert!(good.is_of(&village) && !good.is_of(&other));
        assert_eq!((good.holder(), good.until()), (member, 1000));
        assert!(!Leave::new(&founder, pass).is_of(&village), "even its inviter can't say it");
        let bytes = postcard::to_stdvec(&good).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let taken = postcard::from_bytes::<Leave>(&changed).is_ok_and(|leave| leave.is_of(&village));
            assert!(!taken, "byte {at} can be changed");
        }
    }

    #[test]
    fn a_good_bye_of_version_1_still_reads() {
        let ((founder, village), (own, member)) = (keys(1), keys(2));
        let leave = Leave::new(&own, Pass::found(village).extend(&founder, member, [7; 16], 1000));
        let hex: String = postcard::to_stdvec(&leave).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, include_str!("../tests/golden/leave-1.hex").trim());
    }
}
