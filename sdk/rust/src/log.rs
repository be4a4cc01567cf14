//! The agent's own log. Grant: `log`. Budget: `log`, bytes per second.
//!
//! Lines appear whether or not the turn ends well: a log is for finding out why it did not. A line that is refused (no grant,
//! or the allowance is used up) is no reason to stop, so the macros say nothing of it; [`write()`] does.
//!
//! ```
//! use village::log;
//!
//! log::info!("{} routes looked at", 17);
//! log::warn!("no map of the harbour");
//! ```

use crate::imports::log as host;
use crate::types::Error;

pub use crate::bindings::village::agent::log::Level;
#[doc(inline)]
pub use crate::{
    __log_debug as debug, __log_error as error, __log_info as info, __log_trace as trace, __log_warn as warn,
};

/// Appends one line. Fails with `denied` without the grant, and with `limit` when this second's allowance is used up.
///
/// A message over 16 KiB is cut there, at a character.
pub fn write(level: Level, message: &str) -> Result<(), Error> {
    host::write(level, message)
}

#[doc(hidden)]
pub fn line(level: Level, message: std::fmt::Arguments<'_>) {
    let _ = match message.as_str() {
        Some(text) => write(level, text),
        None => write(level, &message.to_string()),
    };
}

/// Logs a line as `trace`. Formats as `format!` does.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_trace {
    ($($argument:tt)*) => { $crate::log::line($crate::log::Level::Trace, ::core::format_args!($($argument)*)) };
}

/// Logs a line as `debug`. Formats as `format!` does.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_debug {
    ($($argument:tt)*) => { $crate::log::line($crate::log::Level::Debug, ::core::format_args!($($argument)*)) };
}

/// Logs a line as `info`. Formats as `format!` does.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_info {
    ($($argument:tt)*) => { $crate::log::line($crate::log::Level::Info, ::core::format_args!($($argument)*)) };
}

/// Logs a line as `warn`. Formats as `format!` does.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_warn {
    ($($argument:tt)*) => { $crate::log::line($crate::log::Level::Warn, ::core::format_args!($($argument)*)) };
}

/// Logs a line as `error`. Formats as `format!` does.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_error {
    ($($argument:tt)*) => { $crate::log::line($crate::log::Level::Error, ::core::format_args!($($argument)*)) };
}
