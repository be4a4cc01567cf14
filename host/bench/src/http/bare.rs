//! wasmtime's own host for `wasi:http`, with nothing of ours around it: the way that `wasmtime serve` goes.

use crate::Error;
use crate::plain::{self, Bare};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::{RequestOptions, WasiBody, WasiHttpCtxView, WasiHttpHooks, WasiHttpView};

/// What sends requests, without a look at them.
pub(crate) struct Hooks;

type Driver = Box<dyn Future<Output = Result<(), wasmtime_wasi_http::Error>> + Send>;
type Sent = Result<(http::Response<WasiBody>, Driver), wasmtime_wasi_http::Error>;

/// The default that wasmtime has, without encryption, which a loopback does not need.
impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        mut request: http::Request<WasiBody>,
        _options: Option<RequestOptions>,
        _sent: Driver,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        Box::new(async move {
            let authority = request.uri().authority().map(ToString::to_string).unwrap_or_default();
            let stream = TcpStream::connect(authority).await.map_err(wasmtime_wasi_http::Error::Connect)?;
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_string();
            *request.uri_mut() = path.parse().map_err(|_| wasmtime_wasi_http::Error::HttpRequestUriInvalid)?;
            let mut connection = Some(connection);
            let mut sending = std::pin::pin!(sender.send_request(request));
            let answer = std::future::poll_fn(|cx| {
                if let std::task::Poll::Ready(answer) = sending.as_mut().poll(cx) {
                    return std::task::Poll::Ready(answer);
                }
                if let Some(driver) = &mut connection
                    && std::pin::Pin::new(driver).poll(cx)?.is_ready()
                {
                    connection = None;
                    return sending.as_mut().poll(cx);
                }
                std::task::Poll::Pending
            })
            .await?;
            let answer = answer.map(|body| body.map_err(Into::into).boxed_unsync());
            let rest: Driver = Box::new(async move {
                match connection {
                    Some(connection) => Ok(connection.await?),
                    None => Ok(()),
                }
            });
            Ok((answer, rest))
        })
    }
}

impl WasiHttpView for Bare {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}

/// Serves a component on a port of this machine, each request with an instance of its own.
pub(super) async fn serve(pre: ProxyPre<Bare>) -> Result<SocketAddr, Error> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let pre = Arc::new(pre);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let pre = pre.clone();
            tokio::spawn(async move {
                let answer = service_fn(|request| answer(pre.clone(), request));
                let mut http = hyper::server::conn::http1::Builder::new();
                let _ = http.keep_alive(true).serve_connection(TokioIo::new(stream), answer).await;
            });
        }
    });
    Ok(address)
}

/// The guest runs in a task of its own, so that its answer leaves while it still writes.
async fn answer(
    pre: Arc<ProxyPre<Bare>>,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<HyperOutgoingBody>, Error> {
    let (tell, told) = tokio::sync::oneshot::channel();
    let task = tokio::spawn(async move {
        let mut store = plain::store(pre.engine());
        let mut http = store.data_mut().http();
        let request = http.new_incoming_request(Scheme::Http, request)?;
        let out = http.new_response_outparam(tell)?;
        let instance = pre.instantiate_async(&mut store).await?;
        instance.wasi_http_incoming_handler().call_handle(&mut store, request, out).await
    });
    match told.await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(code)) => Err(code.into()),
        Err(_) => {
            task.await??;
            Err("no answer".into())
        }
    }
}
