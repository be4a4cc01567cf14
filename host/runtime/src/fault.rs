//! Why a turn did not end well, and where.

use crate::quota::Full;
use base::{Size, span_text};
use std::fmt;
use std::time::Duration;

/// Why a turn did not end well. The instance is gone; its host and its neighbours are not.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Fault {
    /// It held as much as it may, was refused more, and did not cope.
    #[error("out of memory: the agent may hold {}{}", Size::bytes(*.limit), at(.frames))]
    Memory {
        /// Bytes that it may hold.
        limit: u64,
        /// Where it gave up; empty if it never got to run.
        frames: Vec<Frame>,
    },
    /// Its time was up.
    #[error("the turn did not end within its deadline of {}{}", span_text(*.limit), ringed(.ring))]
    Deadline {
        /// The time that it had.
        limit: Duration,
        /// The agents that wait for each other, this one first, where it waited in a ring of asks. Empty otherwise.
        ring: Vec<String>,
    },
    /// It used something that was not granted, in a way that has no answer.
    #[error("{what}")]
    Denied {
        /// What, and how to grant it.
        what: String,
    },
    /// It did what no guest may do.
    #[error("{reason}{}", at(.frames))]
    Trap {
        /// What happened.
        reason: String,
        /// Where, the innermost frame first.
        frames: Vec<Frame>,
    },
    /// It ended its program.
    #[error("the guest exited with code {code}")]
    Exit {
        /// 0 is success.
        code: i32,
    },
    /// Somebody stopped the agent.
    #[error("the agent was stopped")]
    Stopped,
    /// It began anew because an agent that it is tied to broke.
    #[error("the agent begins anew, because `{with}` broke")]
    Linked {
        /// That one.
        with: String,
    },
    /// The host has no room for one more instance.
    #[error("{what}")]
    Refused {
        /// What there is no room for.
        what: String,
    },
}

/// One frame of a guest's stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The function's name, or its number in the module.
    pub function: String,
    /// The offset in the module's bytes, if known.
    pub offset: Option<usize>,
}

/// Says of a ring of asks who waits for whom; says nothing of none.
pub fn ringed(ring: &[String]) -> String {
    match ring.first() {
        Some(first) => format!(": it waits in a ring of asks: {} -> {first}", ring.join(" -> ")),
        None => String::new(),
    }
}

fn at(frames: &[Frame]) -> String {
    frames.first().map(|frame| format!(", in {frame}")).unwrap_or_default()
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.function)
    }
}

/// A use of something that was not granted. An import returns it as an error to end the turn.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Denied(pub String);

/// The guest ended its program with this code. An import returns it as an error to end the turn.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("exit {0}")]
pub struct Exited(pub i32);

impl Fault {
    /// The word that programs know it by.
    pub fn kind(&self) -> &'static str {
        match self {
            Fault::Memory { .. } => "memory",
            Fault::Deadline { .. } => "deadline",
            Fault::Denied { .. } => "denied",
            Fault::Trap { .. } => "trap",
            Fault::Exit { .. } => "exit",
            Fault::Stopped => "stopped",
            Fault::Linked { .. } => "linked",
            Fault::Refused { .. } => "refused",
        }
    }

    /// The same, with every text in it as `clean` leaves it.
    pub fn redacted(mut self, clean: &mut dyn FnMut(&mut String)) -> Fault {
        match &mut self {
            Fault::Denied { what } | Fault::Refused { what } => clean(what),
            Fault::Trap { reason, .. } => clean(reason),
            Fault::Memory { .. }
            | Fault::Deadline { .. }
            | Fault::Exit { .. }
            | Fault::Stopped
            | Fault::Linked { .. } => {}
        }
        self
    }

    /// Where it happened, the innermost frame first; empty if that isn't known.
    pub fn frames(&self) -> &[Frame] {
        match self {
            Fault::Memory { frames, .. } | Fault::Trap { frames, .. } => frames,
            _ => &[],
        }
    }

    /// What an error out of the engine means, given whether memory was refused in this turn and what the limit is.
    pub(crate) fn of(error: &wasmtime::Error, refused: bool, limit: u64) -> Fault {
        if let Some(Denied(what)) = error.downcast_ref() {
            return Fault::Denied { what: what.clone() };
        }
        if let Some(Exited(code)) = error.downcast_ref() {
            return Fault::Exit { code: *code };
        }
        if let Some(limit) = error.downcast_ref::<wasmtime::PoolConcurrencyLimitError>() {
            return Fault::Refused { what: format!("no room for one more instance: {limit}") };
        }
        let frames = frames(error);
        let full = error.chain().any(|cause| cause.is::<Full>() || too_many_handles(cause));
        if refused || full {
            return Fault::Memory { limit, frames };
        }
        Fault::Trap { reason: reason(error), frames }
    }
}

/// Handles are memory of the host; the guest can't cope with the refusal of one, so it ends the turn.
fn too_many_handles(cause: &(dyn std::error::Error + 'static)) -> bool {
    matches!(
        cause.downcast_ref::<wasmtime::component::ResourceTableError>(),
        Some(wasmtime::component::ResourceTableError::Full)
    ) || cause.to_string().contains("handle limit exceeded")
}

fn reason(error: &wasmtime::Error) -> String {
    match error.downcast_ref::<wasmtime::Trap>() {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    }
}

fn frames(error: &wasmtime::Error) -> Vec<Frame> {
    let Some(backtrace) = error.downcast_ref::<wasmtime::WasmBacktrace>() else { return Vec::new() };
    let frames = backtrace.frames().iter().map(|frame| Frame {
        function: match frame.func_name() {
            Some(name) => demangle(name),
            None => format!("function {}", frame.func_index()),
        },
        offset: frame.module_offset(),
    });
    frames.collect()
}

/// A Rust name without its hash; any other name as it is.
fn demangle(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}
