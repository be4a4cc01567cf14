//! `village:agent/device`: shut until the device (host/device) fills it.

use super::bindings::village::agent::device::*;
use super::{Error, shut};
use crate::ctx::Ctx;

const ROOM: &str = "the device (host/device)";

type Answer<T> = wasmtime::Result<Result<T, Error>>;

impl Host for Ctx {
    fn about(&mut self) -> Answer<Profile> {
        shut("device", ROOM)
    }

    fn now(&mut self) -> Answer<Load> {
        shut("device", ROOM)
    }
}
