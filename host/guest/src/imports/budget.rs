//! `village:agent/budget`.

use super::bindings::village::agent::budget::{Allowance, Host, Unit};
use super::{Error, denied};
use crate::ctx::Ctx;
use std::time::Duration;

impl Host for Ctx {
    fn list(&mut self) -> wasmtime::Result<Result<Vec<Allowance>, Error>> {
        if !self.grants.budget {
            return Ok(Err(denied("budget")));
        }
        let deadline = self.accounts.budget.lock().deadline;
        let turn = deadline.saturating_sub(Duration::from_nanos(self.left()));
        let allowances = self.accounts.usage(turn).into_iter().map(|usage| {
            let (unit, scale) = match usage.field {
                "cpu" | "gpu" => (Unit::Millicores, 1_000),
                "burst" | "deadline" => (Unit::Microseconds, 1),
                "log" => (Unit::BytesPerSecond, 1),
                "mailbox" | "children" => (Unit::Count, 1),
                "messages" | "http" => (Unit::CountPerSecond, 1),
                _ => (Unit::Bytes, 1),
            };
            let (limit, used) = (usage.limit_units / scale, usage.used_units / scale);
            Allowance { name: usage.field.into(), limit, used, unit }
        });
        Ok(Ok(allowances.collect()))
    }

    fn remaining(&mut self) -> wasmtime::Result<Result<u64, Error>> {
        match self.grants.budget {
            true => Ok(Ok(self.left() / 1_000)),
            false => Ok(Err(denied("budget"))),
        }
    }
}

impl Ctx {
    /// Nanoseconds until the turn's deadline.
    fn left(&self) -> u64 {
        self.until.saturating_sub(runtime::clock::now())
    }
}
