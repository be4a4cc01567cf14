//! `village:agent/mesh`: shut until the mesh (host/mesh) fills it.

use super::bindings::village::agent::mesh::*;
use super::{Error, shut};
use crate::ctx::Ctx;

const ROOM: &str = "the mesh (host/mesh)";

type Answer<T> = wasmtime::Result<Result<T, Error>>;

impl Host for Ctx {
    fn publish(&mut self, _topic: String, _payload: Payload) -> Answer<()> {
        shut("mesh", ROOM)
    }

    fn subscribe(&mut self, _topic: String) -> Answer<()> {
        shut("mesh", ROOM)
    }

    fn unsubscribe(&mut self, _topic: String) -> Answer<bool> {
        shut("mesh", ROOM)
    }

    fn find(&mut self, _skill: String, _limit: u32) -> Answer<Vec<Found>> {
        shut("mesh", ROOM)
    }
}
