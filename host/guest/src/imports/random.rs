//! `wasi:random`, under the grant `random`.
//!
//! A hash table's seed is no secret and standard libraries can't do without one, so without the grant it is a fixed
//! one. Other random numbers have no way to answer `denied`: using them ends the turn.

use crate::ctx::Ctx;
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};
use wasmtime_wasi::random::WasiRandomView as _;

/// At most so many bytes at once.
const MOST: u64 = 1 << 20;

impl random::Host for Ctx {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.check_random(len)?;
        random::Host::get_random_bytes(self.random(), len)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.check_random(8)?;
        random::Host::get_random_u64(self.random())
    }
}

impl insecure::Host for Ctx {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.check_random(len)?;
        insecure::Host::get_insecure_random_bytes(self.random(), len)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.check_random(8)?;
        insecure::Host::get_insecure_random_u64(self.random())
    }
}

impl insecure_seed::Host for Ctx {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        match self.grants.random {
            true => insecure_seed::Host::insecure_seed(self.random()),
            false => Ok((0x76_696c_6c61_6765, 0x61_6765_6e74)),
        }
    }
}

impl Ctx {
    fn check_random(&mut self, len: u64) -> wasmtime::Result<()> {
        self.insist(self.grants.random, "random")?;
        if len > MOST {
            return Err(wasmtime::Error::msg(format!(
                "{len} random bytes at once are more than the {MOST} there may be"
            )));
        }
        Ok(())
    }
}
