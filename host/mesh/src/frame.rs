//! The frame in which everything is said, and the reply to one. The first byte is the version of what follows.

use crate::key::{self, Key, Signature};
use crate::raw;
use libp2p::identity::Keypair;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// The most bytes of a message's body. What is larger goes as a blob.
pub const BODY_LIMIT: usize = 1 << 20;
/// The longest that a message may last. What was handled is remembered for longer than this, so nothing can be said again.
pub const LIFE_LIMIT: Duration = Duration::from_secs(120);
/// How far the clocks of two peers may be apart.
pub(crate) const SKEW: Duration = Duration::from_secs(30);
/// The most bytes of a frame: the body, and room for all else.
pub(crate) const FRAME_LIMIT: usize = BODY_LIMIT + 1024;
/// The most bytes of an address or a topic.
pub(crate) const NAME_LIMIT: usize = 256;

const VERSION: u8 = 1;

/// The number of a message: by chance, so that no two have the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Id(pub [u8; 16]);

/// What a message belongs to, as in a `traceparent`: 16 bytes of the trace, 8 of the span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// The trace.
    pub trace: [u8; 16],
    /// The span that has caused the message.
    pub span: [u8; 8],
}

/// What goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Priority {
    /// Before all others.
    Urgent,
    /// Before what is normal.
    High,
    /// As usual.
    #[default]
    Normal,
    /// When there is nothing else.
    Low,
}

/// One message.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// Its number.
    pub id: Id,
    /// Whose it is.
    pub sender: Key,
    /// Whom or what it is for: an address at the peer, or a topic.
    pub to: String,
    /// What goes first.
    pub priority: Priority,
    /// When it was made, in milliseconds since 1970.
    pub sent: u64,
    /// When nobody wants it any more.
    pub expires: u64,
    /// The message that it has to do with.
    pub correlation: Option<Id>,
    /// What it belongs to.
    pub trace: Trace,
    /// What it says.
    #[serde(with = "raw")]
    pub body: Vec<u8>,
}

/// A published frame: it goes through others' hands, so it is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Signed {
    #[serde(with = "raw")]
    frame: Vec<u8>,
    signature: Signature,
}

const PURPOSE: &str = "published 1";
/// The most bytes of a published frame.
pub(crate) const SIGNED_LIMIT: usize = FRAME_LIMIT + 128;

impl Signed {
    /// The bytes of a frame, signed by its sender.
    pub(crate) fn encode(keys: &Keypair, frame: Vec<u8>) -> Vec<u8> {
        let signature = key::sign(keys, PURPOSE, &frame);
        encode(&Signed { frame, signature }, Vec::new())
    }

    /// The frame of these bytes, and whether its sender has signed it.
    pub(crate) fn decode(bytes: &[u8]) -> Result<(Frame, bool), FrameError> {
        let signed: Signed = decode(bytes, SIGNED_LIMIT)?;
        let frame = Frame::decode(&signed.frame)?;
        let good = frame.sender.has_signed(PURPOSE, &signed.frame, &signed.signature);
        Ok((frame, good))
    }
}

/// Why some bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A version that is not known here.
    #[error("frames of version {0} are not known here")]
    Version(u8),
    /// More than a frame may have.
    #[error("it is larger than a frame may be")]
    Oversized,
    /// Anything else.
    #[error("it cannot be read")]
    Malformed,
}

impl Id {
    /// A new one.
    pub fn new() -> Id {
        Id(key::random())
    }
}

impl Default for Id {
    fn default() -> Id {
        Id::new()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Priority {
    /// All of them, the first first.
    pub const ALL: [Priority; 4] = [Priority::Urgent, Priority::High, Priority::Normal, Priority::Low];
}

impl Frame {
    /// The bytes that are sent.
    pub fn encode(&self) -> Vec<u8> {
        let start = Vec::with_capacity(self.body.len() + self.to.len() + 160);
        encode(self, start)
    }

    /// The frame of these bytes.
    pub fn decode(bytes: &[u8]) -> Result<Frame, FrameError> {
        let frame: Frame = decode(bytes, FRAME_LIMIT)?;
        if frame.body.len() > BODY_LIMIT || frame.to.len() > NAME_LIMIT {
            return Err(FrameError::Oversized);
        }
        Ok(frame)
    }
}

/// It shows no bodies: they are others' business.
impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame {} from {} to {:?}, {} bytes", self.id, self.sender, self.to, self.body.len())
    }
}

/// What a peer answers to a frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// The answer.
    Done(#[serde(with = "raw")] Vec<u8>),
    /// Not now: again after so many milliseconds.
    Busy(u32),
    /// Never.
    Refused(String),
    /// The frame was turned away.
    Away(crate::Why),
}

impl Reply {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let body = if let Reply::Done(body) = self { body.len() } else { 0 };
        encode(self, Vec::with_capacity(body + 16))
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Reply, FrameError> {
        decode(bytes, FRAME_LIMIT)
    }
}

/// A value's bytes behind the version.
pub(crate) fn encode<T: Serialize>(value: &T, mut start: Vec<u8>) -> Vec<u8> {
    start.push(VERSION);
    postcard::to_extend(value, start).expect("it has nothing that cannot be written")
}

/// The value behind the version, all of it and nothing else.
pub(crate) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8], limit: usize) -> Result<T, FrameError> {
    if bytes.len() > limit {
        return Err(FrameError::Oversized);
    }
    match bytes.split_first() {
        Some((&VERSION, rest)) => match postcard::take_from_bytes(rest) {
            Ok((value, [])) => Ok(value),
            _ => Err(FrameError::Malformed),
        },
        Some((&version, _)) => Err(FrameError::Version(version)),
        None => Err(FrameError::Malformed),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use super::*;

    fn frame() -> Frame {
        Frame {
            id: Id([1; 16]),
            sender: Key::of_pair(&Keypair::ed25519_from_bytes([1; 32]).unwrap()).unwrap(),
            to: "translator".into(),
            priority: Priority::High,
            sent: 1_790_000_000_000,
            expires: 1_790_000_005_000,
            correlation: Some(Id([2; 16])),
            trace: Trace { trace: [3; 16], span: [4; 8] },
            body: b"hello".to_vec(),
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn frames_and_replies_of_version_1_still_read() {
        let golden = include_str!("../tests/golden/frame-1.hex");
        let replies = [
            Reply::Done(b"ok".to_vec()),
            Reply::Busy(50),
            Reply::Refused("no".into()),
            Reply::Away(crate::Why::Expired),
        ];
        let mut all = vec![frame().encode()];
        all.extend(replies.iter().map(Reply::encode));
        all.push(Signed::encode(&Keypair::ed25519_from_bytes([1; 32]).unwrap(), frame().encode()));
        let lines: Vec<String> = all.iter().map(|bytes| hex(bytes)).collect();
        assert_eq!(lines, golden.lines().collect::<Vec<_>>());
        assert_eq!(Frame::decode(&all[0]), Ok(frame()));
        assert_eq!(Signed::decode(&all[5]), Ok((frame(), true)));
        let others = Signed::encode(&Keypair::ed25519_from_bytes([2; 32]).unwrap(), frame().encode());
        assert_eq!(Signed::decode(&others), Ok((frame(), false)));
        for (bytes, reply) in all[1..].iter().zip(replies) {
            assert_eq!(Reply::decode(bytes), Ok(reply));
        }
    }

    #[test]
    fn what_is_no_frame_is_refused_and_the_reason_is_said() {
        let good = frame().encode();
        assert_eq!(Frame::decode(&[]), Err(FrameError::Malformed));
        assert_eq!(Frame::decode(&good[..good.len() - 1]), Err(FrameError::Malformed));
        let mut longer = good.clone();
        longer.push(0);
        assert_eq!(Frame::decode(&longer), Err(FrameError::Malformed));
        let mut later = good;
        later[0] = 2;
        assert_eq!(Frame::decode(&later), Err(FrameError::Version(2)));
        let large = Frame { body: vec![0; BODY_LIMIT + 1], ..frame() };
        assert_eq!(Frame::decode(&large.encode()), Err(FrameError::Oversized));
        let named = Frame { to: "x".repeat(NAME_LIMIT + 1), ..frame() };
        assert_eq!(Frame::decode(&named.encode()), Err(FrameError::Oversized));
        let most = Frame { body: vec![7; BODY_LIMIT], to: "x".repeat(NAME_LIMIT), ..frame() };
        assert!(Frame::decode(&most.encode()).is_ok());
    }
}
