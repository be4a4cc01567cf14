//! A shadow: a version that handles copies of an agent's messages, after the agent, without effect.
//!
//! It begins with what the agent knows, in state and in memory, and misses no message, so that its replies can be
//! compared. It runs while nothing waits for the agent; an agent that never rests lets it have a turn now and then.

use super::apart::Rehearsal;
use super::event::{Reason, Shadowed};
use super::judge::percentile;
use super::plan::Plan;
use crate::agent::{Answer, Error};
use crate::door::size;
use runtime::{Fault, Guest, Held, Message, Payload, Quota, Reply};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// How long an agent may hold back its shadow.
const PATIENCE: Duration = Duration::from_millis(50);

/// How often a shadow looks whether the agent rests.
const LOOK: Duration = Duration::from_millis(1);

/// How many failures are told in words.
const TOLD: usize = 5;

/// Copies an agent's messages, with what came of them.
pub(crate) struct Tap {
    left: u32,
    copies: mpsc::UnboundedSender<Copied>,
    /// What copies are counted on.
    transit: Arc<Quota>,
    skipped: Arc<AtomicU32>,
    begun: Option<(Message, Held)>,
}

/// A message, and what the agent made of it.
pub(crate) struct Copied {
    message: Message,
    outcome: Result<Payload, &'static str>,
    wall: Duration,
    _held: Held,
}

impl Tap {
    /// Copies so many messages.
    pub(crate) fn new(messages: u32, transit: Arc<Quota>) -> (Tap, Copies) {
        let (copies, heard) = mpsc::unbounded_channel();
        let skipped = Arc::new(AtomicU32::new(0));
        let tap = Tap { left: messages, copies, transit, skipped: skipped.clone(), begun: None };
        (tap, Copies { heard, skipped, handled: Arc::default() })
    }

    /// The agent begins to handle a message.
    pub(crate) fn begin(&mut self, message: &Message) {
        self.begun = self.transit.hold(size(message)).ok().map(|held| (message.clone(), held));
    }

    /// It has; answers whether that was the last one to copy.
    pub(crate) fn saw(&mut self, answer: &Answer) -> bool {
        let copied = self.begun.take().and_then(|(message, mut held)| {
            let outcome = match &answer.outcome {
                Ok(Reply { payload }) => {
                    held.resize(held.bytes() + (payload.body.len() + payload.content_type.len()) as u64).ok()?;
                    Ok(payload.clone())
                }
                Err(error) => Err(error.kind()),
            };
            Some(Copied { message, outcome, wall: answer.receipt.wall, _held: held })
        });
        let over = match copied {
            // A shadow that has ended wants no more.
            Some(copied) => self.copies.send(copied).is_err(),
            None => {
                self.skipped.fetch_add(1, Relaxed);
                false
            }
        };
        self.left = self.left.saturating_sub(1);
        over || self.left == 0
    }
}

/// The copies that a shadow handles.
pub(crate) struct Copies {
    heard: mpsc::UnboundedReceiver<Copied>,
    skipped: Arc<AtomicU32>,
    /// So many were handled.
    pub(crate) handled: Arc<AtomicU32>,
}

/// Handles copies until there are no more, or so many of them failed that it is judged.
///
/// `waiting` counts the messages that wait for the agent.
pub(crate) async fn follow<T: Guest>(
    mut shadow: Rehearsal<T>,
    mut copies: Copies,
    plan: Plan,
    waiting: Arc<Quota>,
) -> (Shadowed, Result<(), Reason>) {
    let allowed = plan.max_failures.of(plan.shadow);
    let mut tally = Tally::default();
    let mut verdict = Ok(());
    while let Some(copied) = copies.heard.recv().await {
        rest(&waiting).await;
        let rehearsed = shadow.handle(&copied.message).await;
        if matches!(rehearsed.outcome, Err(Fault::Stopped)) {
            break;
        }
        let outcome = match rehearsed.outcome {
            Ok(Ok(reply)) => Ok(reply.payload),
            Ok(Err(failure)) => Err(Error::Failed(failure)),
            Err(fault) => Err(Error::Broke(fault)),
        };
        tally.add(&copied, outcome, rehearsed.wall, rehearsed.reached);
        copies.handled.store(tally.shadowed.messages, Relaxed);
        if tally.shadowed.failed > allowed {
            let (failures, messages) = (tally.shadowed.failed, tally.shadowed.messages);
            verdict = Err(Reason::Failures { failures, messages, allowed });
            break;
        }
    }
    (tally.done(copies.skipped.load(Relaxed)), verdict)
}

/// Waits until nothing waits for the agent, or patience ends.
async fn rest(waiting: &Quota) {
    let begun = Instant::now();
    while waiting.used() > 0 && begun.elapsed() < PATIENCE {
        tokio::time::sleep(LOOK).await;
    }
}

#[derive(Default)]
struct Tally {
    shadowed: Shadowed,
    old: Vec<u64>,
    new: Vec<u64>,
}

impl Tally {
    fn add(&mut self, copied: &Copied, outcome: Result<Payload, Error>, wall: Duration, reached: bool) {
        let shadowed = &mut self.shadowed;
        shadowed.messages += 1;
        let nanos = |wall: Duration| u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX);
        self.old.push(nanos(copied.wall));
        self.new.push(nanos(wall));
        match (&copied.outcome, outcome) {
            (Ok(old), Ok(new)) if (&old.body, &old.content_type) == (&new.body, &new.content_type) => {
                shadowed.same += 1
            }
            (Err(old), Err(new)) if *old == new.kind() => shadowed.same += 1,
            _ if reached => shadowed.reached += 1,
            (Ok(_), Ok(_)) => shadowed.differ += 1,
            (Err(_), _) => shadowed.mended += 1,
            (Ok(_), Err(new)) => {
                shadowed.failed += 1;
                if shadowed.failures.len() < TOLD {
                    shadowed.failures.push(new.to_string());
                }
            }
        }
    }

    fn done(mut self, skipped: u32) -> Shadowed {
        let mut both = |percent| [percentile(&mut self.old, percent), percentile(&mut self.new, percent)];
        let (p50, p99) = (both(50), both(99));
        Shadowed { skipped, p50, p99, ..self.shadowed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Receipt;
    use runtime::{Failure, FailureKind, Priority, Sender};

    fn payload(text: &str) -> Payload {
        Payload { content_type: String::new(), body: text.into() }
    }

    fn message(body: &str) -> Message {
        Message {
            id: "1".into(),
            sender: Sender::Client(String::new()),
            skill: String::new(),
            payload: payload(body),
            priority: Priority::Normal,
            attempt: 1,
            accepted: 0,
        }
    }

    fn said(kind: FailureKind) -> Error {
        Error::Failed(Failure { kind, message: "no".into(), details: String::new() })
    }

    fn answer(outcome: Result<Payload, Error>) -> Answer {
        Answer { outcome: outcome.map(|payload| Reply { payload }), receipt: Receipt::default(), held: None }
    }

    #[test]
    fn outcomes_are_compared_by_reply_and_by_word() {
        let transit = Quota::new(1 << 20);
        let (mut tap, mut copies) = Tap::new(7, transit.clone());
        let mut tally = Tally::default();
        let mut both = |old: Result<&str, FailureKind>, new: Result<&str, FailureKind>, reached| {
            tap.begin(&message("m"));
            let last = tap.saw(&answer(old.map(payload).map_err(said)));
            let copied = copies.heard.try_recv().expect("it was copied");
            tally.add(&copied, new.map(payload).map_err(said), Duration::ZERO, reached);
            last
        };
        assert!(!both(Ok("a"), Ok("a"), false));
        both(Ok("a"), Ok("b"), false);
        both(Ok("a"), Err(FailureKind::Internal), false);
        both(Ok("a"), Err(FailureKind::Internal), true);
        both(Err(FailureKind::Internal), Ok("a"), false);
        both(Err(FailureKind::Internal), Err(FailureKind::Internal), false);
        assert!(both(Err(FailureKind::Invalid), Err(FailureKind::Internal), false), "the last of seven");
        let Shadowed { messages, same, differ, failed, mended, reached, failures, .. } = tally.done(0);
        assert_eq!((messages, same, differ, failed, mended, reached), (7, 2, 1, 1, 2, 1));
        assert_eq!(failures, ["internal: no"]);
        assert_eq!(transit.used(), 0, "what was compared is not held");
    }

    #[test]
    fn what_there_is_no_memory_to_copy_is_skipped_and_counted() {
        let (mut tap, mut copies) = Tap::new(2, Quota::new(400));
        tap.begin(&message("fits"));
        tap.saw(&answer(Ok(payload("as well"))));
        tap.begin(&message(&"x".repeat(400)));
        assert!(tap.saw(&answer(Ok(payload("")))));
        assert!(copies.heard.try_recv().is_ok() && copies.heard.try_recv().is_err());
        assert_eq!(copies.skipped.load(Relaxed), 1);
    }
}
