//! One of several replicas: a life that handles what the agent's life hands it, beside others that do the same.

use crate::agent::{Answer, Claim, Error, Lasting};
use crate::fresh::secure;
use crate::live::{Handed, Life, Work};
use runtime::{Failure, FailureKind, Fault, Task};
use std::sync::Arc;
use std::task::Poll;
use tokio::sync::mpsc;

/// A turn whose reads another replica changed is run again at once so often; then its message waits like one that failed.
const AGAIN: u32 = 10;

/// What a replica tells the agent's life.
pub(crate) struct Report {
    pub(crate) number: u64,
    pub(crate) front: mpsc::WeakUnboundedSender<Work>,
    /// The life ends with a replica that ended before its time.
    pub(crate) life: Option<Arc<Task>>,
}

impl Report {
    fn send(&self, work: Work) {
        if let Some(front) = self.front.upgrade() {
            // The life may be ending.
            let _ = front.send(work);
        }
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        if let Some(life) = &self.life {
            life.stop();
        }
    }
}

impl<T: Lasting> Life<T> {
    /// Whether its instance leaves as much memory as it takes: else the turns of others would fail for it.
    fn leaves_room(&mut self) -> bool {
        let held = self.instance.as_mut().map_or(0, |instance| instance.held());
        let memory = &self.spec.memory;
        memory.limit().saturating_sub(memory.used()) >= held
    }

    /// Handles a message. One of several replicas does so again at once while others changed what it read; what is answered
    /// beside is to be dropped once all of the turn is kept.
    pub(crate) async fn handle_alone(&mut self, handed: &mut Handed) -> (Answer, Claim) {
        let mut answer = self.handle(handed).await;
        if !self.replica {
            return (answer, None);
        }
        for tries in 0.. {
            let cut = matches!(answer.outcome, Err(Error::Broke(Fault::Stopped | Fault::Linked { .. })));
            let claim = match &mut self.instance {
                Some(instance) if !cut => instance.data().claim().await,
                _ => Ok(None),
            };
            match claim {
                Ok(claim) => return (answer, claim),
                Err(_) if tries == AGAIN => break,
                Err(_) => {}
            }
            // What it remembers may be of what is not so any more.
            (self.instance, self.broke) = (None, None);
            secure(&handed.fresh);
            handed.again = true;
            let before = answer.receipt;
            answer = self.handle(handed).await;
            answer.receipt.cpu += before.cpu;
            answer.receipt.gpu += before.gpu;
            answer.receipt.tokens += before.tokens;
            answer.receipt.wall += before.wall;
            answer.receipt.memory = answer.receipt.memory.max(before.memory);
        }
        self.broke = None;
        let message = format!("other replicas changed what the turn read, {} times one after the other", AGAIN + 1);
        let failure = Failure { kind: FailureKind::Temporary, message, details: String::new() };
        (Answer { outcome: Err(Error::Failed(failure)), ..answer }, None)
    }
}

/// A replica's life: what the agent's life hands it, until that lets it go or it is stopped.
pub(crate) async fn serve<T: Lasting>(
    mut life: Life<T>,
    mut works: mpsc::UnboundedReceiver<Work>,
    mut report: Report,
    first: bool,
) {
    let number = report.number;
    if !first {
        let made = life.warm().await.is_ok() && life.leaves_room();
        report.send(Work::Ready { number, made });
    }
    loop {
        let next = std::future::poll_fn(|cx| match life.task.stopping() {
            true => Poll::Ready(None),
            false => works.poll_recv(cx),
        });
        let Some(work) = next.await else { break };
        life.suffer();
        match work {
            Work::Handle(handed) => {
                life.deal(handed).await;
                life.recycle().await;
                report.send(Work::Done { number, back: life.queue.take_resting() });
            }
            other => life.attend(other).await,
        }
        life.task.give_way(life.ended).await;
    }
    life.close().await;
    report.life = None;
}
