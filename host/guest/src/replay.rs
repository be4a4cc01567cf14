//! Running a recorded turn again, outside the world: it reads what it read then, and nothing leaves.

use crate::ctx::Ctx;
use crate::fetched::Wire;
use crate::grants::Grants;
use crate::host::{Error, Host, Version};
use crate::tape::{Record, Tape};
use agents::Error as Failed;
use base::Budget;
use runtime::{Begin, Fault, Guest, Instance, Interrupted, Reply, Task, turn};
use std::sync::Arc;

/// What came of a turn that was run again.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Replayed {
    /// Where it differs from the record, in words; empty if it is the same.
    pub differs: Vec<String>,
    /// What it wanted to read, or to be answered, and the record does not have.
    pub missing: Vec<String>,
    /// The reply as text, or why there is none.
    pub outcome: String,
    /// How long it took, in microseconds.
    pub took: u64,
}

impl Host {
    /// Runs a recorded turn again on `version`. Files, other agents and the web are out of its reach.
    pub async fn replay(
        &self,
        version: &Version,
        record: &Record,
        budget: Budget,
        grants: &Grants,
    ) -> Result<Replayed, Error> {
        let Some(mail) = record.message.clone() else {
            return Err(Error::Host("nothing of this turn was recorded".into()));
        };
        // What it is granted opens the tape; what the tape does not have stays shut.
        let grants = Grants { files: Vec::new(), http: Vec::new(), spawn: false, ..grants.clone() };
        let seat = self.house().seats.clone().take(version.0.room())?;
        let standing = self.alone(budget, grants)?;
        let mut ctx = Ctx::new(standing.clone(), version.clone(), &standing.accounts.memory, None)?;
        ctx.wire = Wire::playing(&record.reads);
        ctx.tape = Tape::playing(record.reads.clone());
        let wire = ctx.wire.clone();
        let (version, message) = (version.clone(), mail.message());
        let (done, waiting) = tokio::sync::oneshot::channel();
        let task = self.workers().spawn(standing.accounts.cpu.clone(), |task| async move {
            let turn = turn(&task, budget.deadline, 0, async |until| {
                let mut instance = Instance::start(&version.0, ctx).await?;
                instance.data().begin(Begin { message: None, again: false, until, chunks: None, leaving: None });
                let outcome = instance.handle(&message).await.map_err(Failed::Broke);
                let outcome = outcome.and_then(|outcome| outcome.map_err(Failed::Failed));
                Ok::<_, Fault>(seen(&mut instance, outcome))
            })
            .await;
            drop(done.send(turn));
        });
        let _stop = Stop(task);
        let turn = waiting.await.map_err(|_| Fault::Stopped)?;
        standing.end();
        drop(seat);
        let took = turn.wall().as_micros() as u64;
        let broke = |fault: Fault| {
            let kind = fault.kind().to_owned();
            let now = Record { outcome: Some(Err(kind)), ..Record::default() };
            (now, Vec::new(), fault.to_string())
        };
        let (now, missing, outcome) = match turn.outcome {
            Ok(Ok(seen)) => seen,
            Ok(Err(fault)) => broke(fault),
            Err(Interrupted::Deadline) => broke(Fault::Deadline { limit: budget.deadline, ring: Vec::new() }),
            Err(Interrupted::Stopped) => broke(Fault::Stopped),
        };
        let (unanswered, unasked) = wire.left();
        let mut differs = differences(record, &now);
        differs.extend(unasked.into_iter().map(|asked| format!("it asked `{asked}` then, and does not now")));
        let missing = missing.into_iter().chain(unanswered).collect();
        Ok(Replayed { differs, missing, outcome, took })
    }
}

/// What the turn did, and what it missed.
fn seen(instance: &mut Instance<Ctx>, outcome: Result<Reply, Failed>) -> (Record, Vec<String>, String) {
    let ctx = instance.data();
    let now = ctx.done(Record::default(), outcome.as_ref());
    let missing = match std::mem::take(&mut ctx.tape) {
        Tape::Playing(playing) => playing.missing,
        _ => Vec::new(),
    };
    let words = match outcome {
        Ok(reply) => String::from_utf8_lossy(&reply.payload.body).into_owned(),
        Err(error) => error.to_string(),
    };
    (now, missing, words)
}

/// Where `now` differs from what is on the record, in words.
fn differences(then: &Record, now: &Record) -> Vec<String> {
    let mut differs = Vec::new();
    match (&then.outcome, &now.outcome) {
        (Some(Ok(a)), Some(Ok(b))) if a != b => {
            differs.push(format!("the reply: {} then, {} now", shown(&a.0), shown(&b.0)));
        }
        (Some(Ok(_)), Some(Err(kind))) => differs.push(format!("it ended well then, and fails now ({kind})")),
        (Some(Err(kind)), Some(Ok(_))) => differs.push(format!("it failed then ({kind}), and ends well now")),
        (Some(Err(a)), Some(Err(b))) if a != b => differs.push(format!("it failed with {a} then, and with {b} now")),
        _ => {}
    }
    compare(&then.wrote, &now.wrote, |key| format!("`{key}`"), &mut differs);
    compare(&then.workspace, &now.workspace, String::clone, &mut differs);
    if then.told.len() != now.told.len() {
        differs.push(format!("it told {} messages then, and {} now", then.told.len(), now.told.len()));
    }
    for (place, (a, b)) in then.told.iter().zip(&now.told).enumerate() {
        if a != b {
            differs.push(format!("message {} told: {} to {} then, {} to {} now", place + 1, a.1, a.0, b.1, b.0));
        }
    }
    differs
}

/// What was changed then and now, by its name.
fn compare<T: PartialEq>(
    then: &[(String, T)],
    now: &[(String, T)],
    words: impl Fn(&String) -> String,
    differs: &mut Vec<String>,
) {
    for (name, value) in then {
        let what = words(name);
        match now.iter().find(|(other, _)| other == name) {
            None => differs.push(format!("{what} was changed then, and is not now")),
            Some((_, other)) if other != value => differs.push(format!("{what} is changed to something else")),
            Some(_) => {}
        }
    }
    let fresh = now.iter().filter(|(name, _)| !then.iter().any(|(other, _)| other == name));
    differs.extend(fresh.map(|(name, _)| format!("{} is changed now, and was not then", words(name))));
}

/// Bytes as text, shortened.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    match text.char_indices().nth(60) {
        Some((cut, _)) => format!("`{}…`", &text[..cut]),
        None => format!("`{text}`"),
    }
}

/// A turn that is run again. Dropping this stops it.
struct Stop(Arc<Task>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.stop();
    }
}
