//! Votes: what the villages decide together, by a part of those who are named, with a proof that anyone can check.

use super::membership::hex;
use crate::error::Error;
use crate::registry::Note;
use crate::ring::millis;
use crate::village::Village;
use mesh::{Draft, Key, Lie, Matter, Proof, Proposal, State, THRESHOLD, Tally};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;

/// What is to be decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Motion {
    /// What it says: its first line is what it is about.
    pub text: String,
    /// Those who vote, each by its id or how that begins; all that are known here, if none is named.
    pub electorate: Vec<String>,
    /// The part of them that has to say yes, above a half and up to 1; four fifths, unless it is said.
    pub threshold: Option<f64>,
    /// How long voting lasts.
    pub life: Duration,
}

/// How a vote stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Poll {
    /// The name of the proposal: the hash of all that it says.
    pub id: String,
    /// What it says.
    pub text: String,
    /// Whose it is.
    pub proposer: String,
    /// Until when one can vote, in Unix milliseconds.
    pub deadline: u64,
    /// Those who vote.
    pub electorate: Vec<String>,
    /// The part of them that has to say yes.
    pub threshold: f64,
    /// How many that is.
    pub needed: u64,
    /// Who says yes.
    pub yes: Vec<String>,
    /// Who says no.
    pub no: Vec<String>,
    /// Who has said both, and so nothing.
    pub liars: Vec<String>,
    /// `open`, `accepted`, `rejected` or `lapsed`.
    pub state: String,
    /// How this village has voted, if it has.
    pub voted: Option<bool>,
}

/// A vote with what proves its outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PollDetails {
    /// How it stands.
    #[serde(flatten)]
    pub poll: Poll,
    /// Proof that it was accepted, if it was. It is here for an hour after voting has ended.
    pub certificate: Option<String>,
    /// Proof of each who has voted both ways.
    pub lies: Vec<String>,
}

/// Under which terms a certificate is good. What is not said is as the certificate has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Conditions {
    /// The founder of the village that has to have decided.
    pub founder: Option<String>,
    /// Those who had to vote.
    pub electorate: Vec<String>,
    /// The least part of them that had to say yes.
    pub threshold: Option<f64>,
    /// Proofs of those who have voted both ways: their votes count for nothing.
    pub lies: Vec<String>,
}

/// What a proof proves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "proves", rename_all = "kebab-case")]
pub enum Proved {
    /// That something was decided.
    Decision {
        /// What it says, by whom, and who voted.
        #[serde(flatten)]
        poll: Box<Poll>,
        /// The founder of the village that has decided.
        founder: String,
    },
    /// That somebody has voted both ways.
    Lie {
        /// Who.
        voter: String,
        /// On what.
        id: String,
    },
}

impl Village {
    /// Proposes something to those who are to decide it.
    pub async fn propose(&self, motion: Motion) -> Result<Poll, Error> {
        self.open()?;
        let mesh = self.linked()?;
        let text = motion.text.trim();
        if text.is_empty() {
            return Err(Error::Bad("a proposal says something".into()));
        }
        let mut electorate = BTreeSet::new();
        for voter in &motion.electorate {
            electorate.insert(self.voter(voter).await?);
        }
        if motion.electorate.is_empty() {
            electorate.extend(mesh.members().await?.iter().map(|member| member.pass.holder()));
            electorate.extend(Key::of(&mesh.peer()));
        }
        let threshold = motion.threshold.map_or(Ok(THRESHOLD), thousandths)?;
        let draft = Draft { subject: subject(text), body: text.into(), electorate, threshold };
        let id = hex(&mesh.propose(draft, motion.life).await?);
        let note = json!({ "id": id, "subject": subject(text) });
        self.registry().note("", Note::new("mesh-propose", note)).await?;
        Ok(self.poll(&id).await?.poll)
    }

    /// Votes on a proposal, named by its id or by how that begins.
    pub async fn vote(&self, id: &str, yes: bool) -> Result<Poll, Error> {
        self.open()?;
        let tally = self.tally(id).await?;
        let matter = tally.proposal.matter();
        if tally.proposal.deadline <= millis() {
            return Err(Error::Vote { id: id.into(), why: "voting on it has ended".into() });
        }
        self.linked()?.vote(matter, yes).await?;
        let note = json!({ "id": hex(&matter), "yes": yes });
        self.registry().note("", Note::new("mesh-vote", note)).await?;
        Ok(self.poll(&hex(&matter)).await?.poll)
    }

    /// What is being decided, and what was within the last hour; what ends first comes first.
    pub async fn polls(&self) -> Result<Vec<Poll>, Error> {
        let mesh = self.linked()?;
        let mut tallies = mesh.tallies().await?;
        tallies.sort_by_key(|tally| (tally.proposal.deadline, tally.proposal.matter()));
        let own = Key::of(&mesh.peer());
        Ok(tallies.iter().map(|tally| seen(tally, own)).collect())
    }

    /// How a vote stands, with what proves its outcome.
    pub async fn poll(&self, id: &str) -> Result<PollDetails, Error> {
        let mesh = self.linked()?;
        let tally = self.tally(id).await?;
        let certificate = mesh.certificate(tally.proposal.matter()).await?.map(|proof| proof.to_string());
        let lies = tally.lies.iter().map(ToString::to_string).collect();
        Ok(PollDetails { poll: seen(&tally, Key::of(&mesh.peer())), certificate, lies })
    }

    async fn tally(&self, id: &str) -> Result<Tally, Error> {
        let (tallies, wanted) = (self.linked()?.tallies().await?, id.to_ascii_lowercase());
        let of = |tally: &&Tally| !wanted.is_empty() && hex(&tally.proposal.matter()).starts_with(&wanted);
        let found: Vec<_> = tallies.iter().filter(of).collect();
        let why = match found.as_slice() {
            [one] => return Ok((*one).clone()),
            [] => "no proposal that is known here has this id, or begins so".to_string(),
            some => format!("{} proposals begin so", some.len()),
        };
        Err(Error::Vote { id: id.into(), why })
    }

    /// The voter that is meant: a member, or this village.
    async fn voter(&self, text: &str) -> Result<Key, Error> {
        let own = self.linked()?.peer();
        let others = self.peer(text).await;
        let peer = match others {
            Err(_) if !text.is_empty() && mesh::may_be(&own.to_string(), text) => own,
            others => others?,
        };
        Key::of(&peer).ok_or_else(|| Error::Peer { name: text.into(), why: "it is no ed25519 key".into() })
    }
}

/// Checks a proof that was kept as text, without a village: under these terms, if any are said.
pub fn verify(text: &str, terms: &Conditions) -> Result<Proved, Error> {
    let wrong = |error: mesh::Error| Error::Bad(error.to_string());
    let proof = match text.parse::<Proof>().map_err(wrong)? {
        Proof::Decision(proof) => proof,
        Proof::Lie(lie) if lie.is_proved() => {
            return Ok(Proved::Lie { voter: lie.one.voter.to_string(), id: hex(&lie.one.matter) });
        }
        Proof::Lie(_) => {
            return Err(Error::Bad("this proves nothing: it is not two votes of one voter, both ways".into()));
        }
    };
    let said = &proof.proposal.said;
    let founder = terms.founder.as_ref().map_or(Ok(proof.proposal.village), |text| key(text))?;
    let electorate = match terms.electorate.as_slice() {
        [] => said.electorate.clone(),
        named => named.iter().map(|text| key(text)).collect::<Result<_, _>>()?,
    };
    let threshold = terms.threshold.map_or(Ok(said.threshold), thousandths)?;
    let mut lies = Vec::new();
    for text in &terms.lies {
        match text.parse::<Proof>().map_err(wrong)? {
            Proof::Lie(lie) if lie.is_proved() => lies.push(lie),
            _ => return Err(Error::Bad("what is to prove that somebody has voted both ways does not".into())),
        }
    }
    let flawed = |flaw: mesh::Flaw| Error::Bad(format!("this proves nothing: {flaw}"));
    proof.verify(&founder, &electorate, threshold, &lies).map_err(flawed)?;
    let liars: BTreeSet<Key> = lies.iter().map(|lie: &Lie| lie.one.voter).collect();
    let yes = proof.votes.iter().map(|vote| vote.voter).filter(|voter| !liars.contains(voter)).collect();
    let needed = said.needed();
    let (proposal, state, no) = (proof.proposal.clone(), State::Accepted, BTreeSet::new());
    let tally = Tally { proposal, yes, no, liars, lies, needed, state };
    Ok(Proved::Decision { poll: Box::new(seen(&tally, None)), founder: founder.to_string() })
}

fn key(text: &str) -> Result<Key, Error> {
    let peer = text.parse().ok().and_then(|peer: mesh::PeerId| Key::of(&peer));
    peer.ok_or_else(|| Error::Bad(format!("`{text}` is no id of a village: it has to be a whole one here")))
}

fn thousandths(part: f64) -> Result<u16, Error> {
    let all = (part * 1000.0).round();
    match part > 0.5 && part <= 1.0 && all > 500.0 {
        true => Ok(all as u16),
        false => Err(Error::Bad(format!(
            "a threshold of {part}: it is above 0.5, so that no two can be reached, and at most 1"
        ))),
    }
}

/// What a text is about: its first line, as much of it as fits.
fn subject(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let end = (0..=line.len().min(200)).rev().find(|end| line.is_char_boundary(*end)).unwrap_or(0);
    line[..end].into()
}

fn seen(tally: &Tally, own: Option<Key>) -> Poll {
    let names = |keys: &BTreeSet<Key>| keys.iter().map(Key::to_string).collect();
    let Proposal { said, proposer, deadline, .. } = &tally.proposal;
    let voted = |keys: &BTreeSet<Key>| own.is_some_and(|own| keys.contains(&own));
    Poll {
        id: id(&tally.proposal.matter()),
        text: if said.body.is_empty() {
            said.subject.clone()
        } else {
            String::from_utf8_lossy(&said.body).into_owned()
        },
        proposer: proposer.to_string(),
        deadline: *deadline,
        electorate: names(&said.electorate),
        threshold: f64::from(said.threshold) / 1000.0,
        needed: tally.needed as u64,
        yes: names(&tally.yes),
        no: names(&tally.no),
        liars: names(&tally.liars),
        state: word(tally.state).into(),
        voted: if voted(&tally.yes) { Some(true) } else { voted(&tally.no).then_some(false) },
    }
}

pub(super) fn id(matter: &Matter) -> String {
    hex(matter)
}

fn word(state: State) -> &'static str {
    match state {
        State::Open => "open",
        State::Accepted => "accepted",
        State::Rejected => "rejected",
        State::Lapsed => "lapsed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_above_a_half_and_no_more_than_all() {
        for (part, said) in [(0.8, 800), (1.0, 1000), (0.667, 667), (0.501, 501)] {
            assert_eq!(thousandths(part).ok(), Some(said), "{part}");
        }
        for part in [0.5, 0.5001, 0.0, -1.0, 1.001, f64::NAN, f64::INFINITY] {
            assert!(thousandths(part).is_err(), "{part}");
        }
    }

    #[test]
    fn what_a_text_is_about_is_its_first_line_and_never_half_a_letter() {
        assert_eq!(subject("swap\nthe navigator"), "swap");
        let long = subject(&"ä".repeat(150));
        assert_eq!((long.len(), long.chars().all(|letter| letter == 'ä')), (200, true));
    }

    #[test]
    fn what_is_no_proof_is_refused_with_the_reason() {
        for (text, said) in
            [("", "this is no proof: it begins neither"), ("village1-lie-AAAA", "it was cut or changed")]
        {
            let error = verify(text, &Conditions::default()).expect_err(text).to_string();
            assert!(error.contains(said), "{error}");
        }
        let terms = Conditions { founder: Some("x".into()), ..Conditions::default() };
        assert!(verify("village1-decision-AAAA", &terms).is_err());
    }
}
