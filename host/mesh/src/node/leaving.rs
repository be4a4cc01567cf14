//! Leaving: a member tells those with whom it has links, these tell all others, and who was away asks for it when it is back.

use super::calls::Done;
use super::{Due, Node};
use crate::error::Error;
use crate::event::{Event, Why};
use crate::frame::{self, BODY_LIMIT, Reply};
use crate::key::Key;
use crate::leave::Leave;
use crate::pass::Pass;
use libp2p::PeerId;
use std::collections::HashSet;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// This peer is about to leave.
pub(super) struct Leaving {
    /// Who has not said yet that it has heard it.
    waits: HashSet<PeerId>,
    told: usize,
    until: Instant,
    done: oneshot::Sender<Result<usize, Error>>,
}

pub(super) const LEFT: &str = "~left";
/// How long it takes at most to tell the others.
const TELL: Duration = Duration::from_secs(3);
/// How long a link with one who has left stays: what it is told by it should still get there.
const LINGER: Duration = Duration::from_secs(1);
/// Good-byes in one message: each has a pass, which has 3 KiB at most.
const AT_ONCE: usize = 32;

impl Node {
    /// Belongs to the village no more, once those with whom there is a link know it, or it takes them too long.
    pub(super) fn leave(&mut self, done: oneshot::Sender<Result<usize, Error>>) {
        if self.leaving.is_some() {
            return drop(done.send(Err(Error::Busy { after: TELL })));
        }
        let leave = Leave::new(&self.keys, self.roster.pass().clone());
        let alone = self.roster.members().next().is_none();
        // Written down before it is said: the others let this peer in no more, whatever happens here.
        if let Err(error) = if alone { Ok(()) } else { self.roster.say_leave(leave.clone()) } {
            return drop(done.send(Err(error)));
        }
        let waits: HashSet<PeerId> = self.links.open.keys().copied().collect();
        let body = frame::encode(&[leave].as_slice(), Vec::new());
        for peer in &waits {
            self.ask_own(*peer, LEFT, body.clone(), Done::Told);
        }
        self.leaving = Some(Leaving { waits, told: 0, until: Instant::now() + TELL, done });
        self.look_after_leaving();
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.is_some()
    }

    /// A peer has heard that this one leaves, or could not be told.
    pub(super) fn was_told(&mut self, peer: &PeerId, heard: bool) {
        if let Some(leaving) = &mut self.leaving
            && leaving.waits.remove(peer)
        {
            leaving.told += usize::from(heard);
        }
        self.look_after_leaving();
    }

    pub(super) fn look_after_leaving(&mut self) {
        let Some(leaving) = &mut self.leaving else { return };
        leaving.waits.retain(|peer| self.links.has(peer));
        if !leaving.waits.is_empty() && leaving.until > Instant::now() {
            return;
        }
        let Some(Leaving { told, done, .. }) = self.leaving.take() else { return };
        let members: Vec<PeerId> = self.roster.members().filter_map(|(key, _)| key.peer()).collect();
        members.into_iter().for_each(|peer| self.forget_member(peer));
        let outcome = self.roster.join(Pass::found(self.own()));
        self.doors.lock().members.clear();
        self.begin_anew();
        self.part_from_all();
        let _ = done.send(outcome.map(|()| told));
    }

    /// Of another village nothing is said in this one.
    pub(super) fn begin_anew(&mut self) {
        self.polls = super::Polls::new();
        self.recent = super::Recent::default();
    }

    /// It is a member no more. A link with it may be there for a while.
    fn forget_member(&mut self, peer: PeerId) {
        self.doors.lock().members.remove(&peer);
        self.forget_news(&peer);
        self.refuse_calls(peer, || Error::Stranger { peer });
    }

    /// Forgets what is not written down of a peer.
    pub(super) fn forget_news(&mut self, peer: &PeerId) {
        self.swarm.behaviour_mut().gate.inner.kad.remove_peer(peer);
        self.links.forget(peer);
        self.directory.forget(peer);
        if let Some(key) = Key::of(peer) {
            self.hellos.forget(&key);
        }
    }

    /// The link of one who has left has had its time.
    pub(super) fn part_from_left(&mut self, peer: PeerId) {
        if Key::of(&peer).is_none_or(|key| !self.roster.has(&key)) {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
    }

    /// Told that somebody has left, by a message to all.
    pub(super) fn hear_left(&mut self, body: &[u8]) -> Result<(), Why> {
        let all: Vec<Leave> = frame::decode(body, BODY_LIMIT).map_err(super::door::why)?;
        self.take_leaves(all).map(drop)
    }

    /// Told so by a member itself, which is told who else has left.
    pub(super) fn left_answer(&mut self, peer: PeerId, body: &[u8]) -> Reply {
        let heard = frame::decode(body, BODY_LIMIT).map_err(super::door::why);
        match heard.and_then(|all| self.take_leaves(all)) {
            Ok(news) => self.tell_leaves(&news),
            Err(why) => {
                self.turn_away(Some(peer), why);
                return Reply::Away(why);
            }
        }
        let mut all: Vec<Leave> = self.roster.left().cloned().collect();
        self.dice.shuffle(&mut all);
        let mut bytes = frame::encode(&all, Vec::new());
        while bytes.len() > BODY_LIMIT {
            all.truncate(all.len() * 3 / 4);
            bytes = frame::encode(&all, Vec::new());
        }
        Reply::Done(bytes)
    }

    /// Takes in who has left while this peer was away, and tells those who were away with it.
    pub(super) fn learn_left(&mut self, from: PeerId, bytes: &[u8]) {
        let heard = frame::decode(bytes, BODY_LIMIT).map_err(super::door::why);
        match heard.and_then(|all| self.take_leaves(all)) {
            Ok(news) => self.tell_leaves(&news),
            Err(why) => self.turn_away(Some(from), why),
        }
    }

    /// Answers with those of them that are news.
    fn take_leaves(&mut self, all: Vec<Leave>) -> Result<Vec<Leave>, Why> {
        let mut news = Vec::new();
        for leave in all {
            let holder = leave.holder();
            let was = self.roster.has(&holder);
            if !self.roster.part(&leave)? {
                continue;
            }
            news.push(leave);
            let gone = was && !self.roster.has(&holder);
            if let Some(peer) = holder.peer().filter(|_| gone) {
                self.forget_member(peer);
                self.tell(Event::Left { peer });
                self.timers.after(LINGER, Due::Part(peer));
            }
        }
        Ok(news)
    }

    fn tell_leaves(&mut self, news: &[Leave]) {
        for some in news.chunks(AT_ONCE) {
            self.whisper(LEFT, frame::encode(&some, Vec::new()));
        }
    }
}
