//! `wasi:random`, under the grant `random`.
//!
//! A hash table's seed is no secret and standard libraries can't do without one, so without the grant it is a fixed
//! one. Other random numbers have no way to answer `denied`: using them ends the turn.

use crate::ctx::Ctx;
use crate::tape::{Bytes, Seen, missing};
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};
use wasmtime_wasi::random::WasiRandomView as _;

/// At most so many bytes at once.
const MOST: u64 = 1 << 20;

impl random::Host for Ctx {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.check_random(len)?;
        self.chance(len, |ctx| random::Host::get_random_bytes(ctx.random(), len))
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.check_random(8)?;
        self.number(|ctx| random::Host::get_random_u64(ctx.random()))
    }
}

impl insecure::Host for Ctx {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.check_random(len)?;
        self.chance(len, |ctx| insecure::Host::get_insecure_random_bytes(ctx.random(), len))
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.check_random(8)?;
        self.number(|ctx| insecure::Host::get_insecure_random_u64(ctx.random()))
    }
}

impl insecure_seed::Host for Ctx {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        match self.grants.random {
            true => self.seed(),
            false => Ok((0x76_696c_6c61_6765, 0x61_6765_6e74)),
        }
    }
}

impl Ctx {
    /// Bytes by chance, or those that the turn had which is run again.
    fn chance(
        &mut self,
        len: u64,
        make: impl FnOnce(&mut Ctx) -> wasmtime::Result<Vec<u8>>,
    ) -> wasmtime::Result<Vec<u8>> {
        let wanted = |seen: &Seen| match seen {
            Seen::Chance(bytes) if bytes.0.len() as u64 == len => Some(bytes.0.clone()),
            _ => None,
        };
        if let Some(found) = self.tape.find(|| format!("{len} random bytes"), wanted) {
            return found.ok_or_else(|| missing("random bytes"));
        }
        let bytes = make(self)?;
        self.tape.note(bytes.len(), || Seen::Chance(Bytes(bytes.clone())));
        Ok(bytes)
    }

    fn number(&mut self, make: impl FnOnce(&mut Ctx) -> wasmtime::Result<u64>) -> wasmtime::Result<u64> {
        let bytes = self.chance(8, |ctx| Ok(make(ctx)?.to_le_bytes().to_vec()))?;
        let bytes = bytes.try_into().map_err(|_| missing("a random number"))?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        let wanted = |seen: &Seen| match seen {
            Seen::Seed(a, b) => Some((*a, *b)),
            _ => None,
        };
        // An instance takes its seed when it is made: a turn that met a warm one has none on its record.
        if let Some(found) = self.tape.find(|| "the seed of hash tables".into(), wanted) {
            return Ok(found.unwrap_or_default());
        }
        let (a, b) = insecure_seed::Host::insecure_seed(self.random())?;
        self.tape.note(16, || Seen::Seed(a, b));
        Ok((a, b))
    }

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
