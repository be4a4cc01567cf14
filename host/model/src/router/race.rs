//! One or two models at work on the same prompt, of which the first that writes is listened to.

use crate::backend::{Ask, Backend, Reader};
use crate::error::Error;
use crate::prompt::{Completion, Prompt, Role, Turn};
use parking_lot::Mutex;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::time::Instant;

/// What the lanes of a race have in common.
#[derive(Default)]
struct Gate {
    /// Who wrote first.
    leads: Option<usize>,
    /// What the leader has written and nobody has read.
    fresh: String,
}

/// A model at work.
pub(super) struct Lane {
    /// Which candidate.
    pub(super) at: usize,
    pub(super) begun: Instant,
    first: Arc<Mutex<Option<Instant>>>,
    work: Pin<Box<dyn Future<Output = Result<Completion, Error>> + Send>>,
}

impl Lane {
    /// How long until it showed that it is at work.
    pub(super) fn first(&self) -> Option<Duration> {
        self.first.lock().map(|at| at.duration_since(self.begun))
    }
}

/// The reader of a lane.
struct Ear {
    at: usize,
    gate: Arc<Mutex<Gate>>,
    first: Arc<Mutex<Option<Instant>>>,
    /// What may be a repetition of what was told before a stream broke.
    repeats: Option<Repeats>,
}

struct Repeats {
    told: Arc<str>,
    seen: String,
}

impl Reader for Ear {
    fn text(&mut self, text: &str) {
        self.alive();
        let Some(repeats) = &mut self.repeats else { return self.pass(text) };
        repeats.seen.push_str(text);
        if repeats.seen.len() < repeats.told.len() && repeats.told.starts_with(&*repeats.seen) {
            return;
        }
        let seen = std::mem::take(&mut repeats.seen);
        let fresh = seen.strip_prefix(&*repeats.told).unwrap_or(&seen).to_owned();
        self.repeats = None;
        self.pass(&fresh);
    }

    fn alive(&mut self) {
        self.first.lock().get_or_insert_with(Instant::now);
        self.gate.lock().leads.get_or_insert(self.at);
    }
}

impl Ear {
    fn pass(&mut self, text: &str) {
        let mut gate = self.gate.lock();
        if gate.leads == Some(self.at) {
            gate.fresh.push_str(text);
        }
    }

    /// It ended in the midst of what looked like a repetition, and was none.
    fn end(&mut self) {
        if let Some(Repeats { seen, .. }) = self.repeats.take() {
            self.pass(&seen);
        }
    }
}

/// Models at work on one prompt, and what was told of their answers so far.
pub(super) struct Race {
    prompt: Arc<Prompt>,
    until: Instant,
    gate: Arc<Mutex<Gate>>,
    pub(super) lanes: Vec<Lane>,
    /// Nothing is told before all is there.
    hold: bool,
    /// All that the reader was told.
    told: String,
    /// What was told by those whose streams broke.
    before: Arc<str>,
}

/// Ends when it is time to send somebody else as well.
pub(super) type Slow<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// What a race came to.
pub(super) enum Came {
    /// A lane has ended.
    Ended(Lane, Result<Completion, Error>),
    /// It is time to send somebody else as well.
    Slow,
}

impl Race {
    pub(super) fn new(prompt: &Prompt, until: Instant) -> Race {
        Race {
            // Half a text of a form is of no use, and can't be gone on with.
            hold: prompt.schema.is_some(),
            prompt: Arc::new(prompt.clone()),
            until,
            gate: Arc::default(),
            lanes: Vec::new(),
            told: String::new(),
            before: "".into(),
        }
    }

    /// Sets one more to work.
    pub(super) fn start(&mut self, at: usize, model: &str, backend: Arc<dyn Backend>) {
        let first = Arc::new(Mutex::new(None));
        let repeats = (!self.before.is_empty()).then(|| Repeats { told: self.before.clone(), seen: String::new() });
        let mut ear = Ear { at, gate: self.gate.clone(), first: first.clone(), repeats };
        let (prompt, model, until) = (self.continued(), model.to_owned(), self.until);
        let work = Box::pin(async move {
            let ask = Ask { model: &model, prompt: &prompt, until };
            let answer = backend.complete(ask, &mut ear).await;
            ear.end();
            answer
        });
        self.lanes.push(Lane { at, begun: Instant::now(), first, work });
    }

    /// The prompt, going on after what was told already.
    fn continued(&self) -> Arc<Prompt> {
        if self.before.is_empty() {
            return self.prompt.clone();
        }
        let mut prompt = (*self.prompt).clone();
        prompt.turns.push(Turn::new(Role::Assistant, &*self.before));
        prompt
            .turns
            .push(Turn::new(Role::User, "Go on exactly where you stopped. Repeat nothing, and say nothing about it."));
        let written = u32::try_from(self.before.len() / 4).unwrap_or(u32::MAX);
        prompt.max_tokens = prompt.max_tokens.saturating_sub(written).max(1);
        Arc::new(prompt)
    }

    /// Waits until a lane ends, or until it is time for another one. The reader is told what the leader writes.
    pub(super) async fn next(&mut self, mut slow: Option<&mut Slow<'_>>, reader: &mut dyn Reader) -> Came {
        poll_fn(|cx| {
            let mut ended = None;
            for (index, lane) in self.lanes.iter_mut().enumerate() {
                if let Poll::Ready(answer) = lane.work.as_mut().poll(cx) {
                    ended = Some((index, answer));
                    break;
                }
            }
            let leads = self.tell(reader);
            if let Some((index, answer)) = ended {
                return Poll::Ready(Came::Ended(self.lanes.remove(index), answer));
            }
            if leads {
                // Nobody listens to the others any more.
                let leader = self.gate.lock().leads;
                self.lanes.retain(|lane| Some(lane.at) == leader);
                return Poll::Pending;
            }
            match slow.as_mut().map(|slow| slow.as_mut().poll(cx)) {
                Some(Poll::Ready(())) => Poll::Ready(Came::Slow),
                _ => Poll::Pending,
            }
        })
        .await
    }

    /// Tells the reader what is new. Whether there is a leader.
    fn tell(&mut self, reader: &mut dyn Reader) -> bool {
        let mut gate = self.gate.lock();
        if !gate.fresh.is_empty() && !self.hold {
            reader.text(&gate.fresh);
            self.told.push_str(&gate.fresh);
            gate.fresh.clear();
        }
        gate.leads.is_some()
    }

    /// Whether anybody has written.
    pub(super) fn led(&self) -> bool {
        self.gate.lock().leads.is_some()
    }

    /// Whether it was this one who was listened to.
    pub(super) fn led_by(&self, at: usize) -> bool {
        self.gate.lock().leads == Some(at)
    }

    /// The leader failed: somebody else goes on from what was told.
    pub(super) fn lost(&mut self) {
        *self.gate.lock() = Gate::default();
        self.before = self.told.as_str().into();
    }

    /// The whole answer, of which the last part is this one.
    pub(super) fn whole(&mut self, mut answer: Completion, reader: &mut dyn Reader) -> Completion {
        self.tell(reader);
        if self.hold {
            if !answer.text.is_empty() {
                reader.text(&answer.text);
            }
            return answer;
        }
        if self.before.is_empty() {
            // One that is done without a sign of life is told as a whole.
            if self.told.is_empty() && !answer.text.is_empty() {
                reader.text(&answer.text);
            }
            return answer;
        }
        answer.text = std::mem::take(&mut self.told);
        answer
    }
}
