//! The streams that a guest reads and writes: standard ones, and files within the storage allowance.

use crate::accounts::Accounts;
use crate::log::Source;
use bytes::Bytes;
use parking_lot::Mutex;
use runtime::{Held, Quota};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use wasmtime_wasi::cli::{IsTerminal, StdinStream, StdoutStream};
use wasmtime_wasi::p2::pipe::MemoryInputPipe;
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, InputStream, OutputStream, Pollable, StreamError, StreamResult,
};

/// The most that one write may carry: what a stream permits, whatever it has room for.
pub(crate) const CHUNK: usize = 64 << 10;

/// A standard input.
#[derive(Clone)]
pub(crate) enum Input {
    /// What is there already.
    Bytes(MemoryInputPipe),
    /// This process's own, read as the guest asks for it.
    Host,
}

impl IsTerminal for Input {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdinStream for Input {
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        match self {
            Input::Bytes(pipe) => pipe.async_stream(),
            Input::Host => wasmtime_wasi::cli::stdin().async_stream(),
        }
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        match self {
            Input::Bytes(pipe) => pipe.p2_stream(),
            Input::Host => wasmtime_wasi::cli::stdin().p2_stream(),
        }
    }
}

/// A standard output.
#[derive(Clone)]
pub(crate) struct Output(Sink);

#[derive(Clone)]
enum Sink {
    /// Lines in the agent's log, at its rate.
    Log { accounts: Arc<Accounts>, source: Source },
    /// Kept as it is, as the result of a command; it counts as the command's memory.
    Kept(Arc<Mutex<Kept>>),
}

struct Kept {
    bytes: Vec<u8>,
    held: Held,
}

impl Output {
    pub(crate) fn log(accounts: Arc<Accounts>, source: Source) -> Output {
        Output(Sink::Log { accounts, source })
    }

    pub(crate) fn kept(memory: &Arc<Quota>) -> Result<Output, runtime::Full> {
        let kept = Kept { bytes: Vec::new(), held: memory.hold(0)? };
        Ok(Output(Sink::Kept(Arc::new(Mutex::new(kept)))))
    }

    /// What was kept.
    pub(crate) fn take(&self) -> Vec<u8> {
        match &self.0 {
            Sink::Log { .. } => Vec::new(),
            Sink::Kept(kept) => std::mem::take(&mut kept.lock().bytes),
        }
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Only worlds that are not offered ask for this one.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Writing { sink: self.0.clone(), permit: 0 })
    }
}

/// One stream to a sink. A guest may write what it was last permitted, and no more.
struct Writing {
    sink: Sink,
    permit: usize,
}

#[async_trait::async_trait]
impl Pollable for Writing {
    async fn ready(&mut self) {
        if let Sink::Log { accounts, .. } = &self.sink
            && accounts.log.room() == 0
        {
            let some = (accounts.log.rate().limit() / 16).clamp(1, 4096);
            tokio::time::sleep(accounts.log.wait(some).max(Duration::from_millis(1))).await;
        }
    }
}

#[async_trait::async_trait]
impl OutputStream for Writing {
    fn check_write(&mut self) -> StreamResult<usize> {
        self.permit = match &self.sink {
            Sink::Log { accounts, .. } => accounts.log.room().min(CHUNK),
            Sink::Kept(_) => CHUNK,
        };
        Ok(self.permit)
    }

    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.permit = self.permit.checked_sub(bytes.len()).ok_or_else(|| beyond(bytes.len(), self.permit))?;
        match &self.sink {
            Sink::Log { accounts, source } => accounts.log.stream(*source, &bytes),
            Sink::Kept(kept) => kept.lock().push(&bytes)?,
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }
}

impl Kept {
    fn push(&mut self, bytes: &[u8]) -> StreamResult<()> {
        // Growing a vector holds the old bytes and the new ones for a moment; counting the capacity covers what stays.
        let wanted = self.bytes.len() + bytes.len();
        if wanted > self.bytes.capacity() {
            let capacity = wanted.max(self.bytes.capacity() * 2);
            self.held.resize(capacity as u64).map_err(|full| StreamError::LastOperationFailed(full.into()))?;
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

fn beyond(wrote: usize, permit: usize) -> StreamError {
    StreamError::trap(&format!("wrote {wrote} bytes to a stream that permitted {permit}"))
}

/// What a file's stream is counted as while it is open: its buffer.
const BUFFER: u64 = CHUNK as u64;

/// Reads a file.
pub(crate) fn reading(
    inner: DynInputStream,
    memory: &Arc<Quota>,
    open: Arc<()>,
) -> Result<DynInputStream, runtime::Full> {
    Ok(Box::new(Reading { inner, _held: memory.hold(BUFFER)?, _open: open }))
}

struct Reading {
    inner: DynInputStream,
    _held: Held,
    _open: Arc<()>,
}

#[async_trait::async_trait]
impl Pollable for Reading {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}

#[async_trait::async_trait]
impl InputStream for Reading {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.inner.read(size)
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}

/// Writes a file, within the storage allowance.
pub(crate) struct Filling {
    pub(crate) inner: DynOutputStream,
    pub(crate) file: Arc<std::fs::File>,
    pub(crate) accounts: Arc<Accounts>,
    /// Where the next byte goes; none is the end.
    pub(crate) position: Option<u64>,
    held: Held,
    /// Tells that a file is open.
    _open: Arc<()>,
}

impl Filling {
    pub(crate) fn new(
        inner: DynOutputStream,
        file: Arc<std::fs::File>,
        accounts: Arc<Accounts>,
        position: Option<u64>,
        open: Arc<()>,
    ) -> Result<Filling, runtime::Full> {
        let held = accounts.memory.hold(BUFFER)?;
        Ok(Filling { inner, file, accounts, position, held, _open: open })
    }

    /// Takes what the file grows by from the storage allowance.
    fn charge(&mut self, bytes: usize) -> StreamResult<()> {
        if bytes as u64 > self.held.bytes() {
            return Err(beyond(bytes, CHUNK));
        }
        let failed = |error: std::io::Error| StreamError::LastOperationFailed(error.into());
        let size = self.file.metadata().map_err(failed)?.len();
        let end = self.position.unwrap_or(size).saturating_add(bytes as u64);
        let full = |full: runtime::Full| StreamError::LastOperationFailed(full.into());
        self.accounts.files.grow(end.saturating_sub(size)).map_err(full)?;
        self.position = self.position.map(|_| end);
        Ok(())
    }
}

#[async_trait::async_trait]
impl Pollable for Filling {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}

#[async_trait::async_trait]
impl OutputStream for Filling {
    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(self.inner.check_write()?.min(CHUNK))
    }

    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.charge(bytes.len())?;
        self.inner.write(bytes)
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        // The file's size is known only once what was written before is there.
        self.inner.ready().await;
        self.charge(bytes.len())?;
        self.inner.blocking_write_and_flush(bytes).await
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.inner.flush()
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}
