//! Blobs, as the node has to do with them: it asks others for chunks, and has what others ask for read.

use super::Node;
use crate::blobs::{self, BlobHash, Give, Want};
use crate::codec::{Held, is_oversized};
use crate::event::Why;
use crate::frame;
use crate::meter::Meter;
use libp2p::PeerId;
use libp2p::request_response::{Event, Message, OutboundFailure, OutboundRequestId, ResponseChannel};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

pub(super) struct Lending {
    folder: Arc<PathBuf>,
    meter: Meter,
    reading: JoinSet<Read>,
    /// Outlines that were computed: that reads all of a blob.
    outlines: HashMap<BlobHash, (Instant, Give)>,
    asked: HashMap<OutboundRequestId, oneshot::Sender<Option<Give>>>,
}

/// What was read, and for whom.
pub(super) struct Read {
    peer: PeerId,
    want: Want,
    give: Give,
    channel: ResponseChannel<Held>,
}

/// Reads that are under way at once: each has a chunk in memory, and waits for its turn in the rate.
const READS: usize = 16;
const OUTLINES: usize = 16;
/// The most bytes of what is asked for, and of what is given.
pub(crate) const WANT_LIMIT: usize = 64;
pub(crate) const GIVE_LIMIT: usize = blobs::CHUNKS * 32 + 64;

impl Lending {
    pub(super) fn new(folder: PathBuf, rate: u64) -> Lending {
        let (reading, outlines, asked) = Default::default();
        Lending { folder: Arc::new(folder), meter: Meter::new(rate), reading, outlines, asked }
    }

    /// What was read; never, if nothing is being read.
    pub(super) async fn read(&mut self) -> Option<Read> {
        match self.reading.join_next().await {
            Some(read) => read.ok(),
            None => std::future::pending().await,
        }
    }
}

impl Node {
    /// Asks a member for something of a blob. The answer is nothing if it cannot be reached now.
    pub(super) fn want(&mut self, peer: PeerId, want: Want, done: oneshot::Sender<Option<Give>>) {
        if !self.links.has(&peer) {
            self.want_link(peer);
            return drop(done.send(None));
        }
        self.links.used(&peer);
        let bytes = frame::encode(&want, Vec::new());
        self.links.sent(&peer, bytes.len());
        let request = self.swarm.behaviour_mut().gate.inner.blobs.send_request(&peer, bytes.into());
        self.lending.asked.insert(request, done);
    }

    /// Somebody has given what is not what it should be.
    pub(super) fn blame(&mut self, peer: PeerId, why: Why) {
        self.turn_away(Some(peer), why);
    }

    pub(super) fn on_blob(&mut self, event: Event<Held, Held>) {
        match event {
            Event::Message { peer, connection_id, message: Message::Request { request, channel, .. } } => {
                if request.oversized {
                    self.turn_away(Some(peer), Why::Oversized);
                    self.swarm.close_connection(connection_id);
                } else {
                    self.lend(peer, &request.bytes, channel);
                }
            }
            Event::Message { peer, message: Message::Response { request_id, response }, .. } => {
                self.links.received(&peer, response.bytes.len());
                let give = frame::decode::<Give>(&response.bytes, GIVE_LIMIT);
                if let Err(error) = &give {
                    self.turn_away(Some(peer), super::door::why(*error));
                }
                if let Some(done) = self.lending.asked.remove(&request_id) {
                    let _ = done.send(give.ok());
                }
            }
            Event::OutboundFailure { peer, connection_id, request_id, error } => {
                if matches!(&error, OutboundFailure::Io(error) if is_oversized(error)) {
                    self.turn_away(Some(peer), Why::Oversized);
                    self.swarm.close_connection(connection_id);
                }
                if let Some(done) = self.lending.asked.remove(&request_id) {
                    let _ = done.send(None);
                }
            }
            Event::InboundFailure { .. } | Event::ResponseSent { .. } => {}
        }
    }

    /// Has it read, by a thread that may wait for the disk.
    fn lend(&mut self, peer: PeerId, bytes: &[u8], channel: ResponseChannel<Held>) {
        self.links.used(&peer);
        let want = match frame::decode::<Want>(bytes, WANT_LIMIT) {
            Ok(want) => want,
            Err(error) => return self.turn_away(Some(peer), super::door::why(error)),
        };
        if let Want::Outline(hash) = want
            && let Some((used, give)) = self.lending.outlines.get_mut(&hash)
        {
            *used = Instant::now();
            let give = give.clone();
            return self.give(peer, channel, &give);
        }
        if self.lending.reading.len() >= READS {
            return self.give(peer, channel, &Give::Busy);
        }
        let (folder, meter) = (self.lending.folder.clone(), self.lending.meter.clone());
        self.lending.reading.spawn(async move {
            let read = tokio::task::spawn_blocking(move || match want {
                Want::Outline(hash) => blobs::outline(&folder, &hash),
                Want::Chunk(hash, index) => Ok(blobs::chunk(&folder, &hash, index)?.map(Give::Chunk)),
            });
            // What cannot be read is as good as not here.
            let give = read.await.ok().and_then(Result::ok).flatten().unwrap_or(Give::Nothing);
            if let Give::Chunk(bytes) | Give::Whole(bytes) = &give {
                meter.take(bytes.len()).await;
            }
            Read { peer, want, give, channel }
        });
    }

    pub(super) fn was_read(&mut self, read: Read) {
        let Read { peer, want, give, channel } = read;
        if let (Want::Outline(hash), Give::Outline(_)) = (want, &give) {
            if self.lending.outlines.len() >= OUTLINES {
                let oldest = self.lending.outlines.iter().min_by_key(|(_, (used, _))| *used).map(|(hash, _)| *hash);
                oldest.map(|hash| self.lending.outlines.remove(&hash));
            }
            self.lending.outlines.insert(hash, (Instant::now(), give.clone()));
        }
        self.give(peer, channel, &give);
    }

    fn give(&mut self, peer: PeerId, channel: ResponseChannel<Held>, give: &Give) {
        let bytes = frame::encode(give, Vec::new());
        self.links.sent(&peer, bytes.len());
        // Who has gone asks again, or another.
        let _ = self.swarm.behaviour_mut().gate.inner.blobs.send_response(channel, bytes.into());
    }
}
