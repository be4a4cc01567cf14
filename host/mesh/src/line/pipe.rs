//! Frames of many conversations on one stream: cut into pieces, so that a long one does not hold up the others, and put
//! together again. What is longer than it may be ends the stream before a byte of it is kept.

use super::{HEAD, STREAMS};
use crate::codec::{Held, Oversized, TOGETHER};
use libp2p::Stream;
use libp2p::futures::{AsyncRead, AsyncWrite};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What is said instead of a length: that there is no answer, and the other side may ask again.
const NOTHING: u32 = u32::MAX;
/// Frames that may be under way at once.
const PARTS: usize = 2 * STREAMS;

pub(super) struct Pipe<S = Stream> {
    stream: S,
    outgoing: VecDeque<Frame>,
    /// What is being written, how far that is, and whether it was given to the stream and may still lie there.
    ready: Vec<u8>,
    written: usize,
    flushing: bool,
    /// What was received, and of it what is yet to be looked at.
    input: Box<[u8]>,
    unread: Range<usize>,
    parts: HashMap<u32, Part>,
    /// The piece that is being read: whose it is, and how much of it is still to come.
    piece: Option<(u32, usize)>,
    limit: usize,
    memory: Arc<Semaphore>,
}

struct Frame {
    id: u32,
    bytes: Option<Vec<u8>>,
    at: usize,
}

struct Part {
    bytes: Vec<u8>,
    got: usize,
    total: usize,
    kept: Kept,
}

enum Kept {
    /// With the memory that is set aside for it.
    Whole(OwnedSemaphorePermit),
    /// There was no memory.
    Crowded,
    /// Nobody waits for it any more.
    Unwanted,
}

/// What came of a frame.
#[derive(Debug)]
pub(super) enum Came {
    Whole(Held),
    /// It had no room here.
    Crowded,
    /// The other side has none.
    Nothing,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Pipe<S> {
    /// Reads frames up to a limit, out of a memory that is shared.
    pub(super) fn new(stream: S, limit: usize, memory: Arc<Semaphore>) -> Pipe<S> {
        let (outgoing, ready, parts) = Default::default();
        let (input, unread) = (vec![0; TOGETHER].into_boxed_slice(), 0..0);
        Pipe { stream, outgoing, ready, written: 0, flushing: false, input, unread, parts, piece: None, limit, memory }
    }

    /// Has a frame go as soon as it can; or word that there is none.
    pub(super) fn push(&mut self, id: u32, bytes: Option<Vec<u8>>) {
        self.outgoing.push_back(Frame { id, bytes, at: 0 });
    }

    /// Writes what there is to write.
    pub(super) fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.written < self.ready.len() {
                let rest = &self.ready[self.written..];
                let count = ready!(Pin::new(&mut self.stream).poll_write(context, rest))?;
                if count == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                (self.written, self.flushing) = (self.written + count, true);
                continue;
            }
            (self.written, _) = (0, self.ready.clear());
            self.gather();
            if self.ready.is_empty() {
                if self.flushing {
                    ready!(Pin::new(&mut self.stream).poll_flush(context))?;
                    self.flushing = false;
                }
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Puts together what goes in one write: of each frame a piece, in turns; one that fits into a piece goes whole.
    fn gather(&mut self) {
        while let Some(mut frame) = self.outgoing.pop_front() {
            let whole: &[u8] = frame.bytes.as_deref().unwrap_or_default();
            let room = (TOGETHER - HEAD).saturating_sub(self.ready.len());
            let rest = whole.len() - frame.at;
            let count = rest.min(room);
            if !self.ready.is_empty() && (room == 0 || count < rest) {
                self.outgoing.push_front(frame);
                return;
            }
            let total = frame.bytes.as_ref().map_or(NOTHING, |bytes| bytes.len() as u32);
            self.ready.extend_from_slice(&frame.id.to_be_bytes());
            self.ready.extend_from_slice(&total.to_be_bytes());
            self.ready.extend_from_slice(&(count as u16).to_be_bytes());
            self.ready.extend_from_slice(&whole[frame.at..frame.at + count]);
            frame.at += count;
            if count < rest {
                self.outgoing.push_back(frame);
                return;
            }
        }
    }

    /// The next frame that is there in whole. One that is not `wanted` is passed over.
    pub(super) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        wanted: impl Fn(u32) -> bool,
    ) -> Poll<io::Result<(u32, Came)>> {
        loop {
            if let Some(came) = self.take(&wanted)? {
                return Poll::Ready(Ok(came));
            }
            // What is left is the beginning of a head.
            self.input.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
            let room = &mut self.input[self.unread.end..];
            let count = ready!(Pin::new(&mut self.stream).poll_read(context, room))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            self.unread.end += count;
        }
    }

    /// What is in the input: a frame if one becomes whole.
    fn take(&mut self, wanted: &impl Fn(u32) -> bool) -> io::Result<Option<(u32, Came)>> {
        loop {
            let rest = &self.input[self.unread.clone()];
            let Some((id, left)) = self.piece else {
                let Some((head, _)) = rest.split_first_chunk::<HEAD>() else { return Ok(None) };
                let [a, b, c, d, e, f, g, h, i, j] = *head;
                self.unread.start += HEAD;
                let (id, total) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
                if let Some(came) = self.begin(id, total, u16::from_be_bytes([i, j]).into(), wanted)? {
                    return Ok(Some((id, came)));
                }
                continue;
            };
            let count = left.min(rest.len());
            if let Some(part) = self.parts.get_mut(&id) {
                if let Kept::Whole(_) = part.kept {
                    part.bytes.extend_from_slice(&rest[..count]);
                }
                part.got += count;
            }
            self.unread.start += count;
            self.piece = (count < left).then_some((id, left - count));
            if self.piece.is_some() {
                return Ok(None);
            }
            if let Some(came) = self.finish(id) {
                return Ok(Some((id, came)));
            }
        }
    }

    /// A piece begins.
    fn begin(&mut self, id: u32, total: u32, piece: usize, wanted: &impl Fn(u32) -> bool) -> io::Result<Option<Came>> {
        let bad = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidData, what.to_owned()));
        if total == NOTHING {
            self.parts.remove(&id);
            return match piece {
                0 => Ok(wanted(id).then_some(Came::Nothing)),
                _ => bad("a frame that is none has bytes"),
            };
        }
        let total = total as usize;
        if total > self.limit {
            let oversized = Oversized { length: total, limit: self.limit };
            return Err(io::Error::new(io::ErrorKind::InvalidData, oversized));
        }
        if self.parts.len() >= PARTS && !self.parts.contains_key(&id) {
            return bad("too many frames are begun");
        }
        let part = self.parts.entry(id).or_insert_with(|| {
            let memory = || self.memory.clone().try_acquire_many_owned(total as u32);
            let kept = match wanted(id) {
                true => memory().map_or(Kept::Crowded, Kept::Whole),
                false => Kept::Unwanted,
            };
            let bytes = if let Kept::Whole(_) = kept { Vec::with_capacity(total) } else { Vec::new() };
            Part { bytes, got: 0, total, kept }
        });
        if part.total != total || part.got + piece > total || (piece == 0 && total > 0) {
            return bad("a piece does not fit into its frame");
        }
        self.piece = Some((id, piece));
        Ok(None)
    }

    fn finish(&mut self, id: u32) -> Option<Came> {
        let part = self.parts.get(&id)?;
        if part.got < part.total {
            return None;
        }
        match self.parts.remove(&id)? {
            Part { kept: Kept::Unwanted, .. } => None,
            Part { kept: Kept::Crowded, .. } => Some(Came::Crowded),
            Part { kept: Kept::Whole(memory), bytes, .. } => {
                Some(Came::Whole(Held { bytes, memory: Some(memory), oversized: false }))
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use super::*;
    use crate::codec::is_oversized;
    use crate::timers::Dice;
    use std::task::Waker;

    /// What is written can be read, a few bytes at a time.
    struct Loop {
        bytes: VecDeque<u8>,
        at_once: usize,
    }

    impl AsyncWrite for Loop {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            let count = bytes.len().min(self.at_once);
            self.bytes.extend(&bytes[..count]);
            Poll::Ready(Ok(count))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncRead for Loop {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
            let count = bytes.len().min(self.at_once).min(self.bytes.len());
            if count == 0 {
                return Poll::Pending;
            }
            bytes.iter_mut().zip(self.bytes.drain(..count)).for_each(|(to, from)| *to = from);
            Poll::Ready(Ok(count))
        }
    }

    fn pipe(at_once: usize, limit: usize, memory: usize) -> Pipe<Loop> {
        Pipe::new(Loop { bytes: VecDeque::new(), at_once }, limit, Arc::new(Semaphore::new(memory)))
    }

    /// All that comes until there is no more.
    fn read(pipe: &mut Pipe<Loop>, wanted: impl Fn(u32) -> bool) -> io::Result<Vec<(u32, Came)>> {
        let (mut context, mut all) = (Context::from_waker(Waker::noop()), Vec::new());
        while let Poll::Ready(came) = pipe.poll_read(&mut context, &wanted) {
            all.push(came?);
        }
        Ok(all)
    }

    fn write(pipe: &mut Pipe<Loop>) {
        assert!(matches!(pipe.poll_write(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(()))));
    }

    fn bytes(size: usize) -> Vec<u8> {
        (0..size).map(|n| (n % 251) as u8).collect()
    }

    fn said(raw: &[u8], limit: usize) -> io::Result<Vec<(u32, Came)>> {
        let mut pipe = pipe(1 << 20, limit, 1 << 20);
        pipe.stream.bytes.extend(raw);
        read(&mut pipe, |_| true)
    }

    fn piece(id: u32, total: u32, len: u16, body: &[u8]) -> Vec<u8> {
        [&id.to_be_bytes()[..], &total.to_be_bytes(), &len.to_be_bytes(), body].concat()
    }

    #[test]
    fn frames_of_all_sizes_come_as_they_went_and_short_ones_pass_a_long_one() {
        let sizes = [100_000, 0, 5, TOGETHER - HEAD, TOGETHER - HEAD + 1, 70_000, 1];
        for at_once in [1, 7, 1000, 1 << 20] {
            let mut pipe = pipe(at_once, 100_000, 1 << 20);
            sizes.iter().enumerate().for_each(|(id, size)| pipe.push(id as u32, Some(bytes(*size))));
            write(&mut pipe);
            let all = read(&mut pipe, |_| true).unwrap();
            for (id, came) in &all {
                let Came::Whole(held) = came else { panic!("{id}: {came:?}") };
                assert!(held.bytes == bytes(sizes[*id as usize]), "{id}");
            }
            let order: Vec<u32> = all.iter().map(|(id, _)| *id).collect();
            assert_eq!((order.len(), order[0], order.last()), (sizes.len(), 1, Some(&0)), "{order:?}");
        }
    }

    #[test]
    fn what_finds_no_memory_or_is_not_wanted_does_not_hold_up_what_follows() {
        let mut pipe = pipe(100, 1000, 1500);
        for (id, size) in [(1, 900), (2, 900), (3, 500), (4, 900)] {
            pipe.push(id, Some(bytes(size)));
        }
        pipe.push(5, None);
        pipe.push(6, None);
        write(&mut pipe);
        let all = read(&mut pipe, |id| id != 3 && id != 6).unwrap();
        let shown: Vec<String> = all.iter().map(|(id, came)| format!("{id} {came:?}")).collect();
        let crowded = matches!(all[1], (2, Came::Crowded)) && matches!(all[2], (4, Came::Crowded));
        assert!(matches!(all[0], (1, Came::Whole(_))) && crowded, "{shown:?}");
        assert!(all.len() == 4 && matches!(all[3], (5, Came::Nothing)), "{shown:?}");
        // What was received gives its memory back when it is done with.
        drop(all);
        assert_eq!(pipe.memory.available_permits(), 1500);
    }

    #[test]
    fn pieces_that_fit_no_frame_end_the_line() {
        assert!(is_oversized(&said(&piece(1, 1001, 0, b""), 1000).unwrap_err()));
        for raw in [
            piece(1, 10, 0, b""),
            piece(1, 10, 11, &[0; 11]),
            piece(1, NOTHING, 1, b"x"),
            [piece(1, 10, 5, b"12345"), piece(1, 11, 6, b"123456")].concat(),
            [piece(1, 10, 5, b"12345"), piece(1, 10, 6, b"123456")].concat(),
            (0..=PARTS as u32).flat_map(|id| piece(id, 10, 1, b"x")).collect(),
        ] {
            assert!(said(&raw, 1000).is_err(), "{raw:?}");
        }
        let apart = [piece(1, 10, 5, b"12345"), piece(2, 1, 1, b"x"), piece(1, 10, 5, b"67890")].concat();
        let all = said(&apart, 1000).unwrap();
        assert!(matches!(&all[..], [(2, _), (1, Came::Whole(held))] if held.bytes == b"1234567890"), "{all:?}");
    }

    #[test]
    fn whatever_comes_is_read_or_refused() {
        let mut dice = Dice::new(7);
        for _ in 0..2000 {
            let raw: Vec<u8> = (0..dice.below(200)).map(|_| [0, 0, 0, 1, 2, 200, 255][dice.below(7)]).collect();
            let _ = said(&raw, 1000);
        }
    }
}
