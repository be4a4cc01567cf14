//! What can go wrong, by what the caller can do about it.

use crate::Why;
use libp2p::PeerId;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Why something was not done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// A file does not hold what was written to it.
    #[error("{} is damaged: {what}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What shows it.
        what: &'static str,
    },
    /// A later version of this program wrote it. Nothing was changed.
    #[error("{} has format {found}, and this program reads format {known}", file.display())]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its format.
        found: u8,
        /// The one that is known here.
        known: u8,
    },
    /// Others can read this peer's keys.
    #[error("{} can be read by others (mode {mode:o}): let only its owner read it (chmod 600)", file.display())]
    Exposed {
        /// The file.
        file: PathBuf,
        /// Who may do what with it.
        mode: u32,
    },
    /// A setting makes no sense, or an address cannot be used here.
    #[error("{setting}: {what}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// The invitation is no invitation, or was changed.
    #[error("this is no invitation of a village: {what}")]
    BadInvitation {
        /// What is wrong with it.
        what: &'static str,
    },
    /// What is shown as a proof is none, or was changed.
    #[error("this is no proof: {what}")]
    BadProof {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The invitation is not known, was revoked or was made by another.
    #[error("there is no such invitation")]
    NoInvitation,
    /// The one who invited said no.
    #[error("turned away: {why}")]
    TurnedAway {
        /// Why.
        why: Why,
    },
    /// This peer is in a village with others already.
    #[error("this village has {members} other members: leave it before joining another")]
    NotAlone {
        /// How many others there are.
        members: usize,
    },
    /// No more members fit into the village, or no more invitations into its chain.
    #[error("{what} has no room: {limit} is the most")]
    NoRoom {
        /// What is full.
        what: &'static str,
        /// The most it takes.
        limit: usize,
    },
    /// It is no member that is known here.
    #[error("{peer} is no member of this village")]
    Stranger {
        /// The peer.
        peer: PeerId,
    },
    /// The peer is on this peer's block list.
    #[error("{peer} is blocked here")]
    Blocked {
        /// The peer.
        peer: PeerId,
    },
    /// The body is larger than a message may be.
    #[error("{bytes} bytes: that is too large, {limit} is the most")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The most that is possible.
        limit: usize,
    },
    /// As much is under way as may be. Try again later.
    #[error("too much is under way: try again in {} ms", after.as_millis())]
    Busy {
        /// After how long a new try makes sense.
        after: Duration,
    },
    /// No answer came before the message expired. Whether it was handled is not known if `sent`.
    #[error("no answer before it expired ({})", if *sent { "it may have been handled" } else { "it was never sent" })]
    Expired {
        /// Whether it was sent at all.
        sent: bool,
    },
    /// The other side has refused it for good.
    #[error("refused by the other side: {what}")]
    Refused {
        /// What it said.
        what: String,
    },
    /// Nobody who was heard of lately has this skill.
    #[error("nobody else here has the skill `{skill}`")]
    NobodyHas {
        /// The skill.
        skill: String,
    },
    /// There is no such proposal, or not here yet.
    #[error("there is no such proposal")]
    NoProposal,
    /// This peer is not among those who vote.
    #[error("this peer has no vote on it")]
    NoVote,
    /// This peer has voted, and differently. To vote both ways is to lie.
    #[error("this peer has voted {} already", if *yes { "yes" } else { "no" })]
    HasVoted {
        /// How.
        yes: bool,
    },
    /// Nobody who was asked has given all of a blob. What has come of it is kept, for the next time.
    #[error("nobody gives blob {hash}")]
    NobodyGives {
        /// The blob.
        hash: crate::BlobHash,
    },
    /// The mesh was stopped.
    #[error("the mesh was stopped")]
    Stopped,
}

impl Error {
    pub(crate) fn io(file: &Path, source: io::Error) -> Error {
        Error::Io { file: file.into(), source: Arc::new(source) }
    }
}
