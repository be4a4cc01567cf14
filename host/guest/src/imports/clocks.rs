//! `wasi:clocks`, under the grant `clock`. A clock has no way to answer `denied`, so using one that is shut ends the turn.

use crate::ctx::Ctx;
use wasmtime::component::Resource;
use wasmtime_wasi::clocks::WasiClocksView as _;
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};

impl wall_clock::Host for Ctx {
    fn now(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        self.insist(self.grants.clock, "clock")?;
        wall_clock::Host::now(&mut self.clocks())
    }

    fn resolution(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        self.insist(self.grants.clock, "clock")?;
        wall_clock::Host::resolution(&mut self.clocks())
    }
}

impl monotonic_clock::Host for Ctx {
    fn now(&mut self) -> wasmtime::Result<u64> {
        self.insist(self.grants.clock, "clock")?;
        monotonic_clock::Host::now(&mut self.clocks())
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        self.insist(self.grants.clock, "clock")?;
        monotonic_clock::Host::resolution(&mut self.clocks())
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.insist(self.grants.clock, "clock")?;
        self.clocks().subscribe_instant(when)
    }

    fn subscribe_duration(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.insist(self.grants.clock, "clock")?;
        self.clocks().subscribe_duration(when)
    }
}
