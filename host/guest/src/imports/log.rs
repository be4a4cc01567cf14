//! `village:agent/log`.

use super::bindings::village::agent::log::{Host, Level};
use super::{Error, denied, limit};
use crate::ctx::Ctx;
use crate::log::Source;

impl Host for Ctx {
    fn write(&mut self, level: Level, message: String) -> wasmtime::Result<Result<(), Error>> {
        if !self.grants.log {
            return Ok(Err(denied("log")));
        }
        let source = match level {
            Level::Trace => Source::Trace,
            Level::Debug => Source::Debug,
            Level::Info => Source::Info,
            Level::Warn => Source::Warn,
            Level::Error => Source::Error,
        };
        Ok(self.accounts.log.write(source, &message).map_err(|exceeded| limit("log", exceeded.after)))
    }
}
