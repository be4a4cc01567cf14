//! Votes over the mesh: proposals and votes go to all, and are said again until voting ends, so that what gets lost comes later.

use super::Node;
use crate::error::Error;
use crate::event::{Event, Why};
use crate::frame::{self, BODY_LIMIT, Frame, Reply};
use crate::key::Key;
use crate::votes::{Ballot, Brought, Certificate, Draft, Lie, Matter, Proposal, State, Tally, Vote};
use libp2p::PeerId;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) struct Polls {
    ballots: HashMap<Matter, Ballot>,
    again: Instant,
}

#[derive(Serialize, Deserialize)]
enum Said {
    Proposal(Proposal),
    Vote(Vote),
    Lie(Lie),
}

pub(super) const VOTES: &str = "~votes";
pub(super) const BALLOTS: &str = "~ballots";
/// The most bytes of one of these: a proposal with the largest body and electorate.
const SAID_LIMIT: usize = 128 << 10;
/// Proposals that are known at once, and those of one proposer.
const ROOM: usize = 128;
const OF_ONE: usize = 16;
/// The longest that voting may last, and for how long after it its outcome can be read.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);
const AFTER: u64 = 3_600_000;

impl Polls {
    pub(super) fn new() -> Polls {
        Polls { ballots: HashMap::new(), again: Instant::now() }
    }

    fn room_for(&self, proposer: &Key) -> Result<(), Error> {
        let own = self.ballots.values().filter(|ballot| ballot.proposal.proposer == *proposer).count();
        if self.ballots.len() >= ROOM {
            return Err(Error::NoRoom { what: "the list of proposals", limit: ROOM });
        }
        if own >= OF_ONE {
            return Err(Error::NoRoom { what: "the list of proposals of one peer", limit: OF_ONE });
        }
        Ok(())
    }
}

impl Node {
    pub(super) fn propose(&mut self, draft: Draft, life: Duration) -> Result<Matter, Error> {
        if let Some(what) = draft.flaw() {
            return Err(Error::Setting { setting: "proposal", what: what.into() });
        }
        if life.is_zero() || life > LONGEST {
            return Err(Error::Setting { setting: "proposal", what: "voting lasts 30 days at most".into() });
        }
        self.polls.room_for(&self.own())?;
        let deadline = self.now() + life.as_millis() as u64;
        let proposal = Proposal::new(&self.keys, self.roster.village(), draft, deadline);
        let matter = proposal.matter();
        self.polls.ballots.insert(matter, Ballot::new(proposal.clone()));
        self.tell(Event::Proposed { proposal: Arc::new(proposal.clone()) });
        self.say(&Said::Proposal(proposal));
        Ok(matter)
    }

    pub(super) fn vote(&mut self, matter: Matter, yes: bool) -> Result<(), Error> {
        let (own, now) = (self.own(), self.now());
        let ballot = self.polls.ballots.get(&matter).ok_or(Error::NoProposal)?;
        if !ballot.proposal.said.electorate.contains(&own) {
            return Err(Error::NoVote);
        }
        let deadline = ballot.proposal.deadline;
        if deadline <= now {
            return Err(Error::Expired { sent: false });
        }
        // Others may remember what this peer has forgotten.
        match ballot.vote_of(&own) {
            Some(before) if before.yes != yes => return Err(Error::HasVoted { yes: before.yes }),
            _ => {}
        }
        // Written down before it is said: who forgets it and votes differently would be taken for a liar.
        self.roster.cast(matter, yes, deadline, now)?;
        let vote = Vote::new(&self.keys, matter, yes);
        self.count(vote.clone()).map_err(|why| Error::TurnedAway { why })?;
        self.say(&Said::Vote(vote));
        Ok(())
    }

    pub(super) fn tallies(&self) -> Vec<Tally> {
        self.polls.ballots.values().map(Ballot::tally).collect()
    }

    pub(super) fn certificate(&self, matter: &Matter) -> Option<Certificate> {
        self.polls.ballots.get(matter)?.certificate()
    }

    /// A member has said something about a vote.
    pub(super) fn hear_vote(&mut self, frame: &Frame) -> Result<(), Why> {
        match frame::decode(&frame.body, SAID_LIMIT).map_err(super::door::why)? {
            Said::Proposal(proposal) if proposal.proposer != frame.sender => Err(Why::Forged),
            Said::Proposal(proposal) => self.hear_proposal(proposal),
            Said::Vote(vote) if vote.voter != frame.sender => Err(Why::Forged),
            // What comes before its proposal is said again later.
            Said::Vote(vote) => self.count(vote),
            Said::Lie(lie) => self.hear_lie(lie),
        }
    }

    fn hear_proposal(&mut self, proposal: Proposal) -> Result<(), Why> {
        let now = self.now();
        if proposal.village != self.roster.village() || !proposal.is_signed() {
            return Err(Why::Forged);
        }
        let matter = proposal.matter();
        if self.polls.ballots.contains_key(&matter) {
            return Ok(());
        }
        let longest = now + LONGEST.as_millis() as u64;
        if proposal.deadline <= now || proposal.deadline > longest {
            return Err(Why::Expired);
        }
        if proposal.said.flaw().is_some() {
            return Err(Why::Malformed);
        }
        self.polls.room_for(&proposal.proposer).map_err(|_| Why::Flooding)?;
        let mut ballot = Ballot::new(proposal.clone());
        // After a restart this peer still stands by what it has said.
        if let Some(yes) = self.roster.has_cast(&matter) {
            let own = Vote::new(&self.keys, matter, yes);
            ballot.take(own, now)?;
        }
        self.polls.ballots.insert(matter, ballot);
        self.tell(Event::Proposed { proposal: Arc::new(proposal) });
        Ok(())
    }

    fn count(&mut self, vote: Vote) -> Result<(), Why> {
        let now = self.now();
        let matter = vote.matter;
        let Some(ballot) = self.polls.ballots.get_mut(&matter) else { return Ok(()) };
        match ballot.take(vote, now)? {
            Brought::Nothing | Brought::Counted => {}
            Brought::Lie(lie) => {
                self.tell(Event::Lied { lie: Arc::new(lie.clone()) });
                self.say(&Said::Lie(lie));
            }
            Brought::Accepted(certificate) => self.tell(Event::Accepted { certificate: Arc::new(certificate) }),
            Brought::Rejected => self.tell(Event::Rejected { matter }),
        }
        Ok(())
    }

    fn hear_lie(&mut self, lie: Lie) -> Result<(), Why> {
        let Some(ballot) = self.polls.ballots.get_mut(&lie.one.matter) else { return Ok(()) };
        let before = ballot.tally().state;
        if ballot.convict(lie.clone())? {
            let after = ballot.tally().state;
            let matter = lie.one.matter;
            self.tell(Event::Lied { lie: Arc::new(lie) });
            if before == State::Open && after == State::Rejected {
                self.tell(Event::Rejected { matter });
            }
        }
        Ok(())
    }

    /// What is voted on, and the votes so far, as much as fits into an answer: each is signed by whose it is.
    pub(super) fn ballots_answer(&mut self) -> Reply {
        let now = self.now();
        let mut room = BODY_LIMIT - 64;
        let mut all: Vec<Said> = Vec::new();
        for ballot in self.polls.ballots.values().filter(|ballot| ballot.proposal.deadline > now) {
            let votes = ballot.votes().cloned().map(Said::Vote);
            let said = votes.chain(ballot.lies().cloned().map(Said::Lie));
            for said in std::iter::once(Said::Proposal(ballot.proposal.clone())).chain(said) {
                let Some(left) = room.checked_sub(frame::encode(&said, Vec::new()).len() + 8) else { break };
                room = left;
                all.push(said);
            }
        }
        Reply::Done(frame::encode(&all, Vec::new()))
    }

    /// Takes in what is voted on: who was away while it was said, or has begun anew, does not wait for each to say it again.
    pub(super) fn learn_ballots(&mut self, from: PeerId, bytes: &[u8]) {
        let all: Vec<Said> = match frame::decode(bytes, BODY_LIMIT) {
            Ok(all) => all,
            Err(error) => return self.turn_away(Some(from), super::door::why(error)),
        };
        for said in all {
            let heard = match said {
                Said::Proposal(proposal) if !self.is_member(&proposal.proposer) => {
                    // Who that is may be on its way here: it is asked for once more.
                    self.links.fell_behind(&from);
                    continue;
                }
                Said::Proposal(proposal) => self.hear_proposal(proposal),
                Said::Vote(vote) => self.count(vote),
                Said::Lie(lie) => self.hear_lie(lie),
            };
            // What has expired meanwhile, or has no room here, is nobody's fault.
            if let Err(why @ (Why::Forged | Why::Malformed)) = heard {
                return self.turn_away(Some(from), why);
            }
        }
    }

    fn is_member(&self, key: &Key) -> bool {
        *key == self.own() || self.roster.has(key)
    }

    fn say(&mut self, said: &Said) {
        let body = frame::encode(said, Vec::new());
        let _ = self.whisper(VOTES, body);
    }

    /// Ends what has had its time.
    fn end_polls(&mut self) {
        let now = self.now();
        let mut ended = Vec::new();
        self.polls.ballots.retain(|matter, ballot| {
            if ballot.proposal.deadline <= now && ballot.lapse() {
                ended.push(*matter);
            }
            ballot.proposal.deadline + AFTER > now
        });
        for matter in ended {
            self.tell(Event::Lapsed { matter });
        }
    }

    /// Says again what others may have missed.
    pub(super) fn look_after_polls(&mut self) {
        self.end_polls();
        if self.polls.again > Instant::now() {
            return;
        }
        self.polls.again = Instant::now() + self.dice.about(self.settings.pace.hello);
        let (now, own) = (self.now(), self.own());
        let mut again = Vec::new();
        for ballot in self.polls.ballots.values().filter(|ballot| ballot.proposal.deadline > now) {
            if ballot.proposal.proposer == own {
                again.push(Said::Proposal(ballot.proposal.clone()));
                again.extend(ballot.lies().cloned().map(Said::Lie));
            }
            again.extend(ballot.vote_of(&own).cloned().map(Said::Vote));
        }
        for said in again {
            self.say(&said);
        }
    }
}
