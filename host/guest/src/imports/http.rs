//! `wasi:http`, under the grant `http`: wasmtime's, with what it keeps in the host's memory counted.
//!
//! What a request may be is judged in [`crate::outgoing`]. A refusal is an `error-code`: `HTTP-request-denied` where no
//! grant allows it, `connection-limit-reached` where the budget's `http` is used up or too many are under way.

use crate::ctx::Ctx;
use crate::fetched::Wire;
use crate::outgoing::{self, Hooks, PIECE, PIECES};
use runtime::Held;
use std::collections::HashMap;
use wasmtime::component::{HasSelf, Linker, Resource};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable};
use wasmtime_wasi_http::p2::bindings::http::types::{self, ErrorCode, Method, Scheme};
use wasmtime_wasi_http::p2::bindings::http::{outgoing_handler, types as http_types};
use wasmtime_wasi_http::p2::body::{HostFutureTrailers, HostIncomingBody, HostOutgoingBody};
use wasmtime_wasi_http::p2::types::{
    HostFutureIncomingResponse, HostIncomingRequest, HostIncomingResponse, HostOutgoingRequest, HostOutgoingResponse,
    HostResponseOutparam,
};
use wasmtime_wasi_http::p2::{HeaderError, HeaderResult, HttpError, HttpResult};
use wasmtime_wasi_http::{FieldMap, RequestOptions, WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

/// What stands behind `wasi:http` for one instance.
pub(crate) struct Http {
    ctx: WasiHttpCtx,
    hooks: Hooks,
    /// What is counted for handles of headers and bodies, by their place in the table.
    weights: HashMap<u32, Held>,
}

/// What the headers may take that a guest makes; they are counted as that from the beginning.
const FIELDS: usize = 16 << 10;

/// What a body that the guest writes is counted as: the pieces that wait.
const BODY: u64 = (PIECE * (PIECES + 1)) as u64;

/// What a header is counted as beside its bytes.
const HEADER: u64 = 64;

pub(super) fn add_to_linker(linker: &mut Linker<Ctx>) -> wasmtime::Result<()> {
    outgoing_handler::add_to_linker::<Ctx, HasSelf<Ctx>>(linker, |ctx| ctx)?;
    http_types::add_to_linker::<Ctx, HasSelf<Ctx>>(linker, &http_types::LinkOptions::default(), |ctx| ctx)
}

impl WasiHttpView for Ctx {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let http = self.http.get_or_insert_with(|| {
            let mut ctx = WasiHttpCtx::new();
            ctx.set_field_size_limit(FIELDS);
            let (grants, accounts) = (self.grants.clone(), self.accounts.clone());
            let hooks = Hooks { grants, accounts, until: 0, wire: Wire::Off, seed: None };
            Box::new(Http { ctx, hooks, weights: HashMap::new() })
        });
        http.hooks.until = self.until;
        WasiHttpCtxView { hooks: &mut http.hooks, table: &mut self.table, ctx: &mut http.ctx }
    }
}

impl Ctx {
    /// Counts what stands behind a handle, until [`Ctx::release`].
    fn weigh<T>(&mut self, handle: &Resource<T>, bytes: u64) -> Result<(), runtime::Full> {
        let held = self.accounts.memory.hold(bytes)?;
        if let Some(http) = &mut self.http {
            http.weights.insert(handle.rep(), held);
        }
        Ok(())
    }

    fn release<T>(&mut self, handle: &Resource<T>) -> Option<Held> {
        self.http.as_mut()?.weights.remove(&handle.rep())
    }

    /// One handle has taken over what stood behind another.
    fn carry<T>(&mut self, held: Option<Held>, handle: &Resource<T>) {
        if let (Some(http), Some(held)) = (&mut self.http, held) {
            http.weights.insert(handle.rep(), held);
        }
    }

    /// Counts a view of headers, which keeps them there.
    fn view(&mut self, fields: Resource<FieldMap>) -> wasmtime::Result<Resource<FieldMap>> {
        let size = self.table.get(&fields)?.iter().map(|(name, value)| name.as_str().len() + value.len());
        let bytes = size.map(|size| size as u64 + HEADER).sum();
        self.weigh(&fields, bytes)?;
        Ok(fields)
    }
}

/// Passes calls on to wasmtime's; those in braces are ours.
macro_rules! pass {
    ($trait:path { $($ours:item)* } $(fn $name:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {
        impl $trait for Ctx {
            $($ours)*
            $(fn $name(&mut self, $($arg: $type),*) -> $out { <WasiHttpCtxView<'_> as $trait>::$name(&mut self.http(), $($arg),*) })*
        }
    };
}

type Done<T> = wasmtime::Result<Result<T, ()>>;

impl outgoing_handler::Host for Ctx {
    fn handle(
        &mut self,
        request: Resource<HostOutgoingRequest>,
        options: Option<Resource<RequestOptions>>,
    ) -> HttpResult<Resource<HostFutureIncomingResponse>> {
        self.leave();
        let (wire, seed) = (self.wire.clone(), self.request_seed());
        let weight = self.release(&request);
        let given = options.as_ref().map(Resource::rep);
        if let Some(http) = &mut self.http {
            (http.hooks.wire, http.hooks.seed) = (wire, seed);
        }
        let answer = outgoing_handler::Host::handle(&mut self.http(), request, options);
        let taken = self.http.as_ref().is_some_and(|http| http.hooks.seed.is_none());
        self.posts += u32::from(taken);
        // They were handed over, and would stay in the table for good.
        given.map(|rep| self.table.delete(Resource::<RequestOptions>::new_own(rep))).transpose()?;
        let answer = answer?;
        // Its headers are kept until they are sent, which nobody tells: until the answer is taken.
        self.carry(weight, &answer);
        Ok(answer)
    }
}

pass! { types::Host {
        fn http_error_code(&mut self, error: Resource<wasmtime::Error>) -> wasmtime::Result<Option<ErrorCode>> {
            // A body that broke off says so in wasmtime's own words, which its host does not translate.
            match self.table.get(&error)?.downcast_ref::<wasmtime_wasi_http::Error>() {
                Some(broken) => Ok(Some(outgoing::code(broken))),
                None => types::Host::http_error_code(&mut self.http(), error),
            }
        }
    }
    fn convert_error_code(error: HttpError) -> wasmtime::Result<ErrorCode>;
    fn convert_header_error(error: HeaderError) -> wasmtime::Result<types::HeaderError>;
}

pass! { types::HostFields {
        fn new(&mut self) -> wasmtime::Result<Resource<FieldMap>> {
            let fields = types::HostFields::new(&mut self.http())?;
            self.weigh(&fields, FIELDS as u64)?;
            Ok(fields)
        }

        fn from_list(&mut self, entries: Vec<(String, Vec<u8>)>) -> HeaderResult<Resource<FieldMap>> {
            let fields = types::HostFields::from_list(&mut self.http(), entries)?;
            self.weigh(&fields, FIELDS as u64).map_err(HeaderError::trap)?;
            Ok(fields)
        }

        fn clone(&mut self, fields: Resource<FieldMap>) -> wasmtime::Result<Resource<FieldMap>> {
            let copy = types::HostFields::clone(&mut self.http(), fields)?;
            let view = self.view(copy)?;
            let bytes = self.release(&view).map_or(0, |held| held.bytes());
            self.weigh(&view, bytes.max(FIELDS as u64))?;
            Ok(view)
        }

        fn drop(&mut self, fields: Resource<FieldMap>) -> wasmtime::Result<()> {
            self.release(&fields);
            types::HostFields::drop(&mut self.http(), fields)
        }
    }
    fn get(fields: Resource<FieldMap>, name: String) -> wasmtime::Result<Vec<Vec<u8>>>;
    fn has(fields: Resource<FieldMap>, name: String) -> wasmtime::Result<bool>;
    fn set(fields: Resource<FieldMap>, name: String, values: Vec<Vec<u8>>) -> HeaderResult<()>;
    fn delete(fields: Resource<FieldMap>, name: String) -> HeaderResult<()>;
    fn append(fields: Resource<FieldMap>, name: String, value: Vec<u8>) -> HeaderResult<()>;
    fn entries(fields: Resource<FieldMap>) -> wasmtime::Result<Vec<(String, Vec<u8>)>>;
}

pass! { types::HostIncomingRequest {
        fn headers(&mut self, request: Resource<HostIncomingRequest>) -> wasmtime::Result<Resource<FieldMap>> {
            let fields = types::HostIncomingRequest::headers(&mut self.http(), request)?;
            self.view(fields)
        }
    }
    fn method(request: Resource<HostIncomingRequest>) -> wasmtime::Result<Method>;
    fn path_with_query(request: Resource<HostIncomingRequest>) -> wasmtime::Result<Option<String>>;
    fn scheme(request: Resource<HostIncomingRequest>) -> wasmtime::Result<Option<Scheme>>;
    fn authority(request: Resource<HostIncomingRequest>) -> wasmtime::Result<Option<String>>;
    fn consume(request: Resource<HostIncomingRequest>) -> Done<Resource<HostIncomingBody>>;
    fn drop(request: Resource<HostIncomingRequest>) -> wasmtime::Result<()>;
}

pass! { types::HostOutgoingRequest {
        fn new(&mut self, headers: Resource<FieldMap>) -> wasmtime::Result<Resource<HostOutgoingRequest>> {
            let weight = self.release(&headers);
            let request = types::HostOutgoingRequest::new(&mut self.http(), headers)?;
            self.carry(weight, &request);
            Ok(request)
        }

        fn body(&mut self, request: Resource<HostOutgoingRequest>) -> Done<Resource<HostOutgoingBody>> {
            let body = types::HostOutgoingRequest::body(&mut self.http(), request)?;
            body.iter().try_for_each(|body| self.weigh(body, BODY))?;
            Ok(body)
        }

        fn headers(&mut self, request: Resource<HostOutgoingRequest>) -> wasmtime::Result<Resource<FieldMap>> {
            let fields = types::HostOutgoingRequest::headers(&mut self.http(), request)?;
            self.view(fields)
        }

        fn drop(&mut self, request: Resource<HostOutgoingRequest>) -> wasmtime::Result<()> {
            self.release(&request);
            types::HostOutgoingRequest::drop(&mut self.http(), request)
        }
    }
    fn method(request: Resource<HostOutgoingRequest>) -> wasmtime::Result<Method>;
    fn set_method(request: Resource<HostOutgoingRequest>, method: Method) -> Done<()>;
    fn path_with_query(request: Resource<HostOutgoingRequest>) -> wasmtime::Result<Option<String>>;
    fn set_path_with_query(request: Resource<HostOutgoingRequest>, path: Option<String>) -> Done<()>;
    fn scheme(request: Resource<HostOutgoingRequest>) -> wasmtime::Result<Option<Scheme>>;
    fn set_scheme(request: Resource<HostOutgoingRequest>, scheme: Option<Scheme>) -> Done<()>;
    fn authority(request: Resource<HostOutgoingRequest>) -> wasmtime::Result<Option<String>>;
    fn set_authority(request: Resource<HostOutgoingRequest>, authority: Option<String>) -> Done<()>;
}

pass! { types::HostResponseOutparam {
        fn set(
            &mut self,
            out: Resource<HostResponseOutparam>,
            answer: Result<Resource<HostOutgoingResponse>, ErrorCode>,
        ) -> wasmtime::Result<()> {
            let _given = answer.as_ref().ok().and_then(|answer| self.release(answer));
            types::HostResponseOutparam::set(&mut self.http(), out, answer)
        }
    }
    fn drop(out: Resource<HostResponseOutparam>) -> wasmtime::Result<()>;
    fn send_informational(out: Resource<HostResponseOutparam>, status: u16, headers: Resource<FieldMap>) -> HttpResult<()>;
}

pass! { types::HostIncomingResponse {
        fn headers(&mut self, answer: Resource<HostIncomingResponse>) -> wasmtime::Result<Resource<FieldMap>> {
            let fields = types::HostIncomingResponse::headers(&mut self.http(), answer)?;
            self.view(fields)
        }

        fn drop(&mut self, answer: Resource<HostIncomingResponse>) -> wasmtime::Result<()> {
            self.release(&answer);
            types::HostIncomingResponse::drop(&mut self.http(), answer)
        }
    }
    fn status(answer: Resource<HostIncomingResponse>) -> wasmtime::Result<u16>;
    fn consume(answer: Resource<HostIncomingResponse>) -> Done<Resource<HostIncomingBody>>;
}

pass! { types::HostFutureTrailers {}
    fn drop(trailers: Resource<HostFutureTrailers>) -> wasmtime::Result<()>;
    fn subscribe(trailers: Resource<HostFutureTrailers>) -> wasmtime::Result<Resource<DynPollable>>;
    fn get(trailers: Resource<HostFutureTrailers>)
        -> wasmtime::Result<Option<Result<Result<Option<Resource<FieldMap>>, ErrorCode>, ()>>>;
}

pass! { types::HostIncomingBody {}
    fn stream(body: Resource<HostIncomingBody>) -> Done<Resource<DynInputStream>>;
    fn finish(body: Resource<HostIncomingBody>) -> wasmtime::Result<Resource<HostFutureTrailers>>;
    fn drop(body: Resource<HostIncomingBody>) -> wasmtime::Result<()>;
}

pass! { types::HostOutgoingResponse {
        fn new(&mut self, headers: Resource<FieldMap>) -> wasmtime::Result<Resource<HostOutgoingResponse>> {
            let weight = self.release(&headers);
            let answer = types::HostOutgoingResponse::new(&mut self.http(), headers)?;
            self.carry(weight, &answer);
            Ok(answer)
        }

        fn body(&mut self, answer: Resource<HostOutgoingResponse>) -> Done<Resource<HostOutgoingBody>> {
            let body = types::HostOutgoingResponse::body(&mut self.http(), answer)?;
            body.iter().try_for_each(|body| self.weigh(body, BODY))?;
            Ok(body)
        }

        fn headers(&mut self, answer: Resource<HostOutgoingResponse>) -> wasmtime::Result<Resource<FieldMap>> {
            let fields = types::HostOutgoingResponse::headers(&mut self.http(), answer)?;
            self.view(fields)
        }

        fn drop(&mut self, answer: Resource<HostOutgoingResponse>) -> wasmtime::Result<()> {
            self.release(&answer);
            types::HostOutgoingResponse::drop(&mut self.http(), answer)
        }
    }
    fn status_code(answer: Resource<HostOutgoingResponse>) -> wasmtime::Result<u16>;
    fn set_status_code(answer: Resource<HostOutgoingResponse>, status: u16) -> Done<()>;
}

pass! { types::HostFutureIncomingResponse {
        fn get(
            &mut self,
            future: Resource<HostFutureIncomingResponse>,
        ) -> wasmtime::Result<Option<Result<Result<Resource<HostIncomingResponse>, ErrorCode>, ()>>> {
            let rep = Resource::<HostFutureIncomingResponse>::new_borrow(future.rep());
            let got = types::HostFutureIncomingResponse::get(&mut self.http(), future)?;
            let Some(Ok(answer)) = &got else { return Ok(got) };
            self.release(&rep);
            if let Ok(answer) = answer {
                let fields = types::HostIncomingResponse::headers(&mut self.http(), borrowed(answer))?;
                let fields = self.view(fields)?;
                let weight = self.release(&fields);
                self.carry(weight, answer);
                types::HostFields::drop(&mut self.http(), fields)?;
            }
            Ok(got)
        }

        fn drop(&mut self, future: Resource<HostFutureIncomingResponse>) -> wasmtime::Result<()> {
            self.release(&future);
            types::HostFutureIncomingResponse::drop(&mut self.http(), future)
        }
    }
    fn subscribe(future: Resource<HostFutureIncomingResponse>) -> wasmtime::Result<Resource<DynPollable>>;
}

pass! { types::HostOutgoingBody {
        fn finish(&mut self, body: Resource<HostOutgoingBody>, trailers: Option<Resource<FieldMap>>) -> HttpResult<()> {
            self.release(&body);
            trailers.iter().for_each(|trailers| drop(self.release(trailers)));
            types::HostOutgoingBody::finish(&mut self.http(), body, trailers)
        }

        fn drop(&mut self, body: Resource<HostOutgoingBody>) -> wasmtime::Result<()> {
            self.release(&body);
            types::HostOutgoingBody::drop(&mut self.http(), body)
        }
    }
    fn write(body: Resource<HostOutgoingBody>) -> Done<Resource<DynOutputStream>>;
}

type Time = wasmtime::Result<Option<u64>>;

pass! { types::HostRequestOptions {}
    fn new() -> wasmtime::Result<Resource<RequestOptions>>;
    fn connect_timeout(options: Resource<RequestOptions>) -> Time;
    fn set_connect_timeout(options: Resource<RequestOptions>, time: Option<u64>) -> Done<()>;
    fn first_byte_timeout(options: Resource<RequestOptions>) -> Time;
    fn set_first_byte_timeout(options: Resource<RequestOptions>, time: Option<u64>) -> Done<()>;
    fn between_bytes_timeout(options: Resource<RequestOptions>) -> Time;
    fn set_between_bytes_timeout(options: Resource<RequestOptions>, time: Option<u64>) -> Done<()>;
    fn drop(options: Resource<RequestOptions>) -> wasmtime::Result<()>;
}

fn borrowed<T: 'static>(handle: &Resource<T>) -> Resource<T> {
    Resource::new_borrow(handle.rep())
}
