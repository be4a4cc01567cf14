//! The server: connections that are bounded in number, in patience and in what they may send.

use crate::error::Error;
use crate::routes::{App, router};
use crate::token::Token;
use hall::Village;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Sleep;

/// How it serves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether that may be an address that others can reach.
    pub open: bool,
}

/// Serves a village.
pub struct Server {
    listener: TcpListener,
    app: App,
    stopping: watch::Sender<bool>,
}

/// Connections at once; the next one waits to be accepted.
const CONNECTIONS: usize = 512;

/// Streams at once.
const STREAMS: usize = 128;

/// What is read of a request's head, and its fields.
const HEAD: usize = 16 << 10;
const FIELDS: usize = 64;

/// How long a head may take, and how long a connection may rest.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a client may leave what it is sent unread.
const UNREAD: Duration = Duration::from_secs(30);

/// How long open connections may take to end.
const FAREWELL: Duration = Duration::from_secs(2);

impl Server {
    /// Listens.
    pub async fn bind(village: Village, token: Token, settings: &Settings) -> Result<Server, Error> {
        let Settings { address, open } = *settings;
        if !address.ip().is_loopback() && !open {
            return Err(Error::Server(format!(
                "{address} can be reached from elsewhere, and what is sent there is not encrypted: \
                 say --open if that is wanted, or listen on 127.0.0.1"
            )));
        }
        let listener = TcpListener::bind(address).await.map_err(|error| {
            let advice = match error.kind() {
                io::ErrorKind::AddrInUse => ": something listens there already; name another with --listen",
                io::ErrorKind::PermissionDenied => ": a port below 1024 is not everybody's; name another with --listen",
                _ => "",
            };
            Error::Server(format!("{address}: {}{advice}", text(&error)))
        })?;
        let address = listener.local_addr().map_err(|error| Error::Server(text(&error)))?;
        let (stopping, stopped) = watch::channel(false);
        let streams = Arc::new(Semaphore::new(STREAMS));
        let app = App { village, token: Arc::new(token), address, streams, stopped };
        Ok(Server { listener, app, stopping })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.app.address
    }

    /// Serves until `stop`; what is under way then has a little time to end.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Server { listener, app, stopping } = self;
        let (router, room) = (router(app.clone()), Arc::new(Semaphore::new(CONNECTIONS)));
        let mut open = JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            let accepting = async {
                let seat = room.clone().acquire_owned().await;
                (listener.accept().await, seat)
            };
            let (accepted, seat) = tokio::select! {
                () = &mut stop => break,
                Some(_) = open.join_next() => continue,
                accepted = accepting => accepted,
            };
            let Ok((stream, _)) = accepted else {
                // Out of descriptors, most likely: there will be some when others have ended.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let _ = stream.set_nodelay(true);
            let (router, mut stopped) = (router.clone(), app.stopped.clone());
            open.spawn(async move {
                let _seat = seat;
                let mut http = hyper::server::conn::http1::Builder::new();
                http.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(HEAD).max_headers(FIELDS);
                let io = TokioIo::new(Patient { stream, unread: None });
                let mut connection = std::pin::pin!(http.serve_connection(io, TowerToHyperService::new(router)));
                tokio::select! {
                    // How a client ends its connection is its own affair.
                    _ = connection.as_mut() => return,
                    _ = stopped.wait_for(|stopped| *stopped) => connection.as_mut().graceful_shutdown(),
                }
                let _ = connection.await;
            });
        }
        drop(listener);
        let _ = stopping.send(true);
        let _ = tokio::time::timeout(FAREWELL, async { while open.join_next().await.is_some() {} }).await;
    }
}

/// What the system says, without the number that only programmers know.
fn text(error: &io::Error) -> String {
    let text = error.to_string();
    text.split_once(" (os error").map_or(text.clone(), |(words, _)| words.to_lowercase())
}

/// A connection that ends when what it is sent is left unread.
struct Patient {
    stream: TcpStream,
    /// Since when it is; runs only while something waits.
    unread: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    fn judged<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.unread = None;
            return written;
        }
        let unread = self.unread.get_or_insert_with(|| Box::pin(tokio::time::sleep(UNREAD)));
        match unread.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Patient {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.judged(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.judged(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
