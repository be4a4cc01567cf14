//! Other agents. Grant: `agents`, by name. Budget: `messages`, and the receiver's `mailbox`.
//!
//! An address is a name in this village, or `name@peer`. An ask is a turn of its own at the other agent and commits there,
//! whatever becomes of this one; what is told leaves when this turn commits.
//!
//! ```
//! use village::{Error, agents};
//! # use village::{Failure, Payload, test};
//!
//! /// Asks two at once and waits for both.
//! fn prices(article: &str) -> Result<u32, Error> {
//!     let asked = vec![agents::ask("smith", "price", article)?, agents::ask("joiner", "price", article)?];
//!     let prices: Vec<u32> = agents::all(asked).into_iter().collect::<Result<_, _>>()?;
//!     Ok(prices.iter().sum())
//! }
//! # let host = test::Host::new()
//! #     .with_agent("smith", |_| Payload::json(&30))
//! #     .with_agent("joiner", |_| Payload::json(&12));
//! # assert_eq!(host.enter(|| prices("door")), Ok(42));
//! ```

mod pending;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::imports::agents as host;
use crate::json;
use crate::types::{Error, Payload, Priority};

pub use crate::bindings::village::agent::agents::Delivery;
pub use pending::{Pending, all, first};

/// What an ask may take if nothing else is said. The turn's deadline bounds it anyway.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Asks another agent for a skill that takes and answers JSON, and does not wait: the answer comes through the [`Pending`].
///
/// Fails with `denied` without a grant for the address, `not-found` if no such agent is known, and `limit` when an allowance is
/// used up, the receiver's mailbox included.
pub fn ask<I: Serialize + ?Sized, O: DeserializeOwned>(to: &str, skill: &str, input: &I) -> Result<Pending<O>, Error> {
    Ok(Request::to(to).skill(skill).json(input)?.ask()?.read())
}

/// Tells another agent, with nothing to come back. It leaves when this turn commits. Answers an id for [`cancel`].
pub fn tell<I: Serialize + ?Sized>(to: &str, skill: &str, input: &I) -> Result<String, Error> {
    Request::to(to).skill(skill).json(input)?.tell()
}

/// Takes back a told message that was not delivered yet; answers whether there was one.
pub fn cancel(id: &str) -> Result<bool, Error> {
    host::cancel(id)
}

/// Sends a piece of this turn's reply to whoever asked, before the reply is there. The reply says whether it stands.
/// Does nothing if nobody waits.
pub fn emit(chunk: impl AsRef<[u8]>) -> Result<(), Error> {
    host::emit(chunk.as_ref())
}

/// As [`emit`], with a value as JSON.
pub fn emit_json<T: Serialize + ?Sized>(value: &T) -> Result<(), Error> {
    host::emit(&json::write(value)?)
}

/// A message to another agent, for what [`ask`] and [`tell`] have no words for: priority, time-out, delivery, payloads that are no JSON.
///
/// ```
/// use std::time::Duration;
/// use village::agents::Request;
/// # use village::{Payload, test};
///
/// # test::Host::new().with_agent("clerk", |_| Payload::json(&())).enter(|| {
/// let reminder = Request::to("clerk").skill("remind").payload("the rent").tell_after(Duration::from_secs(86_400))?;
/// # let _ = reminder;
/// # Ok::<_, village::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
#[must_use = "it is sent by `ask` or `tell`"]
pub struct Request {
    to: String,
    request: crate::bindings::village::agent::agents::Request,
    timeout: Duration,
}

impl Request {
    /// A message to `name`, or `name@peer`; empty, and naming no skill.
    pub fn to(address: &str) -> Request {
        let request = crate::bindings::village::agent::agents::Request {
            skill: String::new(),
            payload: Payload::default(),
            priority: Priority::Normal,
        };
        Request { to: address.to_owned(), request, timeout: PATIENCE }
    }

    /// The skill that is asked for.
    pub fn skill(mut self, name: &str) -> Request {
        self.request.skill = name.to_owned();
        self
    }

    /// What is sent.
    pub fn payload(mut self, payload: impl Into<Payload>) -> Request {
        self.request.payload = payload.into();
        self
    }

    /// What is sent, as JSON.
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Result<Request, Error> {
        Ok(self.payload(Payload::json(value)?))
    }

    /// Which messages go first at the receiver.
    pub fn priority(mut self, priority: Priority) -> Request {
        self.request.priority = priority;
        self
    }

    /// How long the answer to an ask may take. This turn's deadline bounds it as well.
    pub fn timeout(mut self, timeout: Duration) -> Request {
        self.timeout = timeout;
        self
    }

    /// Asks, and does not wait.
    pub fn ask(self) -> Result<Pending<Payload>, Error> {
        let pending = host::ask(&self.to, &self.request, milliseconds(self.timeout))?;
        Ok(Pending::new(pending, Ok))
    }

    /// Tells: it leaves when this turn commits. Answers an id for [`cancel`].
    pub fn tell(self) -> Result<String, Error> {
        self.deliver(Delivery::Now)
    }

    /// Tells so long after this turn commits: a timer that lasts.
    pub fn tell_after(self, delay: Duration) -> Result<String, Error> {
        self.deliver(Delivery::After(milliseconds(delay)))
    }

    /// Tells at that time; one in the past means now.
    pub fn tell_at(self, time: SystemTime) -> Result<String, Error> {
        self.deliver(Delivery::At(milliseconds(time.duration_since(UNIX_EPOCH).unwrap_or_default())))
    }

    fn deliver(self, when: Delivery) -> Result<String, Error> {
        host::tell(&self.to, &self.request, when)
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
