//! `village:agent/kernels`: shut until kernels (host/kernels) fills it.

use super::bindings::village::agent::kernels::*;
use super::{Error, no_such_handle, shut};
use crate::ctx::Ctx;
use wasmtime::component::Resource;

const ROOM: &str = "kernels (host/kernels)";

type Answer<T> = wasmtime::Result<Result<T, Error>>;

impl Host for Ctx {
    fn open(&mut self, _path: String) -> Answer<Resource<Weights>> {
        shut("kernels", ROOM)
    }

    fn make(&mut self, _shape: Vec<u64>, _format: Format, _bytes: Vec<u8>) -> Answer<Resource<Tensor>> {
        shut("kernels", ROOM)
    }

    fn convert(&mut self, _tensor: Resource<Tensor>, _format: Format) -> Answer<Resource<Work>> {
        shut("kernels", ROOM)
    }

    fn merge(
        &mut self,
        _method: String,
        _tensors: Vec<Resource<Tensor>>,
        _base: Option<Resource<Tensor>>,
        _parameters: String,
    ) -> Answer<Resource<Work>> {
        shut("kernels", ROOM)
    }

    fn norm(&mut self, _tensor: Resource<Tensor>) -> Answer<f64> {
        shut("kernels", ROOM)
    }

    fn distance(&mut self, _a: Resource<Tensor>, _b: Resource<Tensor>) -> Answer<f64> {
        shut("kernels", ROOM)
    }

    fn cosine(&mut self, _a: Resource<Tensor>, _b: Resource<Tensor>) -> Answer<f64> {
        shut("kernels", ROOM)
    }

    fn top(&mut self, _tensor: Resource<Tensor>, _k: u32) -> Answer<Vec<(u64, f32)>> {
        shut("kernels", ROOM)
    }
}

impl HostTensor for Ctx {
    fn shape(&mut self, _this: Resource<Tensor>) -> wasmtime::Result<Vec<u64>> {
        no_such_handle()
    }

    fn format(&mut self, _this: Resource<Tensor>) -> wasmtime::Result<Format> {
        no_such_handle()
    }

    fn read(&mut self, _this: Resource<Tensor>, _start: u64, _length: u64) -> Answer<Vec<u8>> {
        no_such_handle()
    }

    fn drop(&mut self, _this: Resource<Tensor>) -> wasmtime::Result<()> {
        no_such_handle()
    }
}

impl HostWeights for Ctx {
    fn names(&mut self, _this: Resource<Weights>) -> wasmtime::Result<Vec<String>> {
        no_such_handle()
    }

    fn tensor(&mut self, _this: Resource<Weights>, _name: String) -> Answer<Resource<Tensor>> {
        no_such_handle()
    }

    fn drop(&mut self, _this: Resource<Weights>) -> wasmtime::Result<()> {
        no_such_handle()
    }
}

impl HostWork for Ctx {
    fn subscribe(&mut self, _this: Resource<Work>) -> wasmtime::Result<Resource<Pollable>> {
        no_such_handle()
    }

    fn finish(&mut self, _this: Resource<Work>) -> wasmtime::Result<Option<Result<Resource<Tensor>, Error>>> {
        no_such_handle()
    }

    fn drop(&mut self, _this: Resource<Work>) -> wasmtime::Result<()> {
        no_such_handle()
    }
}
