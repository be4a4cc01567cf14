//! Passes: the chain of signatures that leads from the founder of a village to one of its members.

use crate::key::{self, Key, Signature};
use libp2p::identity::Keypair;
use serde::{Deserialize, Serialize};

/// Proof that its holder belongs to a village. Whoever knows the village's founder can verify it, alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    village: Key,
    steps: Vec<Step>,
}

/// One member has let in another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Step {
    inviter: Key,
    holder: Key,
    invitation: [u8; 16],
    at: u64,
    signature: Signature,
}

/// The most steps of a chain: each adds some 150 bytes to what members send one another.
pub(crate) const DEPTH: usize = 16;

const PURPOSE: &str = "pass 1";

impl Pass {
    /// The pass of the one who founds a village.
    pub(crate) fn found(village: Key) -> Pass {
        Pass { village, steps: Vec::new() }
    }

    /// The founder, whose key is the village's name.
    pub fn village(&self) -> Key {
        self.village
    }

    /// Whose pass it is.
    pub fn holder(&self) -> Key {
        self.steps.last().map_or(self.village, |step| step.holder)
    }

    /// Who has let the holder in; nobody did so with the founder.
    pub fn inviter(&self) -> Option<Key> {
        self.steps.last().map(|step| step.inviter)
    }

    /// When its holder was let in, as the inviter's clock had it; the founder always was.
    pub(crate) fn at(&self) -> u64 {
        self.steps.last().map_or(0, |step| step.at)
    }

    /// Whether the chain can grow by one more.
    pub(crate) fn can_invite(&self) -> bool {
        self.steps.len() < DEPTH
    }

    /// The pass of one whom the holder of this one lets in; the keys are the holder's.
    pub(crate) fn extend(&self, keys: &Keypair, holder: Key, invitation: [u8; 16], at: u64) -> Pass {
        let inviter = self.holder();
        let signature = key::sign(keys, PURPOSE, &signed(&self.village, &inviter, &holder, &invitation, at));
        let mut steps = self.steps.clone();
        steps.push(Step { inviter, holder, invitation, at, signature });
        Pass { village: self.village, steps }
    }

    /// Whether it is a pass of this village, each step of which was signed by the one before.
    pub fn is_of(&self, village: &Key) -> bool {
        let mut inviter = self.village;
        self.village == *village
            && self.steps.len() <= DEPTH
            && self.steps.iter().all(|step| {
                let bytes = signed(&self.village, &step.inviter, &step.holder, &step.invitation, step.at);
                let good = step.inviter == inviter && inviter.has_signed(PURPOSE, &bytes, &step.signature);
                inviter = step.holder;
                good
            })
    }
}

fn signed(village: &Key, inviter: &Key, holder: &Key, invitation: &[u8; 16], at: u64) -> Vec<u8> {
    [village.as_bytes().as_slice(), inviter.as_bytes(), holder.as_bytes(), invitation, &at.to_le_bytes()].concat()
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

    fn chain() -> (Pass, Pass, Key) {
        let ((founder, village), (second, second_key), (_, third_key)) = (keys(1), keys(2), keys(3));
        let middle = Pass::found(village).extend(&founder, second_key, [7; 16], 1000);
        let last = middle.extend(&second, third_key, [8; 16], 2000);
        (middle, last, village)
    }

    #[test]
    fn a_chain_from_the_founder_is_good_and_any_changed_byte_breaks_it() {
        let (middle, last, village) = chain();
        assert!(Pass::found(village).is_of(&village) && middle.is_of(&village) && last.is_of(&village));
        assert_eq!((last.holder(), last.inviter()), (keys(3).1, Some(keys(2).1)));
        let bytes = postcard::to_stdvec(&last).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let good = postcard::from_bytes::<Pass>(&changed).is_ok_and(|pass| pass.is_of(&village));
            assert!(!good, "byte {at} can be changed");
        }
    }

    #[test]
    fn a_chain_that_begins_elsewhere_or_skips_somebody_is_none() {
        let (_, last, village) = chain();
        let (stranger, stranger_key) = keys(9);
        assert!(!Pass::found(stranger_key).is_of(&village));
        let own = Pass::found(village).extend(&stranger, stranger_key, [1; 16], 5);
        assert!(!own.is_of(&village), "a stranger signed for the founder");
        let skipped = Pass { village, steps: vec![last.steps[1].clone()] };
        assert!(!skipped.is_of(&village));
        assert!(!last.is_of(&stranger_key));
    }

    #[test]
    fn a_chain_is_no_longer_than_it_may_be() {
        let (founder, village) = keys(1);
        let mut pass = Pass::found(village);
        // The founder invites itself over and over: each signature is good.
        for _ in 0..DEPTH {
            assert!(pass.can_invite());
            pass = pass.extend(&founder, village, [0; 16], 0);
        }
        assert!(pass.is_of(&village) && !pass.can_invite());
        assert!(!pass.extend(&founder, village, [0; 16], 0).is_of(&village));
    }

    #[test]
    fn a_pass_of_version_1_still_reads() {
        let (middle, _, village) = chain();
        let golden = include_str!("../tests/golden/pass-1.hex");
        let bytes = postcard::to_stdvec(&middle).unwrap();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, golden.trim());
        assert!(postcard::from_bytes::<Pass>(&bytes).unwrap().is_of(&village));
    }
}
