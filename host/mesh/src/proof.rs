//! Proofs as text, to be kept and handed on: that something was decided, or that somebody has voted both ways. Whoever has one can
//! check it, alone.

use crate::Error;
use crate::frame;
use crate::votes::{Certificate, Lie};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// Something that was said in votes, proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A proposal was accepted.
    Decision(Certificate),
    /// Somebody has voted both ways.
    Lie(Lie),
}

const DECISION: &str = "village1-decision-";
const LIE: &str = "village1-lie-";
/// The largest proposal, and the votes of the largest electorate.
const LIMIT: usize = 512 << 10;

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, DECISION, self)
    }
}

impl fmt::Display for Lie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, LIE, self)
    }
}

fn write(f: &mut fmt::Formatter<'_>, prefix: &str, value: &impl Serialize) -> fmt::Result {
    write!(f, "{prefix}{}", URL_SAFE_NO_PAD.encode(frame::encode(value, Vec::new())))
}

impl FromStr for Proof {
    type Err = Error;

    fn from_str(text: &str) -> Result<Proof, Error> {
        let (text, bad) = (text.trim(), |what| Error::BadProof { what });
        if text.len() > LIMIT * 4 / 3 {
            return Err(bad("it is too long"));
        }
        let bytes = |code: &str| URL_SAFE_NO_PAD.decode(code).map_err(|_| bad("it was cut or changed"));
        let cut = |_| bad("it was cut or changed");
        match (text.strip_prefix(DECISION), text.strip_prefix(LIE)) {
            (Some(code), _) => Ok(Proof::Decision(frame::decode(&bytes(code)?, LIMIT).map_err(cut)?)),
            (_, Some(code)) => Ok(Proof::Lie(frame::decode(&bytes(code)?, LIMIT).map_err(cut)?)),
            _ => Err(bad("it begins neither with village1-decision- nor with village1-lie-")),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use super::*;
    use crate::key::Key;
    use crate::votes::{Draft, Proposal, Vote};
    use libp2p::identity::Keypair;

    fn decision() -> Certificate {
        let keys = Keypair::ed25519_from_bytes([1; 32]).unwrap();
        let own = Key::of_pair(&keys).unwrap();
        let said = Draft { subject: "x".into(), body: Vec::new(), electorate: [own].into(), threshold: 800 };
        let proposal = Proposal::new(&keys, own, said, 1000);
        let votes = vec![Vote::new(&keys, proposal.matter(), true)];
        Certificate { proposal, votes }
    }

    #[test]
    fn a_proof_of_version_1_still_reads() {
        let keys = Keypair::ed25519_from_bytes([1; 32]).unwrap();
        let vote = |yes| Vote::new(&keys, [7; 32], yes);
        let lie = Lie { one: vote(true), other: vote(false) };
        assert_eq!(lie.to_string(), include_str!("../tests/golden/lie-1.txt").trim());
        assert!(lie.is_proved());
    }

    #[test]
    fn proofs_read_as_they_are_written_and_what_is_changed_proves_nothing() {
        let good = decision();
        let text = good.to_string();
        assert_eq!(format!(" {text}\n").parse::<Proof>().unwrap(), Proof::Decision(good.clone()));
        let (village, electorate) = (good.proposal.village, good.proposal.said.electorate.clone());
        for at in DECISION.len()..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let read = String::from_utf8(changed).unwrap().parse::<Proof>();
            let good =
                matches!(&read, Ok(Proof::Decision(read)) if read.verify(&village, &electorate, 800, &[]).is_ok());
            assert!(!good, "letter {at} can be changed");
        }
        let lie = Lie { one: good.votes[0].clone(), other: good.votes[0].clone() };
        assert_eq!(lie.to_string().parse::<Proof>().unwrap(), Proof::Lie(lie));
        for wrong in ["", "village1-AAAA", &text[..text.len() - 5], "village1-lie-!"] {
            assert!(matches!(wrong.parse::<Proof>(), Err(Error::BadProof { .. })), "{wrong}");
        }
    }
}
