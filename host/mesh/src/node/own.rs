//! What members ask each other by themselves: whom each knows, who has left, what was published lately, who is there, what is
//! voted on, and whether one can be called.

use super::asked::Channel;
use super::calls::Done;
use super::leaving::LEFT;
use super::polls::BALLOTS;
use super::present::PRESENT;
use super::reach::REACH;
use super::recent::RECENT;
use super::{Node, Outgoing, Room};
use crate::event::Why;
use crate::frame::{self, BODY_LIMIT, Frame, Id, Priority, Reply, Trace};
use crate::roster::Member;
use libp2p::{Multiaddr, PeerId};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

const ROSTER: &str = "~roster";
const LIFE: Duration = Duration::from_secs(20);

impl Node {
    /// Another member asks something by itself.
    pub(super) fn answer_own(&mut self, peer: PeerId, frame: &Frame, channel: Option<Channel>) {
        let reply = match frame.to.as_str() {
            // It takes a while to find out.
            REACH => return self.answer_reach(peer, &frame.body, channel),
            ROSTER => self.roster_answer(),
            RECENT => self.recent_answer(),
            PRESENT => self.present_answer(),
            LEFT => self.left_answer(peer, &frame.body),
            BALLOTS => self.ballots_answer(),
            _ => Reply::Refused("this is not known here".into()),
        };
        self.reply(channel, &reply.encode());
    }

    fn roster_answer(&mut self) -> Reply {
        let mut members: Vec<Member> = self.roster.members().map(|(_, member)| member.clone()).collect();
        self.dice.shuffle(&mut members);
        let mut bytes = frame::encode(&members, Vec::new());
        while bytes.len() > BODY_LIMIT {
            members.truncate(members.len() * 3 / 4);
            bytes = frame::encode(&members, Vec::new());
        }
        Reply::Done(bytes)
    }

    /// Asks a member who has left, whom it knows, what was published lately, who is there, and what is voted on.
    pub(super) fn catch_up(&mut self, peer: PeerId) {
        let none: [u8; 0] = [];
        self.ask_own(peer, LEFT, frame::encode(&none.as_slice(), Vec::new()), Done::Left);
        self.ask_own(peer, ROSTER, Vec::new(), Done::Roster);
        self.ask_own(peer, RECENT, Vec::new(), Done::Recent);
        self.ask_own(peer, PRESENT, Vec::new(), Done::Present);
        self.ask_own(peer, BALLOTS, Vec::new(), Done::Ballots);
    }

    pub(super) fn ask_own(&mut self, peer: PeerId, what: &str, body: Vec<u8>, done: Done) {
        let now = self.now();
        let frame = Frame {
            id: Id::new(),
            sender: self.own(),
            to: what.into(),
            priority: Priority::High,
            sent: now,
            expires: now + LIFE.as_millis() as u64,
            correlation: None,
            trace: Trace::default(),
            body,
        };
        let bytes = frame.encode();
        // Of these there is one for each link.
        let own = Arc::new(Semaphore::new(2));
        let (Ok(place), Ok(memory)) = (own.clone().try_acquire_owned(), own.try_acquire_owned()) else { return };
        let room = Room { _place: place, _memory: memory };
        let until = Instant::now() + LIFE;
        let outgoing = Outgoing { to: peer, id: frame.id, priority: frame.priority, bytes, until, _room: room };
        self.begin(outgoing, done);
    }

    pub(super) fn learn_roster(&mut self, from: PeerId, bytes: &[u8]) {
        let members: Vec<Member> = match frame::decode(bytes, BODY_LIMIT) {
            Ok(members) => members,
            Err(error) => return self.turn_away(Some(from), super::door::why(error)),
        };
        self.learn_members(from, members);
    }

    /// Takes in those of whom another tells, as far as their passes are good.
    pub(super) fn learn_members(&mut self, from: PeerId, members: Vec<Member>) {
        for member in members {
            let holder = member.pass.holder();
            let known = self.roster.has(&holder);
            match self.admit(&member.pass) {
                Ok(()) => {
                    // What is known first hand is better.
                    if !known && let Some(peer) = holder.peer() {
                        let addresses: Vec<Multiaddr> =
                            member.addresses.iter().take(8).filter_map(|text| text.parse().ok()).collect();
                        self.located(peer, &addresses);
                    }
                }
                Err(Why::Blocked | Why::Full | Why::Left) => {}
                Err(why) => return self.turn_away(Some(from), why),
            }
        }
    }
}
