//! Another version of an agent, while it runs: what the host does step by step, told, written into the journal, and kept.

use crate::error::Error;
use crate::event::What;
use crate::holds::Hold;
use crate::registry::{Before, Note, Registration};
use crate::ring::millis;
use crate::village::Village;
use base::Digest;
use guest::{Agent, Carried, Plan, Reason, Swap, SwapEvent, Switch, Turns};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// One step of a swap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// `staged`, `probed`, `shadowing`, `shadowed`, `trying`, `tried`; and at the end `live`, `refused` or `back`.
    pub step: String,
    /// What is known of it.
    pub details: Value,
}

/// A version of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionFigures {
    /// Its component.
    pub digest: String,
    /// `coming`, `live` or `before`.
    pub place: String,
    /// Of the live one: since when, in Unix milliseconds. Of one before: until when.
    pub time: Option<u64>,
}

/// So many versions of an agent are kept beside the one that serves.
const KEPT: usize = 8;

impl Step {
    /// Whether nothing comes after it.
    pub fn is_last(&self) -> bool {
        matches!(self.step.as_str(), "live" | "refused" | "back")
    }

    /// Whether the version that was to take over did: of the last step.
    pub fn is_done(&self) -> bool {
        self.details["done"] == true
    }

    fn of(event: &SwapEvent) -> Step {
        let details = match event {
            SwapEvent::Staged { from, to } => json!({ "from": from.to_string(), "to": to.to_string() }),
            SwapEvent::Probed { card, skills, took } => json!({
                "name": card.name,
                "version": card.version,
                "skills": { "added": skills.added, "removed": skills.removed, "changed": skills.changed },
                "took_us": micros(*took),
            }),
            SwapEvent::Shadowing { messages, pause } => json!({ "messages": messages, "pause_us": micros(*pause) }),
            SwapEvent::Shadowed(shadowed) => json!({
                "messages": shadowed.messages,
                "same": shadowed.same,
                "differ": shadowed.differ,
                "failed": shadowed.failed,
                "mended": shadowed.mended,
                "reached": shadowed.reached,
                "skipped": shadowed.skipped,
                "p50_us": shadowed.p50.map(micros),
                "p99_us": shadowed.p99.map(micros),
                "failures": shadowed.failures,
            }),
            SwapEvent::Trying { part, pause } => json!({ "part": part.to_string(), "pause_us": micros(*pause) }),
            SwapEvent::Tried(tried) => json!({
                "messages": tried.messages,
                "failures": tried.failures,
                "p99_us": micros(tried.p99),
                "old_messages": tried.old_messages,
                "old_failures": tried.old_failures,
                "old_p99_us": micros(tried.old_p99),
            }),
            SwapEvent::Live(switch) => switched(switch),
            SwapEvent::Refused(reason) => said(reason),
            SwapEvent::Back { reason, switch } => {
                let mut details = said(reason);
                details["switch"] = switch.as_ref().map(switched).unwrap_or_default();
                details
            }
        };
        Step { step: event.kind().into(), details }
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

fn switched(switch: &Switch) -> Value {
    let (memory, bytes) = match switch.memory {
        Carried::Restored(bytes) => ("restored", bytes),
        Carried::Nothing => ("nothing", 0),
        Carried::Left => ("left", 0),
        Carried::Own => ("own", 0),
    };
    json!({
        "pause_us": micros(switch.pause),
        "prepared_us": micros(switch.prepared),
        "memory": memory,
        "memory_bytes": bytes,
    })
}

fn said(reason: &Reason) -> Value {
    json!({ "kind": reason.kind(), "message": reason.to_string() })
}

/// A swap that is under way. It goes on if nobody listens.
pub struct Steps(mpsc::UnboundedReceiver<Step>);

impl Steps {
    /// The next one; none after the last.
    pub async fn next(&mut self) -> Option<Step> {
        self.0.recv().await
    }
}

impl Village {
    /// Begins to let a component that was uploaded take over an agent. If it does, fields of `turns` change as well.
    pub async fn swap(
        &self,
        name: &str,
        digest: Digest,
        plan: Plan,
        turns: &[(String, String)],
    ) -> Result<Steps, Error> {
        self.open()?;
        let turns = match turns {
            [] => None,
            fields => {
                let fields = fields.iter().map(|(field, text)| (field.as_str(), text.as_str()));
                Some(self.registry().turns(name)?.with(fields)?)
            }
        };
        let held = self.hold(digest).await;
        let version = self.version(digest).await?;
        let agent = self.awake(&*self.resident(name)?).await?;
        let swap = agent.swap(&version, plan)?;
        Ok(self.follow(name, agent, swap, (digest, held), turns))
    }

    /// Begins to let the version that served before take over again.
    pub async fn rollback(&self, name: &str) -> Result<Steps, Error> {
        self.open()?;
        let agent = self.awake(&*self.resident(name)?).await?;
        // The row knows more of the agent's past than its present life does.
        let row = self.row(name)?;
        let before = row.before.last().ok_or(Error::Swap(guest::Refused::Nothing))?;
        let digest = before.digest.parse().map_err(|bad: base::Bad| Error::Kept(bad.to_string()))?;
        let held = self.hold(digest).await;
        let swap = agent.rollback_to(&self.version(digest).await?)?;
        Ok(self.follow(name, agent, swap, (digest, held), None))
    }

    /// Has the swap that is under way end, with the old version serving, unless it is too late. Answers whether there is one.
    pub fn cancel_swap(&self, name: &str) -> Result<bool, Error> {
        self.resident(name)?;
        Ok(self.present(name).is_some_and(|agent| agent.cancel_swap()))
    }

    /// An agent's versions: the one to come, the one that serves, and those before, the newest first.
    pub fn versions(&self, name: &str) -> Result<Vec<VersionFigures>, Error> {
        self.resident(name)?;
        let row = self.row(name)?;
        let figure =
            |digest: &str, place: &str, time| VersionFigures { digest: digest.into(), place: place.into(), time };
        let mut all = Vec::new();
        let known = self.present(name).map(|agent| agent.versions()).unwrap_or_default();
        let coming = known.iter().filter(|known| known.place == guest::VersionPlace::Coming);
        all.extend(coming.map(|known| figure(&known.digest.to_string(), "coming", None)));
        all.push(figure(&row.digest, "live", Some(row.since)));
        all.extend(row.before.iter().rev().map(|before| figure(&before.digest, "before", Some(before.until))));
        Ok(all)
    }

    /// Tells of each step, writes it into the journal, and keeps what comes of it.
    fn follow(
        &self,
        name: &str,
        agent: Arc<Agent>,
        mut swap: Swap,
        (to, held): (Digest, Hold),
        turns: Option<Turns>,
    ) -> Steps {
        let (tell, steps) = mpsc::unbounded_channel();
        let (village, name) = (self.clone(), name.to_string());
        // It ends with the swap, which has a time within which it is over.
        tokio::spawn(async move {
            while let Some(event) = swap.next().await {
                let mut step = Step::of(&event);
                if step.is_last() {
                    let serves = agent.version().digest();
                    step.details["serves"] = serves.to_string().into();
                    step.details["done"] = (to == serves).into();
                    let pause =
                        [&step.details, &step.details["switch"]].into_iter().find_map(|of| of["pause_us"].as_u64());
                    village.swaps().lock().ended(&step.step, pause);
                }
                if let Err(error) = village.took(&name, to, &step, turns).await {
                    let message = error.to_string();
                    village.tell_of(&name, What::Failed { kind: error.kind().into(), message });
                }
                village.tell_of(&name, What::Swap { step: step.step.clone(), details: step.details.clone() });
                // Nobody may be listening.
                let _ = tell.send(step);
            }
            // The row names it now, or nobody does.
            drop(held);
        });
        Steps(steps)
    }

    /// Writes a step into the journal; with the last one, which version serves from now on.
    async fn took(&self, name: &str, to: Digest, step: &Step, turns: Option<Turns>) -> Result<(), Error> {
        let note = Note::swap(&step.step, step.details.clone());
        if !step.is_done() {
            return self.registry().note(name, note).await;
        }
        let resident = self.resident(name)?;
        let _changing = resident.changing.lock().await;
        let row = self.row(name)?;
        let row = succeeded(row, to.to_string(), millis());
        let Some(turns) = turns else { return self.registry().put(&row, note).await };
        self.registry().put_with(&row, note, |change| crate::turns::keep(name, &turns, change)).await?;
        self.set_out(name, turns);
        Ok(())
    }
}

/// The row of an agent whose version is another one now. Going back takes the way back.
fn succeeded(mut row: Registration, digest: String, now: u64) -> Registration {
    match row.before.last() {
        Some(before) if before.digest == digest => drop(row.before.pop()),
        _ => row.before.push(Before { digest: row.digest.clone(), until: now }),
    }
    let excess = row.before.len().saturating_sub(KEPT);
    row.before.drain(..excess);
    Registration { digest, since: now, ..row }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Wanted;

    #[test]
    fn versions_before_are_bounded_and_going_back_takes_the_way_back() {
        let mut row = Registration {
            name: "a".into(),
            digest: "0".into(),
            budget: Vec::new(),
            grants: Vec::new(),
            group: None,
            wanted: Wanted::Running,
            deployed: 0,
            since: 0,
            before: Vec::new(),
        };
        for n in 1..=12 {
            row = succeeded(row, n.to_string(), n);
        }
        let before = |row: &Registration| row.before.iter().map(|before| before.digest.clone()).collect::<Vec<_>>();
        assert_eq!(before(&row), ["4", "5", "6", "7", "8", "9", "10", "11"]);
        row = succeeded(row, "11".into(), 13);
        assert_eq!((row.digest.as_str(), before(&row).len(), before(&row)[6].as_str()), ("11", 7, "10"));
    }
}
