//! `village:agent/agents`: shut until the running village (host/agents) fills it.

use super::bindings::village::agent::agents::*;
use super::{Error, no_such_handle, shut};
use crate::ctx::Ctx;
use wasmtime::component::Resource;

const ROOM: &str = "the running village (host/agents)";

type Answer<T> = wasmtime::Result<Result<T, Error>>;

impl Host for Ctx {
    fn ask(&mut self, _to: String, _request: Request, _timeout: u64) -> Answer<Resource<Pending>> {
        shut("agents", ROOM)
    }

    fn tell(&mut self, _to: String, _request: Request, _when: Delivery) -> Answer<String> {
        shut("agents", ROOM)
    }

    fn cancel(&mut self, _id: String) -> Answer<bool> {
        shut("agents", ROOM)
    }

    fn emit(&mut self, _chunk: Vec<u8>) -> Answer<()> {
        shut("agents", ROOM)
    }
}

impl HostPending for Ctx {
    fn subscribe(&mut self, _this: Resource<Pending>) -> wasmtime::Result<Resource<Pollable>> {
        no_such_handle()
    }

    fn chunk(&mut self, _this: Resource<Pending>) -> wasmtime::Result<Option<Vec<u8>>> {
        no_such_handle()
    }

    fn answer(&mut self, _this: Resource<Pending>) -> wasmtime::Result<Option<Result<Payload, Error>>> {
        no_such_handle()
    }

    fn drop(&mut self, _this: Resource<Pending>) -> wasmtime::Result<()> {
        no_such_handle()
    }
}
