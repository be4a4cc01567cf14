//! `village:agent/model`: shut until models (host/model) fills it.

use super::bindings::village::agent::model::*;
use super::{Error, no_such_handle, shut};
use crate::ctx::Ctx;
use wasmtime::component::Resource;

const ROOM: &str = "models (host/model)";

type Answer<T> = wasmtime::Result<Result<T, Error>>;

impl Host for Ctx {
    fn complete(&mut self, _prompt: Prompt) -> Answer<Completion> {
        shut("model", ROOM)
    }

    fn write(&mut self, _prompt: Prompt) -> Answer<Resource<Writing>> {
        shut("model", ROOM)
    }

    fn embed(&mut self, _model: String, _texts: Vec<String>) -> Answer<Vec<Vec<f32>>> {
        shut("model", ROOM)
    }

    fn count(&mut self, _model: String, _text: String) -> Answer<u64> {
        shut("model", ROOM)
    }

    fn models(&mut self) -> Answer<Vec<Listed>> {
        shut("model", ROOM)
    }

    fn feedback(&mut self, _model: String, _score: u32) -> Answer<()> {
        shut("model", ROOM)
    }
}

impl HostWriting for Ctx {
    fn subscribe(&mut self, _this: Resource<Writing>) -> wasmtime::Result<Resource<Pollable>> {
        no_such_handle()
    }

    fn text(&mut self, _this: Resource<Writing>) -> wasmtime::Result<String> {
        no_such_handle()
    }

    fn finish(&mut self, _this: Resource<Writing>) -> wasmtime::Result<Option<Result<Completion, Error>>> {
        no_such_handle()
    }

    fn drop(&mut self, _this: Resource<Writing>) -> wasmtime::Result<()> {
        no_such_handle()
    }
}
