//! Fetching a blob: from several members at once, each chunk verified, going on where it was broken off.

use crate::blobs::{self, BlobHash, CHUNK, Give, Want};
use crate::error::Error;
use crate::event::Why;
use crate::mesh::Mesh;
use crate::node::Command;
use blake3::hazmat::ChainingValue;
use libp2p::PeerId;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// A blob that has come whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Where it is.
    pub file: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// How many of these bytes were here before, from a time when it was broken off.
    pub kept: u64,
    /// Whom they came from, with how many each.
    pub from: HashMap<PeerId, u64>,
}

/// Chunks that are asked of one member at once, and members that are asked at once.
const AT_ONCE: usize = 4;
const SOURCES: usize = 8;
/// How often one may fail to give a chunk before it is left alone, and how long each try may take while it is there.
const STRIKES: u32 = 3;
const TRY: Duration = Duration::from_secs(20);
/// How long one that cannot be reached is waited for: a new link takes less.
const AWAY: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(50);

/// One blob on its way.
struct Job {
    mesh: Mesh,
    hash: BlobHash,
    outline: Vec<ChainingValue>,
    /// Chunks that are still to be asked for, and the file for those that have come.
    missing: Mutex<VecDeque<u32>>,
    file: Mutex<File>,
    part: PathBuf,
    size: AtomicU64,
}

/// Fetches a blob into the folder of blobs, by way of the folder of parts.
pub(crate) async fn fetch(
    mesh: &Mesh,
    hash: BlobHash,
    sources: Vec<PeerId>,
    most: u64,
    folder: &Path,
    parts: &Path,
) -> Result<Fetched, Error> {
    let file = hash.path(folder);
    if let Ok(known) = fs::metadata(&file) {
        let (folder, hash) = (folder.to_path_buf(), hash);
        let good = blocking(move || blobs::outline(&folder, &hash)).await.map_err(|error| Error::io(&file, error))?;
        if good.is_some() {
            return Ok(Fetched { file, bytes: known.len(), kept: known.len(), from: HashMap::new() });
        }
    }
    for each in [folder, parts] {
        fs::create_dir_all(each).map_err(|error| Error::io(each, error))?;
    }
    let part = hash.path(parts);
    let mut groups: HashMap<Vec<ChainingValue>, Vec<PeerId>> = HashMap::new();
    for (peer, give) in ask_all(mesh, hash, sources).await {
        match give {
            Give::Whole(bytes) if BlobHash::of(&bytes) == hash => {
                let size = bytes.len() as u64;
                within(size, most)?;
                let (to, from) = (file.clone(), part.clone());
                blocking(move || write_whole(&bytes, &from, &to)).await.map_err(|error| Error::io(&file, error))?;
                return Ok(Fetched { file, bytes: size, kept: 0, from: HashMap::from([(peer, size)]) });
            }
            Give::Outline(outline) if blobs::root(&outline) == Some(hash) => {
                // All chunks but the last are whole.
                within((outline.len() as u64 - 1) * CHUNK as u64 + 1, most)?;
                groups.entry(outline).or_default().push(peer)
            }
            Give::Nothing | Give::Busy => {}
            _ => blame(mesh, peer).await,
        }
    }
    // Whoever gives an outline has to give chunks that fit it, so no liar can make an honest one look like a liar. The
    // outline that most have given is tried first.
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, peers)| std::cmp::Reverse(peers.len()));
    for (outline, peers) in groups {
        if let Some(fetched) = fetch_from(mesh, hash, outline, peers, &part, &file).await? {
            return Ok(fetched);
        }
    }
    Err(Error::NobodyGives { hash })
}

fn within(bytes: u64, most: u64) -> Result<(), Error> {
    let number = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
    match bytes <= most {
        true => Ok(()),
        false => Err(Error::TooLarge { bytes: number(bytes), limit: number(most) }),
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// Asks each whether it has the blob.
async fn ask_all(mesh: &Mesh, hash: BlobHash, sources: Vec<PeerId>) -> Vec<(PeerId, Give)> {
    let mut asking = JoinSet::new();
    for peer in sources.into_iter().take(SOURCES * 4) {
        let mesh = mesh.clone();
        asking.spawn(async move { (peer, want(&mesh, peer, Want::Outline(hash)).await) });
    }
    let mut given = Vec::new();
    while let Some(answer) = asking.join_next().await {
        if let Ok((peer, Some(give))) = answer {
            given.push((peer, give));
        }
    }
    given
}

/// Asks until there is an answer, for a while; for a shorter one if there is nobody.
async fn want(mesh: &Mesh, peer: PeerId, want: Want) -> Option<Give> {
    let started = Instant::now();
    let ask = async {
        loop {
            let (done, answer) = oneshot::channel();
            mesh.command(Command::Want { peer, want, done }).await.ok()?;
            match answer.await.ok()? {
                None if started.elapsed() > AWAY => return None,
                Some(Give::Busy) | None => tokio::time::sleep(PAUSE).await,
                Some(give) => return Some(give),
            }
        }
    };
    tokio::time::timeout(TRY, ask).await.ok().flatten()
}

async fn blame(mesh: &Mesh, peer: PeerId) {
    let _ = mesh.command(Command::Blame { peer, why: Why::Forged }).await;
}

/// Fetches all chunks from those who have given the same outline. Nothing, if they did not give them all.
async fn fetch_from(
    mesh: &Mesh,
    hash: BlobHash,
    outline: Vec<ChainingValue>,
    peers: Vec<PeerId>,
    part: &Path,
    file: &Path,
) -> Result<Option<Fetched>, Error> {
    let failed = |error| Error::io(part, error);
    let (path, expected) = (part.to_path_buf(), outline.clone());
    let (opened, missing, size) = blocking(move || resume(&path, &expected)).await.map_err(failed)?;
    let kept = (outline.len() - missing.len()) as u64 * CHUNK as u64;
    let job = Arc::new(Job {
        mesh: mesh.clone(),
        hash,
        outline,
        missing: Mutex::new(missing),
        file: Mutex::new(opened),
        part: part.to_path_buf(),
        size: AtomicU64::new(size),
    });
    let mut from = HashMap::new();
    let mut live = peers;
    // One may end because nothing was left while another still had a chunk to fail with: then there is another round.
    while !job.missing.lock().is_empty() && !live.is_empty() {
        let mut working = JoinSet::new();
        for peer in live.iter().take(SOURCES) {
            for _ in 0..AT_ONCE {
                let (job, peer) = (job.clone(), *peer);
                working.spawn(async move { job.work(peer).await });
            }
        }
        while let Some(worked) = working.join_next().await {
            let Ok((peer, bytes, good)) = worked else { continue };
            *from.entry(peer).or_insert(0) += bytes;
            if !good? {
                live.retain(|each| *each != peer);
            }
        }
    }
    if !job.missing.lock().is_empty() {
        return Ok(None);
    }
    let bytes = job.size.load(Ordering::Relaxed);
    let (from_path, to) = (part.to_path_buf(), file.to_path_buf());
    blocking(move || finish(&from_path, &to, bytes)).await.map_err(failed)?;
    from.retain(|_, bytes| *bytes > 0);
    Ok(Some(Fetched { file: file.into(), bytes, kept: kept.min(bytes), from }))
}

impl Job {
    /// Gets chunks from one member as long as there are some. Says how many bytes, and whether it can be asked again.
    async fn work(&self, peer: PeerId) -> (PeerId, u64, Result<bool, Error>) {
        let (mut bytes, mut strikes) = (0, 0);
        loop {
            let Some(index) = self.missing.lock().pop_front() else { return (peer, bytes, Ok(true)) };
            match want(&self.mesh, peer, Want::Chunk(self.hash, index)).await {
                Some(Give::Chunk(chunk)) if blobs::is_chunk(&self.outline, index, &chunk) => {
                    let length = chunk.len() as u64;
                    if let Err(error) = self.write(index, &chunk) {
                        self.missing.lock().push_back(index);
                        return (peer, bytes, Err(Error::io(&self.part, error)));
                    }
                    bytes += length;
                    self.mesh.fetched().take(chunk.len()).await;
                    continue;
                }
                Some(Give::Chunk(_) | Give::Whole(_) | Give::Outline(_)) => {
                    self.missing.lock().push_back(index);
                    blame(&self.mesh, peer).await;
                    return (peer, bytes, Ok(false));
                }
                // It had it a moment ago: perhaps it was deleted, or the link is gone.
                Some(Give::Nothing | Give::Busy) | None => {
                    self.missing.lock().push_back(index);
                    strikes += 1;
                }
            }
            if strikes >= STRIKES {
                return (peer, bytes, Ok(false));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Half a megabyte goes into the system's cache: that takes less than handing it to another thread.
    fn write(&self, index: u32, chunk: &[u8]) -> io::Result<()> {
        let mut file = self.file.lock();
        let start = u64::from(index) * CHUNK as u64;
        file.seek(SeekFrom::Start(start))?;
        file.write_all(chunk)?;
        if index as usize + 1 == self.outline.len() {
            self.size.store(start + chunk.len() as u64, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Opens what has come of a blob before: the file, the chunks that are missing or bad in it, the blob's size if it is known.
fn resume(part: &Path, outline: &[ChainingValue]) -> io::Result<(File, VecDeque<u32>, u64)> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(part)?;
    let (mut missing, mut size) = (VecDeque::new(), 0);
    for index in 0..outline.len() as u32 {
        let start = u64::from(index) * CHUNK as u64;
        file.seek(SeekFrom::Start(start))?;
        let chunk = blobs::read_chunk(&mut file)?;
        if !blobs::is_chunk(outline, index, &chunk) {
            missing.push_back(index);
        } else if index as usize + 1 == outline.len() {
            size = start + chunk.len() as u64;
        }
    }
    Ok((file, missing, size))
}

/// Puts a whole part into its place, durably.
fn finish(part: &Path, file: &Path, size: u64) -> io::Result<()> {
    let opened = OpenOptions::new().write(true).open(part)?;
    opened.set_len(size)?;
    opened.sync_all()?;
    fs::rename(part, file)?;
    match file.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn write_whole(bytes: &[u8], part: &Path, file: &Path) -> io::Result<()> {
    fs::write(part, bytes)?;
    finish(part, file, bytes.len() as u64)
}
