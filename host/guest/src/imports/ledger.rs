//! `village:agent/ledger`: shut until the ledger (host/ledger) fills it.

use super::bindings::village::agent::ledger::*;
use super::{Error, no_such_handle, shut};
use crate::ctx::Ctx;
use wasmtime::component::Resource;

const ROOM: &str = "the ledger (host/ledger)";

type Answer<T> = wasmtime::Result<Result<T, Error>>;

impl Host for Ctx {
    fn balance(&mut self) -> Answer<u64> {
        shut("ledger", ROOM)
    }

    fn transfer(&mut self, _to: String, _amount: u64, _reason: String) -> wasmtime::Result<Result<(), Refusal>> {
        Ok(shut("ledger", ROOM)?.map_err(Refusal::Error))
    }

    fn reserve(&mut self, _amount: u64) -> wasmtime::Result<Result<Resource<Hold>, Refusal>> {
        Ok(shut("ledger", ROOM)?.map_err(Refusal::Error))
    }

    fn history(&mut self, _before: Option<String>, _limit: u32) -> Answer<Vec<Entry>> {
        shut("ledger", ROOM)
    }
}

impl HostHold for Ctx {
    fn amount(&mut self, _this: Resource<Hold>) -> wasmtime::Result<u64> {
        no_such_handle()
    }

    fn commit(&mut self, _this: Resource<Hold>, _to: String, _used: u64) -> wasmtime::Result<Result<(), Refusal>> {
        no_such_handle()
    }

    fn drop(&mut self, _this: Resource<Hold>) -> wasmtime::Result<()> {
        no_such_handle()
    }
}
