//! How frames lie on a stream: four bytes of length, then so many. What is too long is refused before a byte of it is read,
//! and what is read waits until memory for it is free.

use libp2p::StreamProtocol;
use libp2p::futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::request_response;
use std::io;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The frames of one protocol.
#[derive(Clone, Debug)]
pub(crate) struct Lengths {
    request: usize,
    response: usize,
    requests: Arc<Semaphore>,
    responses: Arc<Semaphore>,
}

/// Bytes that were received or are to be sent, with the memory that was set aside for them.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) bytes: Vec<u8>,
    pub(crate) memory: Option<OwnedSemaphorePermit>,
    /// Whether more was announced than may be sent; then nothing of it was read.
    pub(crate) oversized: bool,
}

impl From<Vec<u8>> for Held {
    fn from(bytes: Vec<u8>) -> Held {
        Held { bytes, memory: None, oversized: false }
    }
}

/// The other side has announced more than it may send.
#[derive(Debug, thiserror::Error)]
#[error("{length} bytes were announced, and {limit} is the most")]
struct Oversized {
    length: usize,
    limit: usize,
}

/// Whether somebody has announced more than it may send.
pub(crate) fn is_oversized(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Oversized>())
}

/// What goes at once: as much as the multiplexer puts into one frame.
const TOGETHER: usize = 16 << 10;

impl Lengths {
    /// Requests and responses up to so many bytes, out of so many bytes each for all that are read at once.
    pub(crate) fn new(request: usize, response: usize, memory: usize) -> Lengths {
        let of = || Arc::new(Semaphore::new(memory.max(request).max(response).min(Semaphore::MAX_PERMITS)));
        Lengths { request, response, requests: of(), responses: of() }
    }
}

impl request_response::Codec for Lengths {
    type Protocol = StreamProtocol;
    type Request = Held;
    type Response = Held;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Held>
    where
        T: AsyncRead + Unpin + Send,
    {
        match read(io, self.request, &self.requests).await {
            // Of a request that fails nobody is told; of this one somebody must be.
            Err(error) if is_oversized(&error) => Ok(Held { oversized: true, ..Vec::new().into() }),
            other => other,
        }
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Held>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io, self.response, &self.responses).await
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, request: Held) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &request.bytes).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, response: Held) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &response.bytes).await
    }
}

async fn read<T: AsyncRead + Unpin + Send>(io: &mut T, limit: usize, memory: &Arc<Semaphore>) -> io::Result<Held> {
    let mut length = [0; 4];
    io.read_exact(&mut length).await?;
    let length = u32::from_be_bytes(length) as usize;
    if length > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, Oversized { length, limit }));
    }
    let memory = memory.clone().acquire_many_owned(length as u32).await.map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    io.read_exact(&mut bytes).await?;
    Ok(Held { bytes, memory: Some(memory), oversized: false })
}

async fn write<T: AsyncWrite + Unpin + Send>(io: &mut T, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?.to_be_bytes();
    // Each write goes as a frame of its own, which costs more than copying a little.
    let first = bytes.len().min(TOGETHER - length.len());
    io.write_all(&[&length, &bytes[..first]].concat()).await?;
    io.write_all(&bytes[first..]).await?;
    io.close().await
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use super::*;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    /// What was written, piece by piece.
    #[derive(Default)]
    struct Pieces(Vec<Vec<u8>>);

    impl AsyncWrite for Pieces {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.0.push(bytes.to_vec());
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn what_fits_into_a_frame_of_the_multiplexer_goes_in_one_and_all_is_read_as_it_was() {
        let memory = Arc::new(Semaphore::new(1 << 20));
        for (size, pieces) in [(0, 1), (1024, 1), (TOGETHER - 4, 1), (TOGETHER - 3, 2), (3 * TOGETHER, 2)] {
            let bytes: Vec<u8> = (0..size).map(|n| n as u8).collect();
            let mut written = Pieces::default();
            write(&mut written, &bytes).await.unwrap();
            assert_eq!(written.0.len(), pieces, "{size}");
            let held = read(&mut written.0.concat().as_slice(), size, &memory).await.unwrap();
            assert!(held.bytes == bytes, "{size}");
            // Where less may be sent, it is not read.
            if size > 0 {
                let refused = read(&mut written.0.concat().as_slice(), size - 1, &memory).await;
                assert!(is_oversized(&refused.unwrap_err()), "{size}");
            }
        }
    }
}
