//! Two clocks: the time that passes, and the CPU time that this thread was given.

use std::time::Duration;

/// Nanoseconds since some time in the past. Never goes back.
#[cfg(unix)]
pub fn now() -> u64 {
    nanos_of(rustix::time::clock_gettime(rustix::time::ClockId::Monotonic))
}

/// Nanoseconds since this process first asked. Never goes back.
#[cfg(not(unix))]
pub fn now() -> u64 {
    static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    nanos(START.elapsed())
}

#[cfg(unix)]
fn nanos_of(time: rustix::time::Timespec) -> u64 {
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The nanoseconds in a length of time.
pub(crate) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// Nanoseconds of CPU time that this thread was given, as the system counts them.
#[cfg(unix)]
pub fn thread_cpu() -> u64 {
    nanos_of(rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime))
}

/// Where the system has no such clock, time that passes stands in: an agent that is preempted is charged too much.
#[cfg(not(unix))]
pub fn thread_cpu() -> u64 {
    now()
}
