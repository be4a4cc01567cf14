//! `village:agent/budget`.

use super::bindings::village::agent::budget::{Allowance, Host, Unit};
use super::{Error, denied};
use crate::ctx::Ctx;
use crate::tape::Seen;
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
                "log" | "mesh" => (Unit::BytesPerSecond, 1),
                "mailbox" | "children" => (Unit::Count, 1),
                "messages" | "http" => (Unit::CountPerSecond, 1),
                "tokens" => (Unit::TokensPerMinute, 1),
                _ => (Unit::Bytes, 1),
            };
            let (limit, used) = (usage.limit_units / scale, usage.used_units / scale);
            Allowance { name: usage.field.into(), limit, used, unit }
        });
        Ok(Ok(allowances.collect()))
    }

    fn remaining(&mut self) -> wasmtime::Result<Result<u64, Error>> {
        if !self.grants.budget {
            return Ok(Err(denied("budget")));
        }
        let wanted = |seen: &Seen| match seen {
            Seen::Left(left) => Some(*left),
            _ => None,
        };
        if let Some(found) = self.tape.find(|| "the time that is left".into(), wanted) {
            return Ok(Ok(found.unwrap_or_default()));
        }
        let left = self.left() / 1_000;
        self.tape.note(8, || Seen::Left(left));
        Ok(Ok(left))
    }
}

impl Ctx {
    /// Nanoseconds until the turn's deadline.
    fn left(&self) -> u64 {
        self.until.saturating_sub(runtime::clock::now())
    }
}
