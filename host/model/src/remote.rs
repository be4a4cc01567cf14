//! Back ends that are asked over HTTP: what they have in common.

mod address;
mod again;
pub(crate) mod anthropic;
mod client;
mod draft;
mod events;
mod fault;
pub(crate) mod openai;
mod plain;

pub use address::Address;
pub use again::known_by;
pub use client::Trust;

use crate::backend::Listed;
use crate::error::Error;
use crate::key::Key;
use client::{Client, Reply};
use draft::Draft;
use events::{Event, Events};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A back end that is asked over HTTP.
#[derive(Debug, Clone)]
pub struct Remote {
    /// What it is called.
    pub name: String,
    /// Where it is.
    pub address: Address,
    /// What it wants to see.
    pub key: Option<Key>,
    /// Its models, where it is not asked for them.
    pub models: Vec<String>,
    /// Tokens in the window of a model of which it says nothing.
    pub context: u32,
    /// Requests that it gets at once. Others wait.
    pub at_once: usize,
    /// Whether what it is given may go further, although it is on this machine.
    pub passes_on: bool,
}

/// A model that has begun to write does not pause longer.
const PAUSE: Duration = Duration::from_secs(30);

/// The most that a reply may be that comes in one piece.
const WHOLE: usize = 32 << 20;

/// Models that a back end may list.
const MODELS: usize = 10_000;

impl Remote {
    /// Whether what this model is given stays on this machine.
    ///
    /// That a server is on this machine does not yet say so: some pass on what they are asked for models that they mark
    /// in their names.
    fn local(&self, model: &str) -> bool {
        let elsewhere = model.ends_with("-cloud") || model.ends_with(":cloud");
        self.address.loopback() && !self.passes_on && !elsewhere
    }

    fn client(&self, trust: &Arc<Trust>) -> Client {
        Client::new(&self.name, &self.address, self.key.clone(), self.at_once, trust.clone())
    }

    /// Refuses what would leave this machine and must not.
    fn admit(&self, model: &str, private: bool) -> Result<(), Error> {
        match private && !self.local(model) {
            true => Err(Error::Denied { model: format!("a private prompt to `{}`", self.name) }),
            false => Ok(()),
        }
    }

    /// The models that were written down, if any were.
    fn declared(&self) -> Option<Vec<Listed>> {
        let listed = |name: &String| self.listed(name.clone(), None, None);
        (!self.models.is_empty()).then(|| self.models.iter().map(listed).collect())
    }

    fn listed(&self, name: String, context: Option<u64>, embeds: Option<bool>) -> Listed {
        let context = context.and_then(|context| u32::try_from(context).ok()).unwrap_or(self.context);
        // Nobody says it on the wire; the names do.
        let named = || ["embed", "minilm", "bge-", "e5-", "gte-"].iter().any(|part| name.to_lowercase().contains(part));
        Listed { local: self.local(&name), context, embeds: embeds.unwrap_or_else(named), name }
    }
}

/// Ends what has not ended by then.
async fn within<T>(until: Instant, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    // A timer would let what is quick through.
    if until <= Instant::now() {
        return Err(Error::Timeout);
    }
    tokio::time::timeout_at(until, work).await.unwrap_or(Err(Error::Timeout))
}

/// What comes of an event.
enum Step {
    More,
    Last,
}

/// Reads a reply's events into a draft, until the last one or until there is enough.
async fn follow(
    mut reply: Reply,
    draft: &mut Draft<'_>,
    until: Instant,
    mut take: impl FnMut(&mut Draft<'_>, &Event) -> Result<Step, Error>,
) -> Result<(), Error> {
    let mut events = Events::default();
    loop {
        let by = if draft.begun() { until.min(Instant::now() + PAUSE) } else { until };
        let Ok(chunk) = tokio::time::timeout_at(by, reply.chunk()).await else {
            return Err(if by == until { Error::Timeout } else { draft.broken("it paused midway") });
        };
        let Some(chunk) = chunk? else { break };
        events.push(&chunk).map_err(|why| draft.broken(why))?;
        while let Some(event) = events.next().map_err(|why| draft.broken(why))? {
            match take(draft, &event)? {
                Step::More if !draft.enough() => {}
                _ => {
                    // What says how much was used may come after it; it is on its way already.
                    reply.keep().await;
                    return Ok(());
                }
            }
        }
    }
    match draft.finished() {
        true => Ok(()),
        false => Err(draft.broken("it ended midway")),
    }
}
