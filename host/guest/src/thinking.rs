//! Prompts under way: bounded in tokens, time and memory, and stopped when nobody wants them any more.

use crate::tape::Bytes;
use crate::tokens::Aside;
use model::{Allowance, Answer, Completion, Error, Grant, Prompt, Reader, Request, Router, guess};
use parking_lot::Mutex;
use runtime::Held;
use serde::{Deserialize, Serialize};
use std::pin::pin;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use wasmtime_wasi::p2;

/// What a turn asked of models, and what it was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Thought {
    /// Of all that was asked.
    pub(crate) question: [u8; 32],
    /// The answer; otherwise why nothing was even begun.
    pub(crate) answer: Result<Said, Why>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Said {
    Whole(Completion),
    /// The beginning of one, after which nobody listened any more.
    Part(String),
    /// It was begun, and came to nothing.
    Late(Why),
    /// Vectors, four bytes a number.
    Vectors(Vec<Bytes>),
    Count(u64),
    /// Name, window, whether it embeds, whether it is local.
    Listed(Vec<(String, u32, bool, bool)>),
    Judged,
}

/// Why there is no answer, as the agent is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Why {
    Denied(String),
    /// An allowance, and milliseconds after which there is more of it.
    Limit(String, Option<u64>),
    NotFound(String),
    Invalid(String),
    Timeout,
    Unavailable(String),
    Refused(String),
    Unfit(String),
}

impl Why {
    pub(crate) fn of(error: &Error) -> Why {
        let text = error.to_string();
        match error {
            Error::Denied { .. } => Why::Denied(text),
            Error::Budget { retry_after } => {
                Why::Limit("tokens".into(), retry_after.map(|after| after.as_millis() as u64 + 1))
            }
            Error::Unknown { .. } => Why::NotFound(text),
            Error::Invalid { .. } | Error::TooLong { .. } | Error::Unsupported { .. } => Why::Invalid(text),
            Error::Timeout => Why::Timeout,
            Error::Refused { .. } => Why::Refused(text),
            Error::Unfit { .. } => Why::Unfit(text),
            // What is said of a key is for whoever set it up.
            Error::Key { backend, .. } => Why::Unavailable(format!("`{backend}` does not accept its key")),
            Error::NoBackend { retry_after: Some(after), .. }
            | Error::Unavailable { retry_after: Some(after), .. }
            | Error::Busy { retry_after: Some(after), .. } => {
                Why::Unavailable(format!("{text}; again in {} s", after.as_secs_f64().ceil()))
            }
            Error::NoBackend { .. } | Error::Unavailable { .. } | Error::Busy { .. } | Error::Broken { .. } => {
                Why::Unavailable(text)
            }
        }
    }

    pub(crate) fn memory() -> Why {
        Why::Limit("memory".into(), None)
    }
}

/// A prompt, and what it may use.
pub(crate) struct Job {
    pub(crate) models: Arc<Router>,
    pub(crate) agent: String,
    pub(crate) grant: Grant,
    pub(crate) prompt: Prompt,
    pub(crate) until: Instant,
    /// Tokens that are set aside for it; otherwise what there is instead.
    pub(crate) aside: Result<Aside, Allowance>,
    /// What its requests are known by at each try of its turn; none if that is tried once.
    pub(crate) seed: Option<[u8; 32]>,
    /// Counts what is held for it.
    pub(crate) held: Held,
    pub(crate) permit: OwnedSemaphorePermit,
}

/// A completion that is on its way. Dropping it stops the model.
#[allow(unreachable_pub, reason = "the bindings name this type")]
pub struct Writing {
    work: Arc<Work>,
    task: Option<AbortHandle>,
    pub(crate) question: [u8; 32],
    /// What the guest has read of it, if that is written down.
    read: Option<String>,
    given: bool,
}

/// What the task that asks and the guest that waits have in common.
struct Work {
    state: Mutex<State>,
    /// There is text, or the end.
    news: Notify,
    /// There is no memory for more of it.
    full: Notify,
}

struct State {
    fresh: String,
    outcome: Option<Result<Completion, Why>>,
    /// Nothing more comes.
    over: bool,
    aside: Option<Aside>,
    /// Bytes of the prompt, and of what was written.
    asked: usize,
    written: usize,
    held: Option<Held>,
}

/// What the back end's buffers are counted as, beside the prompt.
pub(crate) const UNDER_WAY: u64 = 16 << 10;

impl Writing {
    /// Begins to ask.
    pub(crate) fn begin(io: &Handle, question: [u8; 32], job: Job) -> Writing {
        let Job { models, agent, grant, prompt, until, aside, seed, held, permit } = job;
        let most = prompt.most();
        let (aside, allowance) = match aside {
            Ok(aside) => (Some(aside), Allowance { tokens: most, retry_after: None }),
            Err(allowance) => (None, allowance),
        };
        let work = Work::new(aside, prompt.bytes(), Some(held));
        let shared = work.clone();
        let task = io.spawn(async move {
            let _permit = permit;
            let mut ear = Ear(shared.clone());
            let request = Request { agent: &agent, prompt: &prompt, grant: &grant, policy: None, until, allowance };
            let asking = async {
                match seed {
                    Some(seed) => model::known_by(seed, models.complete(request, &mut ear)).await,
                    None => models.complete(request, &mut ear).await,
                }
            };
            let answer = tokio::select! {
                biased;
                () = shared.full.notified() => Err(None),
                answer = asking => answer.map_err(Some),
            };
            shared.end(answer);
        });
        Writing { work, task: Some(task.abort_handle()), question, read: None, given: false }
    }

    /// One of a turn that is run again.
    pub(crate) fn again(question: [u8; 32], said: Said) -> Writing {
        let work = Work::new(None, 0, None);
        let ends = || Err(Why::Unavailable("the record of this turn ends here".into()));
        let (fresh, outcome) = match said {
            Said::Whole(completion) => (completion.text.clone(), Ok(completion)),
            Said::Late(why) => (String::new(), Err(why)),
            Said::Part(text) => (text, ends()),
            _ => (String::new(), ends()),
        };
        let mut state = work.state.lock();
        (state.fresh, state.outcome, state.over) = (fresh, Some(outcome), true);
        drop(state);
        Writing { work, task: None, question, read: None, given: false }
    }

    /// Waits for the end.
    pub(crate) async fn wait(&self) {
        self.work.until(|state| state.over).await;
    }

    /// The text that is new.
    pub(crate) fn text(&mut self) -> String {
        let fresh = std::mem::take(&mut self.work.state.lock().fresh);
        if let Some(read) = &mut self.read {
            read.push_str(&fresh);
        }
        fresh
    }

    /// What came of it, once; none while there is nothing yet.
    pub(crate) fn outcome(&mut self) -> Option<Result<Completion, Why>> {
        if self.given {
            return Some(Err(Why::Invalid("this completion was given already".into())));
        }
        let outcome = self.work.state.lock().outcome.take()?;
        (self.given, self.read) = (true, None);
        Some(outcome)
    }

    /// Remembers what the guest reads of it, until it has the whole.
    pub(crate) fn remember(&mut self) {
        self.read = Some(String::new());
    }

    /// What the guest has read of it, if that is remembered.
    pub(crate) fn part(&mut self) -> Option<String> {
        self.read.take()
    }

    /// Whether the guest has the whole.
    pub(crate) fn given(&self) -> bool {
        self.given
    }

    /// What a pollable waits for.
    pub(crate) fn news(&self) -> News {
        News(self.work.clone())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
        self.work.leave();
    }
}

/// What a pollable waits for. It stands by itself, so that the completion can be dropped while somebody still waits for it.
pub(crate) struct News(Arc<Work>);

#[async_trait::async_trait]
impl p2::Pollable for News {
    async fn ready(&mut self) {
        self.0.until(|state| state.over || !state.fresh.is_empty()).await;
    }
}

impl Work {
    fn new(aside: Option<Aside>, asked: usize, held: Option<Held>) -> Arc<Work> {
        let state = State { fresh: String::new(), outcome: None, over: false, aside, asked, written: 0, held };
        Arc::new(Work { state: Mutex::new(state), news: Notify::new(), full: Notify::new() })
    }

    async fn until(&self, there: impl Fn(&State) -> bool) {
        loop {
            let mut news = pin!(self.news.notified());
            // From now on nothing is missed, so it is looked at after this.
            news.as_mut().enable();
            if there(&self.state.lock()) {
                return;
            }
            news.await;
        }
    }

    /// The router has answered. An error without a reason is that there is no memory for the answer.
    fn end(&self, answer: Result<Answer, Option<Error>>) {
        let mut state = self.state.lock();
        let used = match &answer {
            Ok(answer) if answer.cached => 0,
            Ok(Answer { completion, .. }) => completion.tokens_in + completion.tokens_out,
            Err(error) => state.lost(error.as_ref()),
        };
        state.settle(used);
        let outcome = match answer {
            Ok(Answer { completion, .. }) => match state.hold_whole(&completion) {
                true => Ok(completion),
                false => Err(Why::memory()),
            },
            Err(Some(error)) => Err(Why::of(&error)),
            Err(None) => Err(Why::memory()),
        };
        (state.outcome, state.over) = (Some(outcome), true);
        drop(state);
        self.news.notify_waiters();
    }

    /// Nobody wants it any more: what was read and written by then was used.
    fn leave(&self) {
        let mut state = self.state.lock();
        let used = state.so_far();
        state.settle(used);
        state.over = true;
        state.held = None;
        drop(state);
        self.news.notify_waiters();
    }
}

impl State {
    fn settle(&mut self, used: u64) {
        if let Some(aside) = self.aside.take() {
            aside.settle(used);
        }
    }

    fn so_far(&self) -> u64 {
        guess(self.asked) + guess(self.written)
    }

    /// What a prompt used of which nothing came: nobody says, so what it was at least. One that was turned away used nothing.
    fn lost(&self, error: Option<&Error>) -> u64 {
        match error {
            None | Some(Error::Timeout | Error::Broken { .. } | Error::Unfit { .. }) => self.so_far(),
            Some(_) if self.written > 0 => self.so_far(),
            Some(_) => 0,
        }
    }

    /// Counts a whole completion, beside the text of it that was not fetched yet.
    fn hold_whole(&mut self, completion: &Completion) -> bool {
        let calls = completion.calls.iter().map(|call| call.id.len() + call.name.len() + call.arguments.len() + 96);
        let bytes = self.fresh.len() + completion.text.len() + calls.sum::<usize>();
        // The prompt has gone by now.
        self.held.as_mut().is_none_or(|held| held.resize(bytes as u64).is_ok())
    }
}

/// Reads along.
struct Ear(Arc<Work>);

impl Reader for Ear {
    fn text(&mut self, text: &str) {
        let mut state = self.0.state.lock();
        state.written += text.len();
        // Twice: as the part that is read along, and as a part of the whole.
        let bytes = state.held.as_ref().map_or(0, Held::bytes) + 2 * text.len() as u64;
        if state.held.as_mut().is_some_and(|held| held.resize(bytes).is_err()) {
            self.0.full.notify_one();
            return;
        }
        state.fresh.push_str(text);
        drop(state);
        self.0.news.notify_waiters();
    }
}

/// Does work on the threads for input and output. Dropping this ends it.
pub(crate) async fn apart<T: Send + 'static>(
    io: &Handle,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, Why> {
    struct Stop(AbortHandle);
    impl Drop for Stop {
        fn drop(&mut self) {
            self.0.abort();
        }
    }
    let task = io.spawn(work);
    let _stop = Stop(task.abort_handle());
    task.await.map_err(|_| Why::Unavailable("the models are gone".into()))
}
