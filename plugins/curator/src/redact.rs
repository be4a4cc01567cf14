//! Takes personal data out of a text: masked, dropped, or replaced by what stays the same for the same value.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use village::Schema;

use crate::personal::{Finding, Ground, Kind, find};
use crate::{Error, invalid};

#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// At most 1 MiB of UTF-8.
    pub text: String,
    /// What to take out; everything that can be found if it is empty or not given.
    #[serde(default)]
    pub kinds: Vec<Kind>,
    /// Names of people to take out. Others are not found.
    #[serde(default)]
    pub names: Vec<String>,
    /// What becomes of each.
    #[serde(default)]
    pub how: How,
    /// What becomes of some kinds instead.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// One character to mask with; `*` if it is not given.
    #[serde(default = "star")]
    #[schema(min_length = 1, default = "*")]
    pub mask: String,
    /// How many letters and digits at the end a mask leaves; never more than half of them.
    #[serde(default)]
    pub keep_last: usize,
    /// A secret of at least 16 bytes, for pseudonyms and stand-ins. The same secret gives the same pseudonyms.
    #[schema(min_length = 16)]
    pub key: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize, Schema)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// Each letter and digit becomes the mask; length and punctuation stay.
    #[default]
    Mask,
    /// Nothing is left of it.
    Drop,
    /// The kind in brackets: `[email]`.
    Label,
    /// The kind and a code in brackets, the same for the same value: `[email k3x9…]`.
    Pseudonym,
    /// Something of the same kind that is nobody's, the same for the same value.
    StandIn,
}

#[derive(Deserialize, Schema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub kind: Kind,
    pub how: How,
}

fn star() -> String {
    "*".to_owned()
}

#[derive(Serialize, Schema)]
pub struct Answer {
    pub text: String,
    /// In the order of the text. What was taken out is not repeated here.
    pub redactions: Vec<Redaction>,
}

#[derive(Serialize, Schema)]
pub struct Redaction {
    pub kind: Kind,
    pub how: How,
    pub ground: Ground,
    /// Where it was in the text that was given, in bytes of UTF-8.
    pub start: usize,
    pub end: usize,
    /// Where its replacement is in the new text.
    pub new_start: usize,
    pub new_end: usize,
}

pub fn answer(request: Request) -> Result<Answer, Error> {
    request.check()?;
    let findings = find(&request.text, &request.kinds, &request.names)?;
    let mut text = String::with_capacity(request.text.len());
    let mut redactions = Vec::with_capacity(findings.len());
    let mut at = 0;
    for finding in &findings {
        text.push_str(&request.text[at..finding.start]);
        let how = request.how(finding.kind);
        let new_start = text.len();
        text.push_str(&request.replacement(finding, how)?);
        let (start, end) = (finding.start, finding.end);
        let new_end = text.len();
        redactions.push(Redaction { kind: finding.kind, how, ground: finding.ground, start, end, new_start, new_end });
        at = end;
    }
    text.push_str(&request.text[at..]);
    Ok(Answer { text, redactions })
}

impl Request {
    fn check(&self) -> Result<(), Error> {
        if self.mask.chars().count() != 1 || self.mask.chars().any(|c| c.is_alphanumeric() || c.is_control()) {
            return Err(invalid("mask", "must be one character that is neither letter, digit nor control character"));
        }
        for (at, rule) in self.rules.iter().enumerate() {
            if self.rules[..at].iter().any(|other| other.kind == rule.kind) {
                return Err(invalid(format!("rules[{at}].kind"), "has a rule already"));
            }
        }
        let all = self.rules.iter().map(|rule| rule.how).chain([self.how]);
        let keyed = all.clone().any(|how| matches!(how, How::Pseudonym | How::StandIn));
        match &self.key {
            // Without a secret, whoever has a list of all phone numbers could undo it by trying each.
            None if keyed => Err(invalid("key", "is missing: pseudonyms without a secret can be undone by trying")),
            Some(key) if key.len() < 16 => Err(invalid("key", format!("has {} bytes; it must have 16", key.len()))),
            _ => Ok(()),
        }
    }

    fn how(&self, kind: Kind) -> How {
        self.rules.iter().find(|rule| rule.kind == kind).map_or(self.how, |rule| rule.how)
    }

    fn replacement(&self, finding: &Finding, how: How) -> Result<String, Error> {
        let label = label(finding.kind);
        Ok(match how {
            How::Mask => self.masked(&finding.text),
            How::Drop => String::new(),
            How::Label => format!("[{label}]"),
            How::Pseudonym => format!("[{label} {}]", self.stream(finding, "").word(10)),
            How::StandIn => self.stand_in(finding)?,
        })
    }

    fn masked(&self, text: &str) -> String {
        let marked = text.chars().filter(|c| c.is_alphanumeric()).count();
        let hidden = marked - self.keep_last.min(marked / 2);
        let mut seen = 0;
        let one = |c: char| {
            seen += usize::from(c.is_alphanumeric());
            if c.is_alphanumeric() && seen <= hidden { self.mask.clone() } else { c.to_string() }
        };
        text.chars().map(one).collect()
    }

    /// Numbers that follow from the key and from what was found, however it is spelt.
    fn stream(&self, finding: &Finding, more: &str) -> Stream {
        let plain: String = match finding.kind {
            Kind::Email | Kind::Ipv4 | Kind::Ipv6 => finding.text.to_lowercase(),
            Kind::Name | Kind::BirthDate => {
                let lower = finding.text.to_lowercase();
                lower
                    .split(|c: char| !c.is_alphanumeric())
                    .filter(|part| !part.is_empty())
                    .collect::<Vec<_>>()
                    .join(" ")
            }
            _ => finding.text.chars().filter(|c| c.is_alphanumeric() || *c == '+').collect::<String>().to_uppercase(),
        };
        let key = self.key.as_deref().unwrap_or_default();
        Stream::new(key.as_bytes(), &format!("{}\0{plain}\0{more}", label(finding.kind)))
    }

    fn stand_in(&self, finding: &Finding) -> Result<String, Error> {
        let mut stream = self.stream(finding, "");
        Ok(match finding.kind {
            // The domain by itself, so that addresses at one domain stay together; `.example` is nobody's for ever.
            Kind::Email => {
                let domain = finding.text.rsplit('@').next().unwrap_or_default().to_lowercase();
                let key = self.key.as_deref().unwrap_or_default();
                let mut place = Stream::new(key.as_bytes(), &format!("domain\0{domain}"));
                format!("{}@{}.example", stream.word(10), place.word(8))
            }
            // Never routed: 240.0.0.0/4 is reserved, 2001:db8::/32 is for documentation.
            Kind::Ipv4 => {
                format!("{}.{}.{}.{}", 240 + stream.below(15), stream.below(256), stream.below(256), stream.below(256))
            }
            Kind::Ipv6 => (0..6).fold("2001:db8".to_owned(), |mut text, _| {
                let _ = write!(text, ":{:x}", stream.below(1 << 16));
                text
            }),
            Kind::BirthDate => {
                return Err(Error::Unsupported(
                    "there is no day that is nobody's: use another `how` for `birth-date`".to_owned(),
                ));
            }
            Kind::Phone => unassigned(&stream.reshape(&finding.text)),
            Kind::Name => stream.reshape(&finding.text),
            Kind::Iban | Kind::Card | Kind::NationalId => self.unchecked(finding)?,
        })
    }

    /// The same shape with check digits that are wrong, so that it is nobody's.
    fn unchecked(&self, finding: &Finding) -> Result<String, Error> {
        for attempt in 0..64 {
            let text = self.stream(finding, &attempt.to_string()).reshape(&finding.text);
            if find(&text, &[], &[])?.iter().all(|found| found.ground != Ground::Checked) {
                return Ok(text);
            }
        }
        Err(Error::Unsupported(format!("no stand-in was found for a `{}`", label(finding.kind))))
    }
}

fn label(kind: Kind) -> &'static str {
    match kind {
        Kind::Email => "email",
        Kind::Phone => "phone",
        Kind::Iban => "iban",
        Kind::Card => "card",
        Kind::Ipv4 => "ipv4",
        Kind::Ipv6 => "ipv6",
        Kind::NationalId => "national-id",
        Kind::BirthDate => "birth-date",
        Kind::Name => "name",
    }
}

/// A phone number that nobody has: no country has the code 999, and no area has the code 000.
fn unassigned(text: &str) -> String {
    let lead = if text.starts_with(['+']) || text.starts_with("(+") { '9' } else { '0' };
    let mut left = 3;
    let one = |c: char| {
        if c.is_ascii_digit() && left > 0 {
            left -= 1;
            return lead;
        }
        c
    };
    text.chars().map(one).collect()
}

/// HMAC-SHA256 of a text under a key, drawn out by a counter.
struct Stream {
    key: [u8; 32],
    count: u32,
    left: Vec<u8>,
}

impl Stream {
    fn new(key: &[u8], text: &str) -> Self {
        Self { key: hmac(key, text.as_bytes()), count: 0, left: Vec::new() }
    }

    fn byte(&mut self) -> u8 {
        if self.left.is_empty() {
            self.left = hmac(&self.key, &self.count.to_be_bytes()).to_vec();
            self.count += 1;
        }
        self.left.pop().expect("there are 32 bytes")
    }

    /// Evenly from 0 up to, and without, `end`, which is far below 2³²: the bias of the remainder is no matter.
    fn below(&mut self, end: u32) -> u32 {
        let number = u32::from_be_bytes([self.byte(), self.byte(), self.byte(), self.byte()]);
        number % end
    }

    /// Letters and digits that are not taken for each other.
    fn word(&mut self, length: usize) -> String {
        const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        let mut word: String = (0..length).map(|_| char::from(LETTERS[self.below(32) as usize])).collect();
        // A word that were all digits might be taken for a number.
        if word.bytes().all(|byte| byte.is_ascii_digit()) {
            word.replace_range(..1, "x");
        }
        word
    }

    /// Other letters and digits in the same places.
    fn reshape(&mut self, text: &str) -> String {
        let mut letter = |first: u8, count: u32| char::from(first + self.below(count) as u8);
        let one = |c: char| match c {
            c if c.is_numeric() => letter(b'0', 10),
            c if c.is_uppercase() => letter(b'A', 26),
            c if c.is_alphabetic() => letter(b'a', 26),
            c => c,
        };
        text.chars().map(one).collect()
    }
}

fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut block = [0; 64];
    if key.len() > block.len() {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests;
