//! Answers that are on their way, and waiting for one or for many.

use std::collections::VecDeque;
use std::fmt;

use serde::de::DeserializeOwned;

use crate::imports::agents as host;
use crate::imports::poll;
use crate::types::{Error, Payload};

/// An answer that is on its way. Dropping it gives the answer up; the other agent's turn is not undone.
pub struct Pending<T> {
    host: host::Pending,
    /// Pieces that came while something else was waited for.
    chunks: VecDeque<Vec<u8>>,
    answer: Option<Result<Payload, Error>>,
    read: fn(Payload) -> Result<T, Error>,
}

impl<T> Pending<T> {
    pub(super) fn new(host: host::Pending, read: fn(Payload) -> Result<T, Error>) -> Pending<T> {
        Pending { host, chunks: VecDeque::new(), answer: None, read }
    }

    /// Waits for the answer.
    ///
    /// Fails with `failed` if the other agent failed, `timeout` if it took too long, and `unreadable` if what it answered is no `T`.
    pub fn wait(mut self) -> Result<T, Error> {
        loop {
            if let Some(answer) = self.take() {
                return answer;
            }
            self.host.subscribe().block();
        }
    }

    /// Waits for the next provisional piece that the other agent emits; none when the answer is there, and no more will come.
    /// Pieces count only if the final answer is a success.
    ///
    /// ```
    /// # use village::{Payload, agents, test};
    /// # let host = test::Host::new().with_agent("bard", |_| test::Answer::from(Payload::json("sung")).after_chunks(["la", "li"]));
    /// # host.enter(|| {
    /// let mut song = agents::ask::<_, String>("bard", "sing", "the ballad")?;
    /// while let Some(line) = song.chunk() {
    ///     agents::emit(line)?;
    /// }
    /// assert_eq!(song.wait()?, "sung");
    /// # Ok::<_, village::Error>(())
    /// # }).unwrap();
    /// # assert_eq!(host.emitted(), [b"la", b"li"]);
    /// ```
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        loop {
            self.look();
            if let Some(chunk) = self.chunks.pop_front() {
                return Some(chunk);
            }
            if self.answer.is_some() {
                return None;
            }
            self.host.subscribe().block();
        }
    }

    /// The answer, if it is there. Does not wait.
    fn take(&mut self) -> Option<Result<T, Error>> {
        self.look();
        let read = self.read;
        self.answer.take().map(|answer| answer.and_then(read))
    }

    /// Takes what is there. Chunks that nobody took would make it ready for ever.
    fn look(&mut self) {
        if self.answer.is_none() {
            self.answer = self.host.answer();
        }
        self.chunks.extend(std::iter::from_fn(|| self.host.chunk()));
    }
}

impl Pending<Payload> {
    /// The same, for an answer in JSON.
    pub fn read<T: DeserializeOwned>(self) -> Pending<T> {
        Pending { host: self.host, chunks: self.chunks, answer: self.answer, read: |payload| payload.read() }
    }
}

impl<T> fmt::Debug for Pending<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("chunks", &self.chunks.len()).finish_non_exhaustive()
    }
}

/// Waits for all answers; they come in the order of the pendings.
pub fn all<T>(pending: Vec<Pending<T>>) -> Vec<Result<T, Error>> {
    // They are on their way at once; only looking at them goes one by one.
    pending.into_iter().map(Pending::wait).collect()
}

/// Waits for whichever answer comes first, and takes its pending out of the list: where it was, and the answer.
/// None if the list is empty. Those that are left keep their order.
///
/// ```
/// # use std::time::Duration;
/// # use village::{Payload, agents, test};
/// # let host = test::Host::new()
/// #     .with_agent("hare", |_| test::Answer::from(Payload::json("hare")).after(Duration::from_secs(1)))
/// #     .with_agent("hedgehog", |_| Payload::json("hedgehog"));
/// # host.enter(|| {
/// let mut runners = vec![agents::ask("hare", "run", "field")?, agents::ask("hedgehog", "run", "field")?];
/// let mut order: Vec<String> = Vec::new();
/// while let Some((_, name)) = agents::first(&mut runners) {
///     order.push(name?);
/// }
/// assert_eq!(order, ["hedgehog", "hare"]);
/// # Ok::<_, village::Error>(())
/// # }).unwrap();
/// ```
pub fn first<T>(pending: &mut Vec<Pending<T>>) -> Option<(usize, Result<T, Error>)> {
    while !pending.is_empty() {
        let found = pending.iter_mut().enumerate().find_map(|(place, pending)| Some((place, pending.take()?)));
        if let Some((place, answer)) = found {
            pending.remove(place);
            return Some((place, answer));
        }
        let ready: Vec<_> = pending.iter().map(|pending| pending.host.subscribe()).collect();
        poll::poll(&ready.iter().collect::<Vec<_>>());
    }
    None
}
