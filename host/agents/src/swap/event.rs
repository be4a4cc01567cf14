//! What becomes of a swap, step by step.

use base::{Digest, Part, Size, span_text};
use runtime::{Card, Failure, Fault};
use std::time::Duration;

/// One step of a swap. The last one is [`Event::Live`], [`Event::Refused`] or [`Event::Back`].
#[derive(Debug, Clone)]
pub enum Event {
    /// The new version is loaded and has room to live.
    Staged {
        /// The version that serves.
        from: Digest,
        /// The one that is to take over.
        to: Digest,
    },
    /// It was started apart from the agent, and has said what it is.
    Probed {
        /// What it says of itself.
        card: Box<Card>,
        /// How its skills differ.
        skills: Skills,
        /// What starting it and asking it took.
        took: Duration,
    },
    /// It handles messages too, without effect.
    Shadowing {
        /// So many of them.
        messages: u32,
        /// For how long the agent handled no messages, so that what it knows could be copied.
        pause: Duration,
    },
    /// It has handled them.
    Shadowed(Shadowed),
    /// It handles the messages of a part of the senders, and the old version those of the others.
    Trying {
        /// The part.
        part: Part,
        /// For how long the agent handled no messages.
        pause: Duration,
    },
    /// It has handled as many as it is judged by.
    Tried(Tried),
    /// It handles all messages now.
    Live(Switch),
    /// The old version goes on as if nothing had been: the new one has handled nothing that had an effect.
    Refused(Reason),
    /// The new version handled messages; the one before it has all of them now.
    Back {
        /// Why.
        reason: Reason,
        /// How its instance got its memory; none if both versions had instances of their own.
        switch: Option<Switch>,
    },
}

/// How the skills of two versions differ, by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Skills {
    /// Only the new one has them.
    pub added: Vec<String>,
    /// Only the old one has them.
    pub removed: Vec<String>,
    /// Their input or output has another schema.
    pub changed: Vec<String>,
}

/// The moment in which another instance took over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switch {
    /// From the end of the last turn before it, or from its beginning if the agent was at rest, until the next message
    /// could be handled.
    pub pause: Duration,
    /// What making the new instance took. The agent handled no messages meanwhile; that was before the pause.
    pub prepared: Duration,
    /// What became of the memory.
    pub memory: Carried,
}

/// What became of an instance's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carried {
    /// So many bytes were handed over.
    Restored(u64),
    /// The old instance kept nothing, or there was none.
    Nothing,
    /// It was not taken over.
    Left,
    /// The new version's instance went on with what it had, as it had handled most of the messages.
    Own,
}

/// What came of shadowed messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shadowed {
    /// So many were handled by both.
    pub messages: u32,
    /// Both gave the same reply, or failed with the same word.
    pub same: u32,
    /// Both replied, differently.
    pub differ: u32,
    /// Only the new version failed.
    pub failed: u32,
    /// Only the old version failed.
    pub mended: u32,
    /// The new version's turn wanted something outside of the agent, which a shadow does not reach: not judged.
    pub reached: u32,
    /// There was no memory to copy the message.
    pub skipped: u32,
    /// What the median turn took, of the old version and of the new one.
    pub p50: [Duration; 2],
    /// What 99 of 100 turns took at most.
    pub p99: [Duration; 2],
    /// The first failures of the new version that were its own, as text.
    pub failures: Vec<String>,
}

/// What came of a canary, and of the old version meanwhile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tried {
    /// Messages that the new version handled.
    pub messages: u32,
    /// Those that got no reply.
    pub failures: u32,
    /// What 99 of 100 turns took at most.
    pub p99: Duration,
    /// Messages that the old version handled meanwhile.
    pub old_messages: u32,
    /// Those of them that got no reply.
    pub old_failures: u32,
    /// What 99 of 100 of its turns took at most, of the first so many as the canary is judged by.
    pub old_p99: Duration,
}

/// Why the new version did not take over, or not for long.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Reason {
    /// It can't be started.
    #[error("the new version can't be started: {0}")]
    Start(Fault),
    /// There is no room for a copy of what lasts of the agent, so that the new version could shadow it.
    #[error("the agent can't be copied for a shadow: {0}")]
    Copy(Fault),
    /// It can't say what it is.
    #[error("the new version can't say what it is: {0}")]
    Describe(Fault),
    /// It lacks skills that the old one has, and the plan does not allow that.
    #[error("the new version lacks {}", names(.removed))]
    Skills {
        /// Their names.
        removed: Vec<String>,
    },
    /// The old version can't say what to keep. Its instance is gone; a swap that carries no memory needs none.
    #[error("the old version can't say what to keep: {0}")]
    Snapshot(Fault),
    /// There is no memory to hand over what the old version keeps.
    #[error("what the old version keeps, {}, is more than the {} that may be handed over", Size::bytes(*.bytes), Size::bytes(*.limit))]
    TooLarge {
        /// What it keeps.
        bytes: u64,
        /// What may be handed over.
        limit: u64,
    },
    /// The new version said no to what the old one keeps.
    #[error("the new version refuses what the old one keeps: {}", .0.message)]
    Restore(Failure),
    /// The new version broke over what the old one keeps.
    #[error("the new version breaks over what the old one keeps: {0}")]
    RestoreBroke(Fault),
    /// The new instance with what the host keeps for the agent is more than it may hold.
    #[error("the new version would hold {}, of {} that the agent may", Size::bytes(*.bytes), Size::bytes(*.limit))]
    Memory {
        /// What they would hold together.
        bytes: u64,
        /// What may be held.
        limit: u64,
    },
    /// Too many messages got no reply from the new version, in its shadow or as a canary.
    #[error("{failures} of {messages} messages got no reply from the new version, and {allowed} may")]
    Failures {
        /// Those.
        failures: u32,
        /// Of so many.
        messages: u32,
        /// So many may, of all that it is judged by.
        allowed: u32,
    },
    /// The new version is too slow.
    #[error("the new version takes too long: its p99 is above {}, with {messages} messages handled", span_text(*.limit))]
    Slow {
        /// What 99 of 100 turns may take.
        limit: Duration,
        /// Messages that it handled.
        messages: u32,
    },
    /// Too few messages came in the time there was.
    #[error("{messages} of {wanted} messages came within {}, too few to judge by", span_text(*.within))]
    Undecided {
        /// Those that came.
        messages: u32,
        /// Those it would have been judged by.
        wanted: u32,
        /// The time there was.
        within: Duration,
    },
    /// Somebody wanted it so.
    #[error("it was asked for")]
    Asked,
    /// The agent has stopped.
    #[error("the agent has stopped")]
    Stopped,
}

fn names(skills: &[String]) -> String {
    let quoted: Vec<_> = skills.iter().map(|name| format!("`{name}`")).collect();
    match quoted.len() {
        1 => format!("the skill {}", quoted.concat()),
        _ => format!("the skills {}", quoted.join(", ")),
    }
}

impl Reason {
    /// The word that programs know it by.
    pub fn kind(&self) -> &'static str {
        match self {
            Reason::Start(_) => "start",
            Reason::Copy(_) => "copy",
            Reason::Describe(_) => "describe",
            Reason::Skills { .. } => "skills",
            Reason::Snapshot(_) => "snapshot",
            Reason::TooLarge { .. } => "too-large",
            Reason::Restore(_) => "restore-refused",
            Reason::RestoreBroke(_) => "restore",
            Reason::Memory { .. } => "memory",
            Reason::Failures { .. } => "failures",
            Reason::Slow { .. } => "slow",
            Reason::Undecided { .. } => "undecided",
            Reason::Asked => "asked",
            Reason::Stopped => "stopped",
        }
    }

    /// The same, with all that `explain` knows of what broke.
    pub(crate) fn explained(self, explain: &dyn Fn(Fault) -> Fault) -> Reason {
        match self {
            Reason::Start(fault) => Reason::Start(explain(fault)),
            Reason::Describe(fault) => Reason::Describe(explain(fault)),
            Reason::Snapshot(fault) => Reason::Snapshot(explain(fault)),
            Reason::RestoreBroke(fault) => Reason::RestoreBroke(explain(fault)),
            other => other,
        }
    }

    /// Has `clean` look at every text in it that a guest wrote; those of faults were explained, which cleans them.
    pub(crate) fn clean(&mut self, clean: &dyn Fn(&mut String)) {
        if let Reason::Restore(failure) = self {
            clean(&mut failure.message);
            clean(&mut failure.details);
        }
    }

    /// What broke, if something did.
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            Reason::Start(fault)
            | Reason::Copy(fault)
            | Reason::Describe(fault)
            | Reason::Snapshot(fault)
            | Reason::RestoreBroke(fault) => Some(fault),
            _ => None,
        }
    }
}

impl Event {
    /// The word that programs know it by.
    pub fn kind(&self) -> &'static str {
        match self {
            Event::Staged { .. } => "staged",
            Event::Probed { .. } => "probed",
            Event::Shadowing { .. } => "shadowing",
            Event::Shadowed(_) => "shadowed",
            Event::Trying { .. } => "trying",
            Event::Tried(_) => "tried",
            Event::Live(_) => "live",
            Event::Refused(_) => "refused",
            Event::Back { .. } => "back",
        }
    }

    /// Whether nothing comes after it.
    pub fn is_last(&self) -> bool {
        matches!(self, Event::Live(_) | Event::Refused(_) | Event::Back { .. })
    }
}

impl Skills {
    /// How they differ from one card to another.
    pub(crate) fn between(old: &Card, new: &Card) -> Skills {
        let find = |card: &Card, name: &str| card.skills.iter().position(|skill| skill.name == name);
        let mut skills = Skills::default();
        for skill in &old.skills {
            match find(new, &skill.name).map(|at| &new.skills[at]) {
                None => skills.removed.push(skill.name.clone()),
                Some(other) if (&other.input, &other.output) != (&skill.input, &skill.output) => {
                    skills.changed.push(skill.name.clone());
                }
                Some(_) => {}
            }
        }
        // A card without skills takes any message, so nothing is lost.
        if new.skills.is_empty() {
            skills.removed.clear();
        }
        let added = new.skills.iter().filter(|skill| find(old, &skill.name).is_none());
        skills.added = added.map(|skill| skill.name.clone()).collect();
        skills
    }
}
