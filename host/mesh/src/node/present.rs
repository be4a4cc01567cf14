//! Who is there: a new link's other side is asked for the hellos that it has heard lately, so that who comes into a village
//! knows all of it at once instead of when each has said hello. A hello is signed, so it can come through others' hands.

use super::Node;
use super::topics::HELLO;
use crate::frame::{self, BODY_LIMIT, Reply, Signed};
use crate::key::Key;
use libp2p::PeerId;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The last hello of each, as it was signed.
#[derive(Default)]
pub(super) struct Hellos {
    kept: HashMap<Key, Kept>,
    bytes: usize,
}

struct Kept {
    at: Instant,
    bytes: Vec<u8>,
}

/// A hello of this peer, and how many milliseconds ago it was heard.
type Said<'a> = (Key, u32, &'a [u8]);

pub(super) const PRESENT: &str = "~present";
/// Hellos that are kept, in bytes: most have some hundred.
const BYTES: usize = 8 << 20;

impl Hellos {
    pub(super) fn keep(&mut self, sender: Key, at: Instant, bytes: &[u8]) {
        self.forget(&sender);
        if self.bytes + bytes.len() <= BYTES {
            self.bytes += bytes.len();
            self.kept.insert(sender, Kept { at, bytes: bytes.to_vec() });
        }
    }

    pub(super) fn forget(&mut self, sender: &Key) {
        if let Some(old) = self.kept.remove(sender) {
            self.bytes -= old.bytes.len();
        }
    }

    fn forget_older(&mut self, than: Duration) {
        self.kept.retain(|_, kept| kept.at.elapsed() <= than);
        self.bytes = self.kept.values().map(|kept| kept.bytes.len()).sum();
    }
}

impl Node {
    /// The hellos that were heard lately, as many as fit into an answer.
    pub(super) fn present_answer(&mut self) -> Reply {
        let long = self.links.long(&self.settings.pace);
        self.hellos.forget_older(long);
        let mut senders: Vec<Key> = self.hellos.kept.keys().copied().collect();
        self.dice.shuffle(&mut senders);
        let mut room = BODY_LIMIT - 64;
        let mut all: Vec<Said<'_>> = Vec::new();
        for sender in senders {
            let Some(kept) = self.hellos.kept.get(&sender) else { continue };
            // Beside the bytes: the key, the age and the length.
            if let Some(left) = room.checked_sub(kept.bytes.len() + 48) {
                room = left;
                let age = u32::try_from(kept.at.elapsed().as_millis()).unwrap_or(u32::MAX);
                all.push((sender, age, &kept.bytes));
            }
        }
        Reply::Done(frame::encode(&all, Vec::new()))
    }

    /// Takes in who is there. A hello is as old as it says: who is gone does not seem to be there for being talked of.
    pub(super) fn learn_present(&mut self, from: PeerId, bytes: &[u8]) {
        let all: Vec<Said<'_>> = match frame::decode(bytes, BODY_LIMIT) {
            Ok(all) => all,
            Err(error) => return self.turn_away(Some(from), super::door::why(error)),
        };
        let (now, hello) = (Instant::now(), self.settings.pace.hello);
        for (sender, age, bytes) in all {
            let (Some(source), Some(at)) = (sender.peer(), now.checked_sub(Duration::from_millis(age.into()))) else {
                continue;
            };
            let known = self.links.heard.get(&source).is_some_and(|news| news.at + hello >= at);
            if known || sender == self.own() || self.roster.is_blocked(&sender) {
                continue;
            }
            match Signed::decode(bytes) {
                Ok((frame, true)) if frame.to == HELLO && frame.sender == sender => {
                    // What has expired meanwhile is nobody's fault, and of the rest others are told by whoever has said it.
                    if self.check_time(&frame).is_ok() && self.greet(source, &frame, at).is_ok() {
                        self.hellos.keep(sender, at, bytes);
                    }
                }
                Ok(_) => return self.turn_away(Some(from), crate::Why::Forged),
                Err(error) => return self.turn_away(Some(from), super::door::why(error)),
            }
        }
    }

    /// Asks those with whom there is a new link what this peer may have missed; one with whom links come and go, only now and
    /// then.
    pub(super) fn look_after_news(&mut self) {
        let hello = self.settings.pace.hello;
        let caught_up = &self.links.caught_up;
        let due = |peer: &PeerId| caught_up.get(peer).is_none_or(|at| at.elapsed() >= hello);
        let behind = self.links.open.iter().filter(|(peer, open)| open.behind && due(peer));
        let behind: Vec<PeerId> = behind.map(|(peer, _)| *peer).collect();
        for peer in behind {
            if let Some(open) = self.links.open.get_mut(&peer) {
                open.behind = false;
            }
            self.links.caught_up.insert(peer, Instant::now());
            self.catch_up(peer);
        }
    }
}
