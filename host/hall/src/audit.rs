//! The journal as people and programs read it: who did what, when, and what came of it.

use crate::error::Error;
use crate::registry::apart;
use crate::village::Village;
use agents::Event;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::Body;

/// One entry of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number.
    pub seq: u64,
    /// When, in Unix milliseconds.
    pub time: u64,
    /// What was done, in a word.
    pub what: String,
    /// To which agent, or by which. Empty if to the whole village.
    pub agent: String,
    /// Who did it.
    pub by: String,
    /// More; null if there is nothing to add.
    pub details: Value,
}

/// Some entries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entries {
    /// In the order in which they were written.
    pub entries: Vec<Entry>,
    /// The number of the last one that was looked at: ask again with `after` set to this for more.
    pub last: u64,
    /// The number of the last one there is.
    pub head: u64,
}

/// What was found of the journal's chain of hashes, which is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Entries up to this one were cut off.
    pub after: u64,
    /// The last one.
    pub head: u64,
    /// Its hash, over it and all before it.
    pub hash: String,
    /// Entries whose words were erased. Their hashes are there.
    pub erased: u64,
    /// Archives of entries that were cut off: whole, each where the one before ends.
    pub archives: u64,
    /// The first entry that they have; none if there are none.
    pub archived_from: Option<u64>,
}

/// Entries that are looked at together, and those that are looked at for one answer.
const PAGE: usize = 1_000;
const LOOKED: usize = 100_000;

impl Village {
    /// Entries after a number, or the last ones; those of one agent, or all.
    pub async fn audit(&self, after: Option<u64>, agent: Option<String>, most: usize) -> Result<Entries, Error> {
        let store = self.books().store().clone();
        apart(move || {
            let read = store.read();
            let head = read.head()?.seq;
            let mut last = after.unwrap_or_else(|| head.saturating_sub(most as u64));
            let (mut entries, mut looked) = (Vec::new(), 0);
            while entries.len() < most && looked < LOOKED {
                let records = read.journal(last.saturating_add(1)..u64::MAX, PAGE)?;
                if records.is_empty() {
                    break;
                }
                looked += records.len();
                for record in records {
                    last = record.seq;
                    let entry = entry(&record)?;
                    if agent.as_ref().is_none_or(|agent| *agent == entry.agent) {
                        entries.push(entry);
                    }
                    if entries.len() == most {
                        break;
                    }
                }
            }
            Ok(Entries { entries, last, head })
        })
        .await
    }

    /// Walks the journal's chain of hashes from its beginning to its end, through the archives of what was cut off first.
    pub async fn verify(&self) -> Result<Verified, Error> {
        let (archives, archived_from) = self.archives().await?;
        let store = self.books().store().clone();
        apart(move || {
            let store::Verified { from, to, erased } = store.read().verify()?;
            let (after, head, hash) = (from.seq, to.seq, to.hash.hex());
            Ok(Verified { after, head, hash, erased, archives, archived_from })
        })
        .await
    }
}

fn entry(record: &store::Record) -> Result<Entry, store::Error> {
    let (seq, time) = (record.seq, record.time);
    let of =
        |what: &str, agent: String, by: String, details| Entry { seq, time, what: what.into(), agent, by, details };
    if !matches!(record.body, Body::Kept(_)) {
        return Ok(of("erased", String::new(), String::new(), Value::Null));
    }
    let Some(event) = record.read::<Event>()? else {
        return Ok(of("erased", String::new(), String::new(), Value::Null));
    };
    Ok(match event {
        Event::Accepted { agent, id, from, skill, bytes } => {
            of("accepted", agent, from.to_string(), json!({ "id": id, "skill": skill, "bytes": bytes }))
        }
        Event::Turn(turn) => {
            let details = json!({
                "id": turn.id,
                "from": turn.from.to_string(),
                "skill": turn.skill,
                "attempt": turn.attempt,
                "outcome": turn.outcome,
                "used": turn.receipt,
                "did": turn.did,
                "version": hex(&turn.version),
            });
            of("turn", turn.agent.clone(), turn.agent, details)
        }
        Event::Fast { agent, turns, failed, receipt } => {
            of("fast-turns", agent.clone(), agent, json!({ "turns": turns, "failed": failed, "used": receipt }))
        }
        Event::Dead { agent, id, again } => {
            let what = if again { "dead-letter-again" } else { "dead-letter-dropped" };
            of(what, agent, "operator".into(), json!({ "id": id }))
        }
        Event::Noted { what, agent, by, details } => {
            let details = serde_json::from_str(&details).unwrap_or(Value::Null);
            of(&what, agent, by, details)
        }
    })
}

fn hex(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}
