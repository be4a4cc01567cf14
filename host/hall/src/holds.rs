//! Who needs a component that no row names yet: agents that are being deployed or swapped, and uploads of a short while ago.
//! What is held is not swept away, and what is being swept away can't be held until that is over.

use base::Digest;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How long a component stays that was uploaded and that no agent is made of.
const SPARED: Duration = Duration::from_secs(600);

/// So many such components stay.
const UPLOADS: usize = 16;

/// The components that somebody needs.
#[derive(Default)]
pub(crate) struct Holds {
    state: Mutex<State>,
    /// Told when a sweep is over.
    over: Notify,
}

/// Together, because nothing is held that goes.
#[derive(Default)]
struct State {
    held: HashMap<Digest, u32>,
    uploads: Vec<(Instant, Digest)>,
    going: HashSet<Digest>,
}

impl State {
    fn is_held(&self, digest: &Digest) -> bool {
        self.held.contains_key(digest) || self.uploads.iter().any(|(_, known)| known == digest)
    }
}

/// A component stays as long as this is there.
pub(crate) struct Hold {
    holds: Arc<Holds>,
    digest: Digest,
}

/// These go, and nobody can hold them until this is dropped.
pub(crate) struct Going {
    holds: Arc<Holds>,
    pub(crate) digests: HashSet<Digest>,
}

impl Hold {
    /// Which component.
    pub(crate) fn digest(&self) -> Digest {
        self.digest
    }
}

impl Holds {
    /// Keeps a component where it is, or from coming back while it is being swept away.
    pub(crate) async fn hold(self: &Arc<Holds>, digest: Digest) -> Hold {
        loop {
            // Made before it is looked: it hears of every sweep that ends from here on.
            let over = self.over.notified();
            {
                let mut state = self.state.lock();
                if !state.going.contains(&digest) {
                    *state.held.entry(digest).or_default() += 1;
                    return Hold { holds: self.clone(), digest };
                }
            }
            over.await;
        }
    }

    /// Keeps a component that was uploaded for a while. Answers whether others are kept no longer for that.
    pub(crate) fn uploaded(&self, digest: Digest, now: Instant) -> bool {
        let mut state = self.state.lock();
        state.uploads.retain(|(_, known)| *known != digest);
        let before = state.uploads.len();
        state.uploads.retain(|(since, _)| now.saturating_duration_since(*since) < SPARED);
        state.uploads.push((now, digest));
        let excess = state.uploads.len().saturating_sub(UPLOADS);
        state.uploads.drain(..excess);
        state.uploads.len() <= before
    }

    /// Those of `digests` that nobody needs go.
    pub(crate) fn go(self: &Arc<Holds>, digests: impl IntoIterator<Item = Digest>) -> Going {
        let mut state = self.state.lock();
        let digests: HashSet<_> = digests.into_iter().filter(|digest| !state.is_held(digest)).collect();
        state.going.extend(digests.iter().copied());
        Going { holds: self.clone(), digests }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut state = self.holds.state.lock();
        if let Some(count) = state.held.get_mut(&self.digest) {
            *count -= 1;
            if *count == 0 {
                state.held.remove(&self.digest);
            }
        }
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        let mut state = self.holds.state.lock();
        state.going.retain(|digest| !self.digests.contains(digest));
        drop(state);
        self.holds.over.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: u8) -> Digest {
        Digest::of(&[number])
    }

    #[tokio::test]
    async fn what_is_held_does_not_go_and_what_goes_is_held_after_that() {
        let holds = Arc::new(Holds::default());
        let (one, two) = (holds.hold(digest(1)).await, holds.hold(digest(1)).await);
        drop(one);
        let going = holds.go([digest(1), digest(2)]);
        assert_eq!(going.digests, HashSet::from([digest(2)]), "one of both holds it still");
        let (waiting, other) = (holds.clone(), holds.clone());
        let waits = tokio::spawn(async move { waiting.hold(digest(2)).await });
        drop(other.hold(digest(3)).await);
        tokio::task::yield_now().await;
        assert!(!waits.is_finished(), "it goes");
        drop(going);
        let held = waits.await.expect("it is held once that is over");
        drop(two);
        assert_eq!(holds.go([digest(1), digest(2)]).digests, HashSet::from([digest(1)]));
        drop(held);
        assert_eq!(holds.go([digest(2)]).digests, HashSet::from([digest(2)]));
    }

    #[test]
    fn uploads_stay_for_a_while_and_so_many_of_them() {
        let (holds, now) = (Arc::new(Holds::default()), Instant::now());
        let least = |number: u8, at| holds.uploaded(digest(number), at);
        for number in 0..UPLOADS as u8 {
            assert!(!least(number, now), "{number}: nothing has to go for it");
        }
        assert!(!least(3, now), "one that is there already");
        assert!(least(16, now), "one too many");
        assert_eq!(holds.go((0..17).map(digest)).digests, HashSet::from([digest(0)]), "the oldest");
        assert!(least(17, now + SPARED), "their time is over");
        let gone: HashSet<_> = (0..17).map(digest).collect();
        assert_eq!(holds.go((0..18).map(digest)).digests, gone);
    }
}
