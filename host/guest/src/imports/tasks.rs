//! `village:agent/tasks`: shut until tasks (host/tasks) fills it.

use super::bindings::village::agent::tasks::*;
use super::{Error, shut};
use crate::ctx::Ctx;

const ROOM: &str = "tasks (host/tasks)";

type Answer<T> = wasmtime::Result<Result<T, Error>>;

impl Host for Ctx {
    fn submit(&mut self, _spec: Spec) -> Answer<String> {
        shut("tasks", ROOM)
    }

    fn status(&mut self, _id: String) -> Answer<Progress> {
        shut("tasks", ROOM)
    }

    fn report(&mut self, _percent: u32) -> Answer<()> {
        shut("tasks", ROOM)
    }

    fn withdraw(&mut self, _id: String) -> Answer<bool> {
        shut("tasks", ROOM)
    }

    fn spawn(&mut self, _child: Child) -> Answer<String> {
        shut("spawn", ROOM)
    }

    fn retire(&mut self, _address: String) -> Answer<bool> {
        shut("spawn", ROOM)
    }

    fn team(&mut self, _skills: Vec<String>, _size: u32, _deadline: u64) -> Answer<Vec<String>> {
        shut("team", ROOM)
    }
}
