//! A recorded turn, run again outside the world: found in the journal, and compared with what it did then.

use crate::error::Error;
use crate::registry::apart;
use crate::village::Village;
use agents::{Entry, Event};
use base::Digest;
use guest::{Record, Replayed};
use serde::{Deserialize, Serialize};
use store::{Body, Read};

/// What came of a recorded turn that was run again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Again {
    /// The number of its entry in the journal.
    pub seq: u64,
    /// When it was, in Unix milliseconds.
    pub time: u64,
    /// Whose it was.
    pub agent: String,
    /// The message.
    pub id: String,
    /// Which try of the message it was.
    pub attempt: u32,
    /// The skill that was asked for.
    pub skill: String,
    /// The component that had it.
    pub version: String,
    /// The component that it was run again on.
    pub with: String,
    /// Whether it did the same, and the record had all that it wanted.
    pub same: bool,
    /// Where it differs, in words.
    pub differs: Vec<String>,
    /// What it wanted to read or to be answered, and the record does not have.
    pub missing: Vec<String>,
    /// Whether there was more than is recorded of one turn.
    pub cut: bool,
    /// The reply as text, or why there is none.
    pub outcome: String,
    /// How long it took, in microseconds.
    pub took_us: u64,
}

/// Entries that are looked at together.
const PAGE: u64 = 500;

/// Where a turn is in the journal.
struct Found {
    seq: u64,
    time: u64,
    entry: Box<Entry>,
}

impl Village {
    /// Runs a recorded turn again, on the component that had it or on another that is kept. `turn` is the id of its message,
    /// of which it takes the last try unless that is said, or the number of its entry in the journal. Nothing of it leaves.
    pub async fn replay(&self, turn: &str, attempt: Option<u32>, with: Option<Digest>) -> Result<Again, Error> {
        self.open()?;
        let (store, wanted) = (self.books().store().clone(), turn.to_string());
        let found = apart(move || find(&store.read(), &wanted, attempt)).await?;
        let Found { seq, time, entry } = found.map_err(|why| Error::Turn { turn: turn.into(), why })?;
        // An agent that others created has what the first of its line has, or less.
        let line = entry.agent.split('/').next().unwrap_or_default();
        let row = self.row(line)?;
        let record = Record::read(&entry.record).filter(|record| record.message.is_some());
        let record = record.ok_or_else(|| Error::Unrecorded { agent: line.into() })?;
        let then = Digest::from_bytes(entry.version);
        let digest = with.unwrap_or(then);
        let _held = self.hold(digest).await;
        let version = match self.version(digest).await {
            Err(Error::Component { digest }) if with.is_none() => return Err(Error::Gone { digest }),
            version => version?,
        };
        let Replayed { differs, missing, outcome, took } =
            self.host().replay(&version, &record, row.budget()?, &row.grants()?).await?;
        Ok(Again {
            seq,
            time,
            agent: entry.agent,
            id: entry.id,
            attempt: entry.attempt,
            skill: entry.skill,
            version: then.to_string(),
            with: digest.to_string(),
            same: differs.is_empty() && missing.is_empty(),
            differs,
            missing,
            cut: record.is_cut(),
            outcome,
            took_us: took,
        })
    }
}

/// The turn that is meant, or why there is none.
fn find(read: &Read, turn: &str, attempt: Option<u32>) -> Result<Result<Found, String>, store::Error> {
    let head = read.head()?.seq;
    // Ids of messages, read as numbers, are far above the numbers of entries.
    match turn.parse::<u64>() {
        Ok(seq) if seq <= head => numbered(read, seq, attempt),
        _ => named(read, turn, attempt, head),
    }
}

fn numbered(read: &Read, seq: u64, attempt: Option<u32>) -> Result<Result<Found, String>, store::Error> {
    let Some(record) = read.journal(seq..seq + 1, 1)?.pop() else {
        let cut = read.anchor()?.seq;
        return Ok(Err(format!("entries up to {cut} were cut off the journal")));
    };
    if !matches!(record.body, Body::Kept(_)) {
        return Ok(Err("what this entry said was erased".into()));
    }
    Ok(match record.read::<Event>()? {
        Some(Event::Turn(entry)) if attempt.is_none_or(|attempt| attempt == entry.attempt) => {
            Ok(Found { seq, time: record.time, entry })
        }
        Some(Event::Turn(entry)) => Err(format!("this entry is of try {}", entry.attempt)),
        _ => Err("this entry of the journal is no turn: `village audit` shows which are".into()),
    })
}

/// The last turn of a message; of several tries the last, unless one is said.
fn named(read: &Read, id: &str, attempt: Option<u32>, head: u64) -> Result<Result<Found, String>, store::Error> {
    let (first, mut end, mut tries) = (read.anchor()?.seq + 1, head + 1, Vec::new());
    while end > first {
        let begin = end.saturating_sub(PAGE).max(first);
        for record in read.journal(begin..end, PAGE as usize)?.into_iter().rev() {
            let Ok(Some(Event::Turn(entry))) = record.read::<Event>() else { continue };
            if entry.id != id {
                continue;
            }
            if attempt.is_none_or(|attempt| attempt == entry.attempt) {
                return Ok(Ok(Found { seq: record.seq, time: record.time, entry }));
            }
            tries.push(entry.attempt.to_string());
        }
        end = begin;
    }
    tries.reverse();
    Ok(Err(match tries.is_empty() {
        true => "the journal has no turn of such a message, and no entry of that number".into(),
        false => format!("the journal has no such try of this message; there are {}", tries.join(", ")),
    }))
}
