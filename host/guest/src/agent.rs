//! An agent that lives, with its accounts.

use crate::accounts::{Accounts, Usage};
use crate::ctx::Ctx;
use crate::grants::Grants;
use crate::host::{Seat, Version};
use crate::log::Line;
use crate::redact::Redactor;
use agents::{Answer, Error, Refusal, Spec};
use base::{BUDGET_FIELDS, Budget};
use runtime::{Card, Fault, Message, Workers};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// An agent that lives. Dropping it stops it.
pub struct Agent {
    inner: agents::Agent,
    accounts: Arc<Accounts>,
    _seat: Seat,
}

/// Messages that may wait.
const MAILBOX: usize = 1000;

impl Agent {
    pub(crate) fn start(
        workers: &Workers,
        version: &Version,
        accounts: Arc<Accounts>,
        grants: Arc<Grants>,
        seat: Seat,
    ) -> Agent {
        let behind = accounts.clone();
        let spec = Spec {
            version: version.0.clone(),
            budget: *accounts.budget.lock(),
            cpu: accounts.cpu.clone(),
            memory: accounts.memory.clone(),
            mailbox: MAILBOX,
            data: Box::new(move || Ctx::new(grants.clone(), behind.clone(), None)),
        };
        Agent { inner: agents::Agent::start(workers, spec), accounts, _seat: seat }
    }

    /// Hands it a message, and waits for what comes of it.
    pub async fn ask(&self, message: Message) -> Result<Answer, Refusal> {
        let mut answer = self.inner.ask(message).await?;
        let redactor = &self.accounts.http.keys.redactor;
        match &mut answer.outcome {
            Ok(reply) if !redactor.is_empty() => {
                redactor.clean(&mut reply.payload.content_type);
                if let Cow::Owned(clean) = redactor.bytes(&reply.payload.body) {
                    reply.payload.body = clean;
                }
            }
            Ok(_) => {}
            Err(Error::Failed(failure)) => {
                redactor.clean(&mut failure.message);
                redactor.clean(&mut failure.details);
            }
            Err(Error::Broke(fault)) => *fault = explained(&self.accounts, fault.clone()),
        }
        Ok(answer)
    }

    /// Makes its instance, if there is none. It begins at once; the future is there to wait for it.
    pub fn warm(&self) -> impl Future<Output = Result<Result<(), Fault>, Refusal>> + Send + use<> {
        let (warm, accounts) = (self.inner.warm(), self.accounts.clone());
        async move { Ok(warm.await?.map_err(|fault| explained(&accounts, fault))) }
    }

    /// Asks it what it is.
    pub async fn describe(&self) -> Result<Result<Card, Fault>, Refusal> {
        let card = self.inner.describe().await?.map_err(|fault| explained(&self.accounts, fault));
        Ok(card.map(|card| redacted(card, &self.accounts.http.keys.redactor)))
    }

    /// The lines of its log since this was last asked, and how many had to go.
    pub fn log(&self) -> (Vec<Line>, u64) {
        self.accounts.log.drain()
    }

    /// Every field of its budget, with what is used of it.
    pub fn usage(&self) -> [Usage; BUDGET_FIELDS.len()] {
        self.accounts.usage(Duration::ZERO)
    }

    /// CPU time that it has used.
    pub fn cpu(&self) -> Duration {
        Duration::from_nanos(self.accounts.cpu.used())
    }

    /// Changes what it may use, while it runs. A new deadline holds from the next turn on.
    pub fn set_budget(&self, budget: Budget) {
        self.accounts.set(budget);
        self.inner.set_deadline(budget.deadline);
        self.inner.reconsider();
    }

    /// What it may use.
    pub fn budget(&self) -> Budget {
        *self.accounts.budget.lock()
    }

    /// Stops it, in the midst of a turn if need be.
    pub fn stop(&self) {
        self.inner.stop();
    }

    pub(crate) fn task(&self) -> &Arc<runtime::Task> {
        self.inner.task()
    }
}

/// A panic says why on the standard error, and then traps without a word.
pub(crate) fn explained(accounts: &Accounts, mut fault: Fault) -> Fault {
    let said = accounts.log.take_tail();
    if let (Fault::Trap { reason, .. }, false) = (&mut fault, said.is_empty()) {
        *reason = format!("{said} ({reason})");
    }
    fault.redacted(&mut |text| accounts.http.keys.redactor.clean(text))
}

/// A card is made by the guest, which may have seen what it should not.
fn redacted(mut card: Card, redactor: &Redactor) -> Card {
    let Card { name, version, role, description, skills, tags } = &mut card;
    [name, version, role, description].into_iter().chain(tags).for_each(|text| redactor.clean(text));
    for runtime::Skill { name, description, input, output, tags, examples } in skills {
        let texts = [name, description, input, output].into_iter().chain(tags).chain(examples);
        texts.for_each(|text| redactor.clean(text));
    }
    card
}
