//! `wasi:clocks`, under the grant `clock`. A clock has no way to answer `denied`, so using one that is shut ends the turn.

use crate::ctx::Ctx;
use crate::tape::{Seen, missing};
use wasmtime::component::Resource;
use wasmtime_wasi::clocks::WasiClocksView as _;
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};

impl wall_clock::Host for Ctx {
    fn now(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        self.insist(self.grants.clock, "clock")?;
        let wanted = |seen: &Seen| match seen {
            Seen::Wall { seconds, nanoseconds } => {
                Some(wall_clock::Datetime { seconds: *seconds, nanoseconds: *nanoseconds })
            }
            _ => None,
        };
        if let Some(found) = self.tape.find(|| "the time".into(), wanted) {
            return found.ok_or_else(|| missing("the time"));
        }
        let time = wall_clock::Host::now(&mut self.clocks())?;
        self.tape.note(16, || Seen::Wall { seconds: time.seconds, nanoseconds: time.nanoseconds });
        Ok(time)
    }

    fn resolution(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        self.insist(self.grants.clock, "clock")?;
        wall_clock::Host::resolution(&mut self.clocks())
    }
}

impl monotonic_clock::Host for Ctx {
    fn now(&mut self) -> wasmtime::Result<u64> {
        self.insist(self.grants.clock, "clock")?;
        let wanted = |seen: &Seen| match seen {
            Seen::Time(time) => Some(*time),
            _ => None,
        };
        if let Some(found) = self.tape.find(|| "how much time has passed".into(), wanted) {
            return found.ok_or_else(|| missing("how much time has passed"));
        }
        let time = monotonic_clock::Host::now(&mut self.clocks())?;
        self.tape.note(8, || Seen::Time(time));
        Ok(time)
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
