//! Two clocks: the time that passes, and the CPU time that this thread was given.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Nanoseconds since this process first asked. Never goes back.
pub fn now() -> u64 {
    nanos(START.elapsed())
}

/// The nanoseconds in a length of time.
pub(crate) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// Nanoseconds of CPU time that this thread was given, as the system counts them.
#[cfg(unix)]
pub fn thread_cpu() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Where the system has no such clock, time that passes stands in: an agent that is preempted is charged too much.
#[cfg(not(unix))]
pub fn thread_cpu() -> u64 {
    now()
}
