//! The store: opened once, shared by all who write and read.

use crate::Error;
use crate::blobs::Blobs;
use crate::change::Change;
use crate::checkpoint::{self, Checkpoints};
use crate::files::{self, Disk, Files, Lock};
use crate::layer::Layer;
use crate::log::{self, Entry, Log};
use crate::read::Read;
use crate::record::Anchor;
use crate::shared::{Done, Queue, Readers, Shared};
use crate::tree::Tree;
use crate::view::View;
use crate::writer::{self, Committed, Writer};
use parking_lot::{Condvar, Mutex, RwLock};
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::thread::{self, JoinHandle};
use tokio::sync::{oneshot, watch};

/// The format of a store's folder.
const FORMAT: u32 = 1;
const FORMAT_FILE: &str = "FORMAT";
const LOCK_FILE: &str = "LOCK";
pub(crate) const TREE: &str = "tree.redb";
const BLOBS: &str = "blobs";

/// How much a store may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bytes of the tree that are kept in memory.
    pub cache: usize,
    /// Bytes of the log after which they are taken into the tree. In memory they are about twice that; while the
    /// disk is slow there may be three times as much.
    pub checkpoint: u64,
    /// Bytes of changes that may wait; also the most that one change can have.
    pub waiting: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options { cache: 64 << 20, checkpoint: 32 << 20, waiting: 64 << 20 }
    }
}

/// Everything durable of one village: typed tables, a journal, blobs. Cheap to clone; closed when the last clone is gone.
#[derive(Clone)]
pub struct Store {
    open: Arc<Open>,
}

struct Open {
    shared: Arc<Shared>,
    blobs: Blobs,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// The threads have it too: nobody else opens the folder before all of them have ended.
    lock: Mutex<Option<Arc<Lock>>>,
}

/// What became of a change, when it is durable. Dropping this does not take the change back.
#[must_use = "a change is durable when this says so"]
pub struct Commit(Outcome);

enum Outcome {
    Waiting(oneshot::Receiver<Result<Committed, Error>>),
    Refused(Option<Error>),
}

impl Store {
    /// Opens the store in a folder of this machine, making it if there is none. Blocks.
    pub fn open(folder: &Path, options: Options) -> Result<Store, Error> {
        Store::open_with(Arc::new(Disk), folder, options)
    }

    /// Opens the store in a folder of some file system. Blocks.
    pub fn open_with(files: Arc<dyn Files>, folder: &Path, options: Options) -> Result<Store, Error> {
        files.make_folder(folder).map_err(|error| Error::io(folder, error))?;
        let lock = lock(&*files, folder)?;
        check_format(&*files, folder)?;
        Store::open_locked(files, folder, options, lock)
    }

    /// Makes a store that cannot be opened until [`mark`] has been called.
    pub(crate) fn make_unmarked(files: Arc<dyn Files>, folder: &Path, options: Options) -> Result<Store, Error> {
        files.make_folder(folder).map_err(|error| Error::io(folder, error))?;
        let lock = lock(&*files, folder)?;
        let names = files.names(folder).map_err(|error| Error::io(folder, error))?;
        if names.iter().any(|name| name != LOCK_FILE) {
            return Err(Error::NotEmpty { folder: folder.into() });
        }
        Store::open_locked(files, folder, options, lock)
    }

    fn open_locked(files: Arc<dyn Files>, folder: &Path, options: Options, lock: Lock) -> Result<Store, Error> {
        let blobs = Blobs::open(files.clone(), folder.join(BLOBS))?;
        let tree = Tree::open(&*files, &folder.join(TREE), options.cache)?;
        let (view, log) = recover(&files, folder, &tree)?;
        let readers = Arc::new(Readers::default());
        let head = Read::new(view.clone(), readers.enter(), readers.clone(), None).head()?;
        let checkpoints = Checkpoints::default();
        let options = Options { waiting: options.waiting.min(log::LIMIT / 2), ..options };
        checkpoints.set_applied(view.tree.applied);
        let shared = Arc::new(Shared {
            files,
            folder: folder.into(),
            options,
            queue: Mutex::new(Queue::default()),
            work: Condvar::new(),
            view: RwLock::new(view),
            readers,
            tail: watch::Sender::new(head.seq),
            checkpoints,
        });
        Open::start(shared, blobs, log, head, tree, lock)
    }

    /// Hands a change over; it is committed after those handed over before it. The future says when it is durable.
    pub fn commit(&self, change: Change) -> Commit {
        let (send, receive) = oneshot::channel();
        // Whoever dropped the future does not want to know.
        let done = Box::new(move |outcome| drop(send.send(outcome)));
        Commit(match self.open.shared.enqueue(change, done) {
            Ok(()) => Outcome::Waiting(receive),
            Err((_, error)) => Outcome::Refused(Some(error)),
        })
    }

    /// Hands a change over, and has `done` told what became of it: by the writer, which waits meanwhile, or at once if
    /// it is refused.
    pub fn submit(&self, change: Change, done: impl FnOnce(Result<Committed, Error>) + Send + 'static) {
        let done: Done = Box::new(done);
        if let Err((done, error)) = self.open.shared.enqueue(change, done) {
            writer::answer(done, Err(error));
        }
    }

    /// Everything as it is now.
    pub fn read(&self) -> Read {
        let shared = &self.open.shared;
        // Under the lock, so that version and view are of the same moment.
        let view = shared.view.read();
        Read::new(view.clone(), shared.readers.enter(), shared.readers.clone(), Some(shared.clone()))
    }

    /// The blobs beside it.
    pub fn blobs(&self) -> &Blobs {
        &self.open.blobs
    }

    /// The number of the journal's last record, and a way to be woken by the next.
    pub fn tail(&self) -> watch::Receiver<u64> {
        self.open.shared.tail.subscribe()
    }

    /// Takes all that is in the log into the tree. Blocks until that is done.
    pub fn checkpoint(&self) -> Result<(), Error> {
        loop {
            let flush = Change { flush: true, ..Change::default() };
            let committed = self.commit(flush).wait()?;
            // One that was under way has taken less than this, and now there is place for the next.
            if self.open.shared.checkpoints.wait_for(committed.segment)? {
                return Ok(());
            }
        }
    }

    /// Takes no more changes, and waits until those that were handed over are durable and the folder is free. Blocks.
    pub fn close(&self) {
        self.open.close();
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.open.shared
    }
}

fn lock(files: &dyn Files, folder: &Path) -> Result<Lock, Error> {
    let path = folder.join(LOCK_FILE);
    let lock = files.lock(&path).map_err(|error| Error::io(&path, error))?;
    lock.ok_or_else(|| Error::Busy { folder: folder.into() })
}

/// Says which format the store in a folder has: from then on it can be opened.
pub(crate) fn mark(files: &dyn Files, folder: &Path) -> Result<(), Error> {
    let path = folder.join(FORMAT_FILE);
    let text = format!("village store {FORMAT}\n");
    files::replace(files, &path, text.as_bytes()).map_err(|error| Error::io(&path, error))
}

/// Refuses a folder of a later version, and marks a new one.
fn check_format(files: &dyn Files, folder: &Path) -> Result<(), Error> {
    let path = folder.join(FORMAT_FILE);
    match files::read_all(files, &path, 64) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let found = text.strip_prefix("village store ").and_then(|text| text.trim_end().parse::<u32>().ok());
            match found {
                Some(FORMAT) => Ok(()),
                Some(found) if found > FORMAT => Err(Error::Newer { file: path, found, known: FORMAT }),
                _ => Err(Error::damaged(&path, "it does not say which format the store has")),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let names = files.names(folder).map_err(|error| Error::io(folder, error))?;
            if names.iter().any(|name| name == TREE || name.ends_with(".log")) {
                return Err(Error::damaged(&path, "it is missing"));
            }
            mark(files, folder)
        }
        Err(error) => Err(Error::io(&path, error)),
    }
}

/// The tree, and over it what the log has beyond.
fn recover(files: &Arc<dyn Files>, folder: &Path, tree: &Tree) -> Result<(View, Log), Error> {
    let view = View { active: Arc::new(Layer::default()), frozen: None, tree: Arc::new(tree.snapshot()?) };
    let log = log::replay(files, folder, view.tree.applied, &mut |entry| {
        match entry {
            Entry::Put(key, value) => view.active.rows.write().set(key.into(), Some(value.into()), 0, 0),
            Entry::Delete(key) => view.active.rows.write().set(key.into(), None, 0, 0),
            Entry::Clear(prefix) => writer::clear(&view, prefix, 0, 0)?,
        }
        Ok(())
    })?;
    Ok((view, log))
}

impl Open {
    fn start(
        shared: Arc<Shared>,
        blobs: Blobs,
        log: Log,
        head: Anchor,
        tree: Tree,
        lock: Lock,
    ) -> Result<Store, Error> {
        let writer = Writer { shared: shared.clone(), log, head, version: 0, frame: Vec::new() };
        let lock = Arc::new(lock);
        let open = Arc::new(Open {
            shared: shared.clone(),
            blobs,
            threads: Mutex::default(),
            lock: Mutex::new(Some(lock.clone())),
        });
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            let lock = lock.clone();
            let thread = thread::Builder::new().name(name.into()).spawn(move || {
                work();
                drop(lock);
            });
            thread.map_err(|error| Error::io(&shared.folder, error))
        };
        let checkpoint = {
            let shared = shared.clone();
            spawn("store-checkpoint", Box::new(move || checkpoint::run(&shared, tree)))?
        };
        open.threads.lock().push(checkpoint);
        let writer = spawn("store-writer", Box::new(move || writer.run()))?;
        // The writer hands over to the checkpoint, so it ends first.
        open.threads.lock().insert(0, writer);
        Ok(Store { open })
    }

    fn close(&self) {
        self.shared.stop();
        let threads = std::mem::take(&mut *self.threads.lock());
        for (number, thread) in threads.into_iter().enumerate() {
            if number == 1 {
                self.shared.checkpoints.stop();
            }
            // The last handle may be dropped by what a change's end called, which is the writer itself.
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
        self.lock.lock().take();
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.close();
    }
}

impl Commit {
    /// Blocks until it is durable. Not for tasks of an async runtime.
    pub fn wait(self) -> Result<Committed, Error> {
        match self.0 {
            Outcome::Waiting(receive) => receive.blocking_recv().unwrap_or(Err(Error::Closed)),
            Outcome::Refused(error) => Err(error.unwrap_or(Error::Closed)),
        }
    }
}

impl Future for Commit {
    type Output = Result<Committed, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Outcome::Waiting(receive) => {
                let outcome = ready!(Pin::new(receive).poll(context));
                Poll::Ready(outcome.unwrap_or(Err(Error::Closed)))
            }
            Outcome::Refused(error) => Poll::Ready(Err(error.take().unwrap_or(Error::Closed))),
        }
    }
}
