//! What happens in the mesh, told as events of the village; what matters later is written into the journal too.

use super::votes::id;
use crate::event::What;
use crate::village::Village;
use mesh::{Event, Mesh, PeerId, Why};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{MissedTickBehavior, interval};

/// What is turned away for the same reason is told once, and then summed up: whoever knocks all the time must not fill the
/// journal.
const SUM: Duration = Duration::from_secs(60);

/// The word by which programs know why something was turned away.
pub(super) fn word(why: Why) -> &'static str {
    match why {
        Why::Stranger => "stranger",
        Why::Blocked => "blocked",
        Why::Banned => "banned",
        Why::Full => "full",
        Why::Forged => "forged",
        Why::Replayed => "replayed",
        Why::Expired => "expired",
        Why::Oversized => "oversized",
        Why::Malformed => "malformed",
        Why::Version => "version",
        Why::Flooding => "flooding",
        Why::Invitation => "invitation",
        Why::WrongPeer => "wrong-peer",
        Why::Spent => "spent-invitation",
        Why::Left => "left",
    }
}

/// What was turned away since it was told last, by why: how often, and who was the last.
#[derive(Default)]
struct Turned(BTreeMap<Why, (u64, Option<PeerId>)>);

impl Turned {
    /// Takes one more; whether it is the first of its kind for a while.
    fn is_news(&mut self, why: Why, peer: Option<PeerId>) -> bool {
        match self.0.get_mut(&why) {
            Some((count, last)) => {
                *count += 1;
                *last = peer.or(*last);
                false
            }
            None => {
                self.0.insert(why, (0, None));
                true
            }
        }
    }

    /// What is to be told now. A reason of which nothing more has come is news again the next time.
    fn sums(&mut self) -> Vec<(Why, u64, Option<PeerId>)> {
        self.0.retain(|_, (count, _)| *count > 0);
        self.0.iter_mut().map(|(why, sum)| (*why, std::mem::take(&mut sum.0), sum.1.take())).collect()
    }
}

impl Village {
    /// Tells what happens in the mesh, for as long as the village is there.
    pub(super) fn tell_of_mesh(&self, mesh: &Mesh) {
        let (village, mut events) = (self.weakly(), mesh.events());
        tokio::spawn(async move {
            let mut turned = Turned::default();
            let mut sum = interval(SUM);
            sum.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                let event = tokio::select! {
                    _ = sum.tick() => None,
                    event = events.recv() => match event {
                        Ok(event) => Some(event),
                        Err(RecvError::Lagged(_)) => continue,
                        Err(RecvError::Closed) => return,
                    },
                };
                let Some(village) = village() else { return };
                match event {
                    Some(event) => village.tell_of_event(event, &mut turned).await,
                    None => {
                        for (why, count, peer) in turned.sums() {
                            village.tell_turned_away(why, count, peer).await;
                        }
                    }
                }
            }
        });
    }

    async fn tell_of_event(&self, event: Event, turned: &mut Turned) {
        let quietly = |step: &str, peer: Option<PeerId>, details: Value| {
            let peer = peer.map(|peer| peer.to_string());
            self.tell_of("", What::Mesh { step: step.into(), peer, details });
        };
        match event {
            Event::Linked { peer } => quietly("linked", Some(peer), Value::Null),
            Event::Unlinked { peer } => quietly("unlinked", Some(peer), Value::Null),
            Event::Slowed { peer } => quietly("slowed", Some(peer), Value::Null),
            Event::NotKept { what } => quietly("not-kept", None, json!({ "reason": what })),
            // What can't be written now is not worth more: the village says itself that its store is closed, or full.
            Event::Met { peer } => drop(self.tell_mesh("met", Some(peer), Value::Null).await),
            Event::Left { peer } => drop(self.tell_mesh("left", Some(peer), Value::Null).await),
            Event::Dropped { peer } => drop(self.tell_mesh("dropped", Some(peer), Value::Null).await),
            Event::TurnedAway { peer, why } => {
                if turned.is_news(why, peer) {
                    self.tell_turned_away(why, 1, peer).await;
                }
            }
            Event::Proposed { proposal } => {
                let details = json!({ "id": id(&proposal.matter()), "subject": proposal.said.subject });
                drop(self.tell_mesh("proposed", proposal.proposer.peer(), details).await);
            }
            Event::Accepted { certificate } => {
                let proposal = &certificate.proposal;
                let details = json!({ "id": id(&proposal.matter()), "subject": proposal.said.subject });
                drop(self.tell_mesh("accepted", proposal.proposer.peer(), details).await);
            }
            Event::Rejected { matter } => drop(self.tell_mesh("rejected", None, json!({ "id": id(&matter) })).await),
            Event::Lapsed { matter } => drop(self.tell_mesh("lapsed", None, json!({ "id": id(&matter) })).await),
            Event::Lied { lie } => {
                let details = json!({ "id": id(&lie.one.matter), "proof": lie.to_string() });
                drop(self.tell_mesh("lied", lie.one.voter.peer(), details).await);
            }
            Event::Listening { .. } => {}
        }
    }

    async fn tell_turned_away(&self, why: Why, count: u64, peer: Option<PeerId>) {
        let details = json!({ "why": word(why), "count": count });
        drop(self.tell_mesh("turned-away", peer, details).await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_turned_away_again_and_again_is_summed_up() {
        let (mut turned, peer) = (Turned::default(), Some(PeerId::random()));
        assert!(turned.is_news(Why::Stranger, peer));
        assert!(!turned.is_news(Why::Stranger, None) && !turned.is_news(Why::Stranger, peer));
        assert!(turned.is_news(Why::Full, None), "another reason");
        assert_eq!(turned.sums(), [(Why::Stranger, 2, peer)]);
        assert!(!turned.is_news(Why::Stranger, None), "it goes on");
        assert_eq!(turned.sums(), [(Why::Stranger, 1, None)]);
        assert_eq!(turned.sums(), []);
        assert!(turned.is_news(Why::Stranger, None), "it was over, and begins anew");
    }

    #[test]
    fn every_reason_has_a_word_of_its_own() {
        let words: std::collections::BTreeSet<_> = Why::ALL.into_iter().map(word).collect();
        assert_eq!(words.len(), Why::ALL.len());
    }
}
