//! What was published lately: whoever gets a link is told what it may have missed, and passes it on among those it is linked
//! with. So what is published while links break still reaches all.

use super::Node;
use crate::frame::{self, BODY_LIMIT, Reply, Signed};
use crate::mesh::OWN;
use libp2p::PeerId;
use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

#[derive(Default)]
pub(super) struct Recent {
    kept: VecDeque<Kept>,
    known: HashSet<[u8; 32]>,
    bytes: usize,
}

struct Kept {
    at: Instant,
    hash: [u8; 32],
    bytes: Vec<u8>,
}

pub(super) const RECENT: &str = "~recent";
/// For how long what was published is kept, how much of it, and how many messages.
const KEEP: Duration = Duration::from_secs(30);
const BYTES: usize = 4 << 20;
const COUNT: usize = 4096;

impl Recent {
    /// Keeps something that was published; whether it is new.
    pub(super) fn keep(&mut self, bytes: &[u8]) -> bool {
        let hash: [u8; 32] = blake3::hash(bytes).into();
        if !self.known.insert(hash) {
            return false;
        }
        self.bytes += bytes.len();
        self.kept.push_back(Kept { at: Instant::now(), hash, bytes: bytes.to_vec() });
        self.forget();
        true
    }

    fn forget(&mut self) {
        let over = |recent: &Recent, first: &Kept| {
            first.at.elapsed() > KEEP || recent.bytes > BYTES || recent.kept.len() > COUNT
        };
        while self.kept.front().is_some_and(|first| over(self, first)) {
            if let Some(first) = self.kept.pop_front() {
                self.bytes -= first.bytes.len();
                self.known.remove(&first.hash);
            }
        }
    }
}

impl Node {
    /// What was published lately, the newest first, as much as fits into an answer.
    pub(super) fn recent_answer(&mut self) -> Reply {
        self.recent.forget();
        let mut room = BODY_LIMIT - 64;
        let mut all: Vec<&[u8]> = Vec::new();
        for kept in self.recent.kept.iter().rev() {
            let Some(left) = room.checked_sub(kept.bytes.len() + 8) else { break };
            room = left;
            all.push(&kept.bytes);
        }
        Reply::Done(frame::encode(&all, Vec::new()))
    }

    /// Takes in what was missed, the oldest first, and passes it on.
    pub(super) fn learn_recent(&mut self, from: PeerId, bytes: &[u8]) {
        let all: Vec<Vec<u8>> = match frame::decode(bytes, BODY_LIMIT) {
            Ok(all) => all,
            Err(error) => return self.turn_away(Some(from), super::door::why(error)),
        };
        for bytes in all.into_iter().rev() {
            if self.recent.known.contains(&<[u8; 32]>::from(blake3::hash(&bytes))) {
                continue;
            }
            let checked = match Signed::decode(&bytes) {
                Ok((frame, true)) if !frame.to.starts_with(OWN) => self.check_published(&frame).map(|()| frame),
                Ok((_, true)) => continue,
                Ok((_, false)) => return self.turn_away(Some(from), crate::Why::Forged),
                Err(error) => return self.turn_away(Some(from), super::door::why(error)),
            };
            // What has expired meanwhile is nobody's fault.
            let Ok(frame) = checked else { continue };
            self.recent.keep(&bytes);
            self.pass_on(&frame.to, bytes);
            self.deliver(frame.sender, frame);
        }
    }
}
