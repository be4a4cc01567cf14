//! One decoder at work for many: each step moves all that run by a token, or by a piece of their prompt.
//!
//! It has a thread of its own, which ends with the engine. The arithmetic goes on on the pool.

use super::decoder::{Cache, Decoder, Step};
use super::guide::Guide;
use super::sampler::{Sampler, Stops};
use super::tokens::{Tokens, Writer};
use crate::prompt::Finish;
use rayon::ThreadPool;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;
use tokio::sync::mpsc;

/// Tokens of prompts that are read in one step: more makes those who write wait, fewer reads weights more often.
const READ: usize = 64;

/// What is asked of an engine.
pub(crate) struct Job {
    /// At least one token, all of the vocabulary; with `most` no more than the context.
    pub(crate) prompt: Vec<u32>,
    /// Tokens that are written at most; at least one.
    pub(crate) most: usize,
    pub(crate) sampler: Sampler,
    pub(crate) stops: Stops,
    /// What the answer must look like.
    pub(crate) guide: Option<Guide>,
    pub(crate) until: Instant,
    /// Closed by who no longer wants the answer. It never holds more than the tokens of one answer.
    pub(crate) to: mpsc::UnboundedSender<News>,
}

/// What becomes of a job.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// More text.
    Text(String),
    /// A token that is no text yet.
    Alive,
    /// It is at its end, after so many tokens.
    Done(Finish, u64),
    /// Its time was up.
    Late,
    /// The logits were no numbers.
    Broken,
}

/// Why a job is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Too many wait.
    Full,
    /// Nobody works any more.
    Gone,
}

/// What an engine may use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Sequences that go on together.
    pub(crate) together: usize,
    /// Jobs that wait for their turn.
    pub(crate) waiting: usize,
    /// Tokens whose keys and values are kept, in all sequences together.
    pub(crate) room: usize,
}

/// A decoder at work.
pub(crate) struct Engine {
    jobs: Option<mpsc::Sender<Job>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Engine {
    /// Starts its thread.
    pub(crate) fn start(
        decoder: Decoder,
        tokens: Arc<Tokens>,
        ends: Vec<u32>,
        bounds: Bounds,
        pool: Arc<ThreadPool>,
    ) -> std::io::Result<Engine> {
        let (jobs, inbox) = mpsc::channel(bounds.waiting.max(1));
        let stop = Arc::new(AtomicBool::new(false));
        let run = Run { decoder, tokens, ends, bounds, running: Vec::new(), next: None, inbox, stop: stop.clone() };
        let thread = std::thread::Builder::new().name("decoder".into()).spawn(move || run.run(&pool))?;
        Ok(Engine { jobs: Some(jobs), stop, thread: Some(thread) })
    }

    /// Puts a job into the queue.
    pub(crate) fn put(&self, job: Job) -> Result<(), Refusal> {
        let jobs = self.jobs.as_ref().ok_or(Refusal::Gone)?;
        jobs.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Refusal::Full,
            mpsc::error::TrySendError::Closed(_) => Refusal::Gone,
        })
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // At most a step away. What it died of has been told already.
            let _ = thread.join();
        }
    }
}

struct Sequence {
    job: Job,
    cache: Cache,
    /// Tokens that the decoder has not seen: the rest of the prompt, or what was written last.
    ahead: std::collections::VecDeque<u32>,
    written: u64,
    writer: Writer,
}

struct Run {
    decoder: Decoder,
    tokens: Arc<Tokens>,
    ends: Vec<u32>,
    bounds: Bounds,
    running: Vec<Sequence>,
    /// Taken from the queue, and waits for room.
    next: Option<Job>,
    inbox: mpsc::Receiver<Job>,
    stop: Arc<AtomicBool>,
}

impl Run {
    fn run(mut self, pool: &ThreadPool) {
        loop {
            if self.running.is_empty() && self.next.is_none() {
                match self.inbox.blocking_recv() {
                    Some(job) => self.next = Some(job),
                    None => return,
                }
            }
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            self.admit();
            let now = Instant::now();
            self.running.retain(|sequence| wanted(&sequence.job, now));
            if !self.running.is_empty() {
                pool.install(|| self.step());
            }
        }
    }

    /// Takes jobs from the queue while there is room for them, in their order.
    fn admit(&mut self) {
        while self.running.len() < self.bounds.together {
            let Some(job) = self.next.take().or_else(|| self.inbox.try_recv().ok()) else { return };
            if !wanted(&job, Instant::now()) {
                continue;
            }
            let need = |job: &Job| job.prompt.len() + job.most;
            let used: usize = self.running.iter().map(|sequence| need(&sequence.job)).sum();
            if used > 0 && used + need(&job) > self.bounds.room {
                self.next = Some(job);
                return;
            }
            let ahead = job.prompt.iter().copied().collect();
            let cache = self.decoder.cache(need(&job));
            self.running.push(Sequence { job, cache, ahead, written: 0, writer: Writer::default() });
        }
    }

    /// Moves all that run by a token; those that read share [`READ`], and who came first reads first.
    fn step(&mut self) {
        let mut left = READ;
        let mut counts = Vec::new();
        for sequence in &self.running {
            let reads = sequence.written == 0;
            let count = if reads { sequence.ahead.len().min(left) } else { sequence.ahead.len() };
            left -= if reads { count } else { 0 };
            counts.push(count);
        }
        let mut ids = Vec::new();
        let mut steps = Vec::new();
        for (sequence, count) in self.running.iter_mut().zip(&counts) {
            ids.extend(sequence.ahead.drain(..count));
            if *count > 0 {
                steps.push(Step { cache: &mut sequence.cache, tokens: *count });
            }
        }
        let mut hidden = self.decoder.begin(&ids);
        self.decoder.advance(&mut hidden, &mut steps);
        let size = hidden.len() / ids.len().max(1);
        let mut last = Vec::new();
        let mut end = 0;
        for (sequence, count) in self.running.iter().zip(&counts) {
            end += count;
            if *count > 0 && sequence.ahead.is_empty() {
                last.extend_from_slice(&hidden[(end - 1) * size..end * size]);
            }
        }
        let mut logits = if last.is_empty() { Vec::new() } else { self.decoder.logits(&last) };
        let width = logits.len() / (last.len() / size.max(1)).max(1);
        let mut rows = logits.chunks_mut(width.max(1));
        let (tokens, ends) = (&self.tokens, &self.ends);
        let mut number = 0;
        self.running.retain_mut(|sequence| {
            number += 1;
            if counts[number - 1] == 0 || !sequence.ahead.is_empty() {
                return true;
            }
            rows.next().is_some_and(|logits| sequence.write(logits, tokens, ends))
        });
    }
}

/// Whether somebody waits for it still; tells who does not know yet that it is late.
fn wanted(job: &Job, now: Instant) -> bool {
    if now >= job.until {
        let _ = job.to.send(News::Late);
        return false;
    }
    !job.to.is_closed()
}

impl Sequence {
    /// Chooses the next token, and says whether another one follows.
    fn write(&mut self, logits: &mut [f32], tokens: &Tokens, ends: &[u32]) -> bool {
        let left = (self.job.most as u64).saturating_sub(self.written);
        let chosen = match &self.job.guide {
            Some(guide) => guide.choose(&mut self.job.sampler, logits, left, ends),
            None => self.job.sampler.choose(logits),
        };
        let Some(id) = chosen else {
            let _ = self.job.to.send(News::Broken);
            return false;
        };
        self.written += 1;
        if ends.contains(&id) {
            return self.finish(tokens, Finish::Stop);
        }
        let text = self.writer.push(tokens, id);
        if let Some(guide) = &mut self.job.guide {
            guide.take(id);
        }
        let guide = self.job.guide.as_ref();
        // What has a form is whole at its own end, and not before.
        let (shown, ended) = match guide.is_none_or(Guide::is_free) {
            true => self.job.stops.push(&text),
            false => (self.job.stops.release() + &text, false),
        };
        // Whoever no longer listens is dropped before the next step.
        let _ = self.job.to.send(if shown.is_empty() { News::Alive } else { News::Text(shown) });
        if ended {
            let _ = self.job.to.send(News::Done(Finish::Stop, self.written));
            return false;
        }
        if guide.is_some_and(Guide::must_end) {
            return self.finish(tokens, Finish::Stop);
        }
        if self.written >= self.job.most as u64 {
            let whole = guide.is_some_and(|guide| guide.may_end() && !guide.is_free());
            return self.finish(tokens, if whole { Finish::Stop } else { Finish::Length });
        }
        self.ahead.push_back(id);
        true
    }

    /// Tells what was held back, and that nothing follows.
    fn finish(&mut self, tokens: &Tokens, why: Finish) -> bool {
        let mut stops = std::mem::replace(&mut self.job.stops, Stops::new(&[]));
        let rest = self.writer.finish(tokens);
        let (mut shown, ended) = match self.job.guide.as_ref().is_none_or(Guide::is_free) {
            true => stops.push(&rest),
            false => (stops.release() + &rest, false),
        };
        if !ended {
            shown.push_str(&stops.finish());
        }
        if !shown.is_empty() {
            let _ = self.job.to.send(News::Text(shown));
        }
        let _ = self.job.to.send(News::Done(if ended { Finish::Stop } else { why }, self.written));
        false
    }
}
