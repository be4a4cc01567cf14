//! What is told of the mesh to whoever listens.

use crate::votes::{Certificate, Lie, Matter, Proposal};
use libp2p::{Multiaddr, PeerId};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// Something that happened. Who listens too slowly misses some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// This peer can be reached at an address.
    Listening {
        /// The address.
        address: Multiaddr,
    },
    /// A member was met for the first time.
    Met {
        /// The member.
        peer: PeerId,
    },
    /// A member has left the village.
    Left {
        /// Who was one.
        peer: PeerId,
    },
    /// There is a connection with a member.
    Linked {
        /// The member.
        peer: PeerId,
    },
    /// The last connection with a member is gone.
    Unlinked {
        /// The member.
        peer: PeerId,
    },
    /// Somebody was turned away, or something that was sent.
    TurnedAway {
        /// Who, as far as that is known.
        peer: Option<PeerId>,
        /// Why.
        why: Why,
    },
    /// A member sends more than it may, and is answered later.
    Slowed {
        /// The member.
        peer: PeerId,
    },
    /// A member did not stop sending more than it may: it is let in again after a while.
    Dropped {
        /// The member.
        peer: PeerId,
    },
    /// There is something to decide.
    Proposed {
        /// What.
        proposal: Arc<Proposal>,
    },
    /// Enough have said yes, and here is the proof.
    Accepted {
        /// The proof.
        certificate: Arc<Certificate>,
    },
    /// So many have said no that it cannot be accepted any more.
    Rejected {
        /// What.
        matter: Matter,
    },
    /// Voting has ended without a decision.
    Lapsed {
        /// About what.
        matter: Matter,
    },
    /// Somebody has voted both ways, and here is the proof.
    Lied {
        /// The proof.
        lie: Arc<Lie>,
    },
    /// What was learned of the village could not be kept.
    NotKept {
        /// Why.
        what: String,
    },
}

/// Why somebody or something was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Why {
    /// It has no pass of this village.
    Stranger,
    /// It is on the block list.
    Blocked,
    /// It sent too much, and has to wait.
    Banned,
    /// There is no room for another connection.
    Full,
    /// A signature is not of whom it should be of.
    Forged,
    /// It has been here before.
    Replayed,
    /// It is too old, or was made to last too long.
    Expired,
    /// It is larger than it may be.
    Oversized,
    /// It cannot be read.
    Malformed,
    /// It is of a version that is not known here.
    Version,
    /// It sends more than it may.
    Flooding,
    /// The invitation is revoked, expired, or not of this peer.
    Invitation,
    /// Another answered than who was called.
    WrongPeer,
    /// The invitation was used as often as it may be.
    Spent,
    /// It has left the village, and was not invited again.
    Left,
}

impl Why {
    /// All of them, in the order in which they are counted.
    pub const ALL: [Why; 15] = [
        Why::Stranger,
        Why::Blocked,
        Why::Banned,
        Why::Full,
        Why::Forged,
        Why::Replayed,
        Why::Expired,
        Why::Oversized,
        Why::Malformed,
        Why::Version,
        Why::Flooding,
        Why::Invitation,
        Why::WrongPeer,
        Why::Spent,
        Why::Left,
    ];
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Why::Stranger => "it has no pass of this village",
            Why::Blocked => "it is blocked",
            Why::Banned => "it sent too much and has to wait",
            Why::Full => "there is no room for another connection",
            Why::Forged => "a signature is wrong",
            Why::Replayed => "it has been here before",
            Why::Expired => "it is too old",
            Why::Oversized => "it is too large",
            Why::Malformed => "it cannot be read",
            Why::Version => "its version is not known here",
            Why::Flooding => "too much is sent",
            Why::Invitation => "the invitation was revoked, has expired, or is another's",
            Why::Spent => "the invitation was used as often as it may be",
            Why::Left => "it has left the village",
            Why::WrongPeer => "another peer answered than the one that was called",
        })
    }
}
