//! `village:agent/memory`: shut until models (host/model) fills it.

use super::bindings::village::agent::memory::*;
use super::{Error, shut};
use crate::ctx::Ctx;

const ROOM: &str = "models (host/model)";

type Answer<T> = wasmtime::Result<Result<T, Error>>;

impl Host for Ctx {
    fn ingest(&mut self, _space: String, _document: Document) -> Answer<u32> {
        shut("memory", ROOM)
    }

    fn search(&mut self, _space: String, _query: String, _tags: Vec<String>, _limit: u32) -> Answer<Vec<Passage>> {
        shut("memory", ROOM)
    }

    fn forget(&mut self, _space: String, _source: String) -> Answer<bool> {
        shut("memory", ROOM)
    }

    fn compress(&mut self, _text: String, _task: String, _model: String, _tokens: u32) -> Answer<String> {
        shut("memory", ROOM)
    }
}
