//! Connections from outside: bounded in number, in patience, and in what is read of a request's head.

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Sleep;

/// What a client may take of a server.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once; the next one waits to be accepted.
    pub connections: usize,
    /// Bytes of a request's head.
    pub head: usize,
    /// Fields of a request's head.
    pub fields: usize,
    /// How long a head may take, and how long a connection may rest.
    pub patience: Duration,
    /// How long open connections may take to end when the server is to stop.
    pub farewell: Duration,
}

/// How long a client may leave what it is sent unread.
const UNREAD: Duration = Duration::from_secs(30);

/// Out of descriptors, most likely: there will be some when others have ended.
const SPENT: Duration = Duration::from_millis(50);

/// Serves HTTP until `stop`; what is under way then has a little time to end.
pub async fn receive<S, B>(listener: TcpListener, limits: Limits, stop: impl Future<Output = ()>, service: S)
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let room = Arc::new(Semaphore::new(limits.connections));
    let (stopping, stopped) = watch::channel(false);
    let mut open = JoinSet::new();
    let mut stop = pin!(stop);
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
            tokio::time::sleep(SPENT).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (service, mut stopped) = (service.clone(), stopped.clone());
        open.spawn(async move {
            let _seat = seat;
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(limits.patience);
            http.max_buf_size(limits.head).max_headers(limits.fields);
            let io = TokioIo::new(Patient { stream, unread: None });
            let mut connection = pin!(http.serve_connection(io, service));
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
    let _ = tokio::time::timeout(limits.farewell, async { while open.join_next().await.is_some() {} }).await;
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
