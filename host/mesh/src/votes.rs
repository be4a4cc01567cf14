//! Votes: signed proposals and votes, decided by a part of a declared electorate, with a certificate that anyone can verify.
//!
//! A minority of liars can keep a decision from coming about, but not forge one: whoever votes both ways is proved to lie, and
//! its votes count for nothing.

use crate::Why;
use crate::key::{self, Key, Signature};
use libp2p::identity::Keypair;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What there is to decide, signed by its proposer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// What it says.
    pub said: Draft,
    /// Whose it is.
    pub proposer: Key,
    /// The village that decides.
    pub village: Key,
    /// When voting ends, in milliseconds since 1970.
    pub deadline: u64,
    signature: Signature,
}

/// What is to be decided, and by whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// What it is about, for people.
    pub subject: String,
    /// What it says, for programs.
    pub body: Vec<u8>,
    /// Who votes: whoever is not named has none.
    pub electorate: BTreeSet<Key>,
    /// The part of the electorate that has to say yes, in thousandths: more than half.
    pub threshold: u16,
}

/// The name of a proposal: the hash of all that was signed, so that one name cannot mean two things.
pub type Matter = [u8; 32];

/// One vote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// What it is about.
    pub matter: Matter,
    /// Whose it is.
    pub voter: Key,
    /// Yes or no.
    pub yes: bool,
    signature: Signature,
}

/// Proof that a proposal was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// What was decided.
    pub proposal: Proposal,
    /// Those who said yes.
    pub votes: Vec<Vote>,
}

/// Proof that somebody has voted both ways.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lie {
    /// One vote.
    pub one: Vote,
    /// The other.
    pub other: Vote,
}

/// How a vote stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// What it is about.
    pub proposal: Proposal,
    /// Who says yes.
    pub yes: BTreeSet<Key>,
    /// Who says no.
    pub no: BTreeSet<Key>,
    /// Who has said both, and so nothing.
    pub liars: BTreeSet<Key>,
    /// The proof of each.
    pub lies: Vec<Lie>,
    /// How many have to say yes.
    pub needed: usize,
    /// What has come of it.
    pub state: State,
}

/// What has come of a proposal so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is not decided yet.
    Open,
    /// Enough have said yes.
    Accepted,
    /// So many cannot say yes any more.
    Rejected,
    /// Voting has ended, and too few have said yes.
    Lapsed,
}

/// Why a certificate proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// The proposal is not signed by its proposer.
    #[error("the proposal is not signed by its proposer")]
    Forged,
    /// It is about another village, another electorate, or asks for less.
    #[error("it was decided by others, or by fewer, than is wanted")]
    Terms,
    /// A vote in it is not of one who has one, about something else, a no, or not signed.
    #[error("a vote in it does not count")]
    Vote,
    /// Too few have said yes, those who have lied left out.
    #[error("{yes} have said yes, and it takes {needed}")]
    TooFew {
        /// How many have.
        yes: usize,
        /// How many it takes.
        needed: usize,
    },
}

/// Four fifths.
pub const THRESHOLD: u16 = 800;
/// The most bytes of a proposal's subject, and of its body: what is larger goes as a blob.
pub(crate) const SUBJECT_LIMIT: usize = 256;
pub(crate) const MATTER_LIMIT: usize = 64 << 10;
/// The most who vote.
pub(crate) const ELECTORATE: usize = 1000;

const PROPOSAL: &str = "proposal 1";
const VOTE: &str = "vote 1";

impl Draft {
    /// What is wrong with it, if anything is.
    pub(crate) fn flaw(&self) -> Option<&'static str> {
        if self.subject.len() > SUBJECT_LIMIT || self.body.len() > MATTER_LIMIT {
            return Some("its subject has up to 256 bytes, its body up to 64 KiB");
        }
        if self.electorate.is_empty() || self.electorate.len() > ELECTORATE {
            return Some("its electorate has 1 to 1000 members");
        }
        // With a half or less, yes and no could both be decided.
        (!(501..=1000).contains(&self.threshold)).then_some("its threshold is from 501 to 1000 thousandths")
    }

    /// How many have to say yes.
    pub fn needed(&self) -> usize {
        (self.electorate.len() * usize::from(self.threshold)).div_ceil(1000)
    }
}

impl Proposal {
    pub(crate) fn new(keys: &Keypair, village: Key, said: Draft, deadline: u64) -> Proposal {
        let proposer = Key::of_pair(keys).expect("a peer's own keys are ed25519");
        let signature = key::sign(keys, PROPOSAL, &signed(&said, &proposer, &village, deadline));
        Proposal { said, proposer, village, deadline, signature }
    }

    /// Its name.
    pub fn matter(&self) -> Matter {
        blake3::hash(&signed(&self.said, &self.proposer, &self.village, self.deadline)).into()
    }

    /// Whether its proposer has signed it.
    pub fn is_signed(&self) -> bool {
        let bytes = signed(&self.said, &self.proposer, &self.village, self.deadline);
        self.proposer.has_signed(PROPOSAL, &bytes, &self.signature)
    }
}

fn signed(said: &Draft, proposer: &Key, village: &Key, deadline: u64) -> Vec<u8> {
    postcard::to_stdvec(&(said, proposer, village, deadline)).expect("it has nothing that cannot be written")
}

impl Vote {
    pub(crate) fn new(keys: &Keypair, matter: Matter, yes: bool) -> Vote {
        let voter = Key::of_pair(keys).expect("a peer's own keys are ed25519");
        let signature = key::sign(keys, VOTE, &vote_bytes(&matter, yes));
        Vote { matter, voter, yes, signature }
    }

    /// Whether its voter has signed it.
    pub fn is_signed(&self) -> bool {
        self.voter.has_signed(VOTE, &vote_bytes(&self.matter, self.yes), &self.signature)
    }
}

fn vote_bytes(matter: &Matter, yes: bool) -> Vec<u8> {
    [matter.as_slice(), &[u8::from(yes)]].concat()
}

impl Lie {
    /// Whether it proves what it says.
    pub fn is_proved(&self) -> bool {
        let same = self.one.voter == self.other.voter && self.one.matter == self.other.matter;
        same && self.one.yes != self.other.yes && self.one.is_signed() && self.other.is_signed()
    }
}

impl Certificate {
    /// Whether these members of this village have accepted it, with at least this threshold, even without those who are proved
    /// to have voted both ways.
    ///
    /// Who asks says who has to have decided: a certificate that names its own electorate would prove nothing.
    pub fn verify(&self, village: &Key, electorate: &BTreeSet<Key>, threshold: u16, lies: &[Lie]) -> Result<(), Flaw> {
        let proposal = &self.proposal;
        if !proposal.is_signed() {
            return Err(Flaw::Forged);
        }
        let said = &proposal.said;
        if proposal.village != *village || said.electorate != *electorate || said.threshold < threshold {
            return Err(Flaw::Terms);
        }
        let (matter, mut yes) = (proposal.matter(), BTreeSet::new());
        for vote in &self.votes {
            let counts = vote.yes && vote.matter == matter && said.electorate.contains(&vote.voter);
            if !counts || !vote.is_signed() || !yes.insert(vote.voter) {
                return Err(Flaw::Vote);
            }
        }
        for lie in lies.iter().filter(|lie| lie.one.matter == matter && lie.is_proved()) {
            yes.remove(&lie.one.voter);
        }
        let needed = said.needed();
        if said.flaw().is_some() || yes.len() < needed {
            return Err(Flaw::TooFew { yes: yes.len(), needed });
        }
        Ok(())
    }
}

/// A proposal, and the votes on it so far.
#[derive(Debug)]
pub(crate) struct Ballot {
    pub(crate) proposal: Proposal,
    votes: BTreeMap<Key, Vote>,
    lies: BTreeMap<Key, Lie>,
    state: State,
}

/// What a vote has brought about.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Brought {
    Nothing,
    Counted,
    Lie(Lie),
    Accepted(Certificate),
    Rejected,
}

impl Ballot {
    pub(crate) fn new(proposal: Proposal) -> Ballot {
        Ballot { proposal, votes: BTreeMap::new(), lies: BTreeMap::new(), state: State::Open }
    }

    /// Counts a vote.
    pub(crate) fn take(&mut self, vote: Vote, now: u64) -> Result<Brought, Why> {
        if !self.proposal.said.electorate.contains(&vote.voter) {
            return Err(Why::Stranger);
        }
        if self.lies.contains_key(&vote.voter) {
            return Ok(Brought::Nothing);
        }
        let known = self.votes.get(&vote.voter);
        if known.is_some_and(|known| known.yes == vote.yes) {
            return Ok(Brought::Nothing);
        }
        if !vote.is_signed() {
            return Err(Why::Forged);
        }
        if let Some(one) = self.votes.remove(&vote.voter) {
            let lie = Lie { one, other: vote };
            self.lies.insert(lie.one.voter, lie.clone());
            self.settle();
            return Ok(Brought::Lie(lie));
        }
        // That somebody lies is worth to know even when it is too late.
        if now >= self.proposal.deadline {
            return Err(Why::Expired);
        }
        self.votes.insert(vote.voter, vote);
        let before = self.state;
        self.settle();
        Ok(match (before, self.state, self.certificate()) {
            (State::Open, State::Accepted, Some(certificate)) => Brought::Accepted(certificate),
            (State::Open, State::Rejected, _) => Brought::Rejected,
            _ => Brought::Counted,
        })
    }

    /// Takes a proof that somebody has voted both ways; whether it is news.
    pub(crate) fn convict(&mut self, lie: Lie) -> Result<bool, Why> {
        if !lie.is_proved() || !self.proposal.said.electorate.contains(&lie.one.voter) {
            return Err(Why::Forged);
        }
        if self.lies.contains_key(&lie.one.voter) {
            return Ok(false);
        }
        self.votes.remove(&lie.one.voter);
        self.lies.insert(lie.one.voter, lie);
        self.settle();
        Ok(true)
    }

    fn settle(&mut self) {
        // What was accepted stays so: its certificate may have gone out.
        if self.state != State::Open {
            return;
        }
        let said = &self.proposal.said;
        let yes = self.votes.values().filter(|vote| vote.yes).count();
        let lost = self.votes.len() - yes + self.lies.len();
        if yes >= said.needed() {
            self.state = State::Accepted;
        } else if said.electorate.len() - lost < said.needed() {
            self.state = State::Rejected;
        }
    }

    /// Proof that it was accepted, if it was.
    pub(crate) fn certificate(&self) -> Option<Certificate> {
        let votes = self.votes.values().filter(|vote| vote.yes).cloned().collect();
        (self.state == State::Accepted).then(|| Certificate { proposal: self.proposal.clone(), votes })
    }

    /// Voting has ended; whether nothing was decided until then.
    pub(crate) fn lapse(&mut self) -> bool {
        let open = self.state == State::Open;
        if open {
            self.state = State::Lapsed;
        }
        open
    }

    pub(crate) fn vote_of(&self, voter: &Key) -> Option<&Vote> {
        self.votes.get(voter)
    }

    pub(crate) fn votes(&self) -> impl Iterator<Item = &Vote> {
        self.votes.values()
    }

    pub(crate) fn lies(&self) -> impl Iterator<Item = &Lie> {
        self.lies.values()
    }

    pub(crate) fn tally(&self) -> Tally {
        let of = |yes: bool| self.votes.values().filter(|vote| vote.yes == yes).map(|vote| vote.voter).collect();
        Tally {
            proposal: self.proposal.clone(),
            yes: of(true),
            no: of(false),
            liars: self.lies.keys().copied().collect(),
            lies: self.lies.values().cloned().collect(),
            needed: self.proposal.said.needed(),
            state: self.state,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use super::*;

    fn keys(seed: u8) -> Keypair {
        Keypair::ed25519_from_bytes([seed; 32]).unwrap()
    }

    fn key(seed: u8) -> Key {
        Key::of_pair(&keys(seed)).unwrap()
    }

    fn draft(threshold: u16) -> Draft {
        Draft {
            subject: "a better navigator".into(),
            body: b"sha256:1".to_vec(),
            electorate: (1..=10).map(key).collect(),
            threshold,
        }
    }

    fn ballot() -> Ballot {
        Ballot::new(Proposal::new(&keys(1), key(1), draft(THRESHOLD), 1000))
    }

    fn vote(ballot: &Ballot, seed: u8, yes: bool) -> Vote {
        Vote::new(&keys(seed), ballot.proposal.matter(), yes)
    }

    /// A certificate of the first eight.
    fn accepted() -> Certificate {
        let mut ballot = ballot();
        for seed in 1..=7 {
            let each = vote(&ballot, seed, true);
            assert_eq!(ballot.take(each, 5), Ok(Brought::Counted));
        }
        let last = vote(&ballot, 8, true);
        match ballot.take(last, 5) {
            Ok(Brought::Accepted(certificate)) => certificate,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn four_fifths_decide_and_the_certificate_says_so_to_anyone() {
        let certificate = accepted();
        let (village, electorate) = (key(1), draft(800).electorate);
        assert_eq!(certificate.verify(&village, &electorate, 800, &[]), Ok(()));
        assert_eq!(certificate.verify(&key(2), &electorate, 800, &[]), Err(Flaw::Terms));
        assert_eq!(certificate.verify(&village, &electorate, 801, &[]), Err(Flaw::Terms));
        let fewer: BTreeSet<Key> = (1..=8).map(key).collect();
        assert_eq!(certificate.verify(&village, &fewer, 800, &[]), Err(Flaw::Terms));
        let bytes = postcard::to_stdvec(&certificate).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let good = postcard::from_bytes::<Certificate>(&changed)
                .is_ok_and(|changed| changed.verify(&village, &electorate, 800, &[]).is_ok());
            assert!(!good, "byte {at} can be changed");
        }
    }

    #[test]
    fn a_certificate_cannot_be_made_up() {
        let good = accepted();
        let (village, electorate) = (key(1), draft(800).electorate);
        let check = |certificate: &Certificate| certificate.verify(&village, &electorate, 800, &[]);
        let few = Certificate { votes: good.votes[..7].to_vec(), ..good.clone() };
        assert_eq!(check(&few), Err(Flaw::TooFew { yes: 7, needed: 8 }));
        let mut twice = few.clone();
        twice.votes.push(good.votes[0].clone());
        assert_eq!(check(&twice), Err(Flaw::Vote));
        let matter = good.proposal.matter();
        let with = |vote: Vote| {
            let mut made = few.clone();
            made.votes.push(vote);
            check(&made)
        };
        assert_eq!(with(Vote::new(&keys(99), matter, true)), Err(Flaw::Vote), "one without a vote");
        assert_eq!(
            with(Vote { voter: key(9), ..Vote::new(&keys(99), matter, true) }),
            Err(Flaw::Vote),
            "another's name"
        );
        assert_eq!(with(Vote::new(&keys(9), [0; 32], true)), Err(Flaw::Vote), "about something else");
        assert_eq!(with(Vote { yes: true, ..Vote::new(&keys(9), matter, false) }), Err(Flaw::Vote), "a no, turned");
        let mut other = good.clone();
        other.proposal.said.body = b"sha256:2".to_vec();
        assert_eq!(check(&other), Err(Flaw::Forged));
    }

    #[test]
    fn who_votes_both_ways_is_proved_to_lie_and_counts_for_nothing() {
        let mut ballot = ballot();
        let (yes, no) = (vote(&ballot, 2, true), vote(&ballot, 2, false));
        assert_eq!(ballot.take(yes.clone(), 5), Ok(Brought::Counted));
        assert_eq!(ballot.take(yes.clone(), 5), Ok(Brought::Nothing));
        let Ok(Brought::Lie(lie)) = ballot.take(no.clone(), 5) else { panic!("it was not seen") };
        assert!(lie.is_proved());
        assert_eq!(ballot.take(yes.clone(), 5), Ok(Brought::Nothing));
        let tally = ballot.tally();
        assert_eq!((tally.yes.len(), tally.no.len(), tally.liars.len()), (0, 0, 1));
        assert!(!Lie { one: yes.clone(), other: yes.clone() }.is_proved());
        assert!(!Lie { one: yes, other: Vote { voter: key(2), ..vote(&ballot, 3, false) } }.is_proved());
        // A certificate with its vote is worth less by one.
        let certificate = accepted();
        let matter = certificate.proposal.matter();
        let lie = Lie { one: Vote::new(&keys(3), matter, true), other: Vote::new(&keys(3), matter, false) };
        let checked = certificate.verify(&key(1), &draft(800).electorate, 800, &[lie]);
        assert_eq!(checked, Err(Flaw::TooFew { yes: 7, needed: 8 }));
    }

    #[test]
    fn a_minority_can_stop_a_decision_and_late_or_foreign_votes_do_nothing() {
        let mut ballot = ballot();
        assert_eq!(ballot.take(vote(&ballot, 11, true), 5), Err(Why::Stranger));
        let forged = Vote { voter: key(3), ..vote(&ballot, 2, true) };
        assert_eq!(ballot.take(forged, 5), Err(Why::Forged));
        assert_eq!(ballot.take(vote(&ballot, 4, true), 1000), Err(Why::Expired));
        for seed in 1..=2 {
            assert_eq!(ballot.take(vote(&ballot, seed, false), 5), Ok(Brought::Counted));
        }
        assert_eq!(ballot.take(vote(&ballot, 3, false), 5), Ok(Brought::Rejected));
        for seed in 4..=10 {
            assert_eq!(ballot.take(vote(&ballot, seed, true), 5), Ok(Brought::Counted));
        }
        assert_eq!(ballot.tally().state, State::Rejected);
    }

    #[test]
    fn what_cannot_be_decided_is_no_proposal() {
        assert_eq!(draft(800).flaw(), None);
        assert_eq!((draft(800).needed(), draft(801).needed(), draft(501).needed()), (8, 9, 6));
        assert!(draft(500).flaw().is_some() && draft(1001).flaw().is_some());
        assert!(Draft { electorate: BTreeSet::new(), ..draft(800) }.flaw().is_some());
        assert!(Draft { body: vec![0; MATTER_LIMIT + 1], ..draft(800) }.flaw().is_some());
    }

    #[test]
    fn votes_of_version_1_still_read() {
        let certificate = Certificate {
            proposal: Proposal::new(&keys(1), key(1), Draft { electorate: [key(1)].into(), ..draft(800) }, 1000),
            votes: vec![],
        };
        let certificate =
            Certificate { votes: vec![Vote::new(&keys(1), certificate.proposal.matter(), true)], ..certificate };
        let bytes = crate::frame::encode(&certificate, Vec::new());
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, include_str!("../tests/golden/certificate-1.hex").trim());
        assert_eq!(crate::frame::decode::<Certificate>(&bytes, 10_000), Ok(certificate));
    }
}
