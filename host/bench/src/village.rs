//! Our side: a host of its own for each measurement.

use crate::Error;
use base::Budget;
use guest::{Agent, Compiler, Grants, Host, Message, Payload, Pool, Priority, Sender, Version};
use std::num::NonZeroUsize;

pub(crate) const ECHO: &[u8] = include_bytes!("../guests/echo.wasm");
pub(crate) const CPU: &[u8] = include_bytes!("../guests/cpu.wasm");

/// A host with so many slots.
pub(crate) struct Village {
    pub(crate) host: Host,
    _cache: tempfile::TempDir,
}

impl Village {
    pub(crate) fn new(slots: Pool, workers: Option<NonZeroUsize>) -> Result<Village, Error> {
        let cache = tempfile::tempdir()?;
        let mut builder =
            Host::builder().pool(slots).cache(cache.path().join("native")).compiler(Compiler::ThisProgram);
        if let Some(workers) = workers {
            builder = builder.workers(workers);
        }
        Ok(Village { host: builder.build()?, _cache: cache })
    }

    pub(crate) async fn load(&self, bytes: &[u8]) -> Result<Version, Error> {
        Ok(self.host.load(bytes).await?)
    }

    /// An agent that is granted what the guests use, with its instance made.
    pub(crate) async fn agent(
        &self,
        version: &Version,
        budget: &str,
        group: Option<&guest::Group>,
    ) -> Result<Agent, Error> {
        let mut limits = Budget::default();
        for field in budget.split(',').filter(|field| !field.is_empty()) {
            let (field, value) = field.split_once('=').ok_or("a budget is field=value")?;
            limits.set(field, value)?;
        }
        let grants = Grants { clock: true, budget: true, log: true, ..Grants::default() };
        let agent = self.host.start(version, limits, grants, group)?;
        agent.warm().await??;
        Ok(agent)
    }
}

pub(crate) fn message(skill: &str, body: &str) -> Message {
    Message {
        id: "0".into(),
        sender: Sender::Client(String::new()),
        skill: skill.into(),
        payload: Payload { content_type: String::new(), body: body.into() },
        priority: Priority::Normal,
        attempt: 1,
        accepted: 0,
    }
}

/// The reply's text.
pub(crate) async fn ask(agent: &Agent, skill: &str, body: &str) -> Result<String, Error> {
    let reply = agent.ask(message(skill, body)).await?.outcome?;
    Ok(String::from_utf8(reply.payload.body)?)
}

/// A runtime for those who ask, as a server would have one.
pub(crate) fn io(threads: usize) -> Result<tokio::runtime::Runtime, Error> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?)
}
