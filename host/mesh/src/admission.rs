//! What is said at the door: a pass is shown, or an invitation. The only thing that a stranger can say here.

use crate::Why;
use crate::frame::{self, FrameError};
use crate::invitation::Invitation;
use crate::pass::Pass;
use crate::roster::Member;
use serde::{Deserialize, Serialize};

/// The most bytes of what is shown: a pass of the longest chain has some 2500.
pub(crate) const SHOW_LIMIT: usize = 16 << 10;
/// The most bytes of an answer, and of other members in it: each has a pass and up to eight addresses.
pub(crate) const DOOR_LIMIT: usize = 64 << 10;
pub(crate) const OTHERS: usize = 12;

/// What is shown at the door.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Show {
    /// "I belong to this village."
    Pass(Pass),
    /// "I was invited."
    Invitation(Invitation),
}

/// What is answered at the door.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Door {
    /// "So do I; here is my pass." `anew` if this connection has nothing behind it on this side.
    Open {
        /// The pass of the one who answers.
        pass: Pass,
        /// Whether it takes another connection to talk.
        anew: bool,
    },
    /// "Here is your pass; and mine."
    Welcome {
        /// For the one who asks.
        yours: Pass,
        /// The pass of the one who answers.
        mine: Pass,
        /// Some others.
        others: Vec<Member>,
    },
    /// "No."
    Shut(Why),
}

impl Show {
    pub(crate) fn encode(&self) -> Vec<u8> {
        frame::encode(self, Vec::new())
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Show, FrameError> {
        frame::decode(bytes, SHOW_LIMIT)
    }
}

impl Door {
    pub(crate) fn encode(&self) -> Vec<u8> {
        frame::encode(self, Vec::new())
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Door, FrameError> {
        frame::decode(bytes, DOOR_LIMIT)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use super::*;
    use crate::key::Key;
    use libp2p::identity::Keypair;

    #[test]
    fn what_is_said_at_the_door_still_reads() {
        let key = Key::of_pair(&Keypair::ed25519_from_bytes([1; 32]).unwrap()).unwrap();
        let pass = Pass::found(key);
        let said = [Show::Pass(pass.clone()).encode()];
        let answers = [
            Door::Open { pass: pass.clone(), anew: true }.encode(),
            Door::Welcome { yours: pass.clone(), mine: pass, others: Vec::new() }.encode(),
            Door::Shut(Why::Stranger).encode(),
        ];
        let all: Vec<String> =
            said.iter().chain(&answers).map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect()).collect();
        assert_eq!(all, include_str!("../tests/golden/door-1.hex").lines().collect::<Vec<_>>());
        assert!(Show::decode(&said[0]).is_ok() && answers.iter().all(|bytes| Door::decode(bytes).is_ok()));
    }
}
